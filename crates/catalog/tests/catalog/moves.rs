//! Moving replicas: away from lost nodes, onto new ones, leadership to where it is even.

use std::collections::BTreeMap;

use thalweg_catalog::{
    Applied, Catalog, Command, NewStream, NodeChange, Operation, Refusal, desired_replicas, placement::Load, repair,
};
use thalweg_types::{NodeId, ShardId};

use crate::support::{START, ask, at_hour, cluster, create_stream, ids, name, registration, shard, stream};

fn with_stream(zones: &[&str], shards: u32) -> Catalog {
    let mut catalog = cluster(zones);
    create_stream(&mut catalog, NewStream::named(name("s"), shards), START);
    catalog
}

fn change(catalog: &mut Catalog, node: u64, change: NodeChange) {
    catalog.apply(&Command::ChangeNode { node: NodeId(node), change, now: at_hour(1) }).unwrap();
}

fn settle_all(catalog: &mut Catalog) {
    let moving: Vec<_> =
        stream(catalog).shards.iter().filter(|s| !s.settled).map(|s| (s.id, s.replicas.clone(), s.placement)).collect();
    for (shard, voters, placement) in moving {
        catalog.apply(&settled(shard, voters, placement)).unwrap();
    }
}

fn settled(shard: ShardId, voters: Vec<NodeId>, placement: u64) -> Command {
    Command::ReplicasSettled { stream: name("s"), shard, voters, placement: Some(placement) }
}

/// Applies a planner's answers, settling after each round, until it has none; the rounds.
fn until_done(catalog: &mut Catalog, planner: impl Fn(&Catalog) -> Vec<Command>) -> usize {
    for round in 0..1000 {
        let commands = planner(catalog);
        if commands.is_empty() {
            return round;
        }
        for command in commands {
            assert_eq!(catalog.apply(&command), Ok(Applied::Changed));
            catalog.check().unwrap();
        }
        settle_all(catalog);
    }
    panic!("the planner never ends");
}

#[test]
fn a_dead_nodes_replicas_are_replaced_with_as_few_moves_as_there_were_replicas() {
    let mut catalog = with_stream(&["a", "b", "c", "a", "b", "c"], 12);
    change(&mut catalog, 2, NodeChange::MarkDead);
    let lost = stream(&catalog).shards.iter().filter(|shard| shard.replicas.contains(&NodeId(2))).count();
    let before = catalog.clone();
    let moves = repair::repair(&catalog, 1000);
    assert_eq!(moves.len(), lost);
    moves.iter().for_each(|command| drop(catalog.apply(command).unwrap()));
    for (old, new) in stream(&before).shards.iter().zip(stream(&catalog).shards.iter()) {
        let stayed = old.replicas.iter().filter(|node| new.replicas.contains(node)).count();
        assert!(stayed + usize::from(old.replicas.contains(&NodeId(2))) == 3, "{old:?} became {new:?}");
        let zones: std::collections::BTreeSet<_> =
            new.replicas.iter().map(|node| catalog.node(*node).unwrap().zone.clone()).collect();
        assert_eq!(zones.len(), 3);
    }
}

#[test]
fn no_more_moves_are_under_way_than_allowed() {
    let mut catalog = with_stream(&["a", "b", "c", "a", "b", "c"], 12);
    change(&mut catalog, 2, NodeChange::Drain);
    let first = repair::repair(&catalog, 2);
    assert_eq!(first.len(), 2);
    first.iter().for_each(|command| drop(catalog.apply(command).unwrap()));
    assert_eq!(repair::repair(&catalog, 2), []);
    settle_all(&mut catalog);
    assert_eq!(repair::repair(&catalog, 2).len(), 2);
    until_done(&mut catalog, |catalog| repair::repair(catalog, 2));
    assert_eq!(catalog.replicas_on(NodeId(2)), 0);
    catalog.apply(&Command::SetControllerVoters { voters: ids(&[1, 3, 4]) }).unwrap();
    assert_eq!(catalog.apply(&Command::RemoveNode { node: NodeId(2) }), Ok(Applied::Changed));
}

