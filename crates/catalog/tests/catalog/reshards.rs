//! Splits and merges: the steps, what can interrupt them, and that a retry does no harm.

use proptest::prelude::*;
use thalweg_catalog::{
    Applied, Catalog, Command, NodeChange, Observed, Operation, Refusal, ReplicaSpec, Reshard, ReshardId, ReshardPhase,
    Rules, ShardState, Step, StreamStatus, desired_replicas, reshard,
};
use thalweg_types::{HashKey, HashRange, NodeId, ShardId};

use crate::support::{
    all_ready, ask, at_hour, cluster, cluster_with_stream, last_number, merge, name, plan, reshard_now, shard, split,
    stream, tiles,
};

const FIRST: ReshardId = ReshardId(1);

fn begun() -> Catalog {
    let mut catalog = cluster_with_stream(1);
    catalog.apply(&plan(&catalog, split(0), at_hour(1))).unwrap();
    catalog
}

fn running(catalog: &Catalog) -> Reshard {
    catalog.reshard(FIRST).unwrap().clone()
}

fn specs(catalog: &Catalog) -> Vec<ReplicaSpec> {
    desired_replicas(catalog, NodeId(1))
}

#[test]
fn a_reshard_waits_for_its_children_then_seals_then_flips() {
    let mut catalog = begun();
    let (parent, low, high) = (shard(&catalog, 0).group, shard(&catalog, 1).group, shard(&catalog, 2).group);
    let mut observed = all_ready(&catalog);

    // One child has a leader that cannot write yet, the other has none.
    observed.get_mut(&low).unwrap().ready = false;
    observed.get_mut(&high).unwrap().leader = None;
    assert_eq!(reshard::next_step(&catalog, &running(&catalog), &observed, at_hour(1)), Step::Wait(vec![low, high]));
    observed.remove(&low);
    assert_eq!(reshard::next_step(&catalog, &running(&catalog), &observed, at_hour(1)), Step::Wait(vec![low, high]));

    let mut observed = all_ready(&catalog);
    observed.get_mut(&parent).unwrap().sealed_at = None;
    let seal = Command::SealParents { reshard: FIRST };
    let step = reshard::next_step(&catalog, &running(&catalog), &observed, at_hour(1));
    assert_eq!(step, Step::Propose(seal.clone()));
    catalog.apply(&seal).unwrap();

    let step = reshard::next_step(&catalog, &running(&catalog), &observed, at_hour(1));
    assert_eq!(step, Step::Wait(vec![parent]));
    let endings = vec![(ShardId(0), last_number(shard(&catalog, 0)))];
    let flip = Command::FlipReshard { reshard: FIRST, endings, now: at_hour(1) };
    let step = reshard::next_step(&catalog, &running(&catalog), &all_ready(&catalog), at_hour(1));
    assert_eq!(step, Step::Propose(flip.clone()));
    assert_eq!(catalog.apply(&flip), Ok(Applied::Changed));
    assert_eq!(stream(&catalog).status, StreamStatus::Active);
    assert_eq!(catalog.apply(&flip), Err(Refusal::ReshardUnknown { reshard: FIRST }));
}

#[test]
fn the_parent_takes_writes_until_the_flip_and_the_children_from_it() {
    let mut catalog = begun();
    let told = |catalog: &Catalog| specs(catalog).iter().map(|s| (s.writable, s.seal, s.closed)).collect::<Vec<_>>();
    let (open, opening) = ((true, false, false), (false, false, false));
    assert_eq!(told(&catalog), [open, opening, opening]);
    catalog.apply(&Command::SealParents { reshard: FIRST }).unwrap();
    assert_eq!(told(&catalog), [(true, true, false), opening, opening]);
    crate::support::finish_reshards(&mut catalog, at_hour(1));
    assert_eq!(told(&catalog), [(false, false, true), open, open]);
}

#[test]
fn groups_may_be_initialised_only_while_they_form() {
    let mut catalog = begun();
    let bootstrap = |catalog: &Catalog| specs(catalog).iter().map(|spec| spec.bootstrap).collect::<Vec<_>>();
    assert_eq!(bootstrap(&catalog), [false, true, true]);
    crate::support::finish_reshards(&mut catalog, at_hour(1));
    assert_eq!(bootstrap(&catalog), [false, false, false]);
}

#[test]
fn aborting_leaves_the_parent_as_it_was_and_uses_up_the_ids() {
    let mut catalog = begun();
    let groups = (shard(&catalog, 1).group, shard(&catalog, 2).group);
    assert_eq!(catalog.apply(&Command::AbortReshard { reshard: FIRST }), Ok(Applied::Changed));
    assert_eq!(stream(&catalog).status, StreamStatus::Active);
    assert_eq!((stream(&catalog).shards.len(), shard(&catalog, 0).state), (1, ShardState::Open));
    assert_eq!(reshard_now(&mut catalog, split(0), at_hour(2)), [ShardId(3), ShardId(4)]);
    assert!(shard(&catalog, 3).group > groups.1);
}

#[test]
fn a_reshard_whose_parents_may_be_sealed_cannot_be_aborted() {
    let mut catalog = begun();
    catalog.apply(&Command::SealParents { reshard: FIRST }).unwrap();
    assert_eq!(catalog.apply(&Command::SealParents { reshard: FIRST }), Ok(Applied::Unchanged));
    let refused = catalog.apply(&Command::AbortReshard { reshard: FIRST });
    assert_eq!(refused, Err(Refusal::ReshardSealing { reshard: FIRST }));
}

