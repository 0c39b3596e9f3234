//! A shard as its present leader sees it: one log, and how much of it counts for what.
//!
//! ```text
//! window_from ≤ applied ≤ committed ≤ log
//! ```
//! Windows are not kept but recomputed from the log: they are replicated state, so every replica
//! that has applied as much has the same.

use super::{Bug, Dedupe};

/// An entry of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Entry {
    /// The first of a leader's term.
    Blank,
    /// A batch and its producer's number for it, if it came with one.
    Append {
        /// The batch.
        batch: u8,
        /// Its number.
        sequence: Option<u8>,
    },
    /// The end.
    Seal,
}

/// What a window says of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It continues what is there.
    Next,
    /// It is there, at this index.
    Known(usize),
    /// One before it is missing.
    Gap,
    /// It is below everything that is remembered.
    Forgotten,
}

/// A shard.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Shard {
    /// The leader's log; index `i + 1` is at `i`.
    pub log: Vec<Entry>,
    /// Entries that no fail-over takes away.
    pub committed: usize,
    /// Entries that the leader has applied.
    pub applied: usize,
    /// Index of the first entry of the leader's term.
    pub term_starts: usize,
    /// Entries that the leader's windows do not cover; only with [`Bug::WindowsNotInCheckpoint`].
    pub window_from: usize,
    /// Proposals of the present leader whose callers wait: index and batch.
    pub waiting: Vec<(usize, u8)>,
}

impl Shard {
    /// Records among the first `upto` entries: index, number and batch.
    pub fn data(&self, model: &Dedupe, upto: usize) -> Vec<(usize, Option<u8>, u8)> {
        let mut data: Vec<(usize, Option<u8>, u8)> = Vec::new();
        for (at, entry) in self.log[..upto].iter().enumerate() {
            match *entry {
                Entry::Blank => {}
                Entry::Seal => break,
                Entry::Append { batch, sequence } => {
                    let from = if at < self.window_from { 0 } else { self.window_from };
                    let next = sequence.is_none_or(|sequence| judge(&data, from, sequence) == Verdict::Next);
                    if next || model.apply_trusts() {
                        data.push((at + 1, sequence, batch));
                    }
                }
            }
        }
        data
    }

    /// What the leader knows of a number, from what it has applied.
    pub fn judge(&self, model: &Dedupe, sequence: u8) -> Verdict {
        judge(&self.data(model, self.applied), self.window_from, sequence)
    }

    /// Numbers of this term's proposals that are not applied yet, and where they are.
    pub fn in_flight(&self) -> impl Iterator<Item = (u8, usize)> + '_ {
        let proposed = self.log.iter().enumerate().skip(self.applied.max(self.term_starts));
        proposed.filter_map(|(at, entry)| match entry {
            Entry::Append { sequence, .. } => Some(((*sequence)?, at + 1)),
            _ => None,
        })
    }

    /// Whether the leader has applied the first entry of its term, and so all before it.
    pub fn leads(&self) -> bool {
        self.applied >= self.term_starts
    }

    /// Whether the seal is applied.
    pub fn is_sealed(&self) -> bool {
        self.log[..self.applied].contains(&Entry::Seal)
    }

    /// Another replica leads: with `kept` of what was not committed, and `applied` entries applied.
    pub fn replace_leader(&mut self, model: &Dedupe, kept: usize, applied: usize) {
        self.log.truncate(self.committed + kept);
        self.log.push(Entry::Blank);
        self.term_starts = self.log.len();
        self.applied = applied;
        self.waiting.clear();
        if model.has(Bug::WindowsNotInCheckpoint) {
            self.window_from = applied;
        }
    }
}

/// The rule of a window: an unknown producer may begin anywhere.
fn judge(data: &[(usize, Option<u8>, u8)], from: usize, sequence: u8) -> Verdict {
    let window = || data.iter().filter(|(index, ..)| *index > from).filter_map(|(i, number, _)| Some((*i, (*number)?)));
    if let Some((index, _)) = window().find(|(_, number)| *number == sequence) {
        return Verdict::Known(index);
    }
    match window().map(|(_, number)| number).max() {
        None => Verdict::Next,
        Some(last) if sequence == last + 1 => Verdict::Next,
        Some(last) if sequence > last => Verdict::Gap,
        Some(_) => Verdict::Forgotten,
    }
}
