//! Clusters and streams to start from, and nodes that do at once what they are told.

use thalweg_catalog::{
    Applied, Catalog, Command, NewStream, NodeRegistration, Observations, Observed, Operation, Outcome, ReshardCause,
    ReshardKind, Rules, Shard, ShardFilter, Step, Stream, create, placement, reshard, scale,
};
use thalweg_types::{HashRange, Incarnation, NodeId, SequenceNumber, ShardId, StreamName, UnixMillis};

pub(crate) const START: UnixMillis = UnixMillis(1_800_000_000_250);
pub(crate) const HOUR: u64 = 3_600_000;

pub(crate) fn at_hour(hours: u64) -> UnixMillis {
    UnixMillis(START.0 + hours * HOUR)
}

pub(crate) fn name(text: &str) -> StreamName {
    text.parse().unwrap()
}

pub(crate) fn ids(ids: &[u64]) -> Vec<NodeId> {
    ids.iter().copied().map(NodeId).collect()
}

pub(crate) fn registration(id: u64, zone: &str) -> NodeRegistration {
    NodeRegistration {
        id: NodeId(id),
        incarnation: Incarnation(1000 + id),
        peer_address: format!("n{id}:4568"),
        public_address: format!("n{id}:4567"),
        admin_address: format!("n{id}:4569"),
        zone: zone.to_owned(),
    }
}

/// A cluster whose node i + 1 lives in `zones[i]`; the first three vote.
pub(crate) fn cluster(zones: &[&str]) -> Catalog {
    let mut catalog = Catalog::new();
    let voters = (1..=zones.len().min(3) as u64).map(NodeId).collect();
    let form = Command::FormCluster { cluster_id: "c1".into(), token_secret: "hush".into(), voters, now: START };
    catalog.apply(&form).unwrap();
    for (i, zone) in zones.iter().enumerate() {
        let node = registration(i as u64 + 1, zone);
        catalog.apply(&Command::RegisterNode { node, now: START }).unwrap();
    }
    catalog
}

/// Three nodes in three zones with the active stream `s`.
pub(crate) fn cluster_with_stream(shards: u32) -> Catalog {
    let mut catalog = cluster(&["a", "b", "c"]);
    create_stream(&mut catalog, NewStream::named(name("s"), shards), START);
    catalog
}

pub(crate) fn ask(catalog: &mut Catalog, operation: Operation, now: UnixMillis) -> Outcome {
    let command = operation.command(catalog, now, 7)?;
    catalog.apply(&command)
}

pub(crate) fn create_stream(catalog: &mut Catalog, wanted: NewStream, now: UnixMillis) {
    let stream = wanted.name.clone();
    ask(catalog, Operation::CreateStream(wanted), now).unwrap();
    let Some(Step::Propose(opened)) = create::next_step(catalog.stream(&stream).unwrap(), &all_ready(catalog)) else {
        panic!("the stream opens once all groups are ready");
    };
    catalog.apply(&opened).unwrap();
}

/// What nodes report when every group has a leader and every shard told to seal is sealed.
pub(crate) fn all_ready(catalog: &Catalog) -> Observations {
    let observe = |shard: &Shard| Observed {
        leader: shard.preferred_leader(),
        voters: shard.replicas.clone(),
        placed: Some(shard.placement),
        ready: true,
        sealed_at: Some(last_number(shard)),
        write: None,
    };
    catalog.shards().map(|(_, shard)| (shard.group, observe(shard))).collect()
}

/// The number of a record late in the shard's log.
pub(crate) fn last_number(shard: &Shard) -> SequenceNumber {
    SequenceNumber::new(shard.created_at, shard.id, 12_345, 6, UnixMillis(shard.created_at.0 + 77_000))
}

/// Runs the workflow of every reshard until none is left.
pub(crate) fn finish_reshards(catalog: &mut Catalog, now: UnixMillis) {
    let first_running = |catalog: &Catalog| catalog.reshards().next().cloned();
    while let Some(running) = first_running(catalog) {
        match reshard::next_step(catalog, &running, &all_ready(catalog), now) {
            Step::Propose(command) => assert_eq!(catalog.apply(&command), Ok(Applied::Changed)),
            Step::Wait(groups) => panic!("all groups are ready, waiting for {groups:?}"),
        }
        catalog.check().unwrap();
    }
}

/// Splits or merges at a user's wish and waits for the end.
pub(crate) fn reshard_now(catalog: &mut Catalog, kind: ReshardKind, now: UnixMillis) -> Vec<ShardId> {
    let Ok(Applied::ReshardPlanned { children, .. }) = catalog.apply(&plan(catalog, kind, now)) else {
        panic!("the reshard is allowed");
    };
    finish_reshards(catalog, now);
    children
}

pub(crate) fn plan(catalog: &Catalog, kind: ReshardKind, now: UnixMillis) -> Command {
    let placement = placement::place(catalog, kind.child_count(), 3, 1);
    Command::PlanReshard { stream: name("s"), kind, cause: ReshardCause::Requested, placement, rules: Rules::Free, now }
}

pub(crate) fn split(shard: u32) -> ReshardKind {
    ReshardKind::Split { shard: ShardId(shard), at: None }
}

pub(crate) fn merge(shard: u32, adjacent: u32) -> ReshardKind {
    ReshardKind::Merge { shard: ShardId(shard), adjacent: ShardId(adjacent) }
}

/// Drives a scaling to its end, `running_max` reshards at a time; the steps it took.
pub(crate) fn finish_scaling(catalog: &mut Catalog, running_max: usize, now: UnixMillis) -> usize {
    let mut steps = 0;
    while stream(catalog).scaling.is_some() {
        let commands = scale::next_commands(catalog, &name("s"), running_max, 3, now);
        assert!(!commands.is_empty(), "an unfinished scaling has a next step");
        for command in &commands {
            catalog.apply(command).unwrap();
        }
        steps += commands.len();
        finish_reshards(catalog, now);
    }
    steps
}

pub(crate) fn stream(catalog: &Catalog) -> &Stream {
    catalog.stream(&name("s")).unwrap()
}

pub(crate) fn shard(catalog: &Catalog, id: u32) -> &Shard {
    catalog.shard(&name("s"), ShardId(id)).unwrap()
}

pub(crate) fn listed(catalog: &Catalog, filter: ShardFilter, now: UnixMillis) -> Vec<u32> {
    stream(catalog).list_shards(filter, now).iter().map(|shard| shard.id.0).collect()
}

/// Whether ranges, in any order, cover the hash space without gap or overlap.
pub(crate) fn tiles<'s>(shards: impl IntoIterator<Item = &'s Shard>) -> bool {
    let mut ranges: Vec<HashRange> = shards.into_iter().map(|shard| shard.range).collect();
    ranges.sort();
    let Some((first, rest)) = ranges.split_first() else { return false };
    rest.iter().try_fold(*first, |all, next| all.merged_with(next)) == Some(HashRange::FULL)
}
