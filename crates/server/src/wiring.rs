//! Images down, observations up: what the controller says reaches the shard host, and the other
//! way round. Field by field, no decisions.

use std::collections::BTreeSet;
use std::sync::Arc;

use thalweg_catalog::{Catalog, Durability, NodeState, WriteRate, desired_replicas};
use thalweg_controller::{Image, ReplicaReport, Reports};
use thalweg_raft::{AgreedClock, Groups};
use thalweg_shard::{Observations, ReplicaObservation, ReplicaSpec, ShardHost};
use thalweg_types::NodeId;
use tokio::sync::watch;

/// Tells the host what to run, and raft where the nodes are, whenever the catalog changes.
pub(crate) async fn follow_image(
    node: NodeId,
    mut image: watch::Receiver<Arc<Image>>,
    host: ShardHost,
    groups: Groups,
    clock: AgreedClock,
) {
    let mut seen_revision = None;
    loop {
        let now = image.borrow_and_update().clone();
        if seen_revision != Some(now.catalog.revision()) && now.catalog.node(node).is_some() {
            seen_revision = Some(now.catalog.revision());
            for peer in now.catalog.nodes() {
                groups.set_peer(peer.id, &peer.peer_address);
            }
            clock.set_members(members(&now.catalog, node));
            host.apply_specs(specs(&now.catalog, node));
        }
        if image.changed().await.is_err() {
            return;
        }
    }
}

/// The nodes whose clocks count. One that is dead tells no time, and may never be taken out.
fn members(catalog: &Catalog, me: NodeId) -> BTreeSet<NodeId> {
    let living = catalog.nodes().filter(|node| !matches!(node.state, NodeState::Dead { .. } | NodeState::Removed));
    living.map(|node| node.id).chain([me]).collect()
}

/// Everything this node has to run, in the host's words.
fn specs(catalog: &Catalog, node: NodeId) -> Vec<ReplicaSpec> {
    desired_replicas(catalog, node).into_iter().map(|spec| to_host(catalog, spec)).collect()
}

fn to_host(catalog: &Catalog, spec: thalweg_catalog::ReplicaSpec) -> ReplicaSpec {
    let stream = catalog.stream(&spec.stream);
    let reshard = stream.and_then(|stream| catalog.reshard_of(stream, spec.shard));
    let children = stream
        .map_or_else(Vec::new, |stream| stream.children_of(spec.shard).into_iter().map(|child| child.id).collect());
    ReplicaSpec {
        group: spec.group,
        stream_id: spec.stream_id,
        stream_name: spec.stream,
        shard: spec.shard,
        range: spec.range,
        created: spec.created_at,
        initial_members: spec.initial_members,
        bootstrap: spec.bootstrap,
        desired_voters: spec.replicas.into_iter().collect(),
        placement: spec.placement,
        settled: spec.settled,
        preferred_leader: spec.preferred_leader,
        writable: spec.writable,
        seal: reshard.filter(|_| spec.seal).map(|reshard| reshard.0),
        closed: spec.closed,
        children,
        retention_ms: u64::from(spec.retention_hours) * 3_600_000,
        trimmed_until: spec.trimmed_until,
        durability_fsync: spec.durability == Durability::Fsync,
        record_bytes_max: spec.record_bytes_max as usize,
    }
}

/// Reports what the host observes.
pub(crate) async fn report(mut observations: watch::Receiver<Observations>, reports: watch::Sender<Arc<Reports>>) {
    loop {
        let now = observations.borrow_and_update().clone();
        reports.send_replace(Arc::new(now.iter().map(|(group, seen)| (*group, to_report(seen))).collect()));
        if observations.changed().await.is_err() {
            return;
        }
    }
}

fn to_report(seen: &ReplicaObservation) -> ReplicaReport {
    let led =
        |nodes: &std::collections::BTreeSet<NodeId>| if seen.leading { nodes.clone() } else { Default::default() };
    ReplicaReport {
        leader: seen.leader,
        term: seen.term,
        voters: led(&seen.voters),
        learners: led(&seen.learners),
        placed: seen.placed,
        ready: seen.ready,
        sealed_at: seen.sealed_at,
        expired: seen.expired,
        write: seen.write.map(to_rate),
    }
}

fn to_rate(rate: thalweg_shard::WriteRate) -> WriteRate {
    WriteRate { bytes_per_s: rate.bytes_per_s, records_per_s: rate.records_per_s }
}
