//! The catalog's values as messages of the public API.

use thalweg_catalog::{Durability, Node, NodeState, Shard, ShardFilter, Stream, StreamStatus};
use thalweg_client::wire;
use thalweg_proto::v1;
use thalweg_types::{NodeId, UnixMillis};

use crate::Image;

pub(crate) fn summary(stream: &Stream) -> v1::StreamSummary {
    v1::StreamSummary {
        name: stream.name.to_string(),
        stream_id: stream.id.0,
        status: status(stream.status).into(),
        open_shard_count: stream.shards.open_count() as u32,
        retention_hours: stream.retention_hours,
        replication: stream.replication,
        durability: durability(stream.durability).into(),
        record_bytes_max: stream.record_bytes_max,
        created_ms: stream.created_at.0,
        settings: Some(wire::to_settings(&stream.settings)),
        consumer_count: stream.consumers.len() as u32,
    }
}

fn status(status: StreamStatus) -> v1::StreamStatus {
    match status {
        StreamStatus::Creating => v1::StreamStatus::Creating,
        StreamStatus::Active => v1::StreamStatus::Active,
        StreamStatus::Updating => v1::StreamStatus::Updating,
        StreamStatus::Deleting => v1::StreamStatus::Deleting,
    }
}

fn durability(durability: Durability) -> v1::Durability {
    match durability {
        Durability::Fsync => v1::Durability::Fsync,
        Durability::Os => v1::Durability::Os,
    }
}

pub(crate) fn shard(image: &Image, shard: &Shard) -> v1::Shard {
    let text = |id: Option<thalweg_types::ShardId>| id.map_or_else(String::new, |id| id.to_string());
    v1::Shard {
        shard_id: shard.id.to_string(),
        starting_hash_key: shard.range.start().to_string(),
        ending_hash_key: shard.range.end().to_string(),
        parent_shard_id: text(shard.parent()),
        adjacent_parent_shard_id: text(shard.adjacent_parent()),
        starting_sequence_number: shard.starting().to_string(),
        ending_sequence_number: shard.ending().map_or_else(String::new, |ending| ending.to_string()),
        created_ms: shard.created_at.0,
        closed_ms: shard.closed_at().map_or(0, |closed| closed.0),
        replicas: shard.replicas.iter().map(|node| node.0).collect(),
        leader: image.leaders.get(&shard.group).map_or(0, |leader| leader.0),
    }
}

/// The shards that a filter asks for; none for a filter of a later version.
pub(crate) fn filter(wanted: v1::ShardFilter, time: UnixMillis) -> ShardFilter {
    match wanted {
        v1::ShardFilter::Unspecified | v1::ShardFilter::FromTrimHorizon => ShardFilter::FromTrimHorizon,
        v1::ShardFilter::AtLatest => ShardFilter::AtLatest,
        v1::ShardFilter::AtTrimHorizon => ShardFilter::AtTrimHorizon,
        v1::ShardFilter::AtTimestamp => ShardFilter::AtTimestamp(time),
        v1::ShardFilter::FromTimestamp => ShardFilter::FromTimestamp(time),
    }
}

/// A node, without its counts of replicas and leaders.
pub(crate) fn node(image: &Image, node: &Node) -> v1::Node {
    v1::Node {
        node_id: node.id.0,
        public_address: node.public_address.clone(),
        peer_address: node.peer_address.clone(),
        admin_address: node.admin_address.clone(),
        zone: node.zone.clone(),
        state: node_state(node.state).into(),
        connected: image.connected.contains(&node.id),
        replica_count: 0,
        leader_count: 0,
        controller_voter: image.catalog.controller_voters().contains(&node.id),
    }
}

fn node_state(state: NodeState) -> v1::NodeState {
    match state {
        NodeState::Active => v1::NodeState::Active,
        NodeState::Draining => v1::NodeState::Draining,
        NodeState::Dead { .. } => v1::NodeState::Dead,
        NodeState::Removed => v1::NodeState::Removed,
    }
}

/// Replicas that a node has to run, and shards that it leads.
pub(crate) fn load(image: &Image, node: NodeId) -> (u32, u32) {
    let leads = |shard: &Shard| image.leaders.get(&shard.group) == Some(&node);
    let leaders = image.catalog.shards().filter(|(_, shard)| leads(shard)).count() as u32;
    (image.catalog.replicas_on(node), leaders)
}
