//! Scaling ends in exactly equal ranges, wherever it starts.

use proptest::prelude::*;
use proptest::sample::Index;
use thalweg_catalog::{Applied, Catalog, Operation, Refusal, ReshardCause, ReshardKind, Rules, StreamStatus, scale};
use thalweg_types::{HashKey, HashRange};

use crate::support::{
    ask, at_hour, cluster_with_stream, finish_reshards, finish_scaling, name, plan, shard, split, stream,
};

fn start_scaling(catalog: &mut Catalog, target: u32) {
    ask(catalog, Operation::UpdateShardCount { stream: name("s"), target, rules: Rules::Free }, at_hour(1)).unwrap();
}

fn open_ranges(catalog: &Catalog) -> Vec<HashRange> {
    stream(catalog).open_shards().map(|shard| shard.range).collect()
}

/// Splits some open shard at any key that is allowed there.
fn split_somewhere(catalog: &mut Catalog, which: &Index, at: u128) {
    let open: Vec<_> = stream(catalog).open_shards().map(|shard| (shard.id, shard.range)).collect();
    let (shard, range) = *which.get(&open);
    let inside = range.start().0 + 2 + at % (range.width_minus_one() - 3);
    let wish = Operation::SplitShard { stream: name("s"), shard, at: Some(HashKey(inside)), rules: Rules::Free };
    ask(catalog, wish, at_hour(1)).unwrap();
    finish_reshards(catalog, at_hour(1));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn scaling_ends_in_equal_ranges_from_any_start(
        first in 1u32..12, target in 1u32..40, at_once in 1usize..9,
        splits in prop::collection::vec((any::<Index>(), any::<u128>()), 0..8),
    ) {
        let mut catalog = cluster_with_stream(first);
        for (which, at) in &splits {
            split_somewhere(&mut catalog, which, *at);
        }
        let borders = stream(&catalog).open_shards().count() + target as usize;
        let (shards, to_come) = (stream(&catalog).shards.iter().count(), scale::shards_to_come(stream(&catalog), target));
        start_scaling(&mut catalog, target);
        let steps = finish_scaling(&mut catalog, at_once, at_hour(2));
        prop_assert_eq!(open_ranges(&catalog), HashRange::tile(target));
        prop_assert_eq!(stream(&catalog).status, StreamStatus::Active);
        prop_assert!(steps <= borders, "{steps} steps for {borders} borders");
        prop_assert_eq!(stream(&catalog).shards.iter().count(), shards + to_come, "room was made for so many");
    }
}

#[test]
fn doubling_takes_one_split_a_shard_and_all_may_run_at_once() {
    let mut catalog = cluster_with_stream(4);
    start_scaling(&mut catalog, 8);
    assert_eq!(stream(&catalog).status, StreamStatus::Updating);
    let commands = scale::next_commands(&catalog, &name("s"), 100, 1, at_hour(1));
    assert_eq!(commands.len(), 4);
    for command in &commands {
        catalog.apply(command).unwrap();
        catalog.check().unwrap();
    }
    assert_eq!(scale::next_commands(&catalog, &name("s"), 100, 1, at_hour(1)), []);
    finish_reshards(&mut catalog, at_hour(1));
    assert_eq!(open_ranges(&catalog), HashRange::tile(8));
}

#[test]
fn a_scaling_that_is_stopped_lets_running_steps_end_and_begins_no_other() {
    let mut catalog = cluster_with_stream(1);
    start_scaling(&mut catalog, 3);
    let step = scale::next_commands(&catalog, &name("s"), 1, 1, at_hour(1)).remove(0);
    catalog.apply(&step).unwrap();
    ask(&mut catalog, Operation::StopScaling { stream: name("s") }, at_hour(1)).unwrap();
    assert_eq!(stream(&catalog).status, StreamStatus::Updating);
    finish_reshards(&mut catalog, at_hour(1));
    assert_eq!((stream(&catalog).status, open_ranges(&catalog).len()), (StreamStatus::Active, 2));
    assert_eq!(catalog.apply(&step), Err(Refusal::NoScaling { stream: name("s") }));
}

#[test]
fn users_cannot_reshard_while_a_scaling_runs() {
    let mut catalog = cluster_with_stream(2);
    start_scaling(&mut catalog, 3);
    assert!(matches!(catalog.apply(&plan(&catalog, split(0), at_hour(1))), Err(Refusal::StreamStatus { .. })));
    let again =
        ask(&mut catalog, Operation::UpdateShardCount { stream: name("s"), target: 5, rules: Rules::Free }, at_hour(1));
    assert_eq!(again, Err(Refusal::ScalingRuns { stream: name("s"), target: 3 }));
}

#[test]
fn scaling_to_the_present_equal_ranges_changes_nothing() {
    let mut catalog = cluster_with_stream(2);
    let same =
        ask(&mut catalog, Operation::UpdateShardCount { stream: name("s"), target: 2, rules: Rules::Free }, at_hour(1));
    assert_eq!(same, Ok(Applied::Unchanged));
}

#[test]
fn a_scaling_may_split_at_the_very_edge_where_a_user_may_not() {
    let mut catalog = cluster_with_stream(1);
    start_scaling(&mut catalog, 2);
    let kind = ReshardKind::Split { shard: shard(&catalog, 0).id, at: Some(HashKey(1)) };
    let thalweg_catalog::Command::PlanReshard { stream, placement, now, .. } = plan(&catalog, kind, at_hour(1)) else {
        unreachable!("a plan is a plan");
    };
    let cause = ReshardCause::Scaling;
    let edge = thalweg_catalog::Command::PlanReshard { stream, kind, cause, placement, rules: Rules::Free, now };
    assert!(catalog.apply(&edge).is_ok());
    catalog.check().unwrap();
}

#[test]
fn the_services_own_bounds_are_half_and_double() {
    let allowed = |open, target| scale::service_bounds(open).contains(&target);
    assert!(allowed(5, 3) && allowed(5, 10) && !allowed(5, 2) && !allowed(5, 11));
    assert!(allowed(10_000, 10_000) && !allowed(10_000, 10_001));
}
