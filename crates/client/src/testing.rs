//! Streams, shards and images for tests.

use std::collections::BTreeMap;

use thalweg_catalog::StreamSettings;
use thalweg_proto::v1::{Durability, StreamStatus};
use thalweg_types::{HashRange, NodeId, SequenceNumber, ShardId, StreamId, UnixMillis};

use crate::describe::{ShardDescription, StreamDescription};
use crate::routing::Image;

/// A shard of 1,000 ms, led by node 1, with replicas on nodes 1 and 2.
pub(crate) fn shard(id: u32, range: HashRange, parents: &[u32], closed: bool) -> ShardDescription {
    let start = SequenceNumber::shard_start(UnixMillis(1_000), ShardId(id));
    ShardDescription {
        id: ShardId(id),
        range,
        parent: parents.first().map(|id| ShardId(*id)),
        adjacent_parent: parents.get(1).map(|id| ShardId(*id)),
        starting: start,
        ending: closed.then_some(start),
        created: UnixMillis(1_000),
        closed: closed.then_some(UnixMillis(2_000)),
        replicas: vec![NodeId(1), NodeId(2)],
        leader: Some(NodeId(1)),
    }
}

/// An image of stream `s` on the nodes `n1:1`, `n2:1` and `n3:1`.
pub(crate) fn image(revision: u64, shards: Vec<ShardDescription>) -> Image {
    let stream = StreamDescription {
        name: "s".parse().unwrap(),
        id: StreamId(7),
        status: StreamStatus::Active,
        open_shard_count: shards.iter().filter(|shard| shard.is_open()).count() as u32,
        retention_hours: 24,
        replication: 2,
        durability: Durability::Fsync,
        record_bytes_max: 1 << 20,
        created: UnixMillis(1_000),
        settings: StreamSettings::default(),
        consumer_count: 0,
    };
    let nodes: BTreeMap<_, _> = (1..=3).map(|id| (NodeId(id), format!("n{id}:1"))).collect();
    Image::new(revision, stream, shards, nodes)
}
