//! On-demand streams under simulated traffic: they follow it, settle, and keep their bounds.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;
use thalweg_catalog::on_demand::{self, Loads, NextStep, Policy, Why};
use thalweg_catalog::{
    Catalog, Command, NewStream, Observed, Operation, ReshardCause, ReshardKind, Rules, Shard, StreamMode, StreamPatch,
    StreamSettings, WriteRate,
};
use thalweg_types::{GroupId, HashKey, HashRange, ShardId, UnixMillis};

use crate::support::{START, all_ready, ask, at_hour, cluster, create_stream, finish_reshards, name, stream};

const MIB: u64 = 1024 * 1024;
/// Between two looks.
const LOOK: Duration = Duration::from_secs(60);

/// What is written: an even flow over all hash keys, and single busy keys.
#[derive(Clone, Debug, Default)]
struct Traffic {
    even_bytes: u64,
    keys: Vec<(u128, u64)>,
}

impl Traffic {
    fn rate_in(&self, range: &HashRange) -> WriteRate {
        let part = range.width_minus_one() as f64 / u128::MAX as f64;
        let busy = self.keys.iter().filter(|(key, _)| range.contains(HashKey(*key))).map(|(_, bytes)| bytes);
        let bytes_per_s = (self.even_bytes as f64 * part) as u64 + busy.sum::<u64>();
        WriteRate { bytes_per_s, records_per_s: bytes_per_s / 1_024 }
    }

    fn total(&self) -> WriteRate {
        self.rate_in(&HashRange::FULL)
    }
}

/// A cluster with the on-demand stream `s`, whose reshards end as soon as they begin.
struct World {
    catalog: Catalog,
    loads: Loads,
    at: Duration,
    policy: Policy,
    begun: Vec<(Duration, NextStep)>,
}

impl World {
    fn of(shards: u32) -> World {
        let settings = Box::new(StreamSettings { mode: StreamMode::OnDemand, ..StreamSettings::default() });
        let mut catalog = cluster(&["a", "b", "c"]);
        create_stream(&mut catalog, NewStream { settings, ..NewStream::named(name("s"), shards) }, START);
        let (loads, at, policy) = (Loads::default(), Duration::ZERO, Policy::default());
        World { catalog, loads, at, policy, begun: Vec::new() }
    }

    fn open(&self) -> u32 {
        stream(&self.catalog).open_shards().count() as u32
    }

    fn now(&self) -> UnixMillis {
        UnixMillis(START.0 + 1_000 + self.at.as_millis() as u64)
    }

    /// Looks at the traffic; what is due then.
    fn look(&mut self, traffic: &Traffic) -> Vec<NextStep> {
        self.at += LOOK;
        let seen = |shard: &Shard| Observed { write: Some(traffic.rate_in(&shard.range)), ..Observed::default() };
        let observed = stream(&self.catalog).open_shards().map(|shard| (shard.group, seen(shard))).collect();
        self.loads.look(&self.catalog, &observed, self.at, &self.policy);
        on_demand::due(&self.catalog, &self.loads, self.at, &self.policy)
    }

    /// One look, and rounds until nothing more is due. Returns what was done.
    fn pass(&mut self, traffic: &Traffic) -> Vec<NextStep> {
        let (mut steps, mut done) = (self.look(traffic), Vec::new());
        while !steps.is_empty() {
            for step in steps {
                self.loads.begin(&self.catalog, &step, self.at);
                let command = step.command(&self.catalog, 5, self.now());
                self.catalog.apply(&command).unwrap_or_else(|refusal| panic!("{step:?}: {refusal}"));
                self.begun.push((self.at, step.clone()));
                done.push(step);
            }
            steps = on_demand::due(&self.catalog, &self.loads, self.at, &self.policy);
        }
        let now = self.now();
        finish_reshards(&mut self.catalog, now);
        done
    }

    fn run(&mut self, traffic: &Traffic, time: Duration) {
        let end = self.at + time;
        while self.at < end {
            self.pass(traffic);
        }
    }

    fn range_of(&self, shard: ShardId) -> HashRange {
        stream(&self.catalog).shards.get(shard).unwrap().range
    }

