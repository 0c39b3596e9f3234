//! Failed syncs, full disks, corrupt entries.

use std::sync::Arc;

use bytes::Bytes;
use thalweg_storage::{Driver, Health, MemoryStore, NodeLog, ReadError, StorageError};
use thalweg_wal::{Disk, SimDisk};

use crate::support::{A, B, Node, done, entries, entries_of_term, read_all, small_options, unasked};

#[test]
fn a_failed_sync_ends_writing_for_good() {
    let node = Node::start();
    node.put(A, entries(0..3, 100));
    node.disk.fail_next_sync();
    let (callback, answer) = done();
    node.log.group(A).append(entries(3..6, 100), true, callback);
    node.write();
    assert!(matches!(answer.recv().unwrap(), Err(StorageError::Failed { .. })));
    assert!(matches!(&*node.log.health().borrow(), Health::Failed(_)));
    let (callback, answer) = done();
    node.log.group(B).save_vote(Bytes::from_static(b"vote"), callback);
    node.write();
    assert!(matches!(answer.recv().unwrap(), Err(StorageError::Failed { .. })), "later calls of any group");
    assert!(node.log.close().is_err());
    // Of what was never acknowledged, all or nothing may be there.
    let left = read_all(&node.crash().log.group(A), 0, 1000);
    assert!(left == entries(0..3, 100) || left == entries(0..6, 100), "{left:?}");
}

#[test]
fn a_vote_that_was_answered_survives_a_power_cut() {
    let mut node = Node::start();
    // What was not synced may survive a cut, but not every time.
    for term in 1..=30 {
        let vote = Bytes::from(format!("me in {term}"));
        let (callback, answer) = done();
        node.log.group(A).save_vote(vote.clone(), callback);
        node.write();
        assert_eq!(answer.try_recv(), Ok(Ok(())));
        node = node.crash();
        assert_eq!(node.log.group(A).state().vote, Some(vote));
    }
}

#[test]
fn a_failed_store_ends_writing_and_loses_nothing() {
    let node = Node::start();
    node.put(A, entries(0..30, 1000));
    node.log.group(A).set_applied(29);
    node.store.fail_writes("no more");
    assert!(matches!(node.log.flush(), Err(StorageError::Failed { .. })));
    assert!(matches!(&*node.log.health().borrow(), Health::Failed(_)));
    assert_eq!(read_all(&node.crash().log.group(A), 0, 1000), entries(0..30, 1000));
}

#[test]
fn below_the_reserve_appends_are_refused_and_all_else_goes_on() {
    let node = Node::start();
    node.put(A, entries(0..5, 1000));
    node.disk.set_capacity(Some(node.disk_used() + 100 * 1024));
    node.write();
    assert!(matches!(&*node.log.health().borrow(), Health::DiskFull { .. }));
    let (callback, answer) = done();
    node.log.group(A).append(entries(5..6, 1000), true, callback);
    let (callback, voted) = done();
    node.log.group(A).save_vote(Bytes::from_static(b"vote"), callback);
    node.write();
    assert!(matches!(answer.recv().unwrap(), Err(StorageError::Full { .. })));
    assert_eq!(voted.recv().unwrap(), Ok(()));
    assert_eq!(read_all(&node.log.group(A), 0, 1000), entries(0..5, 1000));
    node.disk.set_capacity(None);
    node.write();
    assert_eq!(*node.log.health().borrow(), Health::Ok, "recovers by itself");
    node.put(A, entries(5..6, 1000));
}

