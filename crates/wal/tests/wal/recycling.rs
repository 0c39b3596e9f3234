//! Released segments are used again, and what they held never surfaces.

use std::path::Path;

use thalweg_wal::{Disk, ReadError, SimDisk, Verdict};

use crate::support::{DIR, Dice, fill, open, record, records};

#[test]
fn released_segments_are_reused_and_their_records_are_gone() {
    let disk = SimDisk::new(1);
    let mut log = open(&disk);
    let reader = log.wal.reader();
    let mut positions = Vec::new();
    for round in 0..10 {
        positions.extend(fill(&mut log.wal, round * 40..(round + 1) * 40));
        log.wal.release_below(log.wal.current_segment()).unwrap();
        assert_eq!(log.wal.oldest_segment(), log.wal.current_segment());
        let files = disk.list(Path::new(DIR)).unwrap();
        assert!(files.len() <= 2 + 1 + 1, "{files:?}");
    }
    let current = log.wal.current_segment();
    for (number, position) in positions.iter().enumerate() {
        match reader.read(*position) {
            Ok(found) => assert!(position.segment == current && found == record(number as u64)),
            Err(ReadError::Released { segment }) => assert!(segment < current),
            Err(other) => panic!("{other}"),
        }
    }
    let left: Vec<_> = (0..400).filter(|n| positions[*n as usize].segment == current).map(record).collect();
    drop(log);
    let log = open(&disk);
    assert_eq!(log.records(), left);
    assert_eq!(log.recovery.verdict, Verdict::Clean);
}

#[test]
fn stale_blocks_of_a_recycled_file_never_surface() {
    for seed in 0..100 {
        let mut dice = Dice::new(seed);
        let disk = SimDisk::new(seed);
        let mut log = open(&disk);
        // Equal sizes, so that old blocks lie exactly where new ones would.
        let block = |number: u64| {
            let mut record = record(number);
            (record.head, record.body) = (vec![1; 8].into(), vec![number as u8; 1000].into());
            record
        };
        let mut number = 0;
        let mut append = |log: &mut crate::support::Opened| {
            log.wal.append(&[block(number)]).unwrap();
            log.wal.sync().unwrap();
            number += 1;
        };
        for _ in 0..40 + dice.below(60) {
            append(&mut log);
            if dice.below(10) == 0 {
                log.wal.release_below(log.wal.current_segment()).unwrap();
            }
        }
        let oldest = log.wal.oldest_segment();
        drop(log);
        disk.crash();
        let log = open(&disk);
        let expected: Vec<_> = (number - log.replayed.len() as u64..number).map(block).collect();
        assert_eq!(log.records(), expected, "seed {seed}");
        assert!(log.replayed.iter().all(|(_, position)| position.segment >= oldest));
        assert_eq!(log.recovery.verdict, Verdict::Clean);
    }
}

#[test]
fn the_oldest_needed_segment_is_missed_and_released_ones_are_not() {
    let disk = SimDisk::new(1);
    let mut log = open(&disk);
    let positions = fill(&mut log.wal, 0..100);
    log.wal.release_below(3).unwrap();
    drop(log);
    let log = open(&disk);
    assert_eq!(log.recovery.verdict, Verdict::Clean);
    let kept = positions.iter().position(|position| position.segment == 3).unwrap() as u64;
    assert_eq!(log.records(), records(kept..100));
    drop(log);
    disk.lose(&crate::support::segment_path(3));
    assert!(open(&disk).is_damaged());
}

#[test]
fn what_the_owner_relied_on_when_it_gave_segments_up_is_remembered_and_never_goes_back() {
    let disk = SimDisk::new(1);
    let mut log = open(&disk);
    assert_eq!(log.recovery.owner_mark, 0);
    log.wal.append(&[record(1)]).unwrap();
    log.wal.sync().unwrap();
    log.wal.remember_for_owner(7);
    log.wal.remember_for_owner(3);
    log.wal.write_fence().unwrap();
    drop(log);
    disk.crash();
    let log = open(&disk);
    assert_eq!(log.recovery.owner_mark, 7);
    drop(log);
    assert_eq!(open(&disk).recovery.owner_mark, 7);
}
