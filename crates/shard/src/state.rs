//! What the replicas of a shard agree on, and the rule that moves it. Pure: no clock, no I/O.
//!
//! ```text
//! log   ░░░░░░░░░░░░│a a m a a t a│S│a a
//!             trim ─┘       last ─┘ └─ sealed: appends after it are void
//! ```
//! Records are not here, they stay in the log; this is what a reader needs to know which entries
//! count ([`ShardState::is_data`]) and a leader to judge a retry ([`Producers`]).
//!
//! Holds: [`ShardState::apply`] is total and deterministic. It is the last word on duplicates: a
//! leader judges before it proposes, but an append that does not follow its producer's sequence
//! is void even if a leader let it through. [`ShardState::as_of_trim`] followed by the entries
//! above the trim point leads to the same state as the whole log: what a trimmed entry left
//! behind is dropped when the trim applies; the few void entries travel along by index, and so does
//! the placement, which only rises.

mod codec;
mod outcome;
mod producers;

use std::collections::BTreeSet;

use thalweg_types::UnixMillis;
use thalweg_types::planted::{Planted, planted};

use crate::command::{Command, EntryFacts, ProducerTag};

pub use codec::StateCodecError;
pub use outcome::Outcome;
pub use producers::{PRODUCERS_MAX, Producers, Verdict, WINDOW_BATCHES};

/// The end of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// The entry that sealed it.
    pub index: u64,
    /// The reshard that asked for it.
    pub reshard: u64,
    /// When, by the leader's clock.
    pub at: UnixMillis,
}

/// The replicated state of one shard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardState {
    trim: Option<EntryFacts>,
    last: Option<EntryFacts>,
    sealed: Option<Sealed>,
    voids: BTreeSet<u64>,
    producers: Producers,
    placement: u64,
}

impl ShardState {
    /// Moves the state by one committed entry and says what became of it.
    pub fn apply(&mut self, index: u64, command: &Command) -> Outcome {
        match *command {
            Command::Append { arrived, record_count, tag } => {
                self.append(EntryFacts { index, arrived, record_count }, tag)
            }
            Command::Seal { reshard, at } => {
                self.sealed.get_or_insert(Sealed { index, reshard, at });
                if planted(Planted::WindowsDroppedAtSeal) {
                    self.producers = Producers::default();
                }
                Outcome::Done
            }
            Command::Trim { last, .. } => self.trim_to(last),
            Command::Place { placement, .. } => self.place(placement),
        }
    }

    fn append(&mut self, facts: EntryFacts, tag: Option<ProducerTag>) -> Outcome {
        if self.sealed.is_some() && !planted(Planted::SealIgnored) {
            return Outcome::Closed;
        }
        let outcome = self.outcome_of_append(facts, tag);
        if outcome != Outcome::Done {
            self.voids.insert(facts.index);
            return outcome;
        }
        if let Some(tag) = tag {
            self.producers.remember(tag, facts);
        }
        self.last = Some(facts);
        Outcome::Done
    }

    fn outcome_of_append(&self, facts: EntryFacts, tag: Option<ProducerTag>) -> Outcome {
        let stale = self.last.is_some_and(|last| facts.arrived < last.arrived);
        if stale || self.voids.contains(&facts.index) {
            return Outcome::Stale;
        }
        let tag = tag.filter(|_| !planted(Planted::DuplicateCounts));
        tag.map_or(Outcome::Done, |tag| Outcome::of(self.producers.judge(tag)))
    }

    fn trim_to(&mut self, last: EntryFacts) -> Outcome {
        let forward = self.trim.is_none_or(|trim| trim.index < last.index) || planted(Planted::TrimMovesBack);
        let within = self.last.is_some_and(|newest| last.index <= newest.index);
        if forward && within {
            self.trim = Some(last);
            self.voids = self.voids.split_off(&(last.index + 1));
            self.producers.forget_through(last.index);
        }
        Outcome::Done
    }

    fn place(&mut self, placement: u64) -> Outcome {
        if placement < self.placement {
            return Outcome::Superseded;
        }
        self.placement = placement;
        Outcome::Done
    }

    /// Whether an append entry at `index` holds data: not void, not past the seal.
    pub fn is_data(&self, index: u64) -> bool {
        let before_the_end = self.sealed.is_none_or(|sealed| index < sealed.index) || planted(Planted::SealIgnored);
        before_the_end && (!self.voids.contains(&index) || planted(Planted::VoidsShown))
    }

    /// What becomes of a batch with this tag, as far as applied entries tell.
    pub fn judge(&self, tag: ProducerTag) -> Verdict {
        self.producers.judge(tag)
    }

    /// Who wrote what lately.
    pub fn producers(&self) -> &Producers {
        &self.producers
    }

    /// The newest batch, trimmed or not.
    pub fn last(&self) -> Option<EntryFacts> {
        self.last
    }

    /// The newest batch that retention has passed.
    pub fn trim(&self) -> Option<EntryFacts> {
        self.trim
    }

    /// The first index that may be read. Index 0 holds the group's first members, never a command.
    pub fn horizon(&self) -> u64 {
        self.trim.map_or(1, |trim| trim.index + 1)
    }

    /// Whether nothing is left to read.
    pub fn is_empty(&self) -> bool {
        self.last.is_none_or(|last| last.index < self.horizon())
    }

    /// The shard's end, once it is applied.
    pub fn sealed(&self) -> Option<Sealed> {
        self.sealed
    }

    /// The newest placement of the catalog by which a leader set out to change who votes; 0 at first.
    pub fn placement(&self) -> u64 {
        self.placement
    }

    /// The state with which a replica may start right after the trim point.
    pub fn as_of_trim(&self) -> ShardState {
        let voids = self.voids.clone();
        ShardState { trim: self.trim, last: self.trim, voids, placement: self.placement, ..ShardState::default() }
    }
}

#[cfg(test)]
mod state_test;