#[test]
fn a_move_whose_newcomer_dies_is_planned_anew_even_when_no_move_is_free() {
    let mut catalog = with_stream(&["a", "b", "c"], 1);
    for (id, zone) in [(4, "a"), (5, "a")] {
        catalog.apply(&Command::RegisterNode { node: registration(id, zone), now: START }).unwrap();
    }
    change(&mut catalog, 1, NodeChange::MarkDead);
    let first = repair::repair(&catalog, 1);
    catalog.apply(&first[0]).unwrap();
    let newcomer = shard(&catalog, 0).replicas.iter().find(|node| node.0 > 3).unwrap().0;
    change(&mut catalog, newcomer, NodeChange::MarkDead);
    let second = repair::repair(&catalog, 1);
    catalog.apply(&second[0]).unwrap();
    assert!(shard(&catalog, 0).replicas.contains(&NodeId(9 - newcomer)));
    assert!(repair::repair(&catalog, 1).is_empty());
}

#[test]
fn a_lost_replica_without_a_replacement_stays_but_does_not_lead() {
    let mut catalog = with_stream(&["a", "b", "c"], 3);
    change(&mut catalog, 1, NodeChange::MarkDead);
    until_done(&mut catalog, |catalog| repair::repair(catalog, 9));
    for shard in stream(&catalog).shards.iter() {
        assert_eq!(shard.replicas.len(), 3);
        assert_ne!(shard.preferred_leader(), Some(NodeId(1)));
    }
}

#[test]
fn short_sets_are_filled_when_nodes_join() {
    let mut catalog = with_stream(&["a"], 2);
    assert_eq!(shard(&catalog, 0).replicas, ids(&[1]));
    for (id, zone) in [(2, "b"), (3, "c")] {
        catalog.apply(&Command::RegisterNode { node: registration(id, zone), now: START }).unwrap();
    }
    until_done(&mut catalog, |catalog| repair::repair(catalog, 9));
    assert!(stream(&catalog).shards.iter().all(|shard| shard.replicas.len() == 3));
    assert_eq!(shard(&catalog, 0).initial_members, ids(&[1]));
}

#[test]
fn nodes_that_join_get_a_share_and_spreading_comes_to_rest() {
    let mut catalog = with_stream(&["a", "b", "c"], 8);
    for (id, zone) in [(4, "a"), (5, "b"), (6, "c")] {
        catalog.apply(&Command::RegisterNode { node: registration(id, zone), now: START }).unwrap();
    }
    until_done(&mut catalog, |catalog| repair::spread(catalog, 3));
    let counts: Vec<u32> = (1..=6).map(|id| catalog.replicas_on(NodeId(id))).collect();
    assert_eq!(counts, [4; 6]);
    until_done(&mut catalog, |catalog| repair::balance_leaders(catalog, 3));
    let load = Load::of(&catalog);
    let leaders: Vec<u32> = (1..=6).map(|id| load.leaders(NodeId(id))).collect();
    assert!(leaders.iter().max().unwrap() - leaders.iter().min().unwrap() <= 1, "{leaders:?}");
}

#[test]
fn leadership_leaves_a_draining_node_and_moves_no_replica() {
    let mut catalog = with_stream(&["a", "b", "c"], 6);
    change(&mut catalog, 3, NodeChange::Drain);
    let sets = |catalog: &Catalog| -> BTreeMap<ShardId, Vec<NodeId>> {
        let sorted = |replicas: &[NodeId]| {
            let mut replicas = replicas.to_vec();
            replicas.sort();
            replicas
        };
        stream(catalog).shards.iter().map(|shard| (shard.id, sorted(&shard.replicas))).collect()
    };
    let before = sets(&catalog);
    until_done(&mut catalog, |catalog| repair::balance_leaders(catalog, 2));
    assert_eq!(sets(&catalog), before);
    assert_eq!(Load::of(&catalog).leaders(NodeId(3)), 0);
    assert_eq!(repair::moving(&catalog), 0);
}

