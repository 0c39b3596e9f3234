//! The state against a naive model, and against itself restarted and started from a snapshot.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use thalweg_types::{ProducerId, UnixMillis};

use super::*;

const WINDOW: usize = 3;
const PRODUCERS: usize = 3;

fn small() -> ShardState {
    ShardState { producers: Producers::bounded(WINDOW, PRODUCERS), ..ShardState::default() }
}

/// Saved and read back, with the small bounds of these tests.
fn reread(state: &ShardState) -> ShardState {
    let mut read = ShardState::decode(&state.encode()).unwrap();
    let windows = std::mem::replace(&mut read.producers, Producers::bounded(WINDOW, PRODUCERS));
    for (producer, window) in windows.windows() {
        assert!(read.producers.restore_window(*producer, window.clone()));
    }
    read
}

/// What a test asks for; indexes and arrivals are filled in as a leader would.
#[derive(Clone, Debug)]
enum Step {
    Append { producer: Option<u128>, ahead: i64 },
    Trim { place: prop::sample::Index },
    Seal,
    Place { placement: u64 },
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => (proptest::option::of(0u128..5), prop_oneof![6 => Just(1i64), 1 => -4i64..4])
            .prop_map(|(producer, ahead)| Step::Append { producer, ahead }),
        3 => any::<prop::sample::Index>().prop_map(|place| Step::Trim { place }),
        1 => Just(Step::Seal),
        2 => (0u64..9).prop_map(|placement| Step::Place { placement }),
    ]
}

/// The log that these steps make. A leader's sequence knowledge is imitated loosely, so that
/// duplicates, gaps and forgotten sequences occur.
fn log_of(steps: &[Step]) -> Vec<(u64, Command)> {
    let mut sent: BTreeMap<u128, i64> = BTreeMap::new();
    let mut appended: Vec<EntryFacts> = Vec::new();
    let mut log = Vec::new();
    for (place, step) in steps.iter().enumerate() {
        let (index, arrived) = (2 * place as u64 + 1, UnixMillis(1_000 + place as u64));
        let command = match step {
            Step::Append { producer, ahead } => {
                let tag = producer.map(|producer| {
                    let last = sent.entry(producer).or_insert(0);
                    let sequence = (*last + ahead).max(1);
                    *last = (*last).max(sequence);
                    ProducerTag { producer: ProducerId(producer), sequence: sequence as u64 }
                });
                appended.push(EntryFacts { index, arrived, record_count: 1 });
                Command::Append { arrived, record_count: 1, tag }
            }
            Step::Trim { place } if appended.is_empty() => {
                let _ = place;
                continue;
            }
            Step::Trim { place } => Command::Trim { last: *place.get(&appended), at: arrived },
            Step::Seal => Command::Seal { reshard: 1, at: arrived },
            Step::Place { placement } => Command::Place { placement: *placement, at: arrived },
        };
        log.push((index, command));
    }
    log
}

/// The model keeps every valid append for ever and derives answers by search.
#[derive(Default)]
struct Model {
    valid: Vec<(Option<ProducerTag>, EntryFacts)>,
    sealed: Option<u64>,
    trim: u64,
    placement: u64,
}

impl Model {
    fn apply(&mut self, index: u64, command: &Command) -> Outcome {
        match *command {
            Command::Append { .. } if self.sealed.is_some() => Outcome::Closed,
            Command::Append { arrived, record_count, tag } => {
                let outcome = tag.map_or(Outcome::Done, |tag| self.judge(tag));
                if outcome == Outcome::Done {
                    self.valid.push((tag, EntryFacts { index, arrived, record_count }));
                }
                outcome
            }
            Command::Seal { .. } => {
                self.sealed.get_or_insert(index);
                Outcome::Done
            }
            Command::Place { placement, .. } if placement < self.placement => Outcome::Superseded,
            Command::Place { placement, .. } => {
                self.placement = placement;
                Outcome::Done
            }
            Command::Trim { last, .. } => {
                if self.valid.last().is_some_and(|(_, newest)| last.index <= newest.index) {
                    self.trim = self.trim.max(last.index);
                }
                Outcome::Done
            }
        }
    }

    /// Producers in the order in which they were heard last, newest first, forgotten ones left out.
    fn remembered(&self) -> Vec<ProducerId> {
        // Forgetting is for good: replay who is remembered from the first entry on.
        let mut order: Vec<ProducerId> = Vec::new();
        for (tag, _) in self.valid.iter().filter(|(_, facts)| facts.index > self.trim) {
            if let Some(tag) = tag {
                order.retain(|other| *other != tag.producer);
                order.insert(0, tag.producer);
                order.truncate(PRODUCERS);
            }
        }
        order
    }

    fn judge(&self, tag: ProducerTag) -> Outcome {
        if !self.remembered().contains(&tag.producer) {
            return Outcome::Done;
        }
        let of_producer = |(own, facts): &&(Option<ProducerTag>, EntryFacts)| {
            facts.index > self.trim && own.is_some_and(|own| own.producer == tag.producer)
        };
        let batches: Vec<_> = self.valid.iter().filter(of_producer).collect();
        let last = batches.last().and_then(|(own, _)| *own).map_or(0, |own| own.sequence);
        if tag.sequence > last {
            let expected = last + 1;
            return if tag.sequence == expected { Outcome::Done } else { Outcome::Gap { expected } };
        }
        // A producer that was forgotten and came back has only what came since; those before it
        // lie below any window because sequences within a window rise.
        let window = batches.iter().rev().take(WINDOW);
        let known = window.take_while(|(own, _)| own.is_some_and(|own| own.sequence <= last));
        let hit = known.into_iter().find(|(own, _)| *own == Some(tag));
        hit.map_or(Outcome::Forgotten, |(_, facts)| Outcome::Duplicate(*facts))
    }
}

