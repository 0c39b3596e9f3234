//! Groups that leave the node, and come back.

use std::sync::Arc;

use bytes::Bytes;
use thalweg_storage::{Done, GroupState, RecordStore, StorageError};
use thalweg_types::GroupId;

use crate::support::{A, B, Node, done, entries, entries_of_term, read_all, unasked};

/// A group with moved and unmoved entries and a vote, beside another.
fn node_with_groups() -> Node {
    let node = Node::start();
    node.put(A, entries(0..20, 1000));
    node.put(B, entries(0..20, 1000));
    node.log.group(A).save_vote(Bytes::from_static(b"vote"), unasked());
    for group in [A, B] {
        node.log.group(group).set_applied(14);
    }
    node.log.flush().unwrap();
    node.write();
    node
}

#[test]
fn a_destroyed_group_is_gone_and_its_space_returns() {
    let node = node_with_groups();
    let before = node.store.bytes_on_disk();
    let (callback, answer) = done();
    node.log.group(A).destroy(callback);
    let vote = Some(Bytes::from_static(b"vote"));
    let left = GroupState { fenced: true, vote, ..GroupState::default() };
    assert_eq!(node.log.group(A).state(), left, "only what it promised is remembered");
    assert_eq!(node.log.groups(), [B]);
    node.write();
    assert_eq!(answer.recv().unwrap(), Ok(()));
    assert!(node.log.run_mover_once(), "a destruction is urgent");
    assert_eq!(node.store.bytes_on_disk(), before / 2);
    let node = node.crash();
    assert_eq!((node.log.groups(), node.log.group(A).state()), (vec![B], left));
    assert_eq!(read_all(&node.log.group(B), 0, 1000), entries(0..20, 1000));
}

#[test]
fn a_destruction_that_was_not_durable_did_not_happen() {
    let node = node_with_groups();
    node.log.group(A).destroy(unasked());
    node.log.flush().unwrap();
    let node = node.crash();
    assert_eq!(node.log.group(A).state().vote, Some(Bytes::from_static(b"vote")));
    assert_eq!(read_all(&node.log.group(A), 0, 1000), entries(0..20, 1000));
}

#[test]
fn a_group_that_returns_begins_with_its_vote_alone_and_is_not_mixed_with_its_earlier_life() {
    for (moved, mover_before_crash) in [(false, false), (true, false), (true, true), (false, true)] {
        let node = node_with_groups();
        node.log.group(A).destroy(unasked());
        node.write();
        if mover_before_crash {
            node.log.run_mover_once();
        }
        let again = entries_of_term(0..5, 9, 300);
        node.put(A, again.clone());
        if moved {
            node.log.group(A).set_applied(2);
            node.log.flush().unwrap();
        }
        let node = node.crash();
        let group = node.log.group(A);
        let promised = Some(Bytes::from_static(b"vote"));
        assert_eq!((group.state().vote, group.state().last), (promised, Some((4, 9))), "moved: {moved}");
        assert_eq!(read_all(&group, 0, 1), again);
        group.destroy(unasked());
        node.write();
        let node = node.crash();
        assert_eq!(node.log.groups(), [B]);
    }
}

#[test]
fn a_group_that_returns_has_no_say_until_its_fence_is_lowered_after_any_number_of_starts() {
    let mut node = node_with_groups();
    node.log.group(A).destroy(unasked());
    node.write();
    for mover in [false, true, true] {
        if mover {
            // The segment that tells of the destruction is given up.
            let end = node.log.group(B).state().last.unwrap().0 + 1;
            node.put(B, entries(end..end + 40, 4000));
            node.log.group(B).set_applied(end + 39);
            node.log.flush().unwrap();
        }
        assert!(node.log.group(A).state().fenced, "a member may not know that it had left");
        assert_eq!((node.report.fenced_groups, node.log.groups()), (0, vec![B]), "there is nothing to wait for");
        node = node.crash();
        assert_eq!(node.report.damaged, None);
    }
    node.put(A, entries_of_term(0..5, 9, 300));
    let node = node.crash();
    assert!(node.log.group(A).state().fenced, "it does not have everything yet");
    node.log.group(A).lower_fence();
    node.log.flush().unwrap();
    let node = node.crash();
    assert!(!node.log.group(A).state().fenced);
}

