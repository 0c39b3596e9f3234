//! Decisions of one round, without a cluster.

use thalweg_catalog::on_demand::{self, Loads, Policy};
use thalweg_catalog::{
    NewStream, NodeRegistration, Observed, Operation, ReshardCause, ReshardKind, Rules, ShardState, StreamMode,
    StreamPatch, WriteRate,
};
use thalweg_types::{GroupId, Incarnation, ShardId, StreamName};

use super::*;

const DEAD_AFTER: Duration = Duration::from_secs(30);

fn catalog(nodes: u64) -> Catalog {
    let mut catalog = Catalog::new();
    let voters = (1..=nodes.min(3)).map(NodeId).collect();
    let (cluster_id, token_secret) = ("c".to_owned(), "s".to_owned());
    catalog.apply(&Command::FormCluster { cluster_id, token_secret, voters, now: UnixMillis(1) }).unwrap();
    for id in 1..=nodes {
        let node = NodeRegistration::new(NodeId(id), Incarnation(id));
        catalog.apply(&Command::RegisterNode { node, now: UnixMillis(1) }).unwrap();
    }
    catalog
}

fn with_stream(nodes: u64, shards: u32) -> Catalog {
    let mut catalog = catalog(nodes);
    let wanted = NewStream::named("orders".parse().unwrap(), shards);
    let create = Operation::CreateStream(wanted).command(&catalog, UnixMillis(5_000), 1).unwrap();
    catalog.apply(&create).unwrap();
    catalog
}

/// Every node connected, every group led by its preferred leader.
fn all_well(catalog: &Catalog) -> Sight {
    let mut sight = Sight { listening: Duration::from_secs(600), ..Sight::default() };
    sight.connected = catalog.nodes().map(|node| node.id).collect();
    for (_, shard) in catalog.shards() {
        let observed = Observed {
            leader: shard.preferred_leader(),
            voters: shard.replicas.clone(),
            placed: Some(shard.placement),
            ready: true,
            ..Observed::default()
        };
        sight.observed.insert(shard.group, observed);
        sight.holders.insert(shard.group, shard.replicas.iter().copied().collect());
    }
    sight
}

fn ground<'a>(catalog: &'a Catalog, sight: &'a Sight) -> Ground<'a> {
    Ground {
        catalog,
        sight,
        now: UnixMillis(10_000),
        sure_now: Some(UnixMillis(10_000)),
        seed: 1,
        node_dead_after: DEAD_AFTER,
        moves_max: 4,
        balance: false,
        on_demand: &[],
    }
}

fn planned(catalog: &Catalog, sight: &Sight) -> Vec<Command> {
    plan(&ground(catalog, sight))
}

/// As [`all_well`], and shards that are to be sealed are.
fn all_sealed(catalog: &Catalog) -> Sight {
    let mut sight = all_well(catalog);
    for (_, shard) in catalog.shards().filter(|(_, shard)| shard.state == ShardState::Sealing) {
        sight.observed.get_mut(&shard.group).unwrap().sealed_at = Some(shard.starting());
    }
    sight
}

/// Rounds until nothing is due; the catalog is checked after each.
fn settle(catalog: &mut Catalog, sight: impl Fn(&Catalog) -> Sight) -> usize {
    for round in 0..200 {
        let commands = planned(catalog, &sight(catalog));
        if commands.is_empty() {
            return round;
        }
        for command in commands {
            catalog.apply(&command).unwrap_or_else(|refusal| panic!("{command:?}: {refusal}"));
            catalog.check().unwrap();
        }
    }
    panic!("still not settled: {:?}", planned(catalog, &sight(catalog)));
}

#[test]
fn a_stream_opens_once_every_group_is_ready_and_not_before() {
    let mut catalog = with_stream(3, 4);
    let mut sight = all_well(&catalog);
    sight.observed.get_mut(&GroupId(2)).unwrap().ready = false;
    assert_eq!(planned(&catalog, &sight), []);
    settle(&mut catalog, all_well);
    assert!(catalog.shards().all(|(_, shard)| shard.state == ShardState::Open));
}