#[test]
fn however_fast_entries_come_they_leave_the_reserve_to_votes() {
    let (options, disk) = (small_options(), SimDisk::new(1));
    let store = Arc::new(MemoryStore::new());
    let (log, _) = NodeLog::open(options.clone(), Arc::new(disk.clone()), store, Driver::Threads).unwrap();
    let put = |range| {
        let (callback, answer) = done();
        log.group(A).append(entries(range, 4000), true, callback);
        answer.recv().unwrap()
    };
    put(0..1).unwrap();
    disk.set_capacity(Some(1 << 40));
    let used = (1 << 40) - disk.free_bytes(&options.dir).unwrap();
    // The log looks at the free space every 100 ms; a segment is full much sooner.
    let left = options.reserve_bytes - 1024;
    disk.set_capacity(Some(used + left));
    let refusal = (1..).find_map(|index| put(index..index + 1).err()).unwrap();
    assert!(matches!(refusal, StorageError::Full { .. }), "{refusal}");
    assert_eq!(disk.free_bytes(&options.dir).unwrap(), left, "entries took nothing of the reserve");
    for _ in 0..options.segment_bytes / 4096 {
        let (callback, voted) = done();
        log.group(B).save_vote(Bytes::from_static(b"vote"), callback);
        assert_eq!(voted.recv().unwrap(), Ok(()));
    }
    assert!(disk.free_bytes(&options.dir).unwrap() < left, "and votes did");
}

#[test]
fn a_write_that_finds_no_space_leaves_no_trace() {
    let node = Node::start();
    node.put(A, entries(0..5, 1000));
    node.disk.fill_up_during_next_write();
    let (callback, first) = done();
    node.log.group(A).append(entries(5..8, 1000), true, callback);
    node.log.run_writer_once();
    assert!(matches!(first.recv().unwrap(), Err(StorageError::Full { .. })));
    assert_eq!(node.log.group(A).state().last, Some((4, 1)));
    node.write();
    node.put(A, entries_of_term(5..6, 2, 1000));
    let expected = [entries(0..5, 1000), entries_of_term(5..6, 2, 1000)].concat();
    assert_eq!(read_all(&node.crash().log.group(A), 0, 1000), expected);
}

#[test]
fn what_was_queued_behind_a_refused_append_is_refused_too() {
    let options = thalweg_storage::Options { batch_records_max: 3, ..crate::support::small_options() };
    let node = Node::with(options);
    node.put(A, entries(0..5, 1000));
    node.disk.fill_up_during_next_write();
    let (callback, _) = done();
    node.log.group(A).append(entries(5..8, 1000), true, callback);
    let (callback, second) = done();
    node.log.group(A).append(entries(8..10, 1000), true, callback);
    node.write();
    assert_eq!(second.recv().unwrap(), Err(StorageError::NotContiguous { group: A, expected: 5, found: 8 }));
    node.put(A, entries(5..7, 10));
    assert_eq!(node.crash().log.group(A).state().last, Some((6, 1)));
}

#[test]
fn a_corrupt_stored_entry_is_reported_and_healed_by_a_peers_copy() {
    let node = Node::with(thalweg_storage::Options { cache_bytes: 0, ..crate::support::small_options() });
    node.put(A, entries(0..10, 1000));
    let group = node.log.group(A);
    group.set_applied(9);
    node.log.flush().unwrap();
    assert!(node.store.corrupt(A, 4));
    assert_eq!(group.read(2, 9, usize::MAX).unwrap(), entries(2..4, 1000), "what lies before is served");
    assert_eq!(group.read(4, 9, usize::MAX), Err(ReadError::Corrupt { group: A, index: 4 }));
    assert!(node.log.stats().corrupt_entries > 0);

    let (callback, wrong) = done();
    group.repair(entries_of_term(4..5, 2, 1000).remove(0), callback);
    node.write();
    assert_eq!(wrong.recv().unwrap(), Err(StorageError::NotRepairable { group: A, index: 4 }));

    let (callback, healed) = done();
    group.repair(entries(4..5, 1000).remove(0), callback);
    assert!(node.log.run_mover_once());
    assert_eq!(healed.recv().unwrap(), Ok(()));
    assert_eq!(read_all(&group, 0, usize::MAX), entries(0..10, 1000));
    assert_eq!(read_all(&node.crash().log.group(A), 0, usize::MAX), entries(0..10, 1000));
}

