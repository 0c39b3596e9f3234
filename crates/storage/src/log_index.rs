//! The positions of one group's log, and where each entry of its hot tail lies.
//!
//! ```text
//!       trimmed │        record store        │      write-ahead log (hot)      │
//!  ─────────────┼────────────────────────────┼────────────────┼────────────────┤
//!             first          ≤           moved_end    ≤  applied_end    ≤     end
//! ```
//! Each name is the first index to the right of its bar. Pure: no locks, no I/O.
//!
//! Holds: the chain of inequalities above; entries below `applied_end` are never truncated.

use std::collections::VecDeque;

use thalweg_wal::Position;

use crate::LogEntry;
use crate::group_meta::GroupMeta;
use crate::terms::TermRuns;

/// An entry that is not in the record store yet.
#[derive(Clone, Debug)]
pub(crate) struct Hot {
    /// Where it lies; nothing while it waits for the writer.
    pub(crate) position: Option<Position>,
    /// Which append brought it, so that the writer tells it from one that replaced it.
    pub(crate) stamp: u64,
    pub(crate) bytes: u32,
    /// An intact copy that a peer gave, to use instead of what lies at `position`.
    pub(crate) pinned: Option<LogEntry>,
}

/// Payload bytes of the hot tail: all, and those that may be moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TailBytes {
    pub(crate) hot: u64,
    pub(crate) movable: u64,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct LogIndex {
    trimmed: Option<(u64, u64)>,
    moved_end: u64,
    applied_end: u64,
    /// Entries from `moved_end` on.
    hot: VecDeque<Hot>,
    terms: TermRuns,
    bytes: TailBytes,
}

impl LogIndex {
    pub(crate) fn from_meta(meta: &GroupMeta) -> LogIndex {
        LogIndex {
            trimmed: meta.trimmed,
            moved_end: meta.moved_end,
            applied_end: meta.moved_end,
            terms: meta.terms.clone(),
            ..LogIndex::default()
        }
    }

    pub(crate) fn first(&self) -> u64 {
        self.trimmed.map_or(0, |(index, _)| index + 1)
    }

    pub(crate) fn moved_end(&self) -> u64 {
        self.moved_end
    }

    pub(crate) fn applied_end(&self) -> u64 {
        self.applied_end
    }

    pub(crate) fn end(&self) -> u64 {
        self.moved_end + self.hot.len() as u64
    }

    pub(crate) fn trimmed(&self) -> Option<(u64, u64)> {
        self.trimmed
    }

    pub(crate) fn bytes(&self) -> TailBytes {
        self.bytes
    }

    /// Index and term of the last entry, or of the last trimmed one when there is none.
    pub(crate) fn last(&self) -> Option<(u64, u64)> {
        match self.end() {
            end if end > self.first() => Some((end - 1, self.terms.term_of(end - 1)?)),
            _ => self.trimmed,
        }
    }

    pub(crate) fn term_of(&self, index: u64) -> Option<u64> {
        match self.trimmed {
            Some((trimmed, term)) if trimmed == index => Some(term),
            _ if (self.first()..self.end()).contains(&index) => self.terms.term_of(index),
            _ => None,
        }
    }

    /// The runs of the entries that will be in the record store once it has all below `end`.
    pub(crate) fn terms_below(&self, end: u64) -> TermRuns {
        self.terms.below(end)
    }

    pub(crate) fn hot(&self, index: u64) -> Option<&Hot> {
        self.hot.get(index.checked_sub(self.moved_end)? as usize)
    }

    pub(crate) fn hot_mut(&mut self, index: u64) -> Option<&mut Hot> {
        self.hot.get_mut(index.checked_sub(self.moved_end)? as usize)
    }

    /// Whether the entry no longer needs its copy in memory.
    pub(crate) fn is_written(&self, index: u64) -> bool {
        index < self.moved_end || self.hot(index).is_some_and(|hot| hot.position.is_some())
    }

    /// Index and term of the last entry that the writer has written.
    pub(crate) fn last_written(&self) -> Option<(u64, u64)> {
        let hot = self.hot.iter().take_while(|hot| hot.position.is_some()).count() as u64;
        match self.moved_end + hot {
            end if end > self.first() => Some((end - 1, self.terms.term_of(end - 1)?)),
            _ => self.trimmed,
        }
    }

    /// The oldest segment that holds an entry of the hot tail.
    pub(crate) fn oldest_segment(&self) -> Option<u64> {
        self.hot.iter().filter_map(|hot| hot.position).map(|position| position.segment).min()
    }

    /// Adds the entry that continues the log.
    pub(crate) fn push(&mut self, term: u64, hot: Hot) {
        self.terms.push(self.end(), term);
        self.bytes.hot += u64::from(hot.bytes);
        self.hot.push_back(hot);
    }

    /// Notes where entries lie, as far as they are still those of that append.
    pub(crate) fn written(&mut self, from: u64, stamp: u64, positions: &[Position]) {
        for (index, position) in (from..).zip(positions) {
            if let Some(hot) = self.hot_mut(index).filter(|hot| hot.stamp == stamp) {
                hot.position = Some(*position);
            }
        }
    }

    /// Entries below `end` are committed and applied.
    pub(crate) fn set_applied_end(&mut self, end: u64) {
        let end = end.min(self.end());
        while self.applied_end < end {
            let bytes = self.hot(self.applied_end).map_or(0, |hot| hot.bytes);
            self.bytes.movable += u64::from(bytes);
            self.applied_end += 1;
        }
    }

    /// Forgets entries from `end` on. Applied entries stay.
    pub(crate) fn truncate(&mut self, end: u64) {
        let end = end.max(self.applied_end);
        while self.end() > end {
            let hot = self.hot.pop_back().expect("the end lies above the moved entries");
            self.bytes.hot -= u64::from(hot.bytes);
        }
        self.terms.truncate(end);
    }

    /// Entries below `end` are in the record store.
    pub(crate) fn set_moved_end(&mut self, end: u64) {
        debug_assert!(end <= self.applied_end, "only applied entries are moved");
        while self.moved_end < end {
            let hot = self.hot.pop_front().expect("applied entries exist");
            self.bytes.hot -= u64::from(hot.bytes);
            self.bytes.movable -= u64::from(hot.bytes);
            self.moved_end += 1;
        }
    }

    /// Makes everything up to `index` unreadable. May jump past the end: then the log is empty.
    pub(crate) fn trim(&mut self, index: u64, term: u64) {
        if index < self.first() {
            return;
        }
        let first = index + 1;
        self.set_applied_end(first);
        self.set_moved_end(first.min(self.end()).max(self.moved_end));
        if self.hot.is_empty() && self.moved_end < first {
            (self.moved_end, self.applied_end) = (first, first);
        }
        self.trimmed = Some((index, term));
        self.terms.trim(first);
        if self.end() == first {
            self.terms = TermRuns::default();
        }
        debug_assert!(self.first() <= self.moved_end && self.moved_end <= self.applied_end);
    }
}