#[test]
fn a_node_is_given_up_after_its_time_and_not_by_a_new_leader() {
    let mut catalog = with_stream(4, 4);
    settle(&mut catalog, all_well);
    let mut sight = all_well(&catalog);
    sight.connected.remove(&NodeId(2));
    sight.listening = DEAD_AFTER - Duration::from_secs(1);
    assert_eq!(planned(&catalog, &sight), [], "this leader has not listened for long enough");
    sight.listening = DEAD_AFTER;
    let change = Command::ChangeNode { node: NodeId(2), change: NodeChange::MarkDead, now: UnixMillis(10_000) };
    assert_eq!(planned(&catalog, &sight)[0], change);
}

#[test]
fn a_dead_nodes_replicas_move_a_few_at_a_time_until_none_is_left() {
    let mut catalog = with_stream(5, 12);
    settle(&mut catalog, all_well);
    let without_two = |catalog: &Catalog| {
        let mut sight = all_well(catalog);
        sight.connected.remove(&NodeId(2));
        assert!(repair::moving(catalog) <= 4);
        sight
    };
    settle(&mut catalog, without_two);
    assert_eq!(catalog.replicas_on(NodeId(2)), 0);
    assert!(!catalog.controller_voters().contains(&NodeId(2)));
    assert!(catalog.shards().all(|(_, shard)| shard.replicas.len() == 3 && shard.settled));
}

#[test]
fn no_replica_moves_to_a_node_that_is_away_or_still_holds_what_it_left() {
    let mut catalog = with_stream(4, 1);
    settle(&mut catalog, all_well);
    let (_, shard) = catalog.shards().next().unwrap();
    let (group, lost) = (shard.group, shard.replicas[0]);
    let newcomer = (1..=4).map(NodeId).find(|node| !shard.replicas.contains(node)).unwrap();
    catalog.apply(&Command::ChangeNode { node: lost, change: NodeChange::MarkDead, now: UnixMillis(9_000) }).unwrap();
    let mut sight = all_well(&catalog);
    sight.connected.remove(&lost);
    let moves = |sight: &Sight| {
        let commands = planned(&catalog, sight);
        commands.iter().filter(|command| matches!(command, Command::SetReplicas { .. })).count()
    };
    assert_eq!(moves(&sight), 1);
    sight.holders.entry(group).or_default().insert(newcomer);
    assert_eq!(moves(&sight), 0, "it has yet to throw its old replica away");
    sight.holders.entry(group).or_default().remove(&newcomer);
    sight.connected.remove(&newcomer);
    assert_eq!(moves(&sight), 0, "it is away");
}

#[test]
fn a_scaling_runs_to_equal_ranges_by_rounds_alone() {
    let mut catalog = with_stream(3, 3);
    settle(&mut catalog, all_well);
    let stream = "orders".parse().unwrap();
    catalog.apply(&Command::StartScaling { stream, target: 50, rules: Rules::Free, now: UnixMillis(9_000) }).unwrap();
    settle(&mut catalog, all_sealed);
    let stream = catalog.streams().next().unwrap();
    assert!(scale::is_complete(stream, 50) && stream.status == StreamStatus::Active);
}

#[test]
fn a_deleted_stream_is_forgotten_when_nobody_can_hold_it_any_more() {
    let mut catalog = with_stream(3, 2);
    settle(&mut catalog, all_well);
    catalog.apply(&Command::DeleteStream { stream: "orders".parse().unwrap(), with_consumers: false }).unwrap();
    assert_eq!(planned(&catalog, &all_well(&catalog)), [], "replicas are still held");
    let mut sight = all_well(&catalog);
    sight.holders.clear();
    sight.connected.remove(&NodeId(3));
    sight.absent.insert(NodeId(3), Duration::from_secs(1));
    assert_eq!(planned(&catalog, &sight), [], "node 3 may hold one");
    sight.connected.insert(NodeId(3));
    catalog.apply(&planned(&catalog, &sight)[0]).unwrap();
    assert_eq!(catalog.streams().count(), 0);
}

