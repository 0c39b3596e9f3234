//! Where new replicas go.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use thalweg_catalog::{Catalog, Command, NewStream, NodeChange, Operation, placement};
use thalweg_types::NodeId;

use crate::support::{START, cluster};

fn zone(catalog: &Catalog, node: NodeId) -> String {
    catalog.node(node).unwrap().zone.clone()
}

/// The difference between the most and the least named node, nodes never named included.
fn imbalance(catalog: &Catalog, named: impl Iterator<Item = NodeId>) -> u32 {
    let mut counts: BTreeMap<NodeId, u32> = catalog.active_nodes().map(|node| (node.id, 0)).collect();
    named.for_each(|node| *counts.get_mut(&node).expect("only active nodes are chosen") += 1);
    counts.values().max().unwrap() - counts.values().min().unwrap()
}

proptest! {
    #[test]
    fn sets_are_distinct_living_nodes_active_ones_first_in_as_many_zones_as_there_can_be(
        zones in prop::collection::vec(prop::sample::select(vec!["a", "b", "c", "d"]), 1..12),
        resting in prop::collection::vec((1u64..12, any::<bool>()), 0..3),
        shards in 1usize..20, replication in 1u32..6, seed: u64,
    ) {
        let mut catalog = cluster(&zones);
        for (node, dead) in resting {
            let change = if dead { NodeChange::MarkDead } else { NodeChange::Drain };
            let _ = catalog.apply(&Command::ChangeNode { node: NodeId(node), change, now: START });
        }
        let active: Vec<NodeId> = catalog.active_nodes().map(|node| node.id).collect();
        let zones: BTreeSet<String> = active.iter().map(|node| zone(&catalog, *node)).collect();
        let alive: Vec<NodeId> = catalog.nodes().filter(|node| node.is_alive()).map(|node| node.id).collect();
        let wanted = alive.len().min(replication as usize);
        let active_wanted = active.len().min(replication as usize);
        for set in placement::place(&catalog, shards, replication, seed) {
            prop_assert!(set.iter().all(|node| alive.contains(node)));
            prop_assert_eq!(set.iter().collect::<BTreeSet<_>>().len(), wanted);
            let chosen: Vec<NodeId> = set.iter().copied().filter(|node| active.contains(node)).collect();
            prop_assert_eq!(chosen.len(), active_wanted);
            prop_assert!(chosen.is_empty() || active.contains(&set[0]), "who is being drained leads");
            let spanned: BTreeSet<String> = chosen.iter().map(|node| zone(&catalog, *node)).collect();
            prop_assert_eq!(spanned.len(), active_wanted.min(zones.len()));
        }
    }

    #[test]
    fn replicas_and_leaders_are_even_in_even_zones(per_zone in 1usize..5, shards in 1usize..100, seed: u64) {
        let zones: Vec<&str> = ["a", "b", "c"].repeat(per_zone);
        let catalog = cluster(&zones);
        let sets = placement::place(&catalog, shards, 3, seed);
        prop_assert!(imbalance(&catalog, sets.iter().flatten().copied()) <= 1);
        prop_assert!(imbalance(&catalog, sets.iter().map(|set| set[0])) <= 1);
    }

    #[test]
    fn equal_catalogs_and_seeds_give_equal_answers(shards in 1usize..20, seed: u64) {
        let (one, other) = (cluster(&["a", "b", "c", "a"]), cluster(&["a", "b", "c", "a"]));
        prop_assert_eq!(placement::place(&one, shards, 3, seed), placement::place(&other, shards, 3, seed));
    }
}

/// Leaders chosen set by set, each time the least busy member, ended 3 apart here.
#[test]
fn leaders_are_even_where_choosing_set_by_set_is_not() {
    let catalog = cluster(&["a", "b", "c"].repeat(4));
    let sets = placement::place(&catalog, 17, 3, 383_990_347_742_318_415);
    assert!(imbalance(&catalog, sets.iter().map(|set| set[0])) <= 1);
}

/// With two replicas the loss of one node would be the loss of the shard.
#[test]
fn a_node_that_is_being_drained_takes_part_where_there_are_too_few_others() {
    let mut catalog = cluster(&["a", "b", "c"]);
    catalog.apply(&Command::ChangeNode { node: NodeId(1), change: NodeChange::Drain, now: START }).unwrap();
    let sets = placement::place(&catalog, 4, 3, 5);
    assert!(sets.iter().all(|set| set.len() == 3 && set[0] != NodeId(1)), "{sets:?}");
    let wanted = Operation::CreateStream(NewStream::named("s".parse().unwrap(), 4));
    let mut create = wanted.command(&catalog, START, 5).unwrap();
    assert!(catalog.clone().apply(&create).is_ok());
    let mut with = |set: &[u64]| {
        let Command::CreateStream { placement, .. } = &mut create else { panic!("a stream is created") };
        placement.fill(set.iter().copied().map(NodeId).collect());
        catalog.clone().apply(&create).is_ok()
    };
    assert!(with(&[2, 3]), "as older builds have planned it, whose logs are applied anew");
    assert!(!with(&[2]) && !with(&[2, 1]), "fewer than there are");

    let node = crate::support::registration(4, "a");
    catalog.apply(&Command::RegisterNode { node, now: START }).unwrap();
    let sets = placement::place(&catalog, 4, 3, 5);
    assert!(sets.iter().flatten().all(|node| *node != NodeId(1)), "{sets:?}");
}

#[test]
fn what_is_placed_already_counts() {
    let mut catalog = crate::support::cluster_with_stream(4);
    for id in [4, 5, 6] {
        let node = crate::support::registration(id, ["a", "b", "c"][id as usize - 4]);
        catalog.apply(&Command::RegisterNode { node, now: START }).unwrap();
    }
    for set in placement::place(&catalog, 4, 3, 9) {
        assert_eq!(set.iter().collect::<BTreeSet<_>>(), BTreeSet::from([&NodeId(4), &NodeId(5), &NodeId(6)]));
    }
}