/// Everything that a group ever wrote is applied, moved, and gone from the write-ahead log.
fn give_up_segments(node: &Node, group: GroupId) {
    let end = node.log.group(group).state().last.map_or(0, |(index, _)| index + 1);
    node.put(group, entries(end..end + 40, 4000));
    node.log.group(group).set_applied(end + 39);
    node.log.flush().unwrap();
}

#[test]
fn a_vote_that_only_the_record_store_has_outlives_a_power_cut_right_after_its_group_was_dropped_there() {
    let node = node_with_groups();
    for group in [A, B] {
        node.log.group(group).set_applied(19);
        give_up_segments(&node, group);
    }
    node.log.group(A).destroy(unasked());
    node.write();
    // The round has dropped the destroyed group, and commits nothing more.
    let store = node.store.clone();
    node.put(B, entries(60..61, 10));
    node.log.group(B).set_checkpoint_source(Arc::new(move || {
        store.fail_writes("the power goes");
        None
    }));
    node.log.group(B).set_applied(60);
    assert!(node.log.flush().is_err());
    let node = node.crash();
    assert_eq!(node.report.damaged, None);
    assert_eq!(node.log.groups(), [B]);
    let state = node.log.group(A).state();
    assert_eq!((state.vote, state.fenced), (Some(Bytes::from_static(b"vote")), true));
}

#[test]
fn a_destruction_that_becomes_durable_while_the_mover_works_keeps_its_segment_until_it_is_saved() {
    // The round asks for its state before it looks at group A, or after it.
    for other in [GroupId(1), B] {
        let node = node_with_groups();
        let group = node.log.group(B);
        group.set_applied(19);
        node.log.group(A).save_vote(Bytes::from_static(b"later"), unasked());
        node.log.group(A).destroy(unasked());
        node.log.group(other).append(entries(20 * u64::from(other == B)..60, 4000), true, unasked());
        node.log.begin_write();
        let log = node.log.clone();
        node.log.group(other).set_checkpoint_source(Arc::new(move || {
            log.finish_write();
            Some((59, Bytes::from_static(b"state")))
        }));
        node.log.group(other).set_applied(0);
        node.log.flush().unwrap();
        let node = node.crash();
        assert_eq!(node.report.damaged, None);
        assert!(!node.log.groups().contains(&A), "what was answered stays, also beside group {other}");
        assert_eq!(node.log.group(A).state().vote, Some(Bytes::from_static(b"later")));
    }
}

#[test]
fn a_destruction_that_found_no_space_and_was_asked_for_again_pins_nothing() {
    let node = node_with_groups();
    node.log.group(B).set_applied(19);
    node.disk.set_capacity(Some(node.disk_used()));
    let refused = |call: &dyn Fn(Done)| {
        let (callback, answer) = done();
        call(callback);
        node.write();
        matches!(answer.recv().unwrap(), Err(StorageError::Full { .. }))
    };
    let votes = || refused(&|done| node.log.group(B).save_vote(Bytes::from(vec![7; 4000]), done));
    assert!((0..100).any(|_| votes()), "even votes find no space any more");
    assert!(refused(&|done| node.log.group(A).destroy(done)));
    node.disk.set_capacity(None);
    node.write();
    assert!(!refused(&|done| node.log.group(A).destroy(done)));
    for _ in 0..3 {
        give_up_segments(&node, B);
    }
    let wal_bytes = node.log.stats().wal_bytes;
    assert!(wal_bytes < 200_000, "{wal_bytes}");
    let node = node.crash();
    assert_eq!((node.report.damaged.clone(), node.log.groups()), (None, vec![B]));
    assert_eq!(node.log.group(A).state().vote, Some(Bytes::from_static(b"vote")));
}
