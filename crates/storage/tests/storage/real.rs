//! Threads, a real disk and RocksDB.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;

use bytes::Bytes;
use thalweg_storage::{Driver, NodeLog, OpenReport, Options, ReadError, RocksStore};
use thalweg_types::GroupId;
use thalweg_wal::RealDisk;

use crate::support::{A, B, done, entries, read_all, unasked};

fn open(dir: &std::path::Path) -> (NodeLog, OpenReport) {
    let options = Options {
        segment_bytes: 1 << 20,
        cache_bytes: 1 << 20,
        move_bytes: 1 << 20,
        hot_tail_bytes: 8 << 20,
        reserve_bytes: 0,
        ..Options::new(dir.join("wal"))
    };
    let store = RocksStore::open(&dir.join("records")).unwrap();
    NodeLog::open(options, Arc::new(RealDisk), Arc::new(store), Driver::Threads).unwrap()
}

#[test]
fn groups_written_by_many_threads_are_whole_after_close_and_reopen() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    let writers: Vec<_> = (0..8)
        .map(|id| {
            let group = log.group(GroupId(id));
            thread::spawn(move || {
                for at in (0..400).step_by(4) {
                    let (callback, answer) = done();
                    group.append(entries(at..at + 4, 3000), true, callback);
                    answer.recv().unwrap().unwrap();
                    group.set_applied(at + 3);
                }
            })
        })
        .collect();
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    assert!(log.stats().moved_bytes > 0, "the mover worked meanwhile");
    log.close().unwrap();
    drop(log);
    let (log, report) = open(dir.path());
    assert_eq!((report.damaged, report.torn_tail), (None, false));
    assert!(report.replayed_records < 1000, "only the last segment is replayed: {}", report.replayed_records);
    for id in 0..8 {
        assert_eq!(read_all(&log.group(GroupId(id)), 0, 100_000), entries(0..400, 3000));
    }
}

#[test]
fn the_space_of_what_a_reopened_log_trims_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    for (id, bytes) in [(A, 200_000), (B, 50)] {
        let (callback, answer) = done();
        log.group(id).append(entries(0..50, bytes), true, callback);
        answer.recv().unwrap().unwrap();
        log.group(id).set_applied(49);
    }
    log.close().unwrap();
    drop(log);
    let (log, _) = open(dir.path());
    let stored = |dir: &std::path::Path| -> u64 {
        let files = std::fs::read_dir(dir.join("records")).unwrap().flatten();
        files.filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum()
    };
    assert!(stored(dir.path()) > 9_000_000);
    let (callback, answer) = done();
    log.group(A).trim(49, 1, callback);
    answer.recv().unwrap().unwrap();
    log.flush().unwrap();
    assert!(stored(dir.path()) < 2_000_000, "{}", stored(dir.path()));
}

#[test]
fn a_process_that_dies_loses_nothing_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..5 {
        let (log, _) = open(dir.path());
        let group = log.group(A);
        let start = group.state().last.map_or(0, |(index, _)| index + 1);
        assert_eq!(start, round * 100);
        for at in (start..start + 100).step_by(10) {
            let (callback, answer) = done();
            group.append(entries(at..at + 10, 20_000), true, callback);
            answer.recv().unwrap().unwrap();
            group.set_applied(at + 5);
        }
        group.save_vote(Bytes::from(round.to_string()), unasked());
        // No close: the handles just go.
    }
    let (log, _) = open(dir.path());
    assert_eq!(read_all(&log.group(A), 0, 1 << 20), entries(0..500, 20_000));
    assert_eq!(log.group(A).state().vote, Some(Bytes::from("4")));
}

#[test]
fn trimmed_and_destroyed_entries_return_their_space() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    for round in 0..10 {
        for group in [A, B] {
            let (callback, answer) = done();
            log.group(group).append(entries(round * 20..(round + 1) * 20, 50_000), true, callback);
            answer.recv().unwrap().unwrap();
            log.group(group).set_applied((round + 1) * 20 - 1);
        }
        log.flush().unwrap();
    }
    let full = log.stats().store_bytes;
    assert!(full > 20_000_000, "{full}");
    log.group(A).trim(199, 1, unasked());
    let (callback, answer) = done();
    log.group(B).destroy(callback);
    answer.recv().unwrap().unwrap();
    log.flush().unwrap();
    assert!(log.stats().store_bytes < full / 10, "{} of {full}", log.stats().store_bytes);
    assert_eq!(log.group(A).read(0, 1, 1), Err(ReadError::Trimmed { first: 200 }));
}

#[test]
fn a_reader_of_the_tail_meets_every_entry_while_it_is_written_and_moved() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    let (sender, durable) = channel();
    let group = log.group(A);
    let reader = thread::spawn({
        let group = group.clone();
        move || {
            let mut next = 0;
            for end in durable {
                while next < end {
                    let page = group.read(next, end, 10_000).unwrap();
                    assert_eq!(page, entries(next..next + page.len() as u64, 5000));
                    next += page.len() as u64;
                }
            }
            next
        }
    });
    for at in (0..2000).step_by(20) {
        let sender = sender.clone();
        let told = group.clone();
        let answer = move |result: Result<(), _>| {
            result.unwrap();
            told.set_applied(at + 19);
            sender.send(at + 20).unwrap();
        };
        group.append(entries(at..at + 20, 5000), true, Box::new(answer));
    }
    drop(sender);
    assert_eq!(reader.join().unwrap(), 2000);
}

