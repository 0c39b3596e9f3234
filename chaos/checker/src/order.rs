//! Order: positions against real time, and against the order in which a producer sent a key.
//!
//! Holds: a write that was called after another position was known lies above that position. The
//! records of one idempotent client and key rise with their serials, through reshards too. Arrival
//! times never fall within a shard.

use std::collections::HashMap;

use thalweg_types::ShardId;

use crate::anomaly::{Findings, Kind};
use crate::history::{History, Outcome, Position, Producer};
use crate::lineage::Lineage;
use crate::log::{Entry, Logs, NEVER, NONE, ShardLog};
use crate::records::name;

/// Judges the order of all records.
pub(crate) fn check(history: &History, logs: &Logs, lineage: &Lineage, findings: &mut Findings) {
    for log in &logs.shards {
        real_time(history, log, findings);
        arrivals(log, findings);
    }
    keys(history, logs, lineage, findings);
    ranges(history, logs, lineage, findings);
}

/// From the newest position to the oldest: what was known first of all that lies above?
fn real_time(history: &History, log: &ShardLog, findings: &mut Findings) {
    let mut above = (NEVER, 0);
    let sound = |entry: &&Entry| entry.write != NONE && !entry.changed && !entry.moved;
    for entry in log.entries.iter().rev().filter(sound) {
        let write = &history.writes[entry.write as usize];
        if entry.known() < write.call {
            continue; // Read before it was written: reported as such.
        }
        if above.0 < write.call {
            findings.add(Kind::Reordered, log.id, entry.at(), || {
                let (known, position) = above;
                format!("{} was sent at {}, when {position} was known since {known}", name(write), write.call)
            });
        }
        above = above.min((entry.known(), entry.position));
    }
}

fn arrivals(log: &ShardLog, findings: &mut Findings) {
    let mut newest = 0;
    for entry in log.entries.iter().filter(|entry| entry.arrived_ms != 0 && !entry.changed && !entry.moved) {
        if entry.arrived_ms < newest {
            findings.add(Kind::Reordered, log.id, entry.at(), || {
                format!("arrived at {} ms, below a record that arrived at {newest} ms", entry.arrived_ms)
            });
        }
        newest = entry.arrived_ms.max(newest);
    }
}

/// Where each write is, if it is anywhere: where it was acknowledged, or where it was read first.
fn places(history: &History, logs: &Logs) -> Vec<Option<(ShardId, u128)>> {
    let mut places = vec![None; history.writes.len()];
    for log in &logs.shards {
        for entry in log.entries.iter().filter(|entry| entry.write != NONE && !entry.changed && !entry.moved) {
            let acked_here = matches!(history.writes[entry.write as usize].outcome,
                Outcome::Ok(place) if (place.shard, place.position.0) == (log.id, entry.position));
            let place = &mut places[entry.write as usize];
            if place.is_none() || acked_here {
                *place = Some((log.id, entry.position));
            }
        }
    }
    places
}

fn keys(history: &History, logs: &Logs, lineage: &Lineage, findings: &mut Findings) {
    let places = places(history, logs);
    let name_of = |at: &u32| {
        let write = &history.writes[*at as usize];
        (write.client, write.key, write.serial)
    };
    let ordered = |at: &u32| history.writes[*at as usize].producer == Producer::Idempotent;
    let mut order: Vec<u32> = (0..history.writes.len() as u32).filter(|at| places[*at as usize].is_some()).collect();
    order.retain(ordered);
    order.sort_by_key(name_of);
    let mut descents = HashMap::new();
    for pair in order
        .windows(2)
        .filter(|pair| (name_of(&pair[0]).0, name_of(&pair[0]).1) == (name_of(&pair[1]).0, name_of(&pair[1]).1))
    {
        let [earlier, later] =
            [pair[0], pair[1]].map(|at| places[at as usize].expect("only writes with a place are left"));
        let write = &history.writes[pair[1] as usize];
        let mut follows = |from, to| *descents.entry((from, to)).or_insert_with(|| lineage.descends(to, from));
        let kind = match () {
            () if earlier.0 == later.0 && earlier.1 < later.1 => continue,
            () if earlier.0 == later.0 => Kind::Reordered,
            () if follows(earlier.0, later.0) => continue,
            () if follows(later.0, earlier.0) => Kind::Reordered,
            // Without any reshard on record the two may well be parent and child.
            () if history.reshards.is_empty() => continue,
            () => Kind::Misrouted,
        };
        findings.add(kind, later.0, Some(Position(later.1)), || {
            let before = name(&history.writes[pair[0] as usize]);
            format!("{} comes after {before}, which is at {} of {}", name(write), earlier.1, earlier.0)
        });
    }
}

/// Every record lies in a shard that owns its key.
fn ranges(history: &History, logs: &Logs, lineage: &Lineage, findings: &mut Findings) {
    for log in &logs.shards {
        let Some(range) = lineage.range(log.id) else { continue };
        for entry in log.entries.iter().filter(|entry| entry.write != NONE && !entry.changed && !entry.moved) {
            let write = &history.writes[entry.write as usize];
            if write.hash_key.is_some_and(|key| !range.contains(key)) {
                findings.add(Kind::Misrouted, log.id, entry.at(), || {
                    format!("{} does not belong to the range {}..={}", name(write), range.start(), range.end())
                });
            }
        }
    }
}
