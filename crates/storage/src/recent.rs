//! A group's recent entries in memory: they feed followers and readers of the tail.
//!
//! Holds: contiguous and, unless empty, reaching to the end of the log. Entries that wait for the
//! writer are here whatever the budget says; others may be evicted at any time, oldest first.

use std::collections::VecDeque;

use crate::LogEntry;
use crate::entry::Budget;

#[derive(Debug, Default)]
pub(crate) struct Recent {
    /// Index of the front entry.
    first: u64,
    entries: VecDeque<(LogEntry, u64)>,
    bytes: u64,
}

/// What an entry costs besides its own bytes.
const ENTRY_OVERHEAD_BYTES: u64 = 160;

fn cost(entry: &LogEntry) -> u64 {
    entry.byte_count() as u64 + ENTRY_OVERHEAD_BYTES
}

impl Recent {
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn push(&mut self, entry: LogEntry, stamp: u64) {
        if self.entries.is_empty() {
            self.first = entry.index;
        }
        debug_assert_eq!(self.end(), entry.index);
        self.bytes += cost(&entry);
        self.entries.push_back((entry, stamp));
    }

    fn end(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    /// The first index from `from` on that is here, if any is.
    pub(crate) fn first_from(&self, from: u64) -> Option<u64> {
        (from < self.end()).then(|| from.max(self.first))
    }

    pub(crate) fn get(&self, index: u64) -> Option<&LogEntry> {
        self.entries.get(index.checked_sub(self.first)? as usize).map(|(entry, _)| entry)
    }

    /// Entries from `from` on within the limits; nothing if the first of them is not here.
    pub(crate) fn read(&self, from: u64, to: u64, budget: &mut Budget) -> Vec<LogEntry> {
        let within = |index: &u64| *index < to;
        (from..)
            .take_while(within)
            .map_while(|index| self.get(index).filter(|e| budget.take(e.byte_count())).cloned())
            .collect()
    }

    /// Forgets entries from `end` on.
    pub(crate) fn truncate(&mut self, end: u64) {
        while self.end() > end
            && let Some((entry, _)) = self.entries.pop_back()
        {
            self.bytes -= cost(&entry);
        }
    }

    /// Forgets entries below `first`.
    pub(crate) fn trim(&mut self, first: u64) {
        while self.first < first && self.pop_front() {}
    }

    /// Evicts what `stamp` and earlier appends brought. False if the writer still needs some of it.
    pub(crate) fn evict_through(&mut self, stamp: u64, is_written: impl Fn(u64) -> bool) -> bool {
        while self.entries.front().is_some_and(|(_, of)| *of <= stamp) {
            if !is_written(self.first) {
                return false;
            }
            self.pop_front();
        }
        true
    }

    fn pop_front(&mut self) -> bool {
        let Some((entry, _)) = self.entries.pop_front() else { return false };
        self.bytes -= cost(&entry);
        self.first += 1;
        true
    }
}