    /// Shards that this much traffic can ever lead to.
    fn bound(&self, from: u32, traffic: WriteRate) -> u32 {
        let hot = traffic.permille_of(self.policy.shard) / (self.policy.split_percent * 10);
        // So many ranges at most are hot at once, and each is halved so often at most.
        let narrowest = self.policy.narrowest(stream(&self.catalog), traffic);
        let halvings = 1 + (u128::MAX / narrowest).ilog2() as u64;
        from + (hot * halvings) as u32
    }
}

fn hours(hours: u64) -> Duration {
    Duration::from_secs(hours * 3_600)
}

fn even(bytes: u64) -> Traffic {
    Traffic { even_bytes: bytes, keys: Vec::new() }
}

fn traffic() -> impl Strategy<Value = Traffic> {
    let keys = prop::collection::vec((any::<u128>(), 0..3 * MIB), 0..6);
    (0..24 * MIB, keys).prop_map(|(even_bytes, keys)| Traffic { even_bytes, keys })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn constant_traffic_is_followed_without_ever_going_back(traffic in traffic(), shards in 1u32..24) {
        let mut world = World::of(shards);
        let mut split = BTreeSet::new();
        let end = hours(12);
        while world.at < end {
            let before = world.open();
            for step in world.pass(&traffic) {
                match step.kind {
                    ReshardKind::Split { shard, .. } => {
                        let range = world.range_of(shard);
                        prop_assert!(world.policy.is_hot(traffic.rate_in(&range)));
                        prop_assert!(split.insert((range.start(), range.end())), "{range:?} is split twice");
                    }
                    ReshardKind::Merge { shard, adjacent } => {
                        let merged = world.range_of(shard).merged_with(&world.range_of(adjacent)).unwrap();
                        // As it is measured: each part for itself, in whole bytes and records.
                        let parts = [shard, adjacent].map(|shard| traffic.rate_in(&world.range_of(shard)));
                        prop_assert!(world.policy.is_cold(parts[0].plus(parts[1])), "a warm pair is merged");
                        prop_assert!(!split.contains(&(merged.start(), merged.end())), "split, then merged again");
                        prop_assert!(before > world.policy.shards_min, "too few are left");
                    }
                }
            }
            prop_assert!(world.open() <= world.bound(shards, traffic.total()), "{} shards", world.open());
        }
        let last = world.begun.last().map_or(Duration::ZERO, |(at, _)| *at);
        prop_assert!(last < end - hours(1), "it never settles: {:?}", world.begun.last());
    }

    #[test]
    fn an_even_flow_ends_with_no_shard_hot_and_few_more_shards_than_it_needs(
        bytes in 0..40 * MIB, shards in 1u32..9,
    ) {
        let mut world = World::of(shards);
        let traffic = even(bytes);
        world.run(&traffic, hours(3));
        let hot = |shard: &Shard| world.policy.is_hot(traffic.rate_in(&shard.range));
        prop_assert!(!stream(&world.catalog).open_shards().any(hot));
        // By bytes or by records, whichever needs more.
        let hot_at = world.policy.split_percent * 10;
        let needed = (traffic.total().permille_of(world.policy.shard) / hot_at) as u32 + 1;
        prop_assert!(world.open() <= shards.max(2 * needed), "{} shards for {needed}", world.open());
    }

    #[test]
    fn traffic_that_jumps_about_never_breaks_a_bound(
        jumps in prop::collection::vec((traffic(), 1u32..60), 1..16), shards in 1u32..12,
    ) {
        let mut world = World::of(shards);
        let greatest = jumps.iter().map(|(traffic, _)| traffic.total()).fold(WriteRate::default(), WriteRate::max);
        for (traffic, looks) in &jumps {
            for _ in 0..*looks {
                world.pass(traffic);
                // Splits of different times may add up, but never past the narrowest range.
                let narrowest = world.policy.narrowest(stream(&world.catalog), greatest);
                prop_assert!(u128::from(world.open()) <= u128::from(shards) + 2 * (u128::MAX / narrowest));
                prop_assert!(world.open() >= shards.min(world.policy.shards_min));
            }
        }
        for (at, _) in &world.begun {
            let minute = world.begun.iter().filter(|(other, _)| other >= at && *other - *at < Duration::from_secs(60));
            prop_assert!(minute.count() <= world.policy.steps_per_minute_max);
        }
        for (at, step) in &world.begun {
            // Ids are not given twice: a shard that a step touches was not there for any other.
            let again = world.begun.iter().filter(|(_, other)| other.kind.parents() == step.kind.parents()).count();
            prop_assert_eq!(again, 1, "{:?} at {:?}", step, at);
        }
    }
}

