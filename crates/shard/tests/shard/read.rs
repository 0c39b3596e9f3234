//! Reading: positions, pages, tails, damage.

use std::time::Duration;

use thalweg_shard::ReplicaSpec;
use thalweg_shard::read::{Cursor, ReadError, StartPosition};
use thalweg_types::{GroupId, SequenceNumber, ShardId, UnixMillis};

use crate::support::*;

#[tokio::test(flavor = "multi_thread")]
async fn positions_name_records_within_batches() {
    let cluster = Cluster::start(1).await;
    cluster.apply(&[spec(1, &[1])]);
    let shard = cluster.leader(1).await;
    let first = append(&shard, &["a", "b", "c"]).await.first;
    append(&shard, &["d"]).await;
    let number = |record| SequenceNumber::new(START, ShardId(1), first.raft_index(), record, START);
    let read = async |position| payloads(&page(&shard, shard.resolve(position).await.unwrap()).await);
    assert_eq!(read(StartPosition::TrimHorizon).await, ["a", "b", "c", "d"]);
    assert_eq!(read(StartPosition::At(number(1))).await, ["b", "c", "d"]);
    assert_eq!(read(StartPosition::After(number(1))).await, ["c", "d"]);
    assert_eq!(read(StartPosition::After(number(2))).await, ["d"]);
    assert_eq!(read(StartPosition::At(number(9))).await, ["d"]);
    assert_eq!(read(StartPosition::At(SequenceNumber::shard_start(START, ShardId(1)))).await, ["a", "b", "c", "d"]);
    assert_eq!(read(StartPosition::AtIndex(first.raft_index() + 1)).await, ["d"]);
    assert!(read(StartPosition::Latest).await.is_empty());
}