#[test]
fn a_reshard_is_aborted_when_its_children_can_never_elect_a_leader() {
    let mut catalog = begun();
    for node in [2, 3] {
        let dead = Command::ChangeNode { node: NodeId(node), change: NodeChange::MarkDead, now: at_hour(2) };
        catalog.apply(&dead).unwrap();
    }
    let nothing_known = Default::default();
    let step = reshard::next_step(&catalog, &running(&catalog), &nothing_known, at_hour(2));
    assert_eq!(step, Step::Propose(Command::AbortReshard { reshard: FIRST }));
}

#[test]
fn an_ending_outside_the_parents_numbers_is_refused() {
    let mut catalog = begun();
    catalog.apply(&Command::SealParents { reshard: FIRST }).unwrap();
    let (parent, child) = (shard(&catalog, 0).starting(), shard(&catalog, 1).starting());
    let refused = Err(Refusal::ReshardEnding { reshard: FIRST, shard: ShardId(0) });
    let flip = |endings| Command::FlipReshard { reshard: FIRST, endings, now: at_hour(1) };
    assert_eq!(catalog.apply(&flip(vec![(ShardId(0), child)])), refused);
    assert_eq!(catalog.apply(&flip(vec![])), refused);
    // A shard without records is sealed at its start.
    assert_eq!(catalog.apply(&flip(vec![(ShardId(0), parent)])), Ok(Applied::Changed));
}

#[test]
fn children_are_created_a_second_after_their_parents_even_if_the_clock_falls_back() {
    let mut catalog = cluster_with_stream(1);
    let born = shard(&catalog, 0).created_at;
    reshard_now(&mut catalog, split(0), born.minus_ms(60_000));
    assert_eq!(shard(&catalog, 1).created_at.0, born.0 + 1_000);
    reshard_now(&mut catalog, merge(1, 2), born.minus_ms(60_000));
    assert_eq!(shard(&catalog, 3).created_at.0, born.0 + 2_000);
    assert!(shard(&catalog, 3).opened_at >= shard(&catalog, 1).opened_at);
}

#[test]
fn deleting_a_stream_ends_its_reshards_and_takes_its_replicas_off_every_node() {
    let mut catalog = begun();
    ask(&mut catalog, Operation::DeleteStream { stream: name("s"), with_consumers: false }, at_hour(1)).unwrap();
    assert_eq!(catalog.reshards().count(), 0);
    assert_eq!(specs(&catalog), []);
    let id = stream(&catalog).id;
    catalog.apply(&Command::FinishDelete { stream: name("s"), id }).unwrap();
    assert!(catalog.stream(&name("s")).is_none());
    crate::support::create_stream(&mut catalog, thalweg_catalog::NewStream::named(name("s"), 1), at_hour(2));
    let late = Command::FinishDelete { stream: name("s"), id };
    assert_eq!(catalog.apply(&late), Err(Refusal::StreamReplaced { stream: name("s") }));
}

#[test]
fn a_stream_opens_only_when_every_group_can_take_records() {
    let mut catalog = cluster(&["a", "b", "c"]);
    let wanted = thalweg_catalog::NewStream::named(name("s"), 2);
    ask(&mut catalog, Operation::CreateStream(wanted), at_hour(0)).unwrap();
    assert!(stream(&catalog).shard_for(HashKey::MIN).is_none());
    let mut observed = all_ready(&catalog);
    let late = shard(&catalog, 1).group;
    observed.insert(late, Observed { ready: false, ..Observed::default() });
    assert_eq!(thalweg_catalog::create::next_step(stream(&catalog), &observed), Some(Step::Wait(vec![late])));
}

proptest! {
    #[test]
    fn the_split_edge_rule_keeps_two_keys_below_and_two_above(at: u128, near in 0u128..4, edge in 0u8..3) {
        let mut catalog = cluster_with_stream(3);
        let range = shard(&catalog, 1).range;
        let (low, high) = (range.start().0, range.end().0);
        let at = [low.saturating_sub(1) + near, high - 2 + near, at][usize::from(edge)];
        let wish = Operation::SplitShard { stream: name("s"), shard: ShardId(1), at: Some(HashKey(at)), rules: Rules::Free };
        let outcome = ask(&mut catalog, wish, at_hour(1));
        prop_assert_eq!(outcome.is_ok(), at > low + 1 && at < high);
        if outcome.is_ok() {
            crate::support::finish_reshards(&mut catalog, at_hour(1));
            let children = (shard(&catalog, 3).range, shard(&catalog, 4).range);
            prop_assert_eq!(Some(children), range.split_at(HashKey(at)));
            prop_assert!(tiles(stream(&catalog).open_shards()));
        }
    }
}

#[test]
fn merging_takes_the_lower_neighbour_first_and_joins_both_ranges() {
    let mut catalog = cluster_with_stream(2);
    assert!(matches!(catalog.apply(&plan(&catalog, merge(1, 0), at_hour(1))), Err(Refusal::NotAdjacent { .. })));
    reshard_now(&mut catalog, merge(0, 1), at_hour(1));
    assert_eq!(shard(&catalog, 2).range, HashRange::FULL);
    assert_eq!(running_phase(&catalog), None);
}

fn running_phase(catalog: &Catalog) -> Option<ReshardPhase> {
    catalog.reshard(FIRST).map(|reshard| reshard.phase)
}
