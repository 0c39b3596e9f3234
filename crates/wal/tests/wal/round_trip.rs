//! What was appended comes back: by position at once, in order after a restart.

use std::path::Path;

use std::sync::Arc;

use proptest::prelude::*;
use thalweg_types::GroupId;
use thalweg_wal::{AppendError, Disk, Kind, RealDisk, Record, SimDisk, Verdict, Wal};

use crate::support::{DIR, SEGMENT_BYTES, fill, open, record, records};

fn any_record() -> impl Strategy<Value = Record> {
    let kinds = prop::sample::select(vec![Kind::Entry, Kind::Vote, Kind::Truncate, Kind::Trim, Kind::Destroy]);
    let head = prop::collection::vec(any::<u8>(), 0..60);
    let body = prop::collection::vec(any::<u8>(), 0..5000);
    (any::<u64>(), kinds, any::<u64>(), any::<u64>(), head, body).prop_map(|(group, kind, index, term, head, body)| {
        Record { group: GroupId(group), kind, index, term, head: head.into(), body: body.into() }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn blocks_read_back_by_position_and_after_a_restart(
        blocks in prop::collection::vec(prop::collection::vec(any_record(), 0..8), 0..20),
    ) {
        let disk = SimDisk::new(1);
        let mut log = open(&disk);
        let reader = log.wal.reader();
        let mut written = Vec::new();
        for block in &blocks {
            let positions = log.wal.append(block).unwrap();
            prop_assert_eq!(positions.len(), block.len());
            for (record, position) in block.iter().zip(positions) {
                prop_assert_eq!(&reader.read(position).unwrap(), record);
                written.push((record.clone(), position));
            }
        }
        log.wal.close().unwrap();
        disk.crash();
        let log = open(&disk);
        prop_assert_eq!(log.recovery.verdict, Verdict::Clean);
        prop_assert_eq!(log.replayed, written);
    }
}

#[test]
fn positions_from_a_replay_are_readable() {
    let disk = SimDisk::new(1);
    let mut log = open(&disk);
    fill(&mut log.wal, 0..100);
    drop(log);
    let log = open(&disk);
    let reader = log.wal.reader();
    assert_eq!(log.records(), records(0..100));
    for (record, position) in &log.replayed {
        assert_eq!(reader.read(*position).unwrap(), *record);
    }
}

#[test]
fn a_block_may_fill_a_segment_and_not_exceed_it() {
    let disk = SimDisk::new(1);
    let mut log = open(&disk);
    let limit = crate::support::options().block_bytes_max();
    let mut large = record(1);
    large.head = bytes::Bytes::new();
    large.body = vec![7; limit as usize - 64 - 56].into();
    log.wal.append(&[large.clone()]).unwrap();
    log.wal.append(&[large.clone()]).unwrap();
    log.wal.sync().unwrap();
    let mut larger = large.clone();
    larger.body = vec![7; larger.body.len() + 1].into();
    let refused = log.wal.append(&[larger]);
    assert!(matches!(refused, Err(AppendError::BlockTooLarge { bytes, .. }) if bytes == limit + 1), "{refused:?}");
    log.wal.append(&[record(3)]).unwrap();
    log.wal.close().unwrap();
    let log = open(&disk);
    assert_eq!(log.records(), [large.clone(), large, record(3)]);
    assert!(log.wal.bytes_in_use() > 2 * (SEGMENT_BYTES - 4096));
}

#[test]
fn an_empty_log_restarts_without_using_up_segments() {
    let disk = SimDisk::new(1);
    for _ in 0..10 {
        let log = open(&disk);
        assert_eq!(log.recovery.verdict, Verdict::Clean);
        let files = disk.list(Path::new(DIR)).unwrap();
        assert!(files.iter().filter(|name| name.starts_with("wal-")).count() <= 2, "{files:?}");
        assert_eq!(log.wal.bytes_in_use(), 0);
    }
}

#[test]
fn the_log_works_on_a_real_disk() {
    let dir = tempfile::tempdir().unwrap();
    let options = thalweg_wal::Options { dir: dir.path().join("wal"), ..crate::support::options() };
    let mut replayed = Vec::new();
    for start in 0..4 {
        replayed.clear();
        let mut keep = |record, _| replayed.push(record);
        let (mut wal, recovery) = Wal::open(Arc::new(RealDisk), options.clone(), &mut keep).unwrap();
        assert_eq!(recovery.verdict, Verdict::Clean);
        fill(&mut wal, start * 50..(start + 1) * 50);
        // Half of the starts follow a close, the others a kill.
        if start % 2 == 0 {
            wal.close().unwrap();
        }
    }
    assert_eq!(replayed, records(0..150));
}