/// The last number that a batch could hold, where a reader that was through with it goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_number_above_all_records_of_an_entry_goes_on_with_the_next_entry() {
    let cluster = Cluster::start(1).await;
    cluster.apply(&[spec(1, &[1])]);
    let shard = cluster.leader(1).await;
    let start = page(&shard, Cursor::at(0)).await.next;
    let first = append(&shard, &["a", "b"]).await.first;
    append(&shard, &["c"]).await;
    let end = page(&shard, Cursor::at(0)).await.next;
    let above = |index| SequenceNumber::new(START, ShardId(1), index, u32::MAX, START);
    let cases = [(start.index - 1, &["a", "b", "c"][..]), (first.raft_index(), &["c"]), (end.index - 1, &[])];
    for (index, expected) in cases {
        for position in [StartPosition::At(above(index)), StartPosition::After(above(index))] {
            let from = shard.resolve(position).await.unwrap();
            assert_eq!(payloads(&page(&shard, from).await), expected, "{position:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_of_other_shards_and_of_the_future_are_refused() {
    let cluster = Cluster::start(1).await;
    cluster.apply(&[spec(1, &[1])]);
    let shard = cluster.leader(1).await;
    let foreign = SequenceNumber::new(START, ShardId(2), 1, 0, START);
    assert_eq!(shard.resolve(StartPosition::At(foreign)).await, Err(ReadError::ForeignNumber { number: foreign }));
    let beyond = SequenceNumber::new(START, ShardId(1), 1_000, 0, START);
    assert_eq!(shard.resolve(StartPosition::At(beyond)).await, Err(ReadError::BeyondEnd { number: beyond }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_finds_the_first_record_that_arrived_then_or_later() {
    let cluster = Cluster::start(1).await;
    cluster.apply(&[spec(1, &[1])]);
    let shard = cluster.leader(1).await;
    for i in 0..40u64 {
        cluster.clock.set(UnixMillis(START.0 + i / 2 * 10));
        append(&shard, &[&i.to_string()]).await;
    }
    for asked in [0, 1, 10, 55, 100, 185, 190] {
        let from = shard.resolve(StartPosition::AtTime(UnixMillis(START.0 + asked))).await.unwrap();
        let first = payloads(&page(&shard, from).await).first().cloned();
        assert_eq!(first, Some((asked.div_ceil(10) * 2).to_string()), "asked for {asked}");
    }
    let from = shard.resolve(StartPosition::AtTime(UnixMillis(START.0 + 191))).await.unwrap();
    assert!(payloads(&page(&shard, from).await).is_empty());
    append(&shard, &["new"]).await;
    assert_eq!(payloads(&page(&shard, from).await), ["new"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_hold_whole_batches_up_to_their_limit_and_tell_how_far_behind_they_end() {
    let cluster = Cluster::start(1).await;
    cluster.apply(&[spec(1, &[1])]);
    let shard = cluster.leader(1).await;
    for payload in ["a", "b", "c"] {
        append(&shard, &[payload]).await;
    }
    cluster.clock.advance_ms(500);
    let first = shard.read(Cursor::at(0), 1, Duration::ZERO).await.unwrap();
    assert_eq!((payloads(&first), first.millis_behind_latest), (vec!["a".to_owned()], 500));
    let rest = shard.read(first.next, 1 << 20, Duration::ZERO).await.unwrap();
    assert_eq!((payloads(&rest).len(), rest.millis_behind_latest), (2, 0));
    let nothing = page(&shard, rest.next).await;
    assert_eq!((nothing.batches.len(), nothing.next, nothing.millis_behind_latest), (0, rest.next, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_replica_that_has_not_heard_of_a_leader_does_not_say_it_has_caught_up() {
    let cluster = Cluster::start(1).await;
    // A replica of a shard that others hold, opened a moment ago.
    cluster.apply(&[ReplicaSpec { bootstrap: false, ..spec(1, &[2, 3]) }]);
    let shard = cluster.replica(1, 1).await;
    cluster.clock.advance_ms(500);
    let nothing = page(&shard, Cursor::at(0)).await;
    assert_eq!((nothing.batches.len(), nothing.millis_behind_latest), (0, 500));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_reader_wakes_when_a_record_is_committed() {
    let cluster = Cluster::start(1).await;
    cluster.apply(&[spec(1, &[1])]);
    let shard = cluster.leader(1).await;
    let from = shard.resolve(StartPosition::Latest).await.unwrap();
    let waiting = tokio::spawn({
        let shard = shard.clone();
        async move { shard.read(from, 1 << 20, PATIENCE).await.unwrap() }
    });
    append(&shard, &["woken"]).await;
    assert_eq!(payloads(&waiting.await.unwrap()), ["woken"]);
}

/// Flips a bit of an entry in a node's record store, once the entry has got there.
async fn damage(node: &Node, index: u64) {
    let damaged = async {
        loop {
            node.log.flush().unwrap();
            if node.store.corrupt(GroupId(1), index) {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, damaged).await.expect("entries move to the record store");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_copy_is_healed_from_a_peer_before_it_is_served() {
    let cluster = Cluster::start(3).await;
    cluster.apply(&[spec(1, &[1, 2, 3])]);
    let shard = cluster.leader(1).await;
    let damaged = append(&shard, &["a"]).await.first.raft_index();
    append(&shard, &["b"]).await;
    let node = cluster.nodes.iter().find(|node| node.host.observe().borrow()[&GroupId(1)].leading).unwrap();
    damage(node, damaged).await;
    let healed = async {
        while node.groups.repair_counts().repaired == 0 {
            assert_eq!(all_payloads(&shard).await, ["a", "b"]);
        }
    };
    tokio::time::timeout(PATIENCE, healed).await.expect("healed as soon as it is read from the store");
    assert_eq!(all_payloads(&shard).await, ["a", "b"]);
    assert_eq!(node.groups.repair_counts().repaired, 1, "it stays healed");
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_without_an_intact_copy_is_reported_and_never_served() {
    let cluster = Cluster::start(1).await;
    cluster.apply(&[spec(1, &[1])]);
    let shard = cluster.leader(1).await;
    let damaged = append(&shard, &["a"]).await.first.raft_index();
    damage(cluster.node(1), damaged).await;
    let refused = async {
        loop {
            match shard.read(Cursor::at(0), 1 << 20, Duration::ZERO).await {
                Ok(page) => assert_eq!(payloads(&page), ["a"], "from memory, which is not damaged"),
                Err(error) => return error,
            }
        }
    };
    let refused = tokio::time::timeout(PATIENCE, refused).await.expect("read from the store in the end");
    assert!(matches!(refused, ReadError::Corrupt { index, .. } if index == damaged), "{refused}");
}
