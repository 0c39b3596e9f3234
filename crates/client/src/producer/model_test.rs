//! A producer's promises under any script of faults: nothing lost, doubled or reordered per key,
//! and every failure honest about whether its record may have been written.

mod model;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use thalweg_types::{HashKey, ProducerId, Record};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::limits::Limits;
use super::state::{Effect, State};
use super::ticket::{Counters, Pending, Ticket};
use super::{ProduceError, RecordPosition};
use model::{Fault, Model};

#[derive(Clone, Debug)]
enum Step {
    Send { key: u8, count: u8 },
    Work { node: u64, count: u8 },
    Answer { node: u64, count: u8 },
    Break { node: u64, zombies: bool },
    Unreachable { node: u64 },
    Fault { node: u64, fault: Fault },
    MoveLeader { shard: usize, node: u64 },
    Split(usize),
    Merge(usize),
    Image,
    Tick { ms: u64 },
}

fn any_step() -> impl Strategy<Value = Step> {
    let fault = prop_oneof![Just(Fault::Throttle), Just(Fault::UnknownThoughApplied), Just(Fault::UnknownNotApplied)];
    prop_oneof![
        8 => (0u8..8, 1u8..5).prop_map(|(key, count)| Step::Send { key, count }),
        6 => (1u64..4, 1u8..4).prop_map(|(node, count)| Step::Work { node, count }),
        6 => (1u64..4, 1u8..4).prop_map(|(node, count)| Step::Answer { node, count }),
        2 => (1u64..4, any::<bool>()).prop_map(|(node, zombies)| Step::Break { node, zombies }),
        1 => (1u64..4).prop_map(|node| Step::Unreachable { node }),
        2 => (1u64..4, fault).prop_map(|(node, fault)| Step::Fault { node, fault }),
        2 => (0usize..8, 1u64..4).prop_map(|(shard, node)| Step::MoveLeader { shard, node }),
        1 => (0usize..8).prop_map(Step::Split),
        1 => (0usize..8).prop_map(Step::Merge),
        2 => Just(Step::Image),
        4 => (1u64..400).prop_map(|ms| Step::Tick { ms }),
    ]
}

type Outcome = Result<RecordPosition, ProduceError>;

struct Story {
    state: State,
    model: Model,
    now: Instant,
    deadline: Duration,
    serial: u64,
    outcomes: Vec<(u64, String, oneshot::Receiver<Outcome>)>,
}

impl Story {
    fn begin(shard_count: u32, idempotent: bool, strict: bool, deadline: Duration) -> Story {
        let limits = Limits {
            batch_bytes: 200,
            batch_records: 3,
            in_flight: if idempotent { 4 } else { 1 },
            idempotent,
            attempt_timeout: Duration::from_secs(10),
            delivery_deadline: deadline,
        };
        let state = State::new("s".parse().unwrap(), limits, ProducerId(1), 7);
        let model = Model::new(shard_count, strict);
        let mut story = Story { state, model, now: Instant::now(), deadline, serial: 0, outcomes: Vec::new() };
        story.see_image();
        story
    }

    fn see_image(&mut self) {
        let image = self.model.image();
        self.state.image(image, self.now);
    }

    fn send(&mut self, key: u8) {
        let (reply, outcome) = oneshot::channel();
        let deadline = self.now + self.deadline;
        let ticket = Ticket::new(reply, deadline, None, Arc::new(Counters::default()));
        let name = format!("key-{key}");
        let hash_key = HashKey(u128::from(key) << 125);
        let record = Record {
            explicit_hash_key: Some(hash_key),
            ..Record::new(name.clone(), self.serial.to_be_bytes().to_vec())
        };
        self.state.offer(Pending { record, hash_key, ticket }, self.now);
        self.outcomes.push((self.serial, name, outcome));
        self.serial += 1;
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Send { key, count } => (0..count).for_each(|_| self.send(key)),
            Step::Work { node, count } => (0..count).for_each(|_| _ = self.model.work(node)),
            Step::Answer { node, count } => (0..count).for_each(|_| _ = self.hear(node)),
            Step::Break { node, zombies } => self.break_link(node, zombies, true),
            Step::Unreachable { node } => self.break_link(node, false, false),
            Step::Fault { node, fault } => self.model.set_fault(node, fault),
            Step::MoveLeader { shard, node } => self.model.move_leader(shard, node),
            Step::Split(pick) => self.model.split(pick),
            Step::Merge(pick) => self.model.merge(pick),
            Step::Image => self.see_image(),
            Step::Tick { ms } => self.now += Duration::from_millis(ms),
        }
        self.advance();
    }

    fn break_link(&mut self, node: u64, zombies: bool, sent: bool) {
        // Where a node has already worked on requests, the link had been connected.
        if sent || self.model.is_untouched(node) {
            self.model.break_link(node, zombies);
            self.state.link_lost(&format!("n{node}:1"), sent, "broke", self.now);
        }
    }

    fn hear(&mut self, node: u64) -> bool {
        let answer = self.model.answer(node);
        let heard = answer.is_some();
        answer.into_iter().for_each(|answer| self.state.answer(answer, self.now));
        heard
    }

    fn advance(&mut self) {
        self.state.advance(self.now);
        for effect in self.state.take_effects() {
            if let Effect::Send { address, request } = effect {
                self.model.send(&address, request);
            }
        }
    }

    /// All faults end: everything must come to its outcome in bounded time.
    fn heal(&mut self) {
        for _ in 0..3_000 {
            if self.state.is_empty() {
                return;
            }
            self.see_image();
            for node in 1..=3 {
                while self.model.work(node) {}
                while self.hear(node) {}
            }
            self.now += Duration::from_millis(50);
            self.advance();
        }
        panic!("the producer makes no progress");
    }

    fn finish(mut self) -> Ending {
        self.heal();
        let outcomes = self.outcomes.into_iter();
        let outcomes = outcomes.map(|(serial, key, mut outcome)| (serial, key, outcome.try_recv().unwrap())).collect();
        Ending { outcomes, written: self.model.records() }
    }
}

