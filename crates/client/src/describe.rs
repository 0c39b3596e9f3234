//! What the cluster says about streams, shards and nodes, checked and in our words.

use thalweg_catalog::{AccountSettings, StreamSettings};
use thalweg_proto::convert::{optional_hash_key, sequence_number, shard_id, stream_name};
use thalweg_proto::errors::{Reason, WireError};
use thalweg_proto::v1::{self, Durability, NodeState, StreamStatus};
use thalweg_types::{HashRange, NodeId, SequenceNumber, ShardId, StreamId, StreamName, UnixMillis};

use crate::wire;

/// A stream and its settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamDescription {
    /// Its name.
    pub name: StreamName,
    /// This incarnation of the name.
    pub id: StreamId,
    /// Where it stands in its life.
    pub status: StreamStatus,
    /// Shards that take records.
    pub open_shard_count: u32,
    /// How long records stay readable.
    pub retention_hours: u32,
    /// Replicas of each shard.
    pub replication: u32,
    /// What must have happened before a write is acknowledged.
    pub durability: Durability,
    /// Largest record, data and partition key together.
    pub record_bytes_max: u32,
    /// When it was created.
    pub created: UnixMillis,
    /// Mode, tags, limits and the like.
    pub settings: StreamSettings,
    /// Registered fan-out consumers.
    pub consumer_count: u32,
}

impl TryFrom<v1::StreamSummary> for StreamDescription {
    type Error = WireError;

    fn try_from(wire: v1::StreamSummary) -> Result<Self, WireError> {
        Ok(StreamDescription {
            name: stream_name(&wire.name)?,
            id: StreamId(wire.stream_id),
            status: wire.status(),
            open_shard_count: wire.open_shard_count,
            retention_hours: wire.retention_hours,
            replication: wire.replication,
            durability: wire.durability(),
            record_bytes_max: wire.record_bytes_max,
            created: UnixMillis(wire.created_ms),
            consumer_count: wire.consumer_count,
            settings: wire::settings(wire.settings.unwrap_or_default())?,
        })
    }
}

/// A shard of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardDescription {
    /// Its id.
    pub id: ShardId,
    /// The hash keys whose records it takes, or took.
    pub range: HashRange,
    /// The one that was split, or the first of the two that were merged.
    pub parent: Option<ShardId>,
    /// The second of the two that were merged.
    pub adjacent_parent: Option<ShardId>,
    /// Below every record in it.
    pub starting: SequenceNumber,
    /// At or above every record in it; nothing while it is open.
    pub ending: Option<SequenceNumber>,
    /// When it was created.
    pub created: UnixMillis,
    /// When its children took over; nothing while it is open.
    pub closed: Option<UnixMillis>,
    /// Nodes that hold a replica.
    pub replicas: Vec<NodeId>,
    /// The node that leads it, where one is known.
    pub leader: Option<NodeId>,
}

impl ShardDescription {
    /// Whether it takes records.
    pub fn is_open(&self) -> bool {
        self.ending.is_none()
    }

    /// The shards from which it arose: none, one or two.
    pub fn parents(&self) -> impl Iterator<Item = ShardId> {
        self.parent.into_iter().chain(self.adjacent_parent)
    }
}

impl TryFrom<v1::Shard> for ShardDescription {
    type Error = WireError;

    fn try_from(wire: v1::Shard) -> Result<Self, WireError> {
        Ok(ShardDescription {
            id: shard_id(&wire.shard_id)?,
            range: hash_range(&wire)?,
            parent: present(&wire.parent_shard_id).map(shard_id).transpose()?,
            adjacent_parent: present(&wire.adjacent_parent_shard_id).map(shard_id).transpose()?,
            starting: sequence_number(&wire.starting_sequence_number)?,
            ending: present(&wire.ending_sequence_number).map(sequence_number).transpose()?,
            created: UnixMillis(wire.created_ms),
            closed: (wire.closed_ms > 0).then_some(UnixMillis(wire.closed_ms)),
            replicas: wire.replicas.into_iter().map(NodeId).collect(),
            leader: known_node(wire.leader),
        })
    }
}

fn hash_range(wire: &v1::Shard) -> Result<HashRange, WireError> {
    let start = optional_hash_key(&wire.starting_hash_key)?;
    let end = optional_hash_key(&wire.ending_hash_key)?;
    let range = start.zip(end).and_then(|(start, end)| HashRange::new(start, end));
    let text = || format!("{} has no hash key range", wire.shard_id);
    range.ok_or_else(|| WireError::new(Reason::Internal, text()))
}

fn present(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// A node id on the wire, where 0 means none.
pub(crate) fn known_node(id: u64) -> Option<NodeId> {
    (id != 0).then_some(NodeId(id))
}

/// The cluster and its nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterDescription {
    /// Drawn when the cluster was formed.
    pub cluster_id: String,
    /// Its nodes.
    pub nodes: Vec<NodeDescription>,
    /// The node that leads the controller, where one is known.
    pub controller_leader: Option<NodeId>,
    /// Rises with every change of the catalog.
    pub revision: u64,
    /// What holds for all streams together.
    pub account: AccountSettings,
    /// Open shards that all streams together may have.
    pub shards_max: u32,
}

/// A node of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeDescription {
    /// Its id.
    pub id: NodeId,
    /// `host:port` for clients.
    pub public_address: String,
    /// `host:port` for other nodes.
    pub peer_address: String,
    /// `host:port` for health and metrics.
    pub admin_address: String,
    /// Its failure domain.
    pub zone: String,
    /// What it is for.
    pub state: NodeState,
    /// Whether the controller hears from it right now.
    pub connected: bool,
    /// Replicas it holds.
    pub replica_count: u32,
    /// Shards it leads.
    pub leader_count: u32,
    /// Whether it votes in the controller's group.
    pub controller_voter: bool,
}

impl From<v1::Node> for NodeDescription {
    fn from(wire: v1::Node) -> Self {
        NodeDescription {
            id: NodeId(wire.node_id),
            state: wire.state(),
            public_address: wire.public_address,
            peer_address: wire.peer_address,
            admin_address: wire.admin_address,
            zone: wire.zone,
            connected: wire.connected,
            replica_count: wire.replica_count,
            leader_count: wire.leader_count,
            controller_voter: wire.controller_voter,
        }
    }
}
