//! The end of a shard: sealing, what writers and readers are told, and when.

use std::time::Duration;

use thalweg_shard::append::AppendError;
use thalweg_shard::command::ProducerTag;
use thalweg_shard::read::Cursor;
use thalweg_shard::{Options, ReplicaSpec};
use thalweg_types::{ProducerId, SequenceNumber, ShardId};

use crate::support::*;

fn sealing(shard: &ReplicaSpec) -> ReplicaSpec {
    ReplicaSpec { seal: Some(9), ..shard.clone() }
}

fn closed(shard: &ReplicaSpec) -> ReplicaSpec {
    ReplicaSpec { writable: false, closed: true, children: vec![ShardId(2), ShardId(3)], ..shard.clone() }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_leader_seals_when_told_and_reports_the_last_number() {
    let cluster = Cluster::start(3).await;
    let open = spec(1, &[1, 2, 3]);
    cluster.apply(std::slice::from_ref(&open));
    let shard = cluster.leader(1).await;
    let last = append(&shard, &["a", "b"]).await.first;
    cluster.apply(&[sealing(&open)]);
    for node in 1..=3 {
        let sealed_at = cluster.observed(node, 1, |seen| seen.sealed_at.is_some()).await.sealed_at.unwrap();
        assert_eq!((sealed_at.raft_index(), sealed_at.record()), (last.raft_index(), 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_shard_is_sealed_at_its_start() {
    let cluster = Cluster::start(1).await;
    let open = spec(1, &[1]);
    cluster.apply(&[sealing(&open)]);
    let sealed_at = cluster.observed(1, 1, |seen| seen.sealed_at.is_some()).await.sealed_at;
    assert_eq!(sealed_at, Some(SequenceNumber::shard_start(START, ShardId(1))));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_seal_new_batches_are_refused_and_retries_still_find_their_place() {
    let cluster = Cluster::start(3).await;
    let open = spec(1, &[1, 2, 3]);
    cluster.apply(std::slice::from_ref(&open));
    let shard = cluster.leader(1).await;
    let first = append_tagged(&shard, "a", 1).await.unwrap();
    cluster.apply(&[sealing(&open)]);
    for node in 1..=3 {
        cluster.observed(node, 1, |seen| seen.sealed_at.is_some()).await;
        // A sealed shard holds all it ever will, so any replica may answer.
        let replica = cluster.replica(node, 1).await;
        let retry = append_tagged(&replica, "a", 1).await.unwrap();
        assert_eq!((retry.first, retry.duplicate), (first.first, true));
        assert_eq!(append_tagged(&replica, "b", 2).await, Err(AppendError::Closed));
        assert_eq!(replica.append(batch(&["c"]), None, PATIENCE).await, Err(AppendError::Closed));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_lags_does_not_call_the_shard_closed_to_a_retry() {
    let cluster = Cluster::start(3).await;
    let open = spec(1, &[1, 2, 3]);
    cluster.apply(std::slice::from_ref(&open));
    append_tagged(&*cluster.leader(1).await, "a", 1).await.unwrap();
    // The catalog's word is here before the seal is: the first attempt may be above what is applied.
    let leader = cluster.observed(1, 1, |seen| seen.leader.is_some()).await.leader.unwrap();
    let node = (1..=3).find(|node| *node != leader.0).unwrap();
    let lagging = cluster.replica(node, 1).await;
    cluster.node(node).host.apply_specs(vec![closed(&open)]);
    let retry = append_tagged(&lagging, "a", 1).await;
    assert!(matches!(retry, Err(AppendError::NotLeader { .. })), "{retry:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn closed_is_said_only_once_the_seal_stands() {
    let cluster = Cluster::start(3).await;
    let open = spec(1, &[1, 2, 3]);
    cluster.apply(std::slice::from_ref(&open));
    let shard = cluster.leader(1).await;
    append_tagged(&shard, "a", 1).await.unwrap();
    let leader = cluster.observed(1, 1, |seen| seen.leader.is_some()).await.leader.unwrap();
    for follower in (1..=3).filter(|node| *node != leader.0) {
        cluster.stop(follower).await;
    }
    // It cannot be committed. The next leader may know nothing of it, and take an attempt of "b"
    // that is still on its way.
    let mut seal = Box::pin(shard.seal(9));
    assert!(tokio::time::timeout(Duration::from_millis(300), &mut seal).await.is_err());
    let refused = append_tagged(&shard, "b", 2).await;
    assert!(refused.is_err() && refused != Err(AppendError::Closed), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_that_meet_a_seal_on_its_way_wait_for_it_together_and_not_in_line() {
    // Longer than the test: who waited in line would hold up all that come after.
    let options = Options { opening_wait_max: Duration::from_secs(3_600), ..options() };
    let cluster = Cluster::start_with(3, options).await;
    let open = spec(1, &[1, 2, 3]);
    cluster.apply(std::slice::from_ref(&open));
    let shard = cluster.leader(1).await;
    append_tagged(&shard, "a", 1).await.unwrap();
    let leader = cluster.observed(1, 1, |seen| seen.leader.is_some()).await.leader.unwrap();
    for follower in (1..=3).filter(|node| *node != leader.0) {
        cluster.stop(follower).await;
    }
    let mut seal = Box::pin(shard.seal(9));
    assert!(tokio::time::timeout(Duration::from_millis(300), &mut seal).await.is_err(), "it is on its way");
    let unknown = |sequence| Some(ProducerTag { producer: ProducerId(8), sequence });
    let tags = (2..=20).map(tag).chain((1..=20).map(unknown)).chain([None; 20]);
    for tag in tags {
        let ticket = shard.submit(batch(&["b"]), tag, PATIENCE).await.expect("it is taken into care at once");
        // What a successor is told hangs on the seal too: a gap before the end is no gap.
        let told = ticket.outcome(Duration::from_millis(1)).await;
        assert!(matches!(told, Err(AppendError::Timeout { .. })), "{tag:?}: {told:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_race_a_seal_and_every_acknowledged_record_lies_before_it() {
    let cluster = Cluster::start(1).await;
    let open = spec(1, &[1]);
    cluster.apply(std::slice::from_ref(&open));
    let shard = cluster.leader(1).await;
    let writer = tokio::spawn({
        let shard = shard.clone();
        async move {
            let mut taken = Vec::new();
            for sequence in 1.. {
                match append_tagged(&shard, &sequence.to_string(), sequence).await {
                    Ok(_) => taken.push(sequence.to_string()),
                    Err(AppendError::Closed) => return taken,
                    Err(error) => panic!("{error}"),
                }
            }
            taken
        }
    });
    append(&shard, &["go"]).await;
    cluster.apply(&[sealing(&open)]);
    let mut taken = writer.await.unwrap();
    let mut read = all_payloads(&shard).await;
    read.retain(|payload| payload != "go");
    taken.sort();
    read.sort();
    assert_eq!(read, taken);
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_are_told_the_end_only_once_the_children_are_known() {
    let cluster = Cluster::start(1).await;
    let open = spec(1, &[1]);
    cluster.apply(std::slice::from_ref(&open));
    let shard = cluster.leader(1).await;
    append(&shard, &["a"]).await;
    cluster.apply(&[sealing(&open)]);
    cluster.observed(1, 1, |seen| seen.sealed_at.is_some()).await;
    let read = page(&shard, Cursor::at(0)).await;
    assert_eq!((payloads(&read), &read.end), (vec!["a".to_owned()], &None));
    let waiting = tokio::spawn({
        let shard = shard.clone();
        async move { shard.read(read.next, 1 << 20, PATIENCE).await.unwrap() }
    });
    cluster.apply(&[closed(&open)]);
    assert_eq!(waiting.await.unwrap().end, Some(vec![ShardId(2), ShardId(3)]));
    let whole = shard.read(Cursor::at(0), 1 << 20, Duration::ZERO).await.unwrap();
    assert_eq!((payloads(&whole), whole.end), (vec!["a".to_owned()], Some(vec![ShardId(2), ShardId(3)])));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_page_before_its_last_record_tells_the_end() {
    let cluster = Cluster::start(1).await;
    let open = spec(1, &[1]);
    cluster.apply(std::slice::from_ref(&open));
    let shard = cluster.leader(1).await;
    for payload in ["a", "b", "c"] {
        append(&shard, &[payload]).await;
    }
    cluster.apply(&[sealing(&open)]);
    cluster.observed(1, 1, |seen| seen.sealed_at.is_some()).await;
    cluster.apply(&[closed(&open)]);
    let (mut from, mut told) = (Cursor::at(0), Vec::new());
    for _ in 0..3 {
        let page = shard.read(from, 1, PATIENCE).await.unwrap();
        told.push((payloads(&page).concat(), page.end.is_some()));
        from = page.next;
    }
    assert_eq!(told, [("a".to_owned(), false), ("b".to_owned(), false), ("c".to_owned(), true)]);
}
