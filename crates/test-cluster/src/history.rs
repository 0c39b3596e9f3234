//! What was written, what was read back, and whether the two agree: [`thalweg_checker`] judges.
//!
//! Each record carries its [`Mark`]: a key and the key's serial number, unique in the history. The
//! load notes when each was sent and when its outcome came, readers note their pages, and the shards
//! as the cluster lists them tell who descends from whom. [`check`] hands all that to the checker,
//! and demands besides that every acknowledged record was read.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::OnceLock;
use std::time::Instant;

use thalweg_checker::{Hash, History, Options, Outcome, Parent, Place, Position, Producer, Read, Reshard, Seen, Write};
use thalweg_checker::{Report, Start};
use thalweg_client::{ConsumedRecord, ProduceError, Record, RecordPosition, ShardDescription, ShardId};

/// Fills a record up to its size.
const FILLER: u8 = b'.';
/// Complaints told at once.
const COMPLAINTS_MAX: usize = 20;

/// Nanoseconds since this process first asked: the one clock of a history.
pub(crate) fn now() -> u64 {
    static BEGUN: OnceLock<Instant> = OnceLock::new();
    BEGUN.get_or_init(Instant::now).elapsed().as_nanos() as u64
}

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
        let mut data = self.text().into_bytes();
        data.resize(data.len().max(bytes), FILLER);
        Record::new(self.partition_key(), data)
    }

    /// The mark of a record; nothing when it does not carry one.
    pub fn of(record: &ConsumedRecord) -> Option<Mark> {
        let text = std::str::from_utf8(&record.data).ok()?;
        let mut parts = text.split(':');
        let mark = Mark { key: parts.next()?.parse().ok()?, serial: parts.next()?.parse().ok()? };
        let whole = parts.next()?.bytes().all(|filler| filler == FILLER) && parts.next().is_none();
        (whole && record.partition_key == mark.partition_key()).then_some(mark)
    }

    fn text(self) -> String {
        format!("{}:{}:", self.key, self.serial)
    }

    fn partition_key(self) -> String {
        format!("key-{}", self.key)
    }

    fn hash(self) -> Hash {
        Hash::of(&self.partition_key(), self.text().as_bytes())
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
    /// When each was sent and when its outcome came, where that was noted.
    times: HashMap<Mark, (u64, u64)>,
}

impl Written {
    /// A record that was sent at `call` has its outcome now.
    pub(crate) fn note(&mut self, mark: Mark, call: u64, outcome: Result<RecordPosition, ProduceError>) {
        self.times.insert(mark, (call, now()));
        match outcome {
            Ok(position) => drop(self.acked.insert(mark, position)),
            Err(error) if error.perhaps_applied() => drop(self.unknown.insert(mark)),
            Err(error) => drop(self.failed.insert(mark, error.to_string())),
        }
    }

    /// Complaints about writes that failed; empty when all were acknowledged.
    pub fn failures(&self) -> Vec<String> {
        let failed = self.failed.iter().map(|(mark, why)| format!("{mark:?} failed: {why}"));
        failed.chain(self.unknown.iter().map(|mark| format!("{mark:?} has an unknown outcome"))).take(10).collect()
    }

    fn writes(&self) -> Vec<Write> {
        let place = |position: &RecordPosition| {
            Outcome::Ok(Place { shard: position.shard, position: position.sequence_number.into(), arrived_ms: 0 })
        };
        let acked = self.acked.iter().map(|(mark, position)| self.write(*mark, place(position)));
        let unknown = self.unknown.iter().map(|mark| self.write(*mark, Outcome::Indefinite));
        let failed = self.failed.keys().map(|mark| self.write(*mark, Outcome::Definite));
        acked.chain(unknown).chain(failed).collect()
    }

    fn write(&self, mark: Mark, outcome: Outcome<Place>) -> Write {
        let (call, done) = self.times.get(&mark).copied().unwrap_or_default();
        Write {
            client: 0,
            key: mark.key.into(),
            serial: mark.serial,
            hash: mark.hash(),
            hash_key: Some(mark.record(0).hash_key()),
            producer: Producer::Idempotent,
            attempts: 1,
            call,
            done,
            outcome,
        }
    }
}

/// What one reader got from the beginning of a stream, page by page, in the order in which it came.
#[derive(Clone, Debug, Default)]
pub struct ReadBack {
    pages: Vec<Page>,
    reshards: Vec<Reshard>,
}

