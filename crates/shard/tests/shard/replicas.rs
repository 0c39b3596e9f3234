//! Many replicas, several nodes: following, handing over, moving, opening, going.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use thalweg_shard::append::AppendError;
use thalweg_shard::read::{Cursor, ReadError};
use thalweg_shard::{Replica, ReplicaSpec};
use thalweg_types::{NodeId, ShardId, StreamId};
use tokio::sync::watch;

use crate::support::*;

/// Long enough for a leader to begin whatever it is going to do.
const SWEEPS: Duration = Duration::from_millis(500);

#[tokio::test(flavor = "multi_thread")]
async fn followers_serve_what_they_have_applied_and_refuse_writes() {
    let cluster = Cluster::start(3).await;
    cluster.apply(&[spec(1, &[1, 2, 3])]);
    let leader = cluster.leader(1).await;
    append(&leader, &["a"]).await;
    for node in 1..=3 {
        let replica = cluster.replica(node, 1).await;
        let page = replica.read(Cursor::at(0), 1 << 20, PATIENCE).await.unwrap();
        assert_eq!(payloads(&page), ["a"]);
        if !cluster.observed(node, 1, |seen| seen.leader.is_some()).await.leading {
            let refused = replica.append(batch(&["b"]), None, PATIENCE).await;
            assert!(matches!(refused, Err(AppendError::NotLeader { leader: Some(_) })), "{refused:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn leadership_goes_to_the_preferred_node_and_retries_are_known_there() {
    let cluster = Cluster::start(3).await;
    let shard = spec(1, &[1, 2, 3]);
    cluster.apply(std::slice::from_ref(&shard));
    let first = append_tagged(&*cluster.leader(1).await, "a", 1).await.unwrap();
    cluster.apply(&[ReplicaSpec { preferred_leader: Some(NodeId(3)), ..shard }]);
    cluster.observed(3, 1, |seen| seen.ready).await;
    let leader = cluster.replica(3, 1).await;
    let retry = append_tagged(&leader, "a", 1).await.unwrap();
    assert_eq!((retry.first, retry.duplicate), (first.first, true));
    append_tagged(&leader, "b", 2).await.unwrap();
    assert_eq!(all_payloads(&leader).await, ["a", "b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_moves_to_another_node_with_everything_it_held() {
    let cluster = Cluster::start(3).await;
    let shard = spec(1, &[1, 2]);
    cluster.apply(std::slice::from_ref(&shard));
    append_tagged(&*cluster.leader(1).await, "a", 1).await.unwrap();
    let moved = ReplicaSpec {
        desired_voters: BTreeSet::from([NodeId(1), NodeId(3)]),
        preferred_leader: Some(NodeId(1)),
        bootstrap: false,
        ..shard
    };
    cluster.apply(std::slice::from_ref(&moved));
    let wanted = moved.desired_voters.clone();
    cluster.observed(1, 1, |seen| seen.voters == wanted && seen.learners.is_empty()).await;
    cluster.node(2).host.apply_specs(Vec::new());
    cluster.node(2).host.observe().wait_for(|all| all.is_empty()).await.unwrap();
    let arrived = cluster.replica(3, 1).await;
    assert_eq!(payloads(&arrived.read(Cursor::at(0), 1 << 20, PATIENCE).await.unwrap()), ["a"]);
}

/// The replica that a placement left out may be gone for good: the catalog took the first leader's word.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_whose_catalog_lags_does_not_undo_a_placement() {
    let cluster = Cluster::start(4).await;
    let old = ReplicaSpec { preferred_leader: None, ..spec(1, &[1, 2, 3]) };
    cluster.apply(std::slice::from_ref(&old));
    cluster.leader(1).await;
    let moved = ReplicaSpec {
        desired_voters: [1, 3, 4].map(NodeId).into(),
        preferred_leader: Some(NodeId(3)),
        placement: 7,
        settled: false,
        bootstrap: false,
        ..old.clone()
    };
    // Node 1 hears of nothing new.
    for node in 2..=4 {
        cluster.node(node).host.apply_specs(vec![moved.clone()]);
    }
    let first = cluster.leader(1).await;
    if first.node_id() == NodeId(1) {
        cluster.node(1).host.apply_specs(vec![ReplicaSpec { preferred_leader: Some(NodeId(3)), ..old.clone() }]);
    }
    let settled = cluster.observed(3, 1, |seen| seen.placed == Some(7)).await;
    assert_eq!((settled.voters, settled.learners), (moved.desired_voters.clone(), BTreeSet::new()));
    // Now it leads, with the catalog of before.
    cluster.node(1).host.apply_specs(vec![ReplicaSpec { preferred_leader: Some(NodeId(1)), ..old.clone() }]);
    cluster.node(3).host.apply_specs(vec![ReplicaSpec { preferred_leader: Some(NodeId(1)), ..moved.clone() }]);
    cluster.observed(1, 1, |seen| seen.ready).await;
    tokio::time::sleep(SWEEPS).await;
    let led = cluster.observed(1, 1, |seen| seen.ready).await;
    assert_eq!((led.voters, led.placed), (moved.desired_voters.clone(), None));
    // What it hears then it follows.
    let last = ReplicaSpec { desired_voters: [1, 2, 3].map(NodeId).into(), placement: 9, ..moved };
    cluster.apply(std::slice::from_ref(&last));
    cluster.observed(1, 1, |seen| seen.placed == Some(9) && seen.voters == last.desired_voters).await;
}

/// By then the group may count on it again. One thread: what comes first gets the only slot first.
#[tokio::test]
async fn a_replica_that_is_wanted_again_while_its_removal_waits_keeps_what_it_has() {
    let cluster = Cluster::start_with(1, thalweg_shard::Options { opens_max: 1, ..options() }).await;
    let host = &cluster.node(1).host;
    let shard = ReplicaSpec { bootstrap: false, ..spec(1, &[1]) };
    cluster.apply(&[spec(1, &[1])]);
    append(&*cluster.leader(1).await, &["a"]).await;
    let others: Vec<ReplicaSpec> = (2..=100).map(|shard| spec(shard, &[1])).collect();
    cluster.apply(&others);
    while host.replica_of(others[0].group).is_none() {
        tokio::task::yield_now().await;
    }
    assert!(host.replica_of(shard.group).is_some(), "its removal waits behind those that open");
    cluster.apply(&[others, vec![shard]].concat());
    cluster.replica(1, 100).await;
    tokio::time::sleep(SWEEPS).await;
    assert_eq!(all_payloads(&cluster.leader(1).await).await, ["a"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_of_a_replica_that_leaves_are_told() {
    let cluster = Cluster::start(1).await;
    cluster.apply(&[spec(1, &[1])]);
    let shard = cluster.leader(1).await;
    let waiting = tokio::spawn(async move { shard.read(Cursor::at(0), 1 << 20, PATIENCE).await });
    cluster.node(1).host.apply_specs(Vec::new());
    assert_eq!(waiting.await.unwrap(), Err(ReadError::Gone));
    assert!(cluster.node(1).host.replica(StreamId(1), ShardId(1)).is_none());
}

/// A refused writer asks the next replica after this, so that it does not starve those it waits for.
const RETRY_PAUSE: Duration = Duration::from_millis(5);

/// Writes `count` tagged batches one after the other, each tried on any replica until it is taken.
async fn write_through(replicas: Vec<Arc<Replica>>, count: u64, progress: watch::Sender<u64>) {
    for sequence in 1..=count {
        let mut at = 0;
        while append_tagged(&replicas[at % replicas.len()], &sequence.to_string(), sequence).await.is_err() {
            at += 1;
            tokio::time::sleep(RETRY_PAUSE).await;
        }
        progress.send_replace(sequence);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_retries_loses_and_doubles_nothing_when_leaders_stop_and_change() {
    let cluster = Cluster::start(3).await;
    let shard = spec(1, &[1, 2, 3]);
    cluster.apply(std::slice::from_ref(&shard));
    cluster.leader(1).await;
    let mut replicas = Vec::new();
    for node in 1..=3 {
        replicas.push(cluster.replica(node, 1).await);
    }
    let (progress, mut reached) = watch::channel(0);
    let writer = tokio::spawn(write_through(replicas.clone(), 300, progress));
    for (at, preferred) in [(50, 2), (100, 3), (150, 1)] {
        reached.wait_for(|count| *count >= at).await.unwrap();
        cluster.apply(&[ReplicaSpec { preferred_leader: Some(NodeId(preferred)), ..shard.clone() }]);
    }
    cluster.observed(1, 1, |seen| seen.ready).await;
    cluster.stop(1).await;
    tokio::time::timeout(PATIENCE * 3, writer).await.expect("the survivors go on").unwrap();
    let expected: Vec<String> = (1..=300).map(|sequence| sequence.to_string()).collect();
    assert_eq!(all_payloads(&cluster.leader_among(&[2, 3], 1).await).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_replicas_open_and_lead() {
    let cluster = Cluster::start(1).await;
    let specs: Vec<ReplicaSpec> = (1..=200).map(|shard| spec(shard, &[1])).collect();
    cluster.apply(&specs);
    let mut observations = cluster.node(1).host.observe();
    let all_ready = observations.wait_for(|all| all.values().filter(|seen| seen.ready).count() == 200);
    tokio::time::timeout(PATIENCE * 3, all_ready).await.expect("all lead in time").unwrap();
}