#[test]
fn a_fresh_leader_moves_nothing_before_nodes_had_time_to_report() {
    let mut catalog = with_stream(4, 4);
    settle(&mut catalog, all_well);
    let drain = Command::ChangeNode { node: NodeId(1), change: NodeChange::Drain, now: UnixMillis(9_000) };
    catalog.apply(&drain).unwrap();
    let mut sight = all_well(&catalog);
    let moves = |sight: &Sight| {
        planned(&catalog, sight).iter().filter(|command| matches!(command, Command::SetReplicas { .. })).count()
    };
    assert!(moves(&sight) > 0);
    sight.listening = Duration::from_secs(1);
    assert_eq!(moves(&sight), 0);
}

/// The stream of `with_stream`, on demand.
fn with_on_demand_stream(shards: u32) -> Catalog {
    let mut catalog = with_stream(4, shards);
    settle(&mut catalog, all_well);
    let patch = Box::new(StreamPatch { mode: Some(StreamMode::OnDemand), ..StreamPatch::default() });
    let stream = "orders".parse().unwrap();
    catalog.apply(&Command::UpdateStream { stream, patch, rules: Rules::Free, now: UnixMillis(9_000) }).unwrap();
    catalog
}

#[test]
fn a_hot_shard_of_an_on_demand_stream_is_split_on_nodes_that_answer_and_by_the_usual_workflow() {
    let mut catalog = with_on_demand_stream(4);
    let mut sight = all_well(&catalog);
    sight.connected.remove(&NodeId(2));
    sight.absent.insert(NodeId(2), Duration::from_secs(1));
    let (policy, mut loads) = (Policy::default(), Loads::default());
    let hot = catalog.shard(&"orders".parse().unwrap(), ShardId(1)).unwrap().group;
    for (group, seen) in &mut sight.observed {
        let bytes_per_s = if *group == hot { 800 << 10 } else { 1 << 10 };
        seen.write = Some(WriteRate { bytes_per_s, records_per_s: 1 });
    }
    loads.look(&catalog, &sight.observed, Duration::ZERO, &policy);
    assert_eq!(on_demand::due(&catalog, &loads, Duration::ZERO, &policy), []);
    loads.look(&catalog, &sight.observed, policy.split_after, &policy);
    let steps = on_demand::due(&catalog, &loads, policy.split_after, &policy);
    let ground = Ground { on_demand: &steps, ..ground(&catalog, &sight) };
    let commands = plan(&ground);
    let [Command::PlanReshard { kind, placement, cause: ReshardCause::OnDemand(_), .. }] = &commands[..] else {
        panic!("one split, not {commands:?}");
    };
    assert_eq!(*kind, ReshardKind::Split { shard: ShardId(1), at: None });
    assert!(placement.iter().flatten().all(|node| *node != NodeId(2)), "{placement:?}");
    catalog.apply(&commands[0]).unwrap();
    settle(&mut catalog, all_sealed);
    assert_eq!(catalog.streams().next().unwrap().open_shards().count(), 5);
}

/// What is forgotten takes with it, in the whole stream, what is older.
#[test]
fn shards_are_forgotten_only_by_a_time_that_is_sure() {
    const DAY_MS: u64 = 24 * 3_600_000;
    let mut catalog = with_stream(3, 2);
    settle(&mut catalog, all_well);
    let stream: StreamName = "orders".parse().unwrap();
    let split = Operation::SplitShard { stream: stream.clone(), shard: ShardId(0), at: None, rules: Rules::Free };
    catalog.apply(&split.command(&catalog, UnixMillis(10_000), 1).unwrap()).unwrap();
    settle(&mut catalog, all_sealed);
    let mut sight = all_well(&catalog);
    sight.expired.insert(catalog.shard(&stream, ShardId(0)).unwrap().group);
    let ahead = UnixMillis(10_000 + 2 * DAY_MS);
    for sure_now in [None, Some(UnixMillis(10_000)), Some(UnixMillis(10_000 + DAY_MS - 1))] {
        assert_eq!(plan(&Ground { now: ahead, sure_now, ..ground(&catalog, &sight) }), [], "{sure_now:?}");
    }
    let sure = Ground { now: ahead, sure_now: Some(ahead), ..ground(&catalog, &sight) };
    assert_eq!(plan(&sure), [Command::ExpireShards { stream, shards: vec![ShardId(0)], now: ahead }]);
}
