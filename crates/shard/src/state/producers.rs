//! Which batches of which producers the shard holds: how a retry is recognised.
//!
//! Of each producer the last [`WINDOW_BATCHES`] batches are remembered, and of the producers
//! those [`PRODUCERS_MAX`] that were heard last *in log order*, so that every replica forgets the
//! same. A producer that was forgotten may begin anew at any sequence.

use std::collections::{BTreeMap, VecDeque};

use thalweg_types::ProducerId;

use crate::command::{EntryFacts, ProducerTag};

/// Batches remembered of each producer.
pub const WINDOW_BATCHES: usize = 16;
/// Producers remembered in a shard.
pub const PRODUCERS_MAX: usize = 4_096;

/// What a producer's sequence says about a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It follows the last one, or its producer is new: take it.
    Next,
    /// It was taken before; here is where.
    Known(EntryFacts),
    /// The one before it is missing.
    Gap {
        /// The sequence that has to come.
        expected: u64,
    },
    /// It lies below the window: taken or refused, nobody knows any more.
    Forgotten,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Window {
    /// By rising sequence and index; never empty, at most [`WINDOW_BATCHES`] long.
    pub(super) batches: VecDeque<(u64, EntryFacts)>,
}

impl Window {
    fn last_sequence(&self) -> u64 {
        self.batches.back().map_or(0, |(sequence, _)| *sequence)
    }

    fn last_index(&self) -> u64 {
        self.batches.back().map_or(0, |(_, facts)| facts.index)
    }
}

/// The windows of all remembered producers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Producers {
    windows: BTreeMap<ProducerId, Window>,
    /// Index of each producer's newest batch: who was heard least recently comes first.
    by_last_index: BTreeMap<u64, ProducerId>,
    window_batches: usize,
    producers_max: usize,
}

impl Default for Producers {
    fn default() -> Self {
        Producers::bounded(WINDOW_BATCHES, PRODUCERS_MAX)
    }
}

impl Producers {
    /// Bounds other than the default serve tests; replicas must agree on them.
    pub(super) fn bounded(window_batches: usize, producers_max: usize) -> Producers {
        Producers { windows: BTreeMap::new(), by_last_index: BTreeMap::new(), window_batches, producers_max }
    }

    /// What to do with a batch.
    pub fn judge(&self, tag: ProducerTag) -> Verdict {
        let Some(window) = self.windows.get(&tag.producer) else { return Verdict::Next };
        let last = window.last_sequence();
        if tag.sequence > last {
            let expected = last + 1;
            return if tag.sequence == expected { Verdict::Next } else { Verdict::Gap { expected } };
        }
        let found = window.batches.iter().find(|(sequence, _)| *sequence == tag.sequence);
        found.map_or(Verdict::Forgotten, |(_, facts)| Verdict::Known(*facts))
    }

    /// The newest sequence taken of a producer, if any is remembered.
    pub fn last_sequence(&self, producer: ProducerId) -> Option<u64> {
        self.windows.get(&producer).map(Window::last_sequence)
    }

    /// Notes a batch that was taken; its index is above all before.
    pub(super) fn remember(&mut self, tag: ProducerTag, facts: EntryFacts) {
        let window = self.windows.entry(tag.producer).or_insert_with(|| Window { batches: VecDeque::new() });
        self.by_last_index.remove(&window.last_index());
        window.batches.push_back((tag.sequence, facts));
        if window.batches.len() > self.window_batches {
            window.batches.pop_front();
        }
        self.by_last_index.insert(facts.index, tag.producer);
        if self.windows.len() > self.producers_max
            && let Some((_, silent)) = self.by_last_index.pop_first()
        {
            self.windows.remove(&silent);
        }
    }

    /// Drops what is known of batches up to and including `index`.
    pub(super) fn forget_through(&mut self, index: u64) {
        self.windows.retain(|_, window| {
            let keep_from = window.batches.partition_point(|(_, facts)| facts.index <= index);
            window.batches.drain(..keep_from);
            !window.batches.is_empty()
        });
        self.by_last_index = self.by_last_index.split_off(&(index + 1));
    }

    pub(super) fn windows(&self) -> &BTreeMap<ProducerId, Window> {
        &self.windows
    }

    /// Takes up the windows of a checkpoint; false when they cannot be one's own.
    pub(super) fn restore_window(&mut self, producer: ProducerId, window: Window) -> bool {
        let rising = window.batches.iter().zip(window.batches.iter().skip(1));
        let valid = !window.batches.is_empty() && rising.into_iter().all(|(a, b)| a.0 < b.0 && a.1.index < b.1.index);
        valid
            && self.by_last_index.insert(window.last_index(), producer).is_none()
            && self.windows.insert(producer, window).is_none()
    }
}