#[test]
fn a_corrupt_hot_entry_is_reported_kept_and_healed() {
    let node = Node::with(thalweg_storage::Options { cache_bytes: 0, ..crate::support::small_options() });
    node.put(A, entries(0..10, 1000));
    let group = node.log.group(A);
    node.flip_in_newest_segment(4096 + 5000);
    let corrupt = (0..10).find(|index| group.read(*index, index + 1, 1).is_err()).expect("one entry is corrupt");
    assert_eq!(group.read(corrupt, 10, 1), Err(ReadError::Corrupt { group: A, index: corrupt }));
    group.set_applied(9);
    node.log.flush().unwrap();
    assert_eq!(group.read(corrupt, 10, 1), Err(ReadError::Corrupt { group: A, index: corrupt }), "not moved as it is");
    let (callback, healed) = done();
    group.repair(entries(corrupt..corrupt + 1, 1000).remove(0), callback);
    node.log.run_mover_once();
    assert_eq!(healed.recv().unwrap(), Ok(()));
    assert_eq!(read_all(&group, 0, usize::MAX), entries(0..10, 1000));
    group.append(Vec::new(), true, unasked());
}

#[test]
fn a_corrupt_entry_that_is_not_applied_yet_is_healed_and_moves_whole() {
    let node = Node::with(thalweg_storage::Options { cache_bytes: 0, ..crate::support::small_options() });
    node.put(A, entries(0..10, 1000));
    let group = node.log.group(A);
    node.flip_in_newest_segment(4096 + 5000);
    let corrupt = (0..10).find(|index| group.read(*index, index + 1, 1).is_err()).expect("one entry is corrupt");
    let (callback, healed) = done();
    group.repair(entries(corrupt..corrupt + 1, 1000).remove(0), callback);
    node.log.run_mover_once();
    assert_eq!(healed.recv().unwrap(), Ok(()));
    assert_eq!(read_all(&group, 0, usize::MAX), entries(0..10, 1000));
    assert_eq!(group.state().moved_end, 0, "what is not applied does not move");
    group.set_applied(9);
    node.log.flush().unwrap();
    assert_eq!(group.state().moved_end, 10);
    assert_eq!(read_all(&node.crash().log.group(A), 0, usize::MAX), entries(0..10, 1000));
}

#[test]
fn a_nearly_full_disk_stops_the_mover_before_the_store_fails() {
    let node = Node::start();
    node.put(A, entries(0..40, 1000));
    node.log.group(A).set_applied(39);
    node.disk.set_capacity(Some(node.disk_used() + 10 * 1024));
    node.log.flush().unwrap();
    assert_eq!(node.log.stats().moved_bytes, 0);
    assert_eq!(read_all(&node.log.group(A), 0, 1000), entries(0..40, 1000));
    node.disk.set_capacity(None);
    node.log.flush().unwrap();
    assert_eq!(node.log.stats().movable_bytes, 0);
}

#[test]
fn who_waits_for_a_repair_is_told_when_the_store_fails_or_the_log_is_closed() {
    let node = Node::with(thalweg_storage::Options { cache_bytes: 0, ..crate::support::small_options() });
    node.put(A, entries(0..10, 1000));
    let group = node.log.group(A);
    group.set_applied(9);
    node.log.flush().unwrap();
    assert!(node.store.corrupt(A, 4) && node.store.corrupt(A, 5));
    node.store.fail_writes("no more");
    let answers: Vec<_> = [4, 5]
        .map(|index| {
            let (callback, answer) = done();
            group.repair(entries(index..index + 1, 1000).remove(0), callback);
            answer
        })
        .into();
    node.log.run_mover_once();
    assert!(answers.iter().all(|answer| matches!(answer.try_recv(), Ok(Err(StorageError::Failed { .. })))));
    let (callback, late) = done();
    group.repair(entries(5..6, 1000).remove(0), callback);
    node.log.run_mover_once();
    assert!(matches!(late.try_recv(), Ok(Err(StorageError::Failed { .. }))), "also after the failure");

    let node = node.crash();
    node.log.close().unwrap();
    let (callback, closed) = done();
    node.log.group(A).repair(entries(5..6, 1000).remove(0), callback);
    assert_eq!(closed.try_recv(), Ok(Err(StorageError::Closed)));
}