/// 64 shards take exactly 500 records a second each, though not half a MiB: each is split again.
#[test]
fn a_flow_at_the_very_limit_of_records_is_spread_by_records() {
    let mut world = World::of(1);
    world.run(&even(64 * 500 * 1_024), hours(3));
    assert_eq!(world.open(), 128);
}

#[test]
fn a_shard_is_split_in_the_middle_only_after_it_was_hot_for_its_time_without_a_break() {
    let mut world = World::of(4);
    let (hot, calm) = (Traffic { even_bytes: 0, keys: vec![(1, 812 * 1024)] }, even(0));
    for _ in 0..3 {
        assert_eq!(world.pass(&hot), []);
    }
    world.pass(&calm);
    for _ in 0..3 {
        assert_eq!(world.pass(&hot), [], "the break began the time anew");
    }
    let steps = world.pass(&hot);
    let why = Why::Hot { rate: hot.total(), held_ms: 180_000 };
    assert_eq!((steps[0].kind, steps[0].why), (ReshardKind::Split { shard: ShardId(0), at: None }, why));
    assert_eq!(why.to_string(), "812 KiB/s, 812 records/s for 3 min");
    assert_eq!(world.open(), 5);
    assert_eq!(world.range_of(ShardId(4)).width_minus_one(), world.range_of(ShardId(5)).width_minus_one());
}

#[test]
fn a_stream_that_was_busy_returns_to_four_shards_and_not_below() {
    let mut world = World::of(4);
    world.run(&even(24 * MIB), hours(2));
    assert_eq!(world.open(), 64);
    world.run(&even(0), hours(20));
    assert_eq!(world.open(), 4);
    let mut single = World::of(1);
    single.run(&even(MIB / 4), hours(5));
    assert_eq!(single.open(), 1, "nothing asks for more");
}

#[test]
fn one_busy_key_costs_a_handful_of_splits_and_then_none() {
    let mut world = World::of(4);
    let traffic = Traffic { even_bytes: 0, keys: vec![(u128::MAX / 3, 3 * MIB)] };
    world.run(&traffic, hours(48));
    let splits = world.begun.iter().filter(|(_, step)| matches!(step.kind, ReshardKind::Split { .. })).count();
    assert!((1..=8).contains(&splits), "{splits} splits");
    assert!(world.open() <= 8, "{} shards", world.open());
    let last = world.begun.last().unwrap().0;
    assert!(last < hours(12), "the last step came after {last:?}");
}

#[test]
fn what_is_not_measured_is_left_alone() {
    let mut world = World::of(16);
    for _ in 0..200 {
        world.at += LOOK;
        let observed = all_ready(&world.catalog);
        world.loads.look(&world.catalog, &observed, world.at, &world.policy);
        assert_eq!(on_demand::due(&world.catalog, &world.loads, world.at, &world.policy), []);
    }
}

#[test]
fn a_new_controller_watches_for_as_long_as_the_old_one_had_to() {
    let mut world = World::of(4);
    world.run(&even(8 * MIB), Duration::from_secs(180));
    assert_eq!(world.begun, [], "it would have split at the next look");
    world.loads = Loads::default();
    let before = world.at;
    while world.begun.is_empty() {
        world.pass(&even(8 * MIB));
    }
    assert!(world.at - before >= world.policy.split_after);
}

#[test]
fn a_step_that_comes_to_nothing_is_not_tried_again_at_once() {
    let mut world = World::of(4);
    let traffic = Traffic { even_bytes: 0, keys: vec![(1, MIB)] };
    let steps = loop {
        let steps = world.look(&traffic);
        if !steps.is_empty() {
            break steps;
        }
    };
    world.loads.begin(&world.catalog, &steps[0], world.at);
    let refused_at = world.at;
    while world.pass(&traffic).is_empty() {}
    assert!(world.at - refused_at >= world.policy.split_after);
}

