//! Damage to the write-ahead log: everything on the node is fenced, durably, until lowered.

use std::sync::Arc;

use bytes::Bytes;
use thalweg_storage::{MemoryStore, Options};
use thalweg_types::GroupId;
use thalweg_wal::SimDisk;

use crate::support::{A, B, Node, entries, read_all, unasked};

fn damaged_node() -> Node {
    let node = Node::start();
    node.put(A, entries(0..3, 500));
    node.put(B, entries(0..3, 500));
    node.put(A, entries(3..6, 500));
    // An idle writer writes the fence, which remembers what was acknowledged.
    node.write();
    // Blocks start on pages: this lies in the second append.
    node.flip_in_newest_segment(2 * 4096 + 100);
    let options = Options { damage_mark: 7, ..node.options.clone() };
    Node { options, ..node }.restart()
}

#[test]
fn damage_fences_every_group_that_is_left() {
    let node = damaged_node();
    let reason = node.report.damaged.clone().expect("acknowledged bytes are missing");
    assert!(!reason.is_empty());
    assert_eq!(node.report.fenced_groups, node.log.groups().len());
    assert!(node.log.group(A).state().fenced);
    let left = read_all(&node.log.group(A), 0, 100);
    assert_eq!(left, entries(0..left.len() as u64, 500), "what is left is a prefix");
}

#[test]
fn the_fence_outlives_restarts_until_it_is_lowered() {
    let node = damaged_node().crash().restart();
    assert_eq!(node.report.damaged, None, "reported once");
    assert!(node.log.group(A).state().fenced);
    node.log.group(A).lower_fence();
    assert!(!node.log.group(A).state().fenced);
    assert!(node.log.run_mover_once(), "lowering is urgent");
    let node = node.crash();
    assert!(!node.log.group(A).state().fenced);
}

#[test]
fn a_lowered_fence_that_was_not_saved_is_up_again() {
    let node = damaged_node();
    node.log.group(A).lower_fence();
    assert!(node.crash().log.group(A).state().fenced);
}

/// It began fenced because it may have been there before the damage; a restart knows no better.
#[test]
fn a_group_that_is_new_after_the_damage_is_fenced_after_a_crash_too() {
    const NEW: GroupId = GroupId(77);
    let node = damaged_node();
    assert!(node.log.group(NEW).state().fenced);
    node.log.group(NEW).save_vote(Bytes::from_static(b"vote"), unasked());
    node.put(NEW, entries(0..3, 500));
    let node = node.crash();
    assert!(node.log.group(NEW).state().fenced, "only the log knew of it");
    node.log.group(NEW).lower_fence();
    while node.log.run_mover_once() {}
    assert!(!node.crash().log.group(NEW).state().fenced);
}

/// A node whose log has given up segments because the store has what was in them, and the store as
/// it was before.
fn moved_node() -> (Node, MemoryStore) {
    let node = Node::start();
    node.put(A, entries(0..20, 4000));
    node.log.group(A).set_applied(19);
    node.log.group(B).save_vote(Bytes::from_static(b"vote"), unasked());
    node.write();
    let before = node.store.fork();
    node.log.flush().unwrap();
    node.put(GroupId(9), entries(0..30, 4000));
    node.log.group(GroupId(9)).set_applied(29);
    node.log.flush().unwrap();
    (node, before)
}

#[test]
fn a_record_store_that_was_put_back_or_lost_fences_the_node() {
    for store in [moved_node().1, MemoryStore::new()] {
        let (node, _) = moved_node();
        let node = Node { store, ..node }.restart();
        assert!(node.report.damaged.is_some(), "the log relies on what the store has not");
        assert!(node.log.distrusts_below() > A && node.log.group(A).state().fenced);
        let node = node.crash();
        assert_eq!(node.report.damaged, None, "reported once");
        assert!(node.log.group(A).state().fenced && node.log.group(B).state().fenced, "for good");
    }
}

#[test]
fn a_write_ahead_log_that_was_put_back_or_lost_fences_the_node() {
    let node = Node::start();
    node.put(A, entries(0..5, 1000));
    node.write();
    let before = node.disk.fork();
    for disk in [before, SimDisk::new(1)] {
        let (node, _) = moved_node();
        let node = Node { disk, ..node }.restart();
        assert!(node.report.damaged.is_some());
        assert!(node.log.group(A).state().fenced && node.log.group(B).state().fenced);
    }
}

#[test]
fn a_group_that_damage_took_altogether_begins_fenced_after_any_number_of_starts() {
    let node = damaged_node();
    assert_eq!(node.log.distrusts_below(), GroupId(u64::MAX));
    let node = node.crash().restart();
    assert_eq!((node.report.damaged.clone(), node.log.distrusts_below()), (None, GroupId(u64::MAX)));
    assert!(node.log.group(GroupId(99)).state().fenced, "it may have been here and voted");
    assert!(!Node::start().log.group(GroupId(99)).state().fenced, "on a node without damage it was not");
}

