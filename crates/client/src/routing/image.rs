//! One stream at one revision: which shard takes a key, who leads it, who holds replicas. Pure.
//!
//! Holds: `open` lists the open shards by rising start key, and their ranges tile the hash space
//! (the cluster closes and opens shards in one step).

use std::collections::BTreeMap;

use thalweg_proto::errors::{Reason, WireError};
use thalweg_proto::v1;
use thalweg_types::{HashKey, NodeId, ShardId, StreamId};

use crate::describe::{ShardDescription, StreamDescription};
use crate::routing::ShardRoute;

/// The routing of one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    revision: u64,
    stream: StreamDescription,
    shards: BTreeMap<ShardId, ShardDescription>,
    open: Vec<(HashKey, ShardId)>,
    nodes: BTreeMap<NodeId, String>,
    // Leaders as refusals named them since, by shard.
    hints: BTreeMap<ShardId, String>,
}

impl TryFrom<v1::WatchRoutingResponse> for Image {
    type Error = WireError;

    fn try_from(wire: v1::WatchRoutingResponse) -> Result<Image, WireError> {
        let stream =
            wire.stream.ok_or_else(|| WireError::new(Reason::Internal, "a routing image without its stream"))?;
        let shards = wire.shards.into_iter().map(ShardDescription::try_from).collect::<Result<Vec<_>, _>>()?;
        let nodes = wire.nodes.into_iter().map(|node| (NodeId(node.node_id), node.public_address)).collect();
        Ok(Image::new(wire.revision, stream.try_into()?, shards, nodes))
    }
}

impl Image {
    /// The image of these shards and nodes.
    pub(crate) fn new(
        revision: u64,
        stream: StreamDescription,
        shards: Vec<ShardDescription>,
        nodes: BTreeMap<NodeId, String>,
    ) -> Image {
        let shards: BTreeMap<_, _> = shards.into_iter().map(|shard| (shard.id, shard)).collect();
        let mut open: Vec<_> =
            shards.values().filter(|shard| shard.is_open()).map(|shard| (shard.range.start(), shard.id)).collect();
        open.sort_unstable();
        Image { revision, stream, shards, open, nodes, hints: BTreeMap::new() }
    }

    /// Rises with every change of the catalog.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The stream and its settings.
    pub fn stream(&self) -> &StreamDescription {
        &self.stream
    }

    /// This incarnation of the stream.
    pub fn stream_id(&self) -> StreamId {
        self.stream.id
    }

    /// A shard by id, open or closed.
    pub fn shard(&self, id: ShardId) -> Option<&ShardDescription> {
        self.shards.get(&id)
    }

    /// All shards within retention, by id.
    pub fn shards(&self) -> impl Iterator<Item = &ShardDescription> {
        self.shards.values()
    }

    /// Shards that take records, by rising hash keys.
    pub fn open_shards(&self) -> impl Iterator<Item = &ShardDescription> {
        self.open.iter().map(|(_, id)| &self.shards[id])
    }

    /// The open shard that takes `key`; nothing while the stream is being created.
    pub fn shard_for(&self, key: HashKey) -> Option<&ShardDescription> {
        let above = self.open.partition_point(|(start, _)| *start <= key);
        let (_, id) = self.open.get(above.checked_sub(1)?)?;
        self.shards.get(id).filter(|shard| shard.range.contains(key))
    }

    /// Where records with `key` go.
    pub fn route(&self, key: HashKey) -> Option<ShardRoute> {
        let shard = self.shard_for(key)?.id;
        let leader = self.leader_address(shard).map(str::to_owned);
        Some(ShardRoute { stream_id: self.stream.id, shard, leader })
    }

    /// `host:port` of a shard's leader, where one is known.
    pub fn leader_address(&self, shard: ShardId) -> Option<&str> {
        let named = || self.address(self.shards.get(&shard)?.leader?);
        self.hints.get(&shard).map(String::as_str).or_else(named)
    }

    fn address(&self, node: NodeId) -> Option<&str> {
        self.nodes.get(&node).map(String::as_str).filter(|address| !address.is_empty())
    }

    /// Whom to ask about a shard, most promising first: its leader, its replicas, other nodes.
    pub fn candidates(&self, shard: ShardId) -> Vec<String> {
        let replicas = self.shards.get(&shard).map_or(&[][..], |shard| &shard.replicas);
        let replicas = replicas.iter().filter_map(|node| self.address(*node));
        let all = self.leader_address(shard).into_iter().chain(replicas).chain(self.addresses());
        let mut candidates: Vec<String> = Vec::new();
        for address in all {
            if !candidates.iter().any(|known| known == address) {
                candidates.push(address.to_owned());
            }
        }
        candidates
    }

    /// Whom to ask about a shard after so many attempts elsewhere; empty when no node is known.
    pub fn candidate(&self, shard: ShardId, attempts: u32) -> String {
        let mut candidates = self.candidates(shard);
        if candidates.is_empty() { String::new() } else { candidates.swap_remove(attempts as usize % candidates.len()) }
    }

    /// Addresses of all nodes.
    pub fn addresses(&self) -> impl Iterator<Item = &str> {
        self.nodes.values().map(String::as_str).filter(|address| !address.is_empty())
    }

    /// The image with a leader that a refusal named.
    pub(crate) fn with_leader(&self, shard: ShardId, address: &str) -> Image {
        let mut image = self.clone();
        image.hints.insert(shard, address.to_owned());
        image
    }

    /// Whether this image, arrived after `old`, says something newer.
    pub(crate) fn succeeds(&self, old: &Image) -> bool {
        self.stream.id > old.stream.id || (self.stream.id == old.stream.id && self.revision >= old.revision)
    }

    /// This image with what refusals taught since `old`, where the cluster did not name a new leader.
    pub(crate) fn keeping_hints_of(mut self, old: &Image) -> Image {
        if self.stream.id == old.stream.id {
            let leader = |image: &Image, shard: &ShardId| image.shards.get(shard).and_then(|shard| shard.leader);
            let unchanged = |shard: &ShardId| leader(&self, shard) == leader(old, shard);
            self.hints = old.hints.iter().filter(|(shard, _)| unchanged(shard)).map(|(s, a)| (*s, a.clone())).collect();
        }
        self
    }
}

#[cfg(test)]
#[path = "image_test.rs"]
mod image_test;
