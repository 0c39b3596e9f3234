//! Machines that lose power at any moment, processes that are killed, syncs that fail: whatever
//! was acknowledged is there afterwards, in order, and nothing but it and a whole number of
//! later blocks.

use thalweg_types::GroupId;
use thalweg_wal::{Kind, Position, Record, SimDisk};

use crate::support::{Dice, Opened, open, options, record};
use std::sync::Arc;
use thalweg_wal::Wal;

/// What the log must and what it may give back.
#[derive(Default)]
struct Model {
    /// Acknowledged, or replayed by an earlier start.
    acknowledged: Vec<(Record, Position)>,
    /// Blocks appended since the last sync.
    pending: Vec<Vec<(Record, Position)>>,
    /// A release that may or may not have happened.
    perhaps_released_below: Option<u64>,
    /// Appended when power went off: as a whole there, or not.
    perhaps: Option<Vec<Record>>,
    next: u64,
}

impl Model {
    fn release(&mut self, below: u64) {
        self.acknowledged.retain(|(_, position)| position.segment >= below);
        for block in &mut self.pending {
            block.retain(|(_, position)| position.segment >= below);
        }
    }

    /// Compares a start with the model and adopts what it found.
    fn check(&mut self, log: &Opened, context: &str) {
        assert!(!log.is_damaged(), "{context}: {:?}", log.recovery);
        if let Some(below) = self.perhaps_released_below.take()
            && log.replayed.first().is_none_or(|(_, position)| position.segment >= below)
        {
            self.release(below);
        }
        let found = &log.replayed;
        let must = self.acknowledged.len();
        assert!(found.len() >= must, "{context}: {} of {must} acknowledged records, {:?}", found.len(), log.recovery);
        assert_eq!(found[..must], self.acknowledged[..], "{context}");
        let mut rest = &found[must..];
        for block in &self.pending {
            if rest.is_empty() {
                break;
            }
            assert!(rest.len() >= block.len(), "{context}: part of a block");
            assert_eq!(rest[..block.len()], block[..], "{context}");
            rest = &rest[block.len()..];
        }
        if !rest.is_empty() {
            let perhaps = self.perhaps.as_ref().expect("records that nobody appended");
            assert!(rest.iter().map(|(record, _)| record).eq(perhaps), "{context}");
        }
        self.acknowledged.clone_from(found);
        self.pending.clear();
        self.perhaps = None;
    }

    fn acknowledge(&mut self) {
        self.acknowledged.extend(self.pending.drain(..).flatten());
    }

    fn block(&mut self, dice: &mut Dice) -> Vec<Record> {
        let count = 1 + dice.below(6);
        let records = (self.next..self.next + count).map(record).collect();
        self.next += count;
        records
    }
}

/// One life of a process: until the disk fails it or its time is over.
fn live(log: &mut Opened, model: &mut Model, dice: &mut Dice, context: &str) {
    let reader = log.wal.reader();
    for _ in 0..dice.below(60) {
        match dice.below(12) {
            0..=4 => {
                let block = model.block(dice);
                match log.wal.append(&block) {
                    Ok(positions) => model.pending.push(block.into_iter().zip(positions).collect()),
                    Err(_) => {
                        // A segment switch may have synced what came before, or not.
                        model.perhaps = Some(block);
                        return;
                    }
                }
            }
            5..=7 => match log.wal.sync() {
                Ok(()) => model.acknowledge(),
                Err(_) => return,
            },
            8 => {
                if log.wal.write_fence().is_err() {
                    return;
                }
            }
            9 => {
                let (oldest, current) = (log.wal.oldest_segment(), log.wal.current_segment());
                let below = oldest + dice.below(current - oldest + 2);
                model.perhaps_released_below = Some(below.min(current));
                if log.wal.release_below(below).is_err() {
                    return;
                }
                model.perhaps_released_below = None;
                model.release(below.min(current));
            }
            _ => {
                let all: Vec<_> = model.acknowledged.iter().chain(model.pending.iter().flatten()).collect();
                if !all.is_empty() {
                    let (record, position) = all[dice.below(all.len() as u64) as usize];
                    match reader.read(*position) {
                        Ok(found) => assert_eq!(found, *record, "{context}"),
                        Err(error) => assert!(matches!(error, thalweg_wal::ReadError::Io { .. }), "{context}: {error}"),
                    }
                }
            }
        }
    }
}

