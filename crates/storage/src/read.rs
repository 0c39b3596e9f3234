//! Reading entries from wherever they are: memory, the write-ahead log, the record store.
//!
//! Holds: entries come in order without gaps, and each is byte for byte what was appended. The
//! place is looked up under the group's lock and read without it; if the entry has moved on in
//! between, it is looked up again.

use std::sync::atomic::Ordering::Relaxed;

use thalweg_wal::{Kind, Position, ReadError as WalError};

use crate::entry::Budget;
use crate::group::{Group, Inner};
use crate::shared::Shared;
use crate::{LogEntry, ReadError, StoreError};

/// An entry moves once and is trimmed once; more look-ups than these mean that something is wrong.
const LOOKUPS_MAX: usize = 8;
/// Entries of the hot tail looked up at once.
const POSITIONS_MAX: usize = 1024;

/// Entries from `from` on, at least one if there is one.
pub(crate) fn read(
    shared: &Shared,
    group: &Group,
    from: u64,
    to: u64,
    max_bytes: usize,
) -> Result<Vec<LogEntry>, ReadError> {
    let mut entries = Vec::new();
    let mut budget = Budget::new(max_bytes);
    while from + (entries.len() as u64) < to {
        match read_some(shared, group, from + entries.len() as u64, to, &mut budget) {
            Ok(more) if more.is_empty() => break,
            Ok(more) => entries.extend(more),
            Err(error) if entries.is_empty() => return Err(error),
            Err(_) => break,
        }
    }
    Ok(entries)
}

/// Where entries are.
enum Place {
    Memory(Vec<LogEntry>),
    Wal(Vec<(Position, Option<LogEntry>)>),
    Store { to: u64 },
}

/// Entries from one place; empty when the budget is used up.
fn read_some(
    shared: &Shared,
    group: &Group,
    from: u64,
    to: u64,
    budget: &mut Budget,
) -> Result<Vec<LogEntry>, ReadError> {
    let mut problem = ReadError::Missing;
    for _ in 0..LOOKUPS_MAX {
        let mut trial = *budget;
        let place = look_up(&group.lock(), from, to, &mut trial)?;
        let wal_position = place.wal_position();
        let read = match place {
            Place::Memory(entries) => Ok(entries),
            Place::Wal(places) => read_wal(shared, group, from, places, &mut trial),
            Place::Store { to } => read_store(shared, group, from, to, &mut trial),
        };
        match read {
            Ok(entries) => {
                *budget = trial;
                return Ok(entries);
            }
            Err(error) => problem = error,
        }
        if is_still_there(&group.lock(), from, wal_position) {
            break;
        }
    }
    if matches!(problem, ReadError::Corrupt { .. }) {
        shared.counters.corrupt_entries.fetch_add(1, Relaxed);
    }
    Err(problem)
}

impl Place {
    fn wal_position(&self) -> Option<Position> {
        match self {
            Place::Wal(places) => places.first().map(|(position, _)| *position),
            Place::Memory(_) | Place::Store { .. } => None,
        }
    }
}

/// Whether the entry is where it was just read in vain, so that looking again is of no use.
fn is_still_there(inner: &Inner, index: u64, wal_position: Option<Position>) -> bool {
    match (wal_position, inner.log.hot(index)) {
        (Some(_), Some(hot)) => hot.position == wal_position && hot.pinned.is_none(),
        (None, None) => (inner.log.first()..inner.log.moved_end()).contains(&index),
        _ => false,
    }
}

fn look_up(inner: &Inner, from: u64, to: u64, budget: &mut Budget) -> Result<Place, ReadError> {
    let (first, end) = (inner.log.first(), inner.log.end());
    if from < first {
        return Err(ReadError::Trimmed { first });
    }
    if from >= end {
        return Err(ReadError::Missing);
    }
    let to = to.min(end);
    let memory_from = inner.recent.first_from(from).unwrap_or(end);
    if memory_from == from {
        return Ok(Place::Memory(inner.recent.read(from, to, budget)));
    }
    let to = to.min(memory_from);
    if from < inner.log.moved_end() {
        return Ok(Place::Store { to: to.min(inner.log.moved_end()) });
    }
    let hot = (from..to).take(POSITIONS_MAX).map_while(|index| inner.log.hot(index));
    Ok(Place::Wal(hot.map_while(|hot| Some((hot.position?, hot.pinned.clone()))).collect()))
}

fn read_wal(
    shared: &Shared,
    group: &Group,
    from: u64,
    places: Vec<(Position, Option<LogEntry>)>,
    budget: &mut Budget,
) -> Result<Vec<LogEntry>, ReadError> {
    let mut entries = Vec::with_capacity(places.len());
    for (index, (position, pinned)) in (from..).zip(places) {
        // The frame is little more than the payload; the budget is a guide, not a promise.
        if !budget.take(position.len as usize) {
            break;
        }
        let entry = pinned.map_or_else(|| read_frame(shared, group, index, position), Ok);
        match entry {
            Ok(entry) => entries.push(entry),
            Err(error) if entries.is_empty() => return Err(error),
            Err(_) => break,
        }
    }
    Ok(entries)
}

fn read_frame(shared: &Shared, group: &Group, index: u64, position: Position) -> Result<LogEntry, ReadError> {
    let corrupt = || ReadError::Corrupt { group: group.id, index };
    match shared.reader.read(position) {
        Ok(record) if (record.group, record.kind, record.index) == (group.id, Kind::Entry, index) => {
            Ok(LogEntry { index, term: record.term, head: record.head, body: record.body })
        }
        Ok(_) | Err(WalError::Corrupt { .. }) => Err(corrupt()),
        Err(WalError::Released { .. }) => Err(ReadError::Missing),
        Err(error @ WalError::Io { .. }) => Err(ReadError::Io(error.to_string())),
    }
}

fn read_store(
    shared: &Shared,
    group: &Group,
    from: u64,
    to: u64,
    budget: &mut Budget,
) -> Result<Vec<LogEntry>, ReadError> {
    let mut entries = match shared.store.read(group.id, from, to, budget.left()) {
        Ok(entries) => entries,
        Err(StoreError::Corrupt { group, index }) => return Err(ReadError::Corrupt { group, index }),
        Err(StoreError::Failed(reason)) => return Err(ReadError::Io(reason)),
    };
    if entries.is_empty() {
        // The store lacks what it was given: as bad as a wrong byte.
        return Err(ReadError::Corrupt { group: group.id, index: from });
    }
    let fitting = entries.iter().take_while(|entry| budget.take(entry.byte_count())).count();
    entries.truncate(fitting);
    Ok(entries)
}
