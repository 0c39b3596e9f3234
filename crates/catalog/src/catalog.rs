//! The catalog itself: one value that says all the cluster has agreed on.
//!
//! The controller's replicas change it by [`Catalog::apply`]; every other node holds an
//! immutable image (`Arc<Catalog>`) of some revision. Streams and shards are shared between
//! clones, so taking an image costs a pointer a stream.
//!
//! Holds: `revision` rises by one with each change and with nothing else; a command that is
//! refused, or that changes nothing, leaves the catalog as it was. Two catalogs that applied
//! the same commands are equal.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thalweg_types::{GroupId, NodeId, ShardId, StreamId, StreamName, UnixMillis};

use crate::fan_out::Retired;
use crate::streams::Streams;
use crate::{AccessKey, AccountSettings, Node, Reshard, ReshardId, Shard, Stream, StreamStatus};

/// Open shards of all streams together, unless set otherwise.
const SHARD_LIMIT_DEFAULT: u32 = 20_000;

/// Everything the cluster has agreed on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Catalog {
    pub(crate) revision: u64,
    pub(crate) cluster: Option<Cluster>,
    pub(crate) controller_voters: Vec<NodeId>,
    pub(crate) shard_limit: u32,
    pub(crate) nodes: BTreeMap<NodeId, Node>,
    pub(crate) streams: Streams,
    pub(crate) reshards: BTreeMap<ReshardId, Reshard>,
    pub(crate) next_stream: StreamId,
    pub(crate) next_group: GroupId,
    pub(crate) next_reshard: ReshardId,
    #[serde(default)]
    pub(crate) account: AccountSettings,
    #[serde(default)]
    pub(crate) access_keys: BTreeMap<String, Arc<AccessKey>>,
    #[serde(default, skip_serializing_if = "Retired::is_empty")]
    pub(crate) retired_consumers: Retired,
}

/// The cluster's identity.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// Random text that tells this cluster from any other.
    pub id: String,
    /// Random text with which nodes authenticate the tokens they hand to clients.
    pub token_secret: String,
    /// When the cluster was formed.
    pub formed_at: UnixMillis,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Cluster { id, token_secret: _, formed_at } = self;
        f.debug_struct("Cluster").field("id", id).field("formed_at", formed_at).finish_non_exhaustive()
    }
}

impl Default for Catalog {
    fn default() -> Catalog {
        Catalog {
            revision: 0,
            cluster: None,
            controller_voters: Vec::new(),
            shard_limit: SHARD_LIMIT_DEFAULT,
            nodes: BTreeMap::new(),
            streams: Streams::default(),
            reshards: BTreeMap::new(),
            next_stream: StreamId(1),
            next_group: GroupId(GroupId::CONTROLLER.0 + 1),
            next_reshard: ReshardId(1),
            account: AccountSettings::default(),
            access_keys: BTreeMap::new(),
            retired_consumers: Retired::default(),
        }
    }
}

impl Catalog {
    /// The catalog of a cluster in which nothing has happened.
    pub fn new() -> Catalog {
        Catalog::default()
    }

    /// Rises by one with each change.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The cluster's identity, once it is formed.
    pub fn cluster(&self) -> Option<&Cluster> {
        self.cluster.as_ref()
    }

    /// No group has ever had this id or a higher one.
    pub fn next_group(&self) -> GroupId {
        self.next_group
    }

    /// Nodes that should vote in the controller's group.
    pub fn controller_voters(&self) -> &[NodeId] {
        &self.controller_voters
    }

    /// Open shards that all streams together may have.
    pub fn shard_limit(&self) -> u32 {
        self.shard_limit
    }

    /// What holds for all streams together.
    pub fn account(&self) -> &AccountSettings {
        &self.account
    }

    /// All access keys by id.
    pub fn access_keys(&self) -> impl Iterator<Item = &Arc<AccessKey>> {
        self.access_keys.values()
    }

    /// An access key by id.
    pub fn access_key(&self, id: &str) -> Option<&Arc<AccessKey>> {
        self.access_keys.get(id)
    }

    /// On-demand streams that are not being deleted.
    pub fn on_demand_stream_count(&self) -> u32 {
        let counted = |stream: &&Arc<Stream>| stream.is_on_demand() && stream.status != StreamStatus::Deleting;
        self.streams.values().filter(counted).count() as u32
    }

    /// All nodes that ever registered, by id; removed ones too.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values()
    }

    /// A node by id.
    pub fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(&id)
    }

    /// All streams by name.
    pub fn streams(&self) -> impl Iterator<Item = &Arc<Stream>> {
        self.streams.values()
    }

    /// The streams whose names come after `name`, in order.
    pub fn streams_after(&self, name: &StreamName) -> impl Iterator<Item = &Arc<Stream>> {
        self.streams.after(name)
    }

    /// A stream by name, whatever its status.
    pub fn stream(&self, name: &StreamName) -> Option<&Arc<Stream>> {
        self.streams.get(name)
    }

    /// A stream by the id of its incarnation, whatever its status.
    pub fn stream_by_id(&self, id: StreamId) -> Option<&Arc<Stream>> {
        self.streams.by_id(id)
    }

    /// A shard by stream and id, visible or not.
    pub fn shard(&self, stream: &StreamName, shard: ShardId) -> Option<&Shard> {
        self.streams.get(stream)?.shards.get(shard)
    }

    /// The stream and shard that a group serves. Looks at every shard.
    pub fn shard_of_group(&self, group: GroupId) -> Option<(&Stream, &Shard)> {
        self.shards().find(|(_, shard)| shard.group == group)
    }

    /// All shards of all streams, with their stream.
    pub fn shards(&self) -> impl Iterator<Item = (&Stream, &Shard)> {
        self.streams.values().flat_map(|stream| stream.shards.iter().map(move |shard| (stream.as_ref(), shard)))
    }

    /// Reshards that run now, by id.
    pub fn reshards(&self) -> impl Iterator<Item = &Reshard> {
        self.reshards.values()
    }

    /// A running reshard by id.
    pub fn reshard(&self, id: ReshardId) -> Option<&Reshard> {
        self.reshards.get(&id)
    }

    /// The running reshard that closes or opens a shard.
    pub fn reshard_of(&self, stream: &Stream, shard: ShardId) -> Option<ReshardId> {
        let running = stream.reshards.iter().filter_map(|id| self.reshards.get(id));
        running.filter(|reshard| reshard.touches(shard)).map(|reshard| reshard.id).next()
    }

    /// Open shards of all streams together, counting those whose stream is being created.
    pub fn open_shard_count(&self) -> u32 {
        self.streams.values().map(|stream| stream.counted_shards()).sum::<usize>() as u32
    }

    /// Nodes that may receive replicas.
    pub fn active_nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values().filter(|node| node.may_receive())
    }

    /// Replicas that a new shard of a stream with this replication gets now: nodes that are being
    /// drained take part where there are too few others.
    pub fn replicas_of_new_shards(&self, replication: u32) -> usize {
        self.nodes.values().filter(|node| node.is_alive()).count().min(replication as usize)
    }

    /// Replicas that a shard of a stream with this replication can have now.
    pub fn replicas_possible(&self, replication: u32) -> usize {
        self.active_nodes().count().min(replication as usize)
    }
}
