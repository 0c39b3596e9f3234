//! Small logs on a simulated disk, records that are told apart by number, a seeded dice.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use thalweg_types::GroupId;
use thalweg_wal::{Kind, Options, Position, Record, Recovery, SimDisk, Verdict, Wal};

pub(crate) const DIR: &str = "/node/wal";
pub(crate) const SEGMENT_BYTES: u64 = 64 * 1024;

pub(crate) fn options() -> Options {
    Options { segment_bytes: SEGMENT_BYTES, recycled_max: 2, identity: 0x7461_6c77_6567, ..Options::new(DIR) }
}

pub(crate) fn segment_path(segment: u64) -> PathBuf {
    Path::new(DIR).join(format!("wal-{segment:016x}.seg"))
}

pub(crate) fn fence_path() -> PathBuf {
    Path::new(DIR).join("fence")
}

/// A log just opened, with what it replayed.
pub(crate) struct Opened {
    pub(crate) wal: Wal,
    pub(crate) recovery: Recovery,
    pub(crate) replayed: Vec<(Record, Position)>,
}

impl Opened {
    pub(crate) fn records(&self) -> Vec<Record> {
        self.replayed.iter().map(|(record, _)| record.clone()).collect()
    }

    pub(crate) fn is_damaged(&self) -> bool {
        matches!(self.recovery.verdict, Verdict::Damaged { .. })
    }
}

pub(crate) fn open(disk: &SimDisk) -> Opened {
    open_with(disk, options())
}

pub(crate) fn open_with(disk: &SimDisk, options: Options) -> Opened {
    let mut replayed = Vec::new();
    let (wal, recovery) =
        Wal::open(Arc::new(disk.clone()), options, &mut |record, position| replayed.push((record, position)))
            .expect("the simulated disk answers");
    Opened { wal, recovery, replayed }
}

/// Record `number`: its size and content follow from the number.
pub(crate) fn record(number: u64) -> Record {
    let byte = |salt: u64| (number.wrapping_mul(31).wrapping_add(salt) % 251) as u8;
    let body_len = (number.wrapping_mul(7919) % 3000) as usize;
    Record {
        group: GroupId(number % 5),
        kind: [Kind::Entry, Kind::Vote, Kind::Truncate, Kind::Trim, Kind::Destroy][(number % 5) as usize],
        index: number,
        term: number / 10,
        head: Bytes::from(vec![byte(1); (number % 40) as usize]),
        body: (0..body_len).map(|at| byte(at as u64)).collect(),
    }
}

pub(crate) fn records(numbers: std::ops::Range<u64>) -> Vec<Record> {
    numbers.map(record).collect()
}

/// Appends records `numbers`, a block each, with a sync after every one.
pub(crate) fn fill(wal: &mut Wal, numbers: std::ops::Range<u64>) -> Vec<Position> {
    let mut positions = Vec::new();
    for number in numbers {
        positions.extend(wal.append(&[record(number)]).unwrap());
        wal.sync().unwrap();
    }
    positions
}

/// A dice that follows from its seed (xorshift*).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16) % bound
    }
}