/// Steps after which no producer is ever forgotten for silence, where the simple model is exact.
fn few_producers() -> impl Strategy<Value = Vec<Step>> {
    vec(any_step(), 0..80).prop_map(|mut steps| {
        for step in &mut steps {
            if let Step::Append { producer: Some(producer), .. } = step {
                *producer %= PRODUCERS as u128;
            }
        }
        steps
    })
}

proptest! {
    #[test]
    fn outcomes_and_data_are_those_of_the_naive_model(steps in few_producers()) {
        let (mut state, mut model) = (small(), Model::default());
        for (index, command) in log_of(&steps) {
            prop_assert_eq!(state.apply(index, &command), model.apply(index, &command), "entry {}: {:?}", index, command);
        }
        let data: Vec<u64> = model.valid.iter().map(|(_, facts)| facts.index).filter(|index| *index > model.trim).collect();
        let is_append = |command: &Command| matches!(command, Command::Append { .. });
        let read = log_of(&steps).into_iter().filter(|(index, command)| is_append(command) && state.is_data(*index));
        let read: Vec<u64> = read.map(|(index, _)| index).filter(|index| *index >= state.horizon()).collect();
        prop_assert_eq!(data, read);
        prop_assert_eq!(state.placement(), model.placement);
    }

    #[test]
    fn a_replica_restarted_anywhere_agrees(steps in vec(any_step(), 0..80), at: prop::sample::Index) {
        let log = log_of(&steps);
        let at = at.index(log.len() + 1);
        let (mut whole, mut restarted) = (small(), small());
        for (place, (index, command)) in log.iter().enumerate() {
            if place == at {
                restarted = reread(&restarted);
            }
            prop_assert_eq!(whole.apply(*index, command), restarted.apply(*index, command));
        }
        prop_assert_eq!(whole, restarted);
    }

    #[test]
    fn a_replica_started_from_any_snapshot_agrees(steps in vec(any_step(), 0..80), at: prop::sample::Index) {
        let log = log_of(&steps);
        let mut whole = small();
        let at = at.index(log.len() + 1);
        log[..at].iter().for_each(|(index, command)| { whole.apply(*index, command); });
        let mut started = reread(&whole.as_of_trim());
        let from = whole.horizon();
        log.iter().filter(|(index, _)| *index >= from).for_each(|(index, command)| { started.apply(*index, command); });
        log[at..].iter().for_each(|(index, command)| { whole.apply(*index, command); });
        prop_assert_eq!(whole, started);
    }

    #[test]
    fn damaged_checkpoints_never_panic(bytes: Vec<u8>, steps in vec(any_step(), 0..30), cut: prop::sample::Index) {
        let _ = ShardState::decode(&bytes);
        let mut state = small();
        log_of(&steps).iter().for_each(|(index, command)| { state.apply(*index, command); });
        let saved = state.encode();
        prop_assert!(ShardState::decode(&saved[..cut.index(saved.len())]).is_err());
    }
}

fn append(producer: u128, sequence: u64, at: u64) -> Command {
    let tag = Some(ProducerTag { producer: ProducerId(producer), sequence });
    Command::Append { arrived: UnixMillis(at), record_count: 2, tag }
}

#[test]
fn a_retry_long_after_the_seal_still_finds_its_place() {
    let mut state = ShardState::default();
    assert_eq!(state.apply(4, &append(1, 1, 10)), Outcome::Done);
    assert_eq!(state.apply(5, &Command::Seal { reshard: 8, at: UnixMillis(11) }), Outcome::Done);
    assert_eq!(state.apply(6, &append(1, 2, 12)), Outcome::Closed);
    let facts = EntryFacts { index: 4, arrived: UnixMillis(10), record_count: 2 };
    let first = ProducerTag { producer: ProducerId(1), sequence: 1 };
    assert_eq!(state.judge(first), Verdict::Known(facts));
    assert_eq!((state.is_data(4), state.is_data(6)), (true, false));
    assert_eq!(state.last(), Some(facts));
}

#[test]
fn arrival_never_falls_even_if_a_leader_let_it() {
    let mut state = ShardState::default();
    state.apply(1, &append(1, 1, 100));
    assert_eq!(state.apply(2, &append(1, 2, 90)), Outcome::Stale);
    assert!(!state.is_data(2));
    assert_eq!(state.apply(3, &append(1, 2, 100)), Outcome::Done);
}

/// So that earlier versions of this program can read it.
#[test]
fn a_shard_that_was_never_moved_is_saved_as_before_placements_had_numbers() {
    let mut state = ShardState::default();
    state.apply(4, &append(1, 1, 10));
    let before = state.encode();
    state.apply(5, &Command::Place { placement: 7, at: UnixMillis(11) });
    let after = state.encode();
    assert_eq!((before[0], after[0], &before[1..]), (1, 2, &after[9..]));
    assert_eq!(ShardState::decode(&before).map(|state| state.placement()), Ok(0));
    assert_eq!(ShardState::decode(&after), Ok(state));
}