/// Some records of one shard that came together.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    pub(crate) shard: ShardId,
    pub(crate) call: u64,
    pub(crate) done: u64,
    pub(crate) records: Vec<ConsumedRecord>,
    /// The shard ends here.
    pub(crate) end: bool,
}

impl ReadBack {
    pub(crate) fn new(pages: Vec<Page>, shards: &[ShardDescription]) -> ReadBack {
        ReadBack { pages, reshards: reshards(shards) }
    }

    /// What a program says it read, where its reading of a shard that is closed by now came to the
    /// shard's end.
    pub fn told(records: Vec<ConsumedRecord>, shards: &[ShardDescription]) -> ReadBack {
        let begun = now();
        let runs = (begun..).zip(records.chunk_by(|a, b| a.shard == b.shard));
        let page = |(at, run): (u64, &[ConsumedRecord])| Page {
            shard: run[0].shard,
            call: at,
            done: at,
            records: run.to_vec(),
            end: false,
        };
        let mut pages: Vec<Page> = runs.map(page).collect();
        let mut later = HashSet::new();
        let closed = |id| shards.iter().any(|shard| shard.id == id && !shard.is_open());
        for page in pages.iter_mut().rev() {
            page.end = later.insert(page.shard) && closed(page.shard);
        }
        ReadBack::new(pages, shards)
    }

    /// With `complete`, nothing can have come to a shard after its last page.
    fn reads(&self, complete: bool) -> Vec<Read> {
        let mut begun = HashSet::new();
        let mut reads: Vec<Read> = self.pages.iter().map(|page| read(page, begun.insert(page.shard))).collect();
        reads.iter_mut().rev().for_each(|read| read.last = complete && begun.remove(&read.shard));
        reads
    }
}

fn read(page: &Page, first: bool) -> Read {
    let seen = |record: &ConsumedRecord| Seen {
        position: record.sequence_number.into(),
        hash: Mark::of(record).map_or_else(|| Hash::of(&record.partition_key, &record.data), Mark::hash),
        arrived_ms: record.arrived.0,
    };
    Read {
        reader: 0,
        shard: page.shard,
        call: page.call,
        done: page.done,
        start: if first { Start::Horizon } else { Start::Continue },
        records: page.records.iter().map(seen).collect(),
        end: page.end,
        fresh: false,
        last: false,
    }
}

/// The reshards that made these shards; when they happened is not known.
fn reshards(shards: &[ShardDescription]) -> Vec<Reshard> {
    let mut families: BTreeMap<Vec<ShardId>, Vec<&ShardDescription>> = BTreeMap::new();
    for shard in shards {
        let mut parents: Vec<ShardId> = shard.parents().collect();
        parents.sort_unstable();
        if !parents.is_empty() {
            families.entry(parents).or_default().push(shard);
        }
    }
    let ending = |id: ShardId| shards.iter().find(|shard| shard.id == id)?.ending.map(Position::from);
    let reshard = |(parents, children): (Vec<ShardId>, Vec<&ShardDescription>)| Reshard {
        call: 0,
        done: u64::MAX,
        parents: parents.into_iter().map(|id| Parent { id, last: ending(id) }).collect(),
        children: children.iter().map(|child| (child.id, child.range)).collect(),
    };
    families.into_iter().map(reshard).collect()
}

/// Complaints about what was read; empty when it is all that was written, once and in order.
pub fn check(written: &Written, read: &ReadBack) -> Vec<String> {
    let history = History {
        writes: written.writes(),
        reads: read.reads(written.unknown.is_empty()),
        reshards: read.reshards.clone(),
        ..History::default()
    };
    let mut complaints = judge(&history);
    if let Ok(Report { figures, .. }) = thalweg_checker::check(&history, &Options::default())
        && figures.acked_read < figures.acked
    {
        complaints.push(format!("{} of {} acknowledged records were read", figures.acked_read, figures.acked));
    }
    complaints
}

/// What the checker finds.
pub(crate) fn judge(history: &History) -> Vec<String> {
    let report = match thalweg_checker::check(history, &Options::default()) {
        Ok(report) => report,
        Err(malformed) => return vec![format!("not to be judged: {malformed}")],
    };
    let told = report.anomalies.iter().take(COMPLAINTS_MAX).map(|anomaly| {
        let place = [anomaly.shard.map(|id| id.to_string()), anomaly.position.map(|position| position.to_string())];
        let place: Vec<String> = place.into_iter().flatten().collect();
        format!("{} {}: {}", anomaly.kind, place.join(" at "), anomaly.detail)
    });
    told.collect()
}

#[cfg(test)]
#[path = "history_test.rs"]
mod history_test;