struct Ending {
    outcomes: Vec<(u64, String, Outcome)>,
    written: Vec<(thalweg_types::SequenceNumber, String, u64)>,
}

impl Ending {
    fn places(&self, serial: u64) -> Vec<thalweg_types::SequenceNumber> {
        self.written.iter().filter(|(_, _, written)| *written == serial).map(|(at, _, _)| *at).collect()
    }

    /// Every outcome agrees with what was written.
    fn check_honest(&self) {
        for (serial, _, outcome) in &self.outcomes {
            let places = self.places(*serial);
            match outcome {
                Ok(position) => assert_eq!(places, [position.sequence_number], "record {serial}"),
                Err(error) if error.perhaps_applied() => assert!(places.len() <= 1, "record {serial} written twice"),
                Err(error) => assert!(places.is_empty(), "record {serial} was written: {error}"),
            }
        }
    }

    /// Acknowledged records of a key lie in the order in which they were sent. (What was given up
    /// in doubt may still arrive later: nothing fences it off.)
    fn check_order(&self) {
        let mut last: HashMap<&str, u64> = HashMap::new();
        let acked = |serial: u64| self.outcomes[serial as usize].2.is_ok();
        for (at, key, serial) in self.written.iter().filter(|(_, _, serial)| acked(*serial)) {
            if let Some(before) = last.insert(key, *serial) {
                assert!(before < *serial, "{key}: {serial} came after {before}, at {at:?}");
            }
        }
    }

    fn check_all_written(&self) {
        for (serial, _, outcome) in &self.outcomes {
            assert!(outcome.is_ok(), "record {serial}: {outcome:?}");
        }
    }
}

fn run(mut story: Story, steps: &[Step]) -> Ending {
    steps.iter().for_each(|step| story.step(step));
    story.finish()
}

const LONG: Duration = Duration::from_secs(3_600);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn nothing_is_lost_doubled_or_reordered(steps in vec(any_step(), 1..120), shards in 1u32..4, strict: bool) {
        let ending = run(Story::begin(shards, true, strict, LONG), &steps);
        ending.check_honest();
        ending.check_order();
        ending.check_all_written();
    }

    #[test]
    fn a_missed_deadline_is_honest_about_what_was_written(steps in vec(any_step(), 1..120), shards in 1u32..4) {
        let ending = run(Story::begin(shards, true, true, Duration::from_millis(700)), &steps);
        ending.check_honest();
        ending.check_order();
    }

    #[test]
    fn without_idempotence_unknown_outcomes_are_reported_and_never_retried(steps in vec(any_step(), 1..120)) {
        let ending = run(Story::begin(2, false, true, LONG), &steps);
        ending.check_honest();
        ending.check_order();
    }
}

#[test]
fn a_shard_that_forgot_the_producer_is_written_to_under_a_new_id() {
    let mut story = Story::begin(1, true, true, LONG);
    story.step(&Step::Send { key: 1, count: 5 });
    story.heal();
    story.model.forget_producers();
    story.step(&Step::Send { key: 1, count: 5 });
    let ending = story.finish();
    ending.check_all_written();
    ending.check_order();
    ending.check_honest();
}

#[test]
fn a_batch_of_unknown_outcome_is_settled_at_its_closed_shard_before_records_move_to_the_children() {
    let mut story = Story::begin(1, true, true, LONG);
    let leader = Step::MoveLeader { shard: 0, node: 1 };
    story.step(&leader);
    story.step(&Step::Send { key: 1, count: 1 });
    story.step(&Step::Work { node: 1, count: 1 });
    story.step(&Step::Break { node: 1, zombies: false });
    story.step(&Step::Split(0));
    story.step(&Step::Image);
    story.step(&Step::Send { key: 1, count: 1 });
    let ending = story.finish();
    ending.check_all_written();
    ending.check_order();
    let shards: Vec<_> = ending.outcomes.iter().map(|(_, _, outcome)| outcome.as_ref().unwrap().shard.0).collect();
    assert_eq!(shards, [0, 1], "the first lies in the parent, the second in a child");
}

#[test]
fn a_partial_batch_waits_for_the_one_before_and_takes_all_that_queued_meanwhile() {
    let mut story = Story::begin(1, true, true, LONG);
    story.step(&Step::Send { key: 1, count: 1 });
    story.step(&Step::Send { key: 1, count: 1 });
    story.step(&Step::Send { key: 1, count: 1 });
    let ending = story.finish();
    let indexes: Vec<_> = ending.written.iter().map(|(at, _, _)| (at.raft_index(), at.record())).collect();
    assert_eq!(indexes, [(0, 0), (1, 0), (1, 1)]);
}