/// Opens the log; power may go off during that, again and again.
fn start(disk: &SimDisk, dice: &mut Dice) -> Opened {
    loop {
        let mut replayed = Vec::new();
        let opened = Wal::open(Arc::new(disk.clone()), options(), &mut |r, p| replayed.push((r, p)));
        match opened {
            Ok((wal, recovery)) => return Opened { wal, recovery, replayed },
            Err(_) => {
                disk.crash();
                if dice.below(2) == 0 {
                    disk.power_off_after(dice.below(25));
                }
            }
        }
    }
}

fn story(seed: u64) {
    let mut dice = Dice::new(seed);
    let disk = SimDisk::new(seed);
    let mut model = Model::default();
    for life in 0..12 {
        let context = format!("seed {seed}, life {life}");
        let mut log = start(&disk, &mut dice);
        model.check(&log, &context);
        match dice.below(4) {
            0 => disk.power_off_after(dice.below(80)),
            1 => disk.fail_every_nth_sync(Some(1 + dice.below(30))),
            _ => {}
        }
        live(&mut log, &mut model, &mut dice, &context);
        disk.fail_every_nth_sync(None);
        if dice.below(3) == 0 && log.wal.close().is_ok() {
            model.acknowledge();
        }
        // A killed process leaves the page cache as it is; a machine that crashes does not.
        if dice.below(3) > 0 {
            disk.crash();
        }
    }
}

#[test]
fn acknowledged_records_survive_crashes_kills_and_failed_syncs() {
    let seeds = std::env::var("THALWEG_WAL_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(300);
    (0..seeds).for_each(story);
}

#[test]
fn power_may_go_off_at_every_single_operation() {
    let run = |power_off_after: Option<u64>| {
        let disk = SimDisk::new(power_off_after.unwrap_or(0));
        if let Some(operations) = power_off_after {
            disk.power_off_after(operations);
        }
        let mut acknowledged = 0;
        let mut work = || -> Result<(), Box<dyn std::error::Error>> {
            let (mut wal, _) = Wal::open(Arc::new(disk.clone()), options(), &mut |_, _| {})?;
            for number in 0..60 {
                wal.append(&[record(number)])?;
                wal.sync()?;
                acknowledged = number + 1;
                if number % 7 == 0 {
                    wal.write_fence()?;
                }
            }
            Ok(wal.close()?)
        };
        assert_eq!(work().is_ok(), power_off_after.is_none());
        let operations = disk.operations();
        disk.crash();
        let log = open(&disk);
        assert!(!log.is_damaged(), "power off after {power_off_after:?}: {:?}", log.recovery);
        let count = log.replayed.len() as u64;
        assert!((acknowledged..=acknowledged + 1).contains(&count), "{power_off_after:?}: {count} of {acknowledged}");
        assert_eq!(log.records(), crate::support::records(0..count));
        operations
    };
    let operations = run(None);
    (0..operations).for_each(|after| {
        run(Some(after));
    });
}

#[test]
fn one_group_commit_is_there_as_a_whole_or_not_at_all() {
    for seed in 0..200 {
        let disk = SimDisk::new(seed);
        let mut log = open(&disk);
        let vote = |index| Record {
            group: GroupId(index),
            kind: Kind::Vote,
            index,
            term: 1,
            head: Default::default(),
            body: vec![index as u8; 700].into(),
        };
        let block: Vec<Record> = (0..20).map(vote).collect();
        log.wal.append(&block).unwrap();
        disk.crash();
        let log = open(&disk);
        assert!([0, 20].contains(&log.replayed.len()), "seed {seed}");
    }
}
