//! What a leader has proposed in its term and not yet seen applied.
//!
//! Holds: everything here belongs to one term. When another term begins, what it says is
//! worthless (the applied state knows more) and it is emptied. Only producers with batches on
//! their way, or whose very first batch was refused, take up room.

use std::collections::{BTreeMap, VecDeque};

use thalweg_types::planted::{Planted, planted};
use thalweg_types::{ProducerId, UnixMillis};
use tokio::sync::watch;

use super::{AppendError, Appended};
use crate::command::ProducerTag;
use crate::state::{Outcome, PRODUCERS_MAX, ShardState};

/// Becomes something once the outcome is known.
pub(crate) type Receipt = watch::Receiver<Option<Result<Appended, AppendError>>>;

/// What to do with a batch.
#[derive(Debug)]
pub(crate) enum Judgement {
    /// Propose it.
    Propose,
    /// It is on its way: wait for that.
    Attach(Receipt),
    /// The applied state has the answer; never `Done`.
    Answer(Outcome),
}

#[derive(Debug, Default)]
pub(crate) struct InFlight {
    term: u64,
    /// The newest stamp given; entries of one term never go back behind it.
    stamped: UnixMillis,
    sealing: bool,
    by_producer: BTreeMap<ProducerId, VecDeque<(u64, Receipt)>>,
    /// First batches of unknown producers that were refused: their successors must not overtake.
    refused_first: BTreeMap<ProducerId, u64>,
}

impl InFlight {
    /// Forgets everything of other terms.
    pub(crate) fn enter_term(&mut self, term: u64) {
        if self.term != term {
            *self = InFlight { term, stamped: self.stamped, ..InFlight::default() };
        }
    }

    /// A stamp for the next entry: now, but never before an earlier entry.
    pub(crate) fn stamp(&mut self, now: UnixMillis, applied: &ShardState) -> UnixMillis {
        let newest = applied.last().map_or(UnixMillis(0), |last| last.arrived);
        self.stamped = if planted(Planted::ArrivalMayFall) { now } else { now.max(newest).max(self.stamped) };
        self.stamped
    }

    pub(crate) fn judge(&self, tag: ProducerTag, applied: &ShardState) -> Judgement {
        let on_their_way = self.by_producer.get(&tag.producer).filter(|_| !planted(Planted::InFlightForgotten));
        let Some(on_their_way) = on_their_way else { return self.judge_applied(tag, applied) };
        if let Some((_, receipt)) = on_their_way.iter().find(|(sequence, _)| *sequence == tag.sequence) {
            return Judgement::Attach(receipt.clone());
        }
        // Outcomes are noted in any order: a later batch may be applied and gone from here already.
        let proposed = on_their_way.back().map_or(0, |(sequence, _)| *sequence);
        let last = proposed.max(applied.producers().last_sequence(tag.producer).unwrap_or(0));
        if tag.sequence == last + 1 {
            Judgement::Propose
        } else if tag.sequence > last {
            Judgement::Answer(Outcome::Gap { expected: last + 1 })
        } else {
            self.judge_applied(tag, applied)
        }
    }

    fn judge_applied(&self, tag: ProducerTag, applied: &ShardState) -> Judgement {
        let known = applied.producers().last_sequence(tag.producer).is_some();
        let refused = self.refused_first.get(&tag.producer).filter(|first| !known && tag.sequence > **first);
        if let Some(first) = refused {
            return Judgement::Answer(Outcome::Gap { expected: *first });
        }
        match Outcome::of(applied.judge(tag)) {
            Outcome::Done => Judgement::Propose,
            outcome => Judgement::Answer(outcome),
        }
    }

    pub(crate) fn insert(&mut self, tag: ProducerTag, receipt: Receipt) {
        self.refused_first.remove(&tag.producer);
        self.by_producer.entry(tag.producer).or_default().push_back((tag.sequence, receipt));
    }

    pub(crate) fn remove(&mut self, term: u64, tag: ProducerTag) {
        if self.term != term {
            return;
        }
        if let Some(on_their_way) = self.by_producer.get_mut(&tag.producer) {
            on_their_way.retain(|(sequence, _)| *sequence != tag.sequence);
            if on_their_way.is_empty() {
                self.by_producer.remove(&tag.producer);
            }
        }
    }

