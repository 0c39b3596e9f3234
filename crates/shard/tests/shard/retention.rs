//! Retention: what goes, when, and that nothing else does.

use thalweg_shard::ReplicaSpec;
use thalweg_shard::append::AppendError;
use thalweg_shard::read::{Cursor, StartPosition};
use thalweg_types::{NodeId, SequenceNumber, ShardId, UnixMillis};

use crate::support::*;

/// Waits until the shard holds exactly these records on this replica.
async fn holds(replica: &std::sync::Arc<thalweg_shard::Replica>, expected: &[&str]) {
    let settled = async {
        while all_payloads(replica).await != expected {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, settled).await.expect("what is past retention goes in time");
}

#[tokio::test(flavor = "multi_thread")]
async fn records_past_retention_go_on_every_replica_and_younger_ones_stay() {
    let cluster = Cluster::start(3).await;
    cluster.apply(&[spec(1, &[1, 2, 3])]);
    let shard = cluster.leader(1).await;
    let old = append(&shard, &["old", "older"]).await.first;
    cluster.clock.advance_ms(DAY_MS / 2);
    append(&shard, &["young"]).await;
    cluster.clock.advance_ms(DAY_MS / 2 + 1);
    for node in 1..=3 {
        holds(&cluster.replica(node, 1).await, &["young"]).await;
    }
    // A position that is gone moves up in silence.
    let above = SequenceNumber::new(START, ShardId(1), old.raft_index(), u32::MAX, START);
    for gone in
        [StartPosition::At(old), StartPosition::After(old), StartPosition::At(above), StartPosition::After(above)]
    {
        let from = shard.resolve(gone).await.unwrap();
        assert_eq!(payloads(&page(&shard, from).await), ["young"]);
    }
    assert_eq!(payloads(&page(&shard, Cursor::at(1)).await), ["young"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn lowering_retention_hides_at_once_and_raising_it_resurrects_nothing() {
    let cluster = Cluster::start(1).await;
    let day = spec(1, &[1]);
    cluster.apply(&[ReplicaSpec { retention_ms: 7 * DAY_MS, ..day.clone() }]);
    let shard = cluster.leader(1).await;
    append(&shard, &["a"]).await;
    cluster.clock.advance_ms(2 * DAY_MS);
    append(&shard, &["b"]).await;
    assert_eq!(all_payloads(&shard).await, ["a", "b"]);
    cluster.apply(std::slice::from_ref(&day));
    holds(&shard, &["b"]).await;
    cluster.apply(&[ReplicaSpec { retention_ms: 7 * DAY_MS, ..day }]);
    assert_eq!(all_payloads(&shard).await, ["b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_shard_expires_when_everything_in_it_has() {
    let cluster = Cluster::start(1).await;
    let open = spec(1, &[1]);
    cluster.apply(std::slice::from_ref(&open));
    let shard = cluster.leader(1).await;
    append(&shard, &["a"]).await;
    cluster.apply(&[ReplicaSpec { seal: Some(1), ..open }]);
    assert!(!cluster.observed(1, 1, |seen| seen.sealed_at.is_some()).await.expired);
    cluster.clock.advance_ms(DAY_MS + 1);
    cluster.observed(1, 1, |seen| seen.expired).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn duplicates_and_trims_are_remembered_over_a_restart() {
    let mut cluster = Cluster::start(1).await;
    cluster.apply(&[spec(1, &[1])]);
    let shard = cluster.leader(1).await;
    append(&shard, &["old"]).await;
    cluster.clock.set(UnixMillis(START.0 + DAY_MS + 1));
    let first = append_tagged(&shard, "kept", 1).await.unwrap();
    holds(&shard, &["kept"]).await;
    drop(shard);
    cluster.restart(1).await;
    cluster.apply(&[spec(1, &[1])]);
    let shard = cluster.leader(1).await;
    assert_eq!(all_payloads(&shard).await, ["kept"]);
    let retry = append_tagged(&shard, "kept", 1).await.unwrap();
    assert_eq!((retry.first, retry.duplicate), (first.first, true));
    assert!(append(&shard, &["next"]).await.first > first.first);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_joins_after_a_trim_starts_there_and_knows_the_same_retries() {
    let cluster = Cluster::start(2).await;
    let alone = spec(1, &[1]);
    cluster.node(1).host.apply_specs(vec![alone.clone()]);
    let shard = cluster.leader_among(&[1], 1).await;
    append_tagged(&shard, "old", 1).await.unwrap();
    cluster.clock.advance_ms(DAY_MS + 1);
    let second = append_tagged(&shard, "kept", 2).await.unwrap();
    holds(&shard, &["kept"]).await;
    let both = spec(1, &[1, 2]);
    let both = ReplicaSpec { bootstrap: false, preferred_leader: Some(NodeId(2)), ..both };
    cluster.apply(&[both]);
    cluster.observed(2, 1, |seen| seen.ready).await;
    let joined = cluster.replica(2, 1).await;
    assert_eq!(all_payloads(&joined).await, ["kept"]);
    let retry = append_tagged(&joined, "kept", 2).await.unwrap();
    assert_eq!((retry.first, retry.duplicate), (second.first, true));
    assert_eq!(append_tagged(&joined, "gap", 4).await, Err(AppendError::OutOfOrder { sequence: 4, expected: 3 }));
}
