//! Values that several tests begin with.

use std::collections::BTreeSet;

use thalweg_types::{GroupId, HashRange, NodeId, ShardId, StreamId, UnixMillis};

use crate::spec::ReplicaSpec;

/// An open shard over the whole key space, replicated on node 1 alone.
pub(crate) fn spec(group: u64) -> ReplicaSpec {
    ReplicaSpec {
        group: GroupId(group),
        stream_id: StreamId(1),
        stream_name: "orders".parse().expect("a valid name"),
        shard: ShardId(group as u32),
        range: HashRange::FULL,
        created: UnixMillis(1_000_000),
        initial_members: vec![NodeId(1)],
        bootstrap: true,
        desired_voters: BTreeSet::from([NodeId(1)]),
        placement: 0,
        settled: true,
        preferred_leader: Some(NodeId(1)),
        writable: true,
        seal: None,
        closed: false,
        children: Vec::new(),
        retention_ms: 86_400_000,
        trimmed_until: UnixMillis(0),
        durability_fsync: true,
        record_bytes_max: 1024 * 1024,
    }
}