    /// Notes that a batch was refused for a reason that passes, so that a pipelined successor of
    /// an unknown producer is not taken for its first.
    pub(crate) fn note_refusal(&mut self, tag: ProducerTag, applied: &ShardState) {
        let unknown = applied.producers().last_sequence(tag.producer).is_none();
        if unknown && !self.by_producer.contains_key(&tag.producer) && self.refused_first.len() < PRODUCERS_MAX {
            let first = self.refused_first.entry(tag.producer).or_insert(tag.sequence);
            *first = (*first).min(tag.sequence);
        }
    }

    pub(crate) fn sealing(&self) -> bool {
        self.sealing
    }

    pub(crate) fn set_sealing(&mut self, term: u64, sealing: bool) {
        if self.term == term {
            self.sealing = sealing;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Command;

    fn tag(sequence: u64) -> ProducerTag {
        ProducerTag { producer: ProducerId(1), sequence }
    }

    fn applied(sequences: std::ops::RangeInclusive<u64>) -> ShardState {
        let mut state = ShardState::default();
        for sequence in sequences {
            let command = Command::Append { arrived: UnixMillis(5), record_count: 1, tag: Some(tag(sequence)) };
            state.apply(sequence, &command);
        }
        state
    }

    fn verdict(in_flight: &InFlight, sequence: u64, state: &ShardState) -> String {
        match in_flight.judge(tag(sequence), state) {
            Judgement::Propose => "propose".to_owned(),
            Judgement::Attach(_) => "attach".to_owned(),
            Judgement::Answer(outcome) => format!("{outcome:?}"),
        }
    }

    #[test]
    fn a_retry_shares_the_outcome_of_the_one_on_its_way() {
        let state = applied(1..=2);
        let mut in_flight = InFlight::default();
        in_flight.insert(tag(3), watch::channel(None).1);
        assert_eq!(verdict(&in_flight, 3, &state), "attach");
        assert_eq!(verdict(&in_flight, 4, &state), "propose");
        assert_eq!(verdict(&in_flight, 5, &state), "Gap { expected: 4 }");
        assert!(verdict(&in_flight, 2, &state).starts_with("Duplicate"));
        in_flight.remove(0, tag(3));
        assert_eq!(verdict(&in_flight, 3, &state), "propose");
    }

    #[test]
    fn outcomes_that_are_noted_out_of_order_leave_no_gap() {
        let state = applied(1..=4);
        let mut in_flight = InFlight::default();
        [3, 4].into_iter().for_each(|sequence| in_flight.insert(tag(sequence), watch::channel(None).1));
        in_flight.remove(0, tag(4));
        assert_eq!(verdict(&in_flight, 5, &state), "propose");
        assert!(verdict(&in_flight, 4, &state).starts_with("Duplicate"));
        assert_eq!(verdict(&in_flight, 6, &state), "Gap { expected: 5 }");
    }

    #[test]
    fn another_term_knows_nothing_of_what_was_on_its_way() {
        let mut in_flight = InFlight::default();
        in_flight.insert(tag(3), watch::channel(None).1);
        in_flight.set_sealing(0, true);
        in_flight.enter_term(2);
        assert!(!in_flight.sealing());
        assert_eq!(verdict(&in_flight, 3, &applied(1..=2)), "propose");
    }

    #[test]
    fn a_successor_does_not_overtake_the_first_batch_that_was_refused() {
        let mut in_flight = InFlight::default();
        in_flight.note_refusal(tag(1), &ShardState::default());
        assert_eq!(verdict(&in_flight, 2, &ShardState::default()), "Gap { expected: 1 }");
        assert_eq!(verdict(&in_flight, 1, &ShardState::default()), "propose");
        in_flight.insert(tag(1), watch::channel(None).1);
        assert_eq!(verdict(&in_flight, 2, &ShardState::default()), "propose");
    }

    #[test]
    fn stamps_never_fall_behind_applied_or_earlier_ones() {
        let mut in_flight = InFlight::default();
        assert_eq!(in_flight.stamp(UnixMillis(3), &applied(1..=1)), UnixMillis(5));
        assert_eq!(in_flight.stamp(UnixMillis(9), &applied(1..=1)), UnixMillis(9));
        assert_eq!(in_flight.stamp(UnixMillis(1), &applied(1..=1)), UnixMillis(9));
    }
}
