//! What every node knows of the cluster: the newest catalog it heard of, and who leads what.
//!
//! The data path reads only this. The catalog part is durable truth of some revision; leaders and
//! connections are what nodes last reported, and may be a moment old.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use thalweg_catalog::{Catalog, Stream};
use thalweg_types::{GroupId, NodeId};

/// An immutable picture of the cluster.
#[derive(Clone, Debug, Default)]
pub struct Image {
    /// The catalog at some revision; never falls back to an older one.
    pub catalog: Arc<Catalog>,
    /// The leader of each shard's group, where one is known.
    pub leaders: BTreeMap<GroupId, NodeId>,
    /// Nodes that the controller hears from.
    pub connected: BTreeSet<NodeId>,
    /// The node that leads the controller, where known.
    pub controller_leader: Option<NodeId>,
}

impl Image {
    /// `host:port` at which clients reach a node.
    pub fn public_address(&self, node: NodeId) -> Option<&str> {
        self.catalog.node(node).map(|node| node.public_address.as_str())
    }

    /// Whether each open shard of a stream has a known leader.
    pub fn is_led(&self, stream: &Stream) -> bool {
        stream.open_shards().all(|shard| self.leaders.contains_key(&shard.group))
    }
}
