//! The log of each shard, put together from what all observers say of it.
//!
//! Holds: entries rise by position, each position once. `seen` entries were read by somebody;
//! `kept` ones belong to the log for good: where readers went to the very end of a shard these
//! are what those readers saw, elsewhere everything that was seen.

use std::cell::OnceCell;
use std::collections::HashMap;

use thalweg_types::ShardId;

use crate::anomaly::{Findings, Kind};
use crate::history::{Hash, History, Outcome, Position, Seen, Trim};
use crate::sessions::Sessions;

/// Says that something is not there, or never happened.
pub(crate) const NONE: u32 = u32::MAX;
/// A time that never came.
pub(crate) const NEVER: u64 = u64::MAX;

/// One position of a shard.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) position: u128,
    pub(crate) hash: Hash,
    pub(crate) arrived_ms: u64,
    /// The write whose payload it is, or [`NONE`].
    pub(crate) write: u32,
    /// When it was first acknowledged here.
    pub(crate) ack_done: u64,
    /// When a read first brought it.
    pub(crate) read_done: u64,
    pub(crate) kept: bool,
    /// Observers differ about what is here.
    pub(crate) changed: bool,
    /// Acknowledged here but found elsewhere.
    pub(crate) moved: bool,
}

impl Entry {
    pub(crate) fn seen(&self) -> bool {
        self.read_done != NEVER
    }

    /// From when on somebody knew of it.
    pub(crate) fn known(&self) -> u64 {
        self.ack_done.min(self.read_done)
    }

    pub(crate) fn at(&self) -> Option<Position> {
        Some(Position(self.position))
    }
}

/// The log of one shard.
#[derive(Debug)]
pub(crate) struct ShardLog {
    pub(crate) id: ShardId,
    pub(crate) entries: Vec<Entry>,
    /// Positions of the kept entries.
    pub(crate) kept: Vec<u128>,
    /// By call: the call, and the highest horizon of all up to it.
    trims_called: Vec<(u64, u128)>,
    /// By return: the return, and the highest horizon of all up to it.
    trims_done: Vec<(u64, u128)>,
    /// For each kept entry, the latest call of the writes up to it.
    calls: OnceCell<Vec<u64>>,
}

impl ShardLog {
    pub(crate) fn entry(&self, position: u128) -> Option<&Entry> {
        self.entries.binary_search_by_key(&position, |entry| entry.position).ok().map(|at| &self.entries[at])
    }

    /// Says of an acknowledged position that its record is elsewhere.
    pub(crate) fn mark_moved(&mut self, position: u128) {
        if let Ok(at) = self.entries.binary_search_by_key(&position, |entry| entry.position) {
            self.entries[at].moved = true;
        }
    }

    /// Below this, records may be gone at `time`.
    pub(crate) fn perhaps_trimmed(&self, time: u64) -> u128 {
        last_up_to(&self.trims_called, |at| at <= time)
    }

    /// Below this, records are gone at `time`.
    pub(crate) fn surely_trimmed(&self, time: u64) -> u128 {
        last_up_to(&self.trims_done, |at| at < time)
    }

    /// The last of the first `count` kept positions that was written by a call after `time`.
    pub(crate) fn called_after(&self, history: &History, time: u64, count: usize) -> Option<u128> {
        let call = |position: &u128| match self.entry(*position) {
            Some(entry) if entry.write != NONE => history.writes[entry.write as usize].call,
            _ => 0,
        };
        let latest_calls = self.calls.get_or_init(|| {
            let rise = |latest: &mut u64, position| {
                *latest = call(position).max(*latest);
                Some(*latest)
            };
            self.kept.iter().scan(0, rise).collect()
        });
        let any = count > 0 && latest_calls[count - 1] > time;
        any.then(|| self.kept[..count].iter().rev().find(|position| call(position) > time).copied()).flatten()
    }
}

fn last_up_to(trims: &[(u64, u128)], counts: impl Fn(u64) -> bool) -> u128 {
    let upto = trims.partition_point(|(time, _)| counts(*time));
    upto.checked_sub(1).map_or(0, |last| trims[last].1)
}

fn horizons(trims: &[&Trim], time: impl Fn(&Trim) -> u64) -> Vec<(u64, u128)> {
    let mut horizons: Vec<_> = trims.iter().map(|trim| (time(trim), trim.before.0)).collect();
    horizons.sort_unstable();
    let mut highest = 0;
    for (_, before) in &mut horizons {
        highest = highest.max(*before);
        *before = highest;
    }
    horizons
}

/// The logs of all shards.
#[derive(Debug)]
pub(crate) struct Logs {
    pub(crate) shards: Vec<ShardLog>,
    by_id: HashMap<ShardId, usize>,
}

/// What one observer says of one position.
#[derive(Clone, Copy)]
struct Sight {
    position: u128,
    hash: Hash,
    arrived_ms: u64,
    time: u64,
    /// The write that was acknowledged here; [`NONE`] for a read.
    acked: u32,
    kept: bool,
}

