//! What was written, what was read, and whether the two agree.
//!
//! Each record carries its [`Mark`]: a key and the key's serial number, unique in the history.
//!
//! # To ensure correctness
//! - Every acknowledged record is read once, at the position that was acknowledged.
//! - A record that was not acknowledged is read at most once, and never when its write was said
//!   to have certainly failed.
//! - The serials of a key rise in the order of reading; sequence numbers rise within a shard.

use std::collections::{HashMap, HashSet};

use thalweg_client::{ConsumedRecord, Record, RecordPosition, SequenceNumber, ShardId};

/// Fills a record up to its size.
const FILLER: u8 = b'.';

/// What makes a record unique.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mark {
    /// Which of the load's partition keys.
    pub key: u32,
    /// Rises by one with each record of the key.
    pub serial: u64,
}

impl Mark {
    /// The record that carries it, `bytes` long at least.
    pub fn record(self, bytes: usize) -> Record {
        let mut data = format!("{}:{}:", self.key, self.serial).into_bytes();
        data.resize(data.len().max(bytes), FILLER);
        Record::new(format!("key-{}", self.key), data)
    }

    /// The mark of a record; nothing when it does not carry one.
    pub fn of(record: &ConsumedRecord) -> Option<Mark> {
        let text = std::str::from_utf8(&record.data).ok()?;
        let mut parts = text.split(':');
        let mark = Mark { key: parts.next()?.parse().ok()?, serial: parts.next()?.parse().ok()? };
        let whole = parts.next()?.bytes().all(|filler| filler == FILLER) && parts.next().is_none();
        (whole && record.partition_key == format!("key-{}", mark.key)).then_some(mark)
    }
}

/// A record that is as it was written, without the filler behind its mark: what a long run can keep
/// of each. Any other record is kept whole, for the complaint about it.
pub(crate) fn slim(mut record: ConsumedRecord) -> ConsumedRecord {
    const MARK_BYTES_MAX: usize = 40;
    if record.data.len() > MARK_BYTES_MAX && Mark::of(&record).is_some() {
        record.data = record.data[..MARK_BYTES_MAX].to_vec().into();
    }
    record
}

/// What a load has written.
#[derive(Clone, Debug, Default)]
pub struct Written {
    /// Acknowledged records.
    pub acked: HashMap<Mark, RecordPosition>,
    /// Records of which it is not known.
    pub unknown: HashSet<Mark>,
    /// Records that certainly were not written, and why.
    pub failed: HashMap<Mark, String>,
}

impl Written {
    /// Complaints about writes that failed; empty when all were acknowledged.
    pub fn failures(&self) -> Vec<String> {
        let failed = self.failed.iter().map(|(mark, why)| format!("{mark:?} failed: {why}"));
        failed.chain(self.unknown.iter().map(|mark| format!("{mark:?} has an unknown outcome"))).take(10).collect()
    }
}

/// Complaints about what was read; empty when it is all that was written, once and in order.
pub fn check(written: &Written, read: &[ConsumedRecord]) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut places: HashMap<Mark, RecordPosition> = HashMap::new();
    for record in read {
        let Some(mark) = Mark::of(record) else {
            complaints.push(format!("a record nobody wrote: {record:?}"));
            continue;
        };
        let place = RecordPosition { shard: record.shard, sequence_number: record.sequence_number };
        if let Some(first) = places.insert(mark, place) {
            complaints.push(format!("twice: {mark:?} at {first:?} and {place:?}"));
        }
        complaints.extend(unexpected(written, mark, place));
    }
    let lost = written.acked.iter().filter(|(mark, _)| !places.contains_key(mark));
    let mut lost: Vec<_> = lost.collect();
    lost.sort_by_key(|(mark, _)| **mark);
    if !lost.is_empty() {
        complaints.push(format!("{} of {} acknowledged records lost", lost.len(), written.acked.len()));
    }
    complaints.extend(lost.iter().take(5).map(|(mark, place)| format!("lost: {mark:?} acknowledged at {place:?}")));
    complaints.extend(disorder(read));
    complaints.truncate(20);
    complaints
}

fn unexpected(written: &Written, mark: Mark, place: RecordPosition) -> Option<String> {
    match written.acked.get(&mark) {
        Some(acked) if *acked == place => None,
        Some(acked) => Some(format!("{mark:?} acknowledged at {acked:?} but read at {place:?}")),
        None if written.unknown.contains(&mark) => None,
        None => Some(format!("{mark:?} was read, but its write failed: {:?}", written.failed.get(&mark))),
    }
}

/// Keys and shards whose records do not come in order.
fn disorder(read: &[ConsumedRecord]) -> Vec<String> {
    let mut serials: HashMap<u32, u64> = HashMap::new();
    let mut numbers: HashMap<ShardId, SequenceNumber> = HashMap::new();
    let mut complaints = Vec::new();
    for record in read {
        if let Some(mark) = Mark::of(record)
            && let Some(before) = serials.insert(mark.key, mark.serial)
            && before >= mark.serial
        {
            complaints.push(format!("out of order: key {} has {} after {before}", mark.key, mark.serial));
        }
        let number = record.sequence_number;
        if let Some(before) = numbers.insert(record.shard, number)
            && before >= number
        {
            complaints.push(format!("{}: {number} comes after {before}", record.shard));
        }
    }
    complaints
}
