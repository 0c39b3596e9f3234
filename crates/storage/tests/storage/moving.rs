//! From the write-ahead log to the record store: what moves, when, and what a restart then costs.

use std::sync::Arc;

use bytes::Bytes;
use thalweg_storage::{Options, ReadError, RecordStore, StorageError};
use thalweg_types::GroupId;

use crate::support::{A, B, Node, done, entries, entries_of_term, read_all, small_options, unasked};

#[test]
fn only_applied_entries_move_and_all_stay_readable() {
    let node = Node::start();
    node.put(A, entries(0..40, 2000));
    node.log.group(A).set_applied(24);
    node.log.flush().unwrap();
    assert_eq!(node.store.read(A, 24, 99, usize::MAX).unwrap(), entries(24..25, 2000));
    assert_eq!(node.log.stats().moved_bytes, entries(0..25, 2000).iter().map(|e| e.byte_count() as u64).sum());
    assert_eq!(read_all(&node.log.group(A), 0, 10_000), entries(0..40, 2000));
    let node = node.crash();
    assert_eq!(node.log.group(A).state().applied_hint, Some(24));
    assert_eq!(read_all(&node.log.group(A), 0, 10_000), entries(0..40, 2000));
}

#[test]
fn the_mover_waits_for_its_threshold() {
    let node = Node::start();
    node.put(A, entries(0..10, 2000));
    node.log.group(A).set_applied(9);
    assert!(!node.log.run_mover_once());
    node.put(A, entries(10..20, 2000));
    node.log.group(A).set_applied(19);
    assert!(node.log.run_mover_once());
    assert_eq!(node.log.stats().movable_bytes, 0);
    assert!(!node.log.run_mover_once());
}

#[test]
fn a_restart_replays_only_the_hot_tail() {
    let mut next = 0;
    let node = Node::start();
    for _ in 0..100 {
        node.put(A, entries(next..next + 10, 4000));
        next += 10;
        node.log.group(A).set_applied(next - 1);
        node.log.run_mover_once();
    }
    assert!(node.log.stats().wal_bytes < 300_000, "{}", node.log.stats().wal_bytes);
    let node = node.crash();
    assert!(node.report.replayed_records < 100, "{}", node.report.replayed_records);
    assert_eq!(read_all(&node.log.group(A), 0, 100_000), entries(0..next, 4000));
}

#[test]
fn the_checkpoint_is_saved_with_the_entries_it_speaks_of() {
    let node = Node::start();
    let group = node.log.group(A);
    group.set_checkpoint_source(Arc::new(|| Some((6, Bytes::from_static(b"state at 6")))));
    node.put(A, entries(0..10, 100));
    group.set_applied(4);
    node.log.flush().unwrap();
    let node = node.crash();
    let state = node.log.group(A).state();
    assert_eq!(state.checkpoint, Some((6, Bytes::from_static(b"state at 6"))));
    assert_eq!(state.applied_hint, Some(6), "what the checkpoint covers has moved");
    assert_eq!(node.store.read(A, 6, 7, 1).unwrap(), entries(6..7, 100));
}

#[test]
fn a_state_that_ended_before_the_log_leaves_no_checkpoint() {
    let node = Node::start();
    let group = node.log.group(A);
    group.set_checkpoint_source(Arc::new(|| None));
    node.put(A, entries(0..10, 100));
    group.set_applied(4);
    node.log.flush().unwrap();
    let node = node.crash();
    assert_eq!(node.log.group(A).state().checkpoint, None);
    assert_eq!(read_all(&node.log.group(A), 0, 100_000), entries(0..10, 100));
}

/// What a start finds of a group that had moved with a checkpoint at `moved` when it was trimmed up to
/// 10, with 15 applied. Its state tells what is applied.
fn after_a_trim(moved: u64) -> Node {
    let node = Node::start();
    let group = node.log.group(A);
    let of = group.clone();
    let applied = move || of.state().applied_hint.unwrap();
    group.set_checkpoint_source(Arc::new(move || Some((applied(), Bytes::from(applied().to_string())))));
    node.put(A, entries(0..20, 100));
    group.set_applied(moved);
    node.log.flush().unwrap();
    group.set_applied(15);
    group.trim(10, 1, unasked());
    node.write();
    node.crash()
}

#[test]
fn a_trim_is_durable_together_with_a_checkpoint_that_stands_for_it() {
    let node = after_a_trim(4);
    let state = node.log.group(A).state();
    assert_eq!((state.trimmed, state.checkpoint), (Some((10, 1)), Some((15, Bytes::from("15")))));
    assert_eq!(state.applied_hint, Some(15));
}

