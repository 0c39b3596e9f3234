//! Appending, truncating, voting, reading, and what a restart finds.

use bytes::Bytes;
use thalweg_storage::{Begun, LogEntry, ReadError, StorageError};
use thalweg_types::GroupId;
use thalweg_wal::SimDisk;

use crate::support::{A, B, Node, done, entries, entries_of_term, read_all, small_options, unasked};

#[test]
fn entries_are_readable_at_once_and_acknowledged_by_the_sync() {
    let node = Node::start();
    let group = node.log.group(A);
    let (callback, answer) = done();
    group.append(entries(0..3, 100), true, callback);
    assert_eq!(group.read(0, 9, usize::MAX).unwrap(), entries(0..3, 100));
    assert_eq!(group.cached(1, 2, usize::MAX).unwrap(), entries(1..2, 100));
    assert!(answer.try_recv().is_err(), "nothing is durable yet");
    assert!(node.log.run_writer_once());
    assert_eq!(answer.try_recv(), Ok(Ok(())));
    assert_eq!(node.log.stats().syncs, 1);
}

#[test]
fn appends_of_durability_os_are_answered_without_a_sync() {
    let node = Node::start();
    let (callback, answer) = done();
    node.log.group(A).append(entries(0..3, 100), false, callback);
    node.write();
    assert_eq!(answer.try_recv(), Ok(Ok(())));
    assert_eq!(node.log.stats().syncs, 0);
}

#[test]
fn two_hundred_groups_share_one_sync_and_are_answered_in_order() {
    let node = Node::start();
    let (sender, order) = std::sync::mpsc::channel();
    for id in 0..200 {
        let sender = sender.clone();
        let answer = Box::new(move |result: Result<(), StorageError>| sender.send((id, result)).unwrap());
        node.log.group(GroupId(id)).append(entries(0..2, 50), true, answer);
    }
    node.write();
    assert_eq!(order.try_iter().map(|(id, _)| id).collect::<Vec<_>>(), (0..200).collect::<Vec<_>>());
    let stats = node.log.stats();
    assert_eq!((stats.blocks, stats.syncs), (1, 1));
}

#[test]
fn everything_acknowledged_survives_a_crash() {
    let node = Node::start();
    node.put(A, entries(0..50, 1000));
    node.put(B, entries_of_term(0..5, 3, 10));
    node.log.group(A).save_vote(Bytes::from_static(b"me in 1"), unasked());
    node.write();
    node.log.group(A).append(entries(50..60, 10), true, unasked());
    let node = node.crash();
    let state = node.log.group(A).state();
    assert_eq!(state.last, Some((49, 1)), "what was not written is gone");
    assert_eq!(state.vote, Some(Bytes::from_static(b"me in 1")));
    assert_eq!((state.trimmed, state.fenced), (None, false));
    assert_eq!(read_all(&node.log.group(A), 0, 3000), entries(0..50, 1000));
    assert_eq!(read_all(&node.log.group(B), 0, 1), entries_of_term(0..5, 3, 10));
    assert_eq!(node.log.groups(), [A, B]);
    assert_eq!(node.report.replayed_records, 56);
}

#[test]
fn a_truncated_suffix_is_replaced_and_stays_replaced() {
    let node = Node::start();
    node.put(A, entries(0..10, 100));
    let group = node.log.group(A);
    group.truncate_after(4, unasked());
    assert_eq!(group.state().last, Some((4, 1)));
    assert_eq!(group.read(5, 9, 1), Err(ReadError::Missing));
    node.put(A, entries_of_term(5..8, 2, 100));
    let expected = [entries(0..5, 100), entries_of_term(5..8, 2, 100)].concat();
    assert_eq!(read_all(&group, 0, 400), expected);
    let node = node.crash();
    assert_eq!(read_all(&node.log.group(A), 0, 400), expected);
    assert_eq!(node.log.group(A).read_term(4), Some(1));
    assert_eq!(node.log.group(A).read_term(5), Some(2));
    assert_eq!(node.log.group(A).read_term(8), None);
}

#[test]
fn applied_entries_cannot_be_truncated() {
    let node = Node::start();
    node.put(A, entries(0..10, 100));
    node.log.group(A).set_applied(6);
    let (callback, answer) = done();
    node.log.group(A).truncate_after(5, callback);
    node.write();
    assert_eq!(answer.recv().unwrap(), Err(StorageError::Applied { group: A, index: 5, applied: 6 }));
    assert_eq!(node.log.group(A).state().last, Some((9, 1)));
}

