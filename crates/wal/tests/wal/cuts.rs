//! A tail that was never acknowledged is cut in silence; one that was is not.

use std::path::Path;

use thalweg_wal::{Disk, OpenMode, SimDisk, Verdict};

use crate::support::{fill, open, record, records, segment_path};

/// A log of ten synced records and one block of three that is not synced; returns where the last
/// block starts and ends. `fenced` decides whether the fence knows of the ten.
fn log_with_a_tail(fenced: bool) -> (SimDisk, u64, u64) {
    let disk = SimDisk::new(1);
    let mut log = open(&disk);
    fill(&mut log.wal, 0..10);
    if fenced {
        log.wal.write_fence().unwrap();
    }
    let positions = log.wal.append(&records(10..13)).unwrap();
    let start = u64::from(positions[0].offset) - 64;
    let end = u64::from(positions[2].offset + positions[2].len);
    (disk, start, end)
}

#[test]
fn a_cut_at_any_byte_of_an_unacknowledged_block_loses_that_block_only() {
    let (_, start, end) = log_with_a_tail(true);
    for cut in start..end {
        let (disk, ..) = log_with_a_tail(true);
        disk.truncate(&segment_path(1), cut);
        let log = open(&disk);
        assert!(!log.is_damaged(), "cut at {cut}: {:?}", log.recovery);
        assert_eq!(log.records(), records(0..10), "cut at {cut}");
    }
}

#[test]
fn a_cut_below_what_the_fence_remembers_is_damage() {
    let (_, start, _) = log_with_a_tail(true);
    for cut in (0..start - 4096).step_by(97) {
        let (disk, ..) = log_with_a_tail(true);
        disk.truncate(&segment_path(1), cut);
        let log = open(&disk);
        assert!(log.is_damaged(), "cut at {cut}: {:?}", log.recovery);
        let count = log.replayed.len() as u64;
        assert_eq!(log.records(), records(0..count));
    }
}

#[test]
fn zeros_over_an_unacknowledged_tail_are_a_torn_tail() {
    let (disk, start, end) = log_with_a_tail(true);
    overwrite_with_zeros(&disk, &segment_path(1), start + 512, end);
    let log = open(&disk);
    assert_eq!(log.recovery.verdict, Verdict::TornTail { segment: 1, offset: start });
    assert_eq!(log.records(), records(0..10));
}

#[test]
fn the_log_goes_on_behind_a_torn_tail_and_the_tail_never_returns() {
    let (disk, start, end) = log_with_a_tail(true);
    overwrite_with_zeros(&disk, &segment_path(1), start + 512, end);
    let mut log = open(&disk);
    fill(&mut log.wal, 20..25);
    drop(log);
    let log = open(&disk);
    assert_eq!(log.recovery.verdict, Verdict::Clean);
    assert_eq!(log.records(), [records(0..10), records(20..25)].concat());
}

#[test]
fn a_later_block_tells_that_an_earlier_one_was_acknowledged() {
    let disk = SimDisk::new(1);
    let mut log = open(&disk);
    let positions = fill(&mut log.wal, 0..3);
    // Not synced, but its header names block 3 as durable; the fence names nothing yet.
    log.wal.append(&[record(3)]).unwrap();
    drop(log);
    disk.flip_bit(&segment_path(1), positions[2].offset.into(), 3);
    let log = open(&disk);
    assert!(log.is_damaged(), "{:?}", log.recovery);
    assert_eq!(log.records(), records(0..2));
}

fn overwrite_with_zeros(disk: &SimDisk, path: &Path, from: u64, to: u64) {
    let file = disk.open(path, OpenMode::ReadWrite).unwrap();
    let zeros = vec![0; (to - from) as usize];
    file.write_vectored_at(&[std::io::IoSlice::new(&zeros)], from).unwrap();
    file.sync_data().unwrap();
}