#[test]
fn a_trim_is_durable_together_with_the_state_that_asked_for_it() {
    // The checkpoint that moved with the entries reaches behind the trim, and knows nothing of it.
    let node = after_a_trim(12);
    assert_eq!(node.log.group(A).state().checkpoint, Some((15, Bytes::from("15"))));
}

#[test]
fn an_installed_snapshot_replaces_log_and_checkpoint_together() {
    let node = Node::start();
    node.put(A, entries(0..5, 100));
    node.log.group(A).install(99, 7, Bytes::from("as of 99"), unasked());
    let lost = node.crash();
    assert_eq!(lost.log.group(A).state().last, Some((4, 1)), "not durable yet");
    lost.log.group(A).install(99, 7, Bytes::from("as of 99"), unasked());
    lost.write();
    for node in [lost.crash()].map(|node| (node.log.flush().unwrap(), node.crash()).1) {
        let state = node.log.group(A).state();
        assert_eq!((state.last, state.checkpoint), (Some((99, 7)), Some((99, Bytes::from("as of 99")))));
    }
}

#[test]
fn votes_and_trims_survive_the_release_of_their_segments() {
    let node = Node::start();
    node.log.group(B).save_vote(Bytes::from_static(b"vote of b"), unasked());
    node.put(A, entries(0..10, 100));
    node.log.group(A).set_applied(9);
    node.log.group(A).trim(3, 1, unasked());
    node.write();
    let mut next = 10;
    for _ in 0..40 {
        node.put(A, entries(next..next + 10, 4000));
        next += 10;
        node.log.group(A).set_applied(next - 1);
        node.log.run_mover_once();
    }
    let node = node.crash();
    assert!(node.report.replayed_records < 100);
    assert_eq!(node.log.group(B).state().vote, Some(Bytes::from_static(b"vote of b")));
    assert_eq!(node.log.group(A).state().trimmed, Some((3, 1)));
    assert_eq!(node.log.group(A).read(3, 9, 1), Err(ReadError::Trimmed { first: 4 }));
    assert_eq!(read_all(&node.log.group(A), 4, 100_000)[6..], entries(10..next, 4000));
}

#[test]
fn a_trim_hides_at_once_and_empties_the_store_later() {
    let node = Node::start();
    node.put(A, entries(0..40, 1000));
    let group = node.log.group(A);
    group.set_applied(29);
    node.log.flush().unwrap();
    group.trim(34, 1, unasked());
    assert_eq!(group.read(34, 99, 1), Err(ReadError::Trimmed { first: 35 }));
    assert_eq!(group.cached(34, 99, 1), None);
    assert_eq!(group.read_term(34), Some(1), "the last trimmed entry's term stays known");
    assert_eq!(read_all(&group, 35, 1000), entries(35..40, 1000));
    node.write();
    node.log.flush().unwrap();
    assert_eq!(node.store.bytes_on_disk(), 0);
    let node = node.crash();
    assert_eq!(read_all(&node.log.group(A), 35, 1000), entries(35..40, 1000));
}

#[test]
fn a_trim_past_the_end_leaves_an_empty_log_that_continues_behind_it() {
    let node = Node::start();
    node.put(A, entries(0..10, 100));
    let group = node.log.group(A);
    group.trim(99, 5, unasked());
    let state = group.state();
    assert_eq!((state.trimmed, state.last), (Some((99, 5)), Some((99, 5))));
    node.put(A, entries_of_term(100..103, 6, 100));
    let node = node.crash();
    let group = node.log.group(A);
    assert_eq!((group.state().trimmed, group.state().last), (Some((99, 5)), Some((102, 6))));
    node.log.flush().unwrap();
    let node = node.crash();
    assert_eq!(read_all(&node.log.group(A), 100, 100), entries_of_term(100..103, 6, 100));
}

#[test]
fn a_few_unapplied_entries_do_not_pin_the_log() {
    let node = Node::start();
    node.put(B, entries_of_term(0..3, 9, 500));
    let mut next = 0;
    for _ in 0..100 {
        node.put(A, entries(next..next + 10, 4000));
        next += 10;
        node.log.group(A).set_applied(next - 1);
        node.log.run_mover_once();
    }
    assert!(node.log.stats().wal_bytes < 600_000, "{}", node.log.stats().wal_bytes);
    let node = node.crash();
    assert_eq!(node.report.damaged, None);
    assert_eq!(read_all(&node.log.group(B), 0, 1000), entries_of_term(0..3, 9, 500));
    assert_eq!(node.log.group(B).state().applied_hint, None);
}