#[test]
fn an_append_that_leaves_a_gap_is_refused_without_a_trace() {
    let node = Node::start();
    node.put(A, entries(0..3, 10));
    let (callback, answer) = done();
    node.log.group(A).append(entries(4..5, 10), true, callback);
    node.write();
    assert_eq!(answer.recv().unwrap(), Err(StorageError::NotContiguous { group: A, expected: 3, found: 4 }));
    assert_eq!(node.log.group(A).state().last, Some((2, 1)));
}

#[test]
fn an_evicted_entry_is_read_from_disk_and_the_budget_holds() {
    let node = Node::start();
    for group in 0..10 {
        node.put(GroupId(group), entries(0..20, 1000));
    }
    let stats = node.log.stats();
    assert!(stats.cache_bytes <= small_options().cache_bytes, "{}", stats.cache_bytes);
    let oldest = node.log.group(GroupId(0));
    assert_eq!(oldest.cached(0, 5, usize::MAX), None);
    assert_eq!(oldest.read(0, 5, usize::MAX).unwrap(), entries(0..5, 1000));
    let newest = node.log.group(GroupId(9));
    assert_eq!(newest.cached(15, 99, usize::MAX).unwrap(), entries(15..20, 1000));
    assert_eq!(newest.cached(20, 99, usize::MAX), None);
}

#[test]
fn what_waits_for_the_writer_is_readable_whatever_the_budget() {
    let node = Node::with(thalweg_storage::Options { cache_bytes: 0, ..small_options() });
    let group = node.log.group(A);
    group.append(entries(0..100, 2000), true, unasked());
    assert_eq!(read_all(&group, 0, 10_000), entries(0..100, 2000));
    node.write();
    assert_eq!(group.cached(99, 100, usize::MAX), None);
    assert_eq!(read_all(&group, 0, 10_000), entries(0..100, 2000));
}

#[test]
fn reads_keep_to_the_limit_but_return_at_least_one_entry() {
    let node = Node::start();
    node.put(A, entries(0..10, 1000));
    let group = node.log.group(A);
    let counts = |limit| group.read(2, 9, limit).unwrap().len();
    assert_eq!((counts(0), counts(1), counts(3100), counts(usize::MAX)), (1, 1, 3, 7));
    assert_eq!(group.read(4, 4, 100), Ok(Vec::<LogEntry>::new()));
}

#[test]
fn a_closed_log_refuses_and_opens_clean() {
    let node = Node::start();
    node.put(A, entries(0..10, 100));
    node.log.group(A).set_applied(9);
    node.log.group(A).append(entries(10..12, 100), true, unasked());
    node.log.close().unwrap();
    let (callback, answer) = done();
    node.log.group(A).append(entries(12..13, 100), true, callback);
    assert_eq!(answer.recv().unwrap(), Err(StorageError::Closed));
    let node = node.crash();
    assert_eq!((node.report.damaged.clone(), node.report.torn_tail), (None, false));
    assert_eq!(read_all(&node.log.group(A), 0, 1000), entries(0..12, 100), "what was queued was written");
}

#[test]
fn a_small_slice_of_a_large_buffer_does_not_keep_the_buffer() {
    let node = Node::start();
    let buffer = Bytes::from(vec![5; 1 << 20]);
    let body = buffer.slice(100..200);
    node.put(A, vec![LogEntry { index: 0, term: 1, head: Bytes::new(), body }]);
    assert!(node.log.group(A).cached(0, 1, 1).is_some());
    assert!(buffer.is_unique());
}

#[test]
fn a_write_is_answered_by_its_second_half_and_lost_with_the_power_before_it() {
    for seed in 1..=32 {
        let node = Node::on(SimDisk::new(seed));
        node.put(A, entries(0..3, 100));
        let (callback, answer) = done();
        node.log.group(A).append(entries(3..6, 100), true, callback);
        assert_eq!(node.log.begin_write(), Begun::All);
        assert!(answer.try_recv().is_err(), "nothing is durable yet");
        if seed % 2 == 0 {
            node.log.finish_write();
            assert_eq!(answer.try_recv(), Ok(Ok(())));
            assert_eq!(read_all(&node.crash().log.group(A), 0, 1000), entries(0..6, 100));
        } else {
            let left = read_all(&node.crash().log.group(A), 0, 1000);
            assert!(left == entries(0..3, 100) || left == entries(0..6, 100), "{left:?}");
        }
    }
}