#[test]
fn a_group_younger_than_the_damage_is_trusted_after_any_number_of_starts_until_the_next_damage() {
    let node = damaged_node();
    node.log.distrust_below(GroupId(100)).unwrap();
    let (older, younger) = (GroupId(99), GroupId(100));
    let mut node = node.crash();
    for _ in 0..3 {
        assert_eq!((node.report.damaged.clone(), node.log.distrusts_below()), (None, younger));
        assert!(node.log.group(older).state().fenced, "it may have been here and voted");
        assert!(!node.log.group(younger).state().fenced, "it was nowhere then");
        let next = node.log.group(younger).state().last.map_or(0, |(index, _)| index + 1);
        node.put(younger, entries(next..next + 1, 100));
        node = node.crash();
    }
    assert_eq!((node.log.group(older).damage_mark(), node.log.group(younger).damage_mark()), (7, 0));
    let options = Options { damage_mark: 9, ..node.options.clone() };
    let node = Node { store: MemoryStore::new(), options, ..node }.restart();
    assert!(node.report.damaged.is_some());
    assert_eq!((node.log.group(older).damage_mark(), node.log.group(younger).damage_mark()), (9, 9));
    assert!(node.log.group(younger).state().fenced && node.log.group(GroupId(101)).state().fenced);
}

/// What was promised since the first loss is above its mark, and may be what is lost now.
#[test]
fn a_clock_that_went_back_gives_no_lower_mark_than_an_earlier_loss_had() {
    for (given, at_least) in [(3, 1_000), (0, 1_000), (1 << 40, 1 << 40)] {
        let node = damaged_node();
        assert_eq!(node.log.group(A).damage_mark(), 7);
        node.put(GroupId(9), entries(0..3, 500));
        node.log.group(GroupId(9)).set_applied(2);
        node.log.flush().unwrap();
        let options = Options { damage_mark: given, ..node.options.clone() };
        let node = Node { disk: SimDisk::new(2), options, ..node }.restart();
        assert!(node.report.damaged.is_some(), "the log is gone");
        let mark = node.log.group(A).damage_mark();
        assert!(mark >= at_least, "given {given}: {mark}");
    }
}

/// A node whose group A is trimmed and checkpointed, with its store as it was before that.
fn trimmed_node() -> (Node, MemoryStore) {
    let node = Node::start();
    node.put(A, entries(0..20, 4000));
    node.log.group(A).save_vote(Bytes::from_static(b"vote"), unasked());
    node.log.group(A).set_applied(19);
    node.write();
    node.log.flush().unwrap();
    let before = node.store.fork();
    node.log.group(A).set_checkpoint_source(Arc::new(|| Some((14, Bytes::from_static(b"state")))));
    node.put(A, entries(20..22, 100));
    node.log.group(A).set_applied(21);
    node.log.group(A).trim(9, 1, unasked());
    node.write();
    node.log.flush().unwrap();
    // The segment with the trim is given up.
    node.put(GroupId(9), entries(0..40, 4000));
    node.log.group(GroupId(9)).set_applied(39);
    node.log.flush().unwrap();
    // No state comes with this one, so that only the store that is lost has any.
    node.log.group(A).set_checkpoint_source(Arc::new(|| None));
    node.log.group(A).trim(12, 1, unasked());
    node.write();
    (node, before)
}

#[test]
fn a_group_whose_checkpoint_does_not_fit_what_is_left_of_its_log_begins_anew() {
    let (node, before) = trimmed_node();
    let mut node = Node { store: before, ..node }.restart();
    assert!(node.report.damaged.is_some());
    for _ in 0..3 {
        let state = node.log.group(A).state();
        assert_eq!((state.trimmed, state.last, state.checkpoint), (None, None, None), "nothing is taken for expired");
        assert_eq!((state.vote, state.fenced), (Some(Bytes::from_static(b"vote")), true), "what was promised stays");
        node = node.crash();
    }
    let (callback, installed) = crate::support::done();
    node.log.group(A).install(14, 1, Bytes::from_static(b"state"), callback);
    node.write();
    assert_eq!(installed.try_recv(), Ok(Ok(())));
    node.put(A, entries(15..20, 100));
    node.log.group(A).lower_fence();
    node.log.flush().unwrap();
    let node = node.crash();
    assert_eq!(node.report.damaged, None);
    assert_eq!(read_all(&node.log.group(A), 15, 1000), entries(15..20, 100));
    assert!(!node.log.group(A).state().fenced);
}