#[test]
fn a_log_full_of_unapplied_entries_refuses_until_they_are_applied() {
    let node = Node::with(Options { wal_bytes_max: 400_000, ..small_options() });
    let mut next = 0;
    let refusal = loop {
        let (callback, answer) = done();
        node.log.group(A).append(entries(next..next + 10, 4000), true, callback);
        node.write();
        node.log.run_mover_once();
        match answer.recv().unwrap() {
            Ok(()) => next += 10,
            Err(refusal) => break refusal,
        }
    };
    assert!(matches!(refusal, StorageError::LogFull { .. }), "{refusal}");
    node.log.group(A).set_applied(next - 1);
    assert!(node.log.run_mover_once());
    node.put(A, entries(next..next + 10, 4000));
    assert_eq!(read_all(&node.log.group(A), 0, 100_000), entries(0..next + 10, 4000));
}

#[test]
fn entries_applied_before_their_own_write_may_move() {
    let node = Node::start();
    let group = node.log.group(A);
    group.append(entries(0..5, 100), true, unasked());
    group.set_applied(3);
    node.log.flush().unwrap();
    assert_eq!(read_all(&group, 0, 1), entries(0..5, 100));
    let node = node.crash();
    assert_eq!(read_all(&node.log.group(A), 0, 1), entries(0..4, 100));
    node.put(A, entries(4..9, 100));
    let node = node.crash();
    assert_eq!(read_all(&node.log.group(A), 0, 1), entries(0..9, 100));
}

#[test]
fn many_groups_move_in_one_commit() {
    let node = Node::with(Options { wal_bytes_max: 1 << 30, ..small_options() });
    for id in 0..300 {
        node.put(GroupId(id), entries(0..3, 50));
        node.log.group(GroupId(id)).set_applied(1);
    }
    node.log.flush().unwrap();
    assert_eq!(node.log.stats().moves, 1);
    let node = node.crash();
    for id in 0..300 {
        assert_eq!(read_all(&node.log.group(GroupId(id)), 0, 99), entries(0..3, 50));
    }
}

#[test]
fn a_trim_while_the_mover_works_frees_no_segment_before_it_is_saved() {
    let node = Node::start();
    node.put(A, entries(0..40, 4000));
    node.put(B, entries(0..1, 10));
    node.log.group(B).set_applied(0);
    let a = node.log.group(A);
    node.log.group(B).set_checkpoint_source(Arc::new(move || {
        // The round has looked at group A already; what follows here is not in its commit.
        a.set_applied(34);
        a.trim(34, 1, unasked());
        None
    }));
    node.log.flush().unwrap();
    let node = node.crash();
    assert_eq!(node.report.damaged, None);
    assert_eq!(read_all(&node.log.group(A), 0, 100_000), entries(0..40, 4000), "the trim was never durable");
}

#[test]
fn a_durable_trim_that_is_not_saved_yet_keeps_what_lies_before_it_in_the_log() {
    let node = Node::start();
    // One group pins the second segment, so that the log begins in the middle of the other's.
    node.put(A, entries(0..10, 5000));
    node.put(A, entries(10..20, 5000));
    node.put(GroupId(9), entries(0..1, 10));
    node.put(A, entries(20..40, 5000));
    node.put(B, entries(0..1, 10));
    node.log.group(B).set_applied(0);
    let (a, log) = (node.log.group(A), node.log.clone());
    node.log.group(B).set_checkpoint_source(Arc::new(move || {
        a.set_applied(14);
        a.trim(14, 1, unasked());
        while log.run_writer_once() {}
        None
    }));
    node.log.flush().unwrap();
    let node = node.crash();
    assert_eq!(node.report.damaged, None);
    assert_eq!(read_all(&node.log.group(A), 15, 100_000), entries(15..40, 5000));
}

#[test]
fn copies_of_entries_that_a_trim_has_shown_to_be_applied_add_nothing_at_the_next_start() {
    let node = Node::start();
    node.put(A, entries(0..3, 500));
    // So much that was never applied that small tails are logged again to free their segments.
    for next in (0..80).step_by(10) {
        node.put(GroupId(9), entries(next..next + 10, 4000));
    }
    node.put(B, entries(0..1, 10));
    node.log.group(B).set_applied(0);
    let a = node.log.group(A);
    a.set_checkpoint_source(Arc::new(|| Some((2, Bytes::from("state")))));
    node.log.group(B).set_checkpoint_source(Arc::new(move || {
        // The round has looked at group A already, so that what it copies is applied, but not moved.
        a.set_applied(2);
        a.trim(0, 1, unasked());
        None
    }));
    let before = node.log.stats().appended_bytes;
    node.log.flush().unwrap();
    node.write();
    assert!(node.log.stats().appended_bytes > before + 1000, "the tail was logged again");
    let node = node.crash();
    let state = node.log.group(A).state();
    assert_eq!((node.report.damaged.clone(), state.last, state.applied_hint), (None, Some((2, 1)), Some(2)));
    assert_eq!(read_all(&node.log.group(A), 1, 100_000), entries(1..3, 500));
}