#[test]
fn provisioned_streams_and_streams_that_are_scaled_are_left_to_their_users() {
    let mut world = World::of(4);
    let traffic = even(40 * MIB);
    ask(&mut world.catalog, Operation::UpdateShardCount { stream: name("s"), target: 6, rules: Rules::Free }, START)
        .unwrap();
    for _ in 0..20 {
        assert_eq!(world.look(&traffic), [], "it is being scaled");
    }
    let step = NextStep {
        stream: name("s"),
        kind: ReshardKind::Split { shard: ShardId(0), at: None },
        why: Why::Warm { mibps: 9 },
        weight: 1,
    };
    assert!(world.catalog.apply(&step.command(&world.catalog, 1, START)).is_err());
    world.catalog.apply(&Command::EndScaling { stream: name("s") }).unwrap();
    let patch = Box::new(StreamPatch { mode: Some(StreamMode::Provisioned), ..StreamPatch::default() });
    ask(&mut world.catalog, Operation::UpdateStream { stream: name("s"), patch, rules: Rules::Free }, START).unwrap();
    for _ in 0..20 {
        assert_eq!(world.look(&traffic), [], "it is provisioned");
    }
    assert!(world.catalog.apply(&step.command(&world.catalog, 1, START)).is_err());
}

#[test]
fn steps_keep_to_the_limit_on_open_shards_instead_of_asking_for_more() {
    let mut world = World::of(4);
    ask(&mut world.catalog, Operation::SetShardLimit { shards: 6 }, START).unwrap();
    // `pass` applies what is due and panics when it is refused.
    world.run(&even(64 * MIB), hours(1));
    assert_eq!(world.open(), 6);
}

#[test]
fn a_stream_is_ready_for_the_warm_throughput_that_was_asked_of_it_and_stays_so() {
    let mut world = World::of(4);
    let warm = thalweg_catalog::Edit::Set(20);
    let patch = Box::new(StreamPatch { warm_mibps: warm, ..StreamPatch::default() });
    ask(&mut world.catalog, Operation::UpdateStream { stream: name("s"), patch, rules: Rules::Free }, START).unwrap();
    world.run(&even(0), Duration::from_secs(1_200));
    assert_eq!(world.open(), 20);
    assert!(world.begun.iter().all(|(_, step)| step.why == Why::Warm { mibps: 20 }));
    world.run(&even(0), hours(3));
    assert_eq!(world.open(), 20);
}

#[test]
fn the_hottest_streams_come_first_when_the_budget_is_short() {
    let mut world = World::of(4);
    let settings = StreamSettings { mode: StreamMode::OnDemand, ..StreamSettings::default() };
    for other in ["a", "z"] {
        let wanted = NewStream { settings: Box::new(settings.clone()), ..NewStream::named(name(other), 1) };
        create_stream(&mut world.catalog, wanted, START);
    }
    world.policy.steps_per_minute_max = 2;
    let rate = |group: GroupId| WriteRate { bytes_per_s: group.0 * MIB, records_per_s: 0 };
    let steps = loop {
        world.at += LOOK;
        let mut observed = all_ready(&world.catalog);
        observed.iter_mut().for_each(|(group, seen)| seen.write = Some(rate(*group)));
        world.loads.look(&world.catalog, &observed, world.at, &world.policy);
        let steps = on_demand::due(&world.catalog, &world.loads, world.at, &world.policy);
        if !steps.is_empty() {
            break steps;
        }
    };
    let streams: Vec<String> = steps.iter().map(|step| step.stream.to_string()).collect();
    assert_eq!(streams, ["z", "a"], "the last created have the highest group ids");
    steps.iter().for_each(|step| world.loads.begin(&world.catalog, step, world.at));
    assert_eq!(on_demand::due(&world.catalog, &world.loads, world.at, &world.policy), [], "the budget is used up");
}

#[test]
fn on_demand_reshards_run_side_by_side_and_tile() {
    let mut world = World::of(8);
    let mut planned = 0;
    for shard in [0, 2, 4] {
        let kind = ReshardKind::Split { shard: ShardId(shard), at: None };
        let step = NextStep { stream: name("s"), kind, why: Why::Warm { mibps: 9 }, weight: 1 };
        planned += usize::from(world.catalog.apply(&step.command(&world.catalog, 1, at_hour(1))).is_ok());
        world.catalog.check().unwrap();
    }
    assert_eq!((planned, world.catalog.reshards().count()), (3, 3));
    assert!(world.catalog.reshards().all(|reshard| matches!(reshard.cause, ReshardCause::OnDemand(_))));
    finish_reshards(&mut world.catalog, at_hour(1));
    assert_eq!(world.open(), 11);
}