impl Logs {
    pub(crate) fn of(history: &History, sessions: &Sessions, findings: &mut Findings) -> Logs {
        let mut sights: HashMap<ShardId, Vec<Sight>> = HashMap::new();
        for (write, acked) in history.writes.iter().zip(0..) {
            if let Outcome::Ok(place) = write.outcome {
                let (position, hash, arrived_ms) = (place.position.0, write.hash, place.arrived_ms);
                let sight = Sight { position, hash, arrived_ms, time: write.done, acked, kept: false };
                sights.entry(place.shard).or_default().push(sight);
            }
        }
        // Shards that were only read, and shards that were only trimmed, have logs too.
        for shard in sessions.all.iter().map(|session| session.shard).chain(history.trims.iter().map(|trim| trim.shard))
        {
            sights.entry(shard).or_default();
        }
        let writes = WritesByHash::of(history);
        let mut shards: Vec<ShardLog> = sights
            .into_iter()
            .map(|(id, mut sights)| {
                add_reads(history, sessions, id, &mut sights);
                shard_log(id, sights, history, &writes, findings)
            })
            .collect();
        shards.sort_by_key(|log| log.id);
        let by_id = shards.iter().enumerate().map(|(at, log)| (log.id, at)).collect();
        Logs { shards, by_id }
    }

    pub(crate) fn of_shard(&self, id: ShardId) -> Option<&ShardLog> {
        self.by_id.get(&id).map(|at| &self.shards[*at])
    }

    pub(crate) fn index_of(&self, id: ShardId) -> Option<usize> {
        self.by_id.get(&id).copied()
    }
}

fn add_reads(history: &History, sessions: &Sessions, shard: ShardId, sights: &mut Vec<Sight>) {
    let sessions = sessions.of_shard(shard);
    let judged = sessions.iter().any(|session| session.last_from.is_some());
    for session in sessions {
        for (at, index) in session.reads.iter().enumerate() {
            let read = &history.reads[*index as usize];
            let kept = !judged || session.last_from.is_some_and(|from| at >= from);
            sights.extend(read.records.iter().map(|&Seen { position, hash, arrived_ms }| Sight {
                position: position.0,
                hash,
                arrived_ms,
                time: read.done,
                acked: NONE,
                kept,
            }));
        }
    }
}

fn shard_log(
    id: ShardId,
    mut sights: Vec<Sight>,
    history: &History,
    writes: &WritesByHash,
    findings: &mut Findings,
) -> ShardLog {
    // A stable sort finds the runs that the readers left, and keeps acknowledgements in front.
    sights.sort_by_key(|sight| sight.position);
    let entries: Vec<Entry> = sights
        .chunk_by(|a, b| a.position == b.position)
        .map(|sights| {
            let mut entry = merge(sights);
            entry.write = if sights[0].acked == NONE { writes.find(entry.hash) } else { sights[0].acked };
            complain_of_change(id, &entry, sights, findings);
            entry
        })
        .collect();
    let kept = entries.iter().filter(|entry| entry.kept).map(|entry| entry.position).collect();
    let trims: Vec<&Trim> = history.trims.iter().filter(|trim| trim.shard == id).collect();
    let (trims_called, trims_done) = (horizons(&trims, |trim| trim.call), horizons(&trims, |trim| trim.done));
    ShardLog { id, entries, kept, trims_called, trims_done, calls: OnceCell::new() }
}

fn merge(sights: &[Sight]) -> Entry {
    let first = &sights[0];
    let mut entry = Entry {
        position: first.position,
        hash: first.hash,
        arrived_ms: 0,
        write: NONE,
        ack_done: NEVER,
        read_done: NEVER,
        kept: false,
        changed: false,
        moved: false,
    };
    for sight in sights {
        let known = if sight.acked == NONE { &mut entry.read_done } else { &mut entry.ack_done };
        *known = sight.time.min(*known);
        entry.kept |= sight.kept;
        let arrival_differs = sight.arrived_ms != 0 && ![0, sight.arrived_ms].contains(&entry.arrived_ms);
        entry.changed |= sight.hash != entry.hash || arrival_differs;
        entry.arrived_ms = entry.arrived_ms.max(sight.arrived_ms);
    }
    entry
}

fn complain_of_change(shard: ShardId, entry: &Entry, sights: &[Sight], findings: &mut Findings) {
    if entry.changed {
        findings.add(Kind::Changed, shard, entry.at(), || {
            let mut values: Vec<_> = sights.iter().map(|sight| (sight.hash, sight.arrived_ms)).collect();
            values.sort_unstable();
            values.dedup();
            let text: Vec<_> = values.iter().map(|(hash, at)| format!("{hash} (arrived {at})")).collect();
            format!("observers saw {}", text.join(" and "))
        });
    }
}

/// Finds the write with a payload: hashes are spread evenly, so a guess lands beside the place.
struct WritesByHash {
    sorted: Vec<(Hash, u32)>,
    /// For each value of a hash's leading bits, where those hashes begin.
    begins: Vec<u32>,
    shift: u32,
}

impl WritesByHash {
    fn of(history: &History) -> WritesByHash {
        let mut sorted: Vec<(Hash, u32)> = history.writes.iter().zip(0..).map(|(write, at)| (write.hash, at)).collect();
        sorted.sort_unstable();
        let bits = sorted.len().max(2).ilog2();
        let shift = u64::BITS - bits;
        let mut begins = vec![0u32; (1 << bits) + 1];
        sorted.iter().for_each(|(hash, _)| begins[(hash.0 >> shift) as usize + 1] += 1);
        for at in 1..begins.len() {
            begins[at] += begins[at - 1];
        }
        WritesByHash { sorted, begins, shift }
    }

    fn find(&self, hash: Hash) -> u32 {
        let slot = (hash.0 >> self.shift) as usize;
        let near = &self.sorted[self.begins[slot] as usize..self.begins[slot + 1] as usize];
        near.binary_search_by_key(&hash, |(hash, _)| *hash).map_or(NONE, |at| near[at].1)
    }
}
