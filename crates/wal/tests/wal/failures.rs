//! Syncs that fail, disks that fill up, reads that fail: definite answers, nothing half-visible.

use std::sync::Arc;

use thalweg_wal::{AppendError, OpenError, SimDisk, SyncError, Verdict, Wal};

use crate::support::{fill, open, options, record, records, segment_path};

#[test]
fn after_a_failed_sync_everything_is_refused_for_ever() {
    let disk = SimDisk::new(1);
    let mut log = open(&disk);
    fill(&mut log.wal, 0..5);
    log.wal.append(&[record(5)]).unwrap();
    disk.fail_next_sync();
    assert!(matches!(log.wal.sync(), Err(SyncError::Failed { .. })));
    // The disk is well again; the log is not, because nobody knows what is on the disk.
    assert!(log.wal.sync().is_err());
    assert!(matches!(log.wal.append(&[record(6)]), Err(AppendError::Failed { .. })));
    assert!(log.wal.write_fence().is_err());
    assert!(log.wal.release_below(9).is_err());
    assert!(log.wal.close().is_err());
}

#[test]
fn what_is_replayed_after_a_failed_sync_survives_the_next_crash() {
    for seed in 0..50 {
        let disk = SimDisk::new(seed);
        let mut log = open(&disk);
        fill(&mut log.wal, 0..5);
        log.wal.append(&records(5..8)).unwrap();
        disk.fail_next_sync();
        log.wal.sync().unwrap_err();
        // The process ends and starts again on the same machine: the pages are in its cache,
        // marked clean, and a sync alone would not write them.
        drop(log);
        let replayed = open(&disk).records();
        assert_eq!(replayed, records(0..8));
        disk.crash();
        let log = open(&disk);
        assert_eq!(log.records(), replayed, "seed {seed}: {:?}", log.recovery);
        assert_eq!(log.recovery.verdict, Verdict::Clean);
    }
}

#[test]
fn a_full_disk_refuses_definitely_and_the_log_goes_on_when_there_is_space() {
    let disk = SimDisk::new(1);
    let mut log = open(&disk);
    disk.set_capacity(Some(2 * crate::support::SEGMENT_BYTES + 8192 + 100));
    let mut accepted = Vec::new();
    let refused = (0..).map(record).find_map(|record| match log.wal.append(std::slice::from_ref(&record)) {
        Ok(_) => {
            accepted.push(record);
            None
        }
        Err(error) => Some((record, error)),
    });
    let (refused, error) = refused.unwrap();
    assert!(matches!(error, AppendError::DiskFull { .. }), "{error:?}");
    log.wal.sync().unwrap();
    disk.set_capacity(None);
    log.wal.append(std::slice::from_ref(&refused)).unwrap();
    accepted.push(refused);
    log.wal.close().unwrap();
    disk.crash();
    assert_eq!(open(&disk).records(), accepted);
}

#[test]
fn a_block_that_ran_out_of_space_half_way_is_never_seen() {
    for seed in 0..200 {
        let disk = SimDisk::new(seed);
        let mut log = open(&disk);
        fill(&mut log.wal, 0..5);
        log.wal.append(&[record(5)]).unwrap();
        disk.fill_up_during_next_write();
        let refused = log.wal.append(&records(100..103));
        assert!(matches!(refused, Err(AppendError::DiskFull { .. })), "{refused:?}");
        let mut expected = records(0..6);
        if seed % 2 == 0 {
            log.wal.append(&[record(6)]).unwrap();
            log.wal.sync().unwrap();
            expected.push(record(6));
        }
        drop(log);
        disk.crash();
        let log = open(&disk);
        assert_eq!(log.records(), expected, "seed {seed}");
        assert!(!log.is_damaged());
    }
}

fn assert_does_not_open(disk: &SimDisk) {
    let refused = Wal::open(Arc::new(disk.clone()), options(), &mut |_, _| {});
    assert!(matches!(refused.err(), Some(OpenError::Io { .. })));
}

#[test]
fn an_unreadable_segment_stops_the_start_without_changing_anything() {
    let disk = SimDisk::new(1);
    let mut log = open(&disk);
    fill(&mut log.wal, 0..40);
    log.wal.close().unwrap();
    disk.set_unreadable(&segment_path(2), true);
    assert_does_not_open(&disk);
    disk.set_unreadable(&segment_path(2), false);
    let log = open(&disk);
    assert_eq!(log.recovery.verdict, Verdict::Clean);
    assert_eq!(log.records(), records(0..40));
}

#[test]
fn after_a_failed_write_everything_is_refused_and_only_what_failed_is_in_doubt() {
    for seed in 0..50 {
        let disk = SimDisk::new(seed);
        let mut log = open(&disk);
        fill(&mut log.wal, 0..5);
        disk.fail_next_write();
        assert!(matches!(log.wal.append(&[record(5)]), Err(AppendError::Failed { .. })));
        // The disk is well again; where the log ends on it, nobody knows.
        assert!(matches!(log.wal.append(&[record(5)]), Err(AppendError::Failed { .. })));
        drop(log);
        disk.crash();
        let log = open(&disk);
        let found = log.records();
        assert!(found == records(0..5) || found == records(0..6), "seed {seed}: {} records", found.len());
        assert!(!log.is_damaged());
    }
}

#[test]
fn a_disk_that_became_read_only_takes_nothing_and_keeps_everything() {
    let disk = SimDisk::new(1);
    let mut log = open(&disk);
    fill(&mut log.wal, 0..5);
    disk.set_read_only(true);
    assert!(matches!(log.wal.append(&[record(5)]), Err(AppendError::Failed { .. })));
    drop(log);
    assert_does_not_open(&disk);
    disk.set_read_only(false);
    let log = open(&disk);
    assert_eq!(log.records(), records(0..5));
    assert!(!log.is_damaged());
}