#[test]
fn a_move_to_a_node_that_died_is_taken_back_where_there_is_no_other() {
    let mut catalog = with_stream(&["a", "b", "c", "a"], 1);
    let before = shard(&catalog, 0).replicas.clone();
    let out = before[2];
    change(&mut catalog, out.0, NodeChange::Drain);
    for command in repair::repair(&catalog, 1) {
        catalog.apply(&command).unwrap();
    }
    let into = *shard(&catalog, 0).replicas.iter().find(|node| !before.contains(node)).unwrap();
    change(&mut catalog, into.0, NodeChange::MarkDead);
    for command in repair::repair(&catalog, 1) {
        catalog.apply(&command).unwrap();
    }
    let mut replicas = shard(&catalog, 0).replicas.clone();
    replicas.sort();
    let mut expected = before;
    expected.sort();
    assert_eq!(replicas, expected, "the node that is drained lives and has everything");
    catalog.check().unwrap();
    assert_eq!(repair::repair(&catalog, 1), []);
}

#[test]
fn a_moved_replica_is_released_only_when_the_new_voters_are_in_place() {
    let mut catalog = with_stream(&["a", "b", "c", "a"], 1);
    let before = shard(&catalog, 0).replicas.clone();
    let (out, into) = (before[2], (1..=4).map(NodeId).find(|node| !before.contains(node)).unwrap());
    let replicas = vec![before[0], before[1], into];
    catalog.apply(&Command::SetReplicas { stream: name("s"), shard: ShardId(0), replicas: replicas.clone() }).unwrap();
    assert_eq!(desired_replicas(&catalog, out).len(), 1);
    assert_eq!(desired_replicas(&catalog, into).len(), 1);

    let early = settled(ShardId(0), before.clone(), 0);
    assert_eq!(catalog.apply(&early), Err(Refusal::ReplicasDiffer { voters: before, wanted: replicas }));
    settle_all(&mut catalog);
    assert_eq!(desired_replicas(&catalog, out), []);
    assert!(!desired_replicas(&catalog, into)[0].bootstrap);
}

/// A leader that lags may have the same voters by an earlier placement, and be about to change them.
#[test]
fn voters_of_an_earlier_placement_release_nobody() {
    let mut catalog = with_stream(&["a", "b", "c", "a"], 1);
    let first = shard(&catalog, 0).replicas.clone();
    let into = (1..=4).map(NodeId).find(|node| !first.contains(node)).unwrap();
    let moved = vec![first[0], first[1], into];
    let mut placements = vec![0];
    for replicas in [&moved, &first, &moved] {
        let (stream, replicas) = (name("s"), replicas.clone());
        catalog.apply(&Command::SetReplicas { stream, shard: ShardId(0), replicas }).unwrap();
        placements.push(shard(&catalog, 0).placement);
    }
    assert!(placements.is_sorted_by(|a, b| a < b), "{placements:?}");
    let (stale, newest) = (placements[1], placements[3]);
    let refused = catalog.apply(&settled(ShardId(0), moved.clone(), stale));
    assert_eq!(refused, Err(Refusal::PlacementDiffers { placement: stale, wanted: newest }));
    assert_eq!(desired_replicas(&catalog, first[2]).len(), 1);
    assert_eq!(catalog.apply(&settled(ShardId(0), moved, newest)), Ok(Applied::Changed));
}

#[test]
fn a_group_that_forms_is_not_moved() {
    let mut catalog = cluster(&["a", "b", "c", "d"]);
    ask(&mut catalog, Operation::CreateStream(NewStream::named(name("s"), 1)), START).unwrap();
    change(&mut catalog, 1, NodeChange::MarkDead);
    assert_eq!(repair::repair(&catalog, 9), []);
    let forced = Command::SetReplicas { stream: name("s"), shard: ShardId(0), replicas: ids(&[2, 3, 4]) };
    assert_eq!(catalog.apply(&forced), Err(Refusal::ShardOpening { stream: name("s"), shard: ShardId(0) }));
}

#[test]
fn transferring_a_leader_reorders_the_set_and_needs_no_settling() {
    let mut catalog = with_stream(&["a", "b", "c"], 1);
    let last = shard(&catalog, 0).replicas[2];
    let wish = Operation::TransferLeader { stream: name("s"), shard: ShardId(0), to: last };
    assert_eq!(ask(&mut catalog, wish, START), Ok(Applied::Changed));
    assert_eq!(shard(&catalog, 0).preferred_leader(), Some(last));
    assert!(shard(&catalog, 0).settled && shard(&catalog, 0).previous.is_empty());
}
