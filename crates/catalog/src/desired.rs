//! What one node has to run, as its share of the catalog.
//!
//! A node compares this list with what it runs and closes the gap: it opens what is missing and
//! removes, data and all, each group that is not listed. A moved replica stays listed until the
//! group's new voters are in place.
//!
//! Holds: only while `bootstrap` is set may a group be initialised. A node that once left a group
//! and returns to it has lost its votes; initialising again could elect a second leader.

use thalweg_types::planted::{Planted, planted};
use thalweg_types::{GroupId, HashRange, NodeId, SequenceNumber, ShardId, StreamId, StreamName, UnixMillis};

use crate::{Catalog, Durability, Shard, ShardState, Stream, StreamStatus};

/// One replica that a node has to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaSpec {
    /// The shard's Raft group.
    pub group: GroupId,
    /// The stream's incarnation.
    pub stream_id: StreamId,
    /// The stream's name.
    pub stream: StreamName,
    /// The shard.
    pub shard: ShardId,
    /// The hash keys it takes.
    pub range: HashRange,
    /// The top field of its sequence numbers.
    pub created_at: UnixMillis,
    /// With what the group is initialised, while `bootstrap` is set.
    pub initial_members: Vec<NodeId>,
    /// Whether an empty replica may initialise the group, rather than wait to be added.
    pub bootstrap: bool,
    /// Who should vote; the group's leader brings that about.
    pub replicas: Vec<NodeId>,
    /// Whether the controller knows the voters to be `replicas`.
    pub settled: bool,
    /// Which placement of the shard this is; later ones have higher numbers.
    pub placement: u64,
    /// Who should lead when all is well.
    pub preferred_leader: Option<NodeId>,
    /// Whether clients may write.
    pub writable: bool,
    /// Whether the leader is to seal the log: nothing after it.
    pub seal: bool,
    /// Whether it was closed by a reshard: read only from now on.
    pub closed: bool,
    /// Its highest sequence number, once closed.
    pub ending: Option<SequenceNumber>,
    /// How long records stay readable.
    pub retention_hours: u32,
    /// Records older than this are gone, however long the retention is now.
    pub trimmed_until: UnixMillis,
    /// What must have happened before a write is acknowledged.
    pub durability: Durability,
    /// Largest record, data and partition key together.
    pub record_bytes_max: u32,
}

/// Everything that `node` has to run, by stream and shard.
pub fn desired_replicas(catalog: &Catalog, node: NodeId) -> Vec<ReplicaSpec> {
    let kept = catalog.shards().filter(|(stream, _)| stream.status != StreamStatus::Deleting);
    let mine = kept.filter(|(_, shard)| shard.hosts().any(|host| host == node));
    mine.map(|(stream, shard)| ReplicaSpec::of(stream, shard)).collect()
}

impl ReplicaSpec {
    /// What every node that hosts this shard has to run.
    pub fn of(stream: &Stream, shard: &Shard) -> ReplicaSpec {
        ReplicaSpec {
            group: shard.group,
            stream_id: stream.id,
            stream: stream.name.clone(),
            shard: shard.id,
            range: shard.range,
            created_at: shard.created_at,
            initial_members: shard.initial_members.clone(),
            bootstrap: shard.state == ShardState::Opening || planted(Planted::GroupFoundedTwice),
            replicas: shard.replicas.clone(),
            settled: shard.settled,
            placement: shard.placement,
            preferred_leader: shard.preferred_leader(),
            writable: shard.is_open(),
            seal: shard.state == ShardState::Sealing,
            closed: shard.closed_at().is_some(),
            ending: shard.ending(),
            retention_hours: stream.retention_hours,
            trimmed_until: stream.trimmed_until,
            durability: stream.durability,
            record_bytes_max: stream.record_bytes_max,
        }
    }
}