#[test]
fn a_flipped_bit_in_a_blob_file_is_never_served_and_a_peers_copy_heals_it() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    let (callback, answer) = done();
    log.group(A).append(entries(0..10, 50_000), true, callback);
    answer.recv().unwrap().unwrap();
    log.group(A).set_applied(9);
    log.close().unwrap();
    drop(log);

    let blobs = std::fs::read_dir(dir.path().join("records")).unwrap().map(|entry| entry.unwrap().path());
    let blob = blobs.into_iter().find(|path| path.extension().is_some_and(|ext| ext == "blob")).unwrap();
    let mut bytes = std::fs::read(&blob).unwrap();
    // Inside a body: between bodies lie headers of RocksDB's that reads do not need.
    let inside = bytes.len() / 2 + 1000;
    bytes[inside] ^= 4;
    std::fs::write(&blob, bytes).unwrap();

    let (log, _) = open(dir.path());
    let group = log.group(A);
    let intact = group.read(0, 10, usize::MAX).unwrap();
    let index = intact.len() as u64;
    assert_eq!(intact, entries(0..index, 50_000));
    assert_eq!(group.read(index, 10, usize::MAX), Err(ReadError::Corrupt { group: A, index }));
    let (callback, answer) = done();
    group.repair(entries(index..index + 1, 50_000).remove(0), callback);
    answer.recv().unwrap().unwrap();
    assert_eq!(read_all(&group, 0, 100_000), entries(0..10, 50_000));
}

/// Damages a page of the largest table in the record store below `dir`.
fn damage_table(dir: &std::path::Path, damage: impl Fn(&mut [u8])) {
    let tables = std::fs::read_dir(dir.join("records")).unwrap().map(|entry| entry.unwrap().path());
    let tables = tables.filter(|path| path.extension().is_some_and(|ext| ext == "sst"));
    let table = tables.max_by_key(|path| std::fs::metadata(path).unwrap().len()).unwrap();
    let mut bytes = std::fs::read(&table).unwrap();
    damage(&mut bytes[4096..8192]);
    std::fs::write(&table, bytes).unwrap();
}

/// A closed log of which group A has entries so small that their bodies lie in a table.
fn closed_with_small_entries(dir: &std::path::Path) {
    let (log, _) = open(dir);
    let (callback, answer) = done();
    log.group(A).append(entries(0..400, 200), true, callback);
    answer.recv().unwrap().unwrap();
    log.group(A).set_applied(399);
    log.close().unwrap();
}

#[test]
fn a_table_with_a_zeroed_page_is_reported_and_does_not_end_the_process() {
    let dir = tempfile::tempdir().unwrap();
    closed_with_small_entries(dir.path());
    damage_table(dir.path(), |page| page.fill(0));
    let (log, _) = open(dir.path());
    let whole = entries(0..400, 200);
    let read = |index: u64| log.group(A).read(index, index + 1, 1);
    let (intact, damaged): (Vec<u64>, Vec<u64>) = (0..400).partition(|index| read(*index).is_ok());
    assert!(!intact.is_empty() && !damaged.is_empty());
    assert!(intact.iter().all(|index| read(*index).unwrap()[0] == whole[*index as usize]));
    assert!(damaged.iter().all(|index| read(*index) == Err(ReadError::Corrupt { group: A, index: *index })));
}

#[test]
fn a_peers_copies_of_entries_in_a_damaged_table_are_read_instead_of_them() {
    let dir = tempfile::tempdir().unwrap();
    closed_with_small_entries(dir.path());
    damage_table(dir.path(), |page| page[700] ^= 2);
    let whole = entries(0..400, 200);
    let (log, _) = open(dir.path());
    let group = log.group(A);
    let damaged: Vec<u64> = (0..400).filter(|index| group.read(*index, index + 1, 1).is_err()).collect();
    assert!(!damaged.is_empty() && damaged.len() < 400);
    let answers: Vec<_> = damaged
        .iter()
        .map(|index| {
            let (callback, answer) = done();
            group.repair(whole[*index as usize].clone(), callback);
            answer
        })
        .collect();
    answers.into_iter().for_each(|answer| answer.recv().unwrap().unwrap());
    assert_eq!(read_all(&group, 0, 100_000), whole);
    drop((group, log));
    let (log, _) = open(dir.path());
    assert_eq!(read_all(&log.group(A), 0, 10_000), whole, "also by the next start");
}

#[test]
fn a_list_of_files_that_would_be_read_for_ever_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    closed_with_small_entries(dir.path());
    let records = dir.path().join("records");
    let current = std::fs::read_to_string(records.join("CURRENT")).unwrap();
    let list = records.join(current.trim_end());
    let intact = std::fs::read(&list).unwrap();
    let mut headers = vec![0];
    while headers[headers.len() - 1] + 7 < intact.len() {
        let at = headers[headers.len() - 1];
        headers.push(at + 7 + usize::from(u16::from_le_bytes([intact[at + 4], intact[at + 5]])));
    }
    assert!(headers.len() > 5 && headers.last() == Some(&intact.len()), "{headers:?}");
    for at in &headers[1..headers.len() - 1] {
        let mut bytes = intact.clone();
        bytes[at + 6] ^= 4;
        std::fs::write(&list, bytes).unwrap();
        assert!(RocksStore::open(&records).is_err());
    }
    std::fs::write(&list, intact).unwrap();
    RocksStore::open(&records).unwrap();
}
