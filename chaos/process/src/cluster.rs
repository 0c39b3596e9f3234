//! The nodes of a run, each behind a lock: whoever holds it may do things to that node.
//!
//! Holds: node ids are never used twice; a node's process is looked after only by the holder of
//! its lock, so a process that ends while nobody holds it has ended by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join_all;
use parking_lot::Mutex as PlainMutex;
use thalweg_client::{Client, CreateStream, NodeId, Options, StreamName};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::disk::Disk;
use crate::net::Network;
use crate::node::{self, Launch, Node, SharedState, State};

/// A node that is not ready by then is broken. Generous: machines that test are busy.
pub(crate) const READY_TIMEOUT: Duration = Duration::from_secs(90);

/// What a cluster is made of: the table `[cluster]` of a scenario.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ClusterPlan {
    /// Nodes at the beginning.
    pub(crate) nodes: u64,
    /// Shards of the stream.
    pub(crate) shards: u32,
    /// Whether wall clocks can be set.
    pub(crate) clocks: bool,
    /// Size of each node's disk.
    pub(crate) disk_mib: u64,
    /// Settings of all nodes, as in their configuration.
    pub(crate) settings: BTreeMap<String, String>,
}

impl Default for ClusterPlan {
    fn default() -> ClusterPlan {
        ClusterPlan { nodes: 3, shards: 8, clocks: false, disk_mib: 2_048, settings: BTreeMap::new() }
    }
}

/// Nodes and what joins them.
#[derive(Debug)]
pub(crate) struct Cluster {
    plan: ClusterPlan,
    network: Network,
    disks: PathBuf,
    results: PathBuf,
    launch: Launch,
    nodes: PlainMutex<BTreeMap<NodeId, Arc<Mutex<Node>>>>,
    retired: PlainMutex<BTreeSet<NodeId>>,
    states: PlainMutex<BTreeMap<NodeId, SharedState>>,
}

impl Cluster {
    /// Starts the nodes and waits until all can serve.
    pub(crate) async fn start(
        plan: ClusterPlan,
        seed: u64,
        binary: PathBuf,
        disks: &Path,
        results: &Path,
    ) -> anyhow::Result<Cluster> {
        let launch = Launch { binary, environment: environment(&plan), seeds: Vec::new(), clock: plan.clocks };
        let network = Network::start(seed).await?;
        let (disks, results) = (disks.to_owned(), results.to_owned());
        let (nodes, retired, states) = Default::default();
        let cluster = Cluster { plan, network, disks, results, launch, nodes, retired, states };
        for id in 1..=cluster.plan.nodes {
            cluster.add_node(NodeId(id)).await?;
        }
        try_join_all(cluster.ids().into_iter().map(|id| {
            let node = cluster.node(id);
            async move { node.lock().await.wait_ready(READY_TIMEOUT).await }
        }))
        .await?;
        Ok(cluster)
    }

    /// Makes and starts a node; it may not be ready yet.
    pub(crate) async fn add_node(&self, id: NodeId) -> anyhow::Result<()> {
        self.network.add_node(node::port(id)).await?;
        let disk = Disk::create(&self.disks, id.0, self.plan.disk_mib).await?;
        let launch = Launch { seeds: self.seeds(id), ..self.launch.clone() };
        let mut node = Node::new(id, disk, &self.results, launch);
        node.start()?;
        self.states.lock().insert(id, node.state());
        self.nodes.lock().insert(id, Arc::new(Mutex::new(node)));
        Ok(())
    }

    /// Whom a new node asks to let it in: the founders are each other's, and gone one day.
    fn seeds(&self, new: NodeId) -> Vec<String> {
        let founders = (1..=self.plan.nodes).map(NodeId);
        let known = if new.0 <= self.plan.nodes { founders.collect() } else { self.active() };
        known.into_iter().map(node::peer_address).collect()
    }

    /// An id that no node had.
    pub(crate) fn free_id(&self) -> NodeId {
        NodeId(self.nodes.lock().keys().next_back().map_or(1, |last| last.0 + 1))
    }

    /// All nodes that were ever there.
    pub(crate) fn ids(&self) -> Vec<NodeId> {
        self.nodes.lock().keys().copied().collect()
    }

    /// Nodes that belong to the cluster.
    pub(crate) fn active(&self) -> Vec<NodeId> {
        let retired = self.retired.lock();
        self.ids().into_iter().filter(|id| !retired.contains(id)).collect()
    }

    /// Takes a node out of what faults may happen to: it leaves the cluster.
    pub(crate) fn retire(&self, id: NodeId) {
        self.retired.lock().insert(id);
    }

    /// How each node is that was ever there.
    pub(crate) fn states(&self) -> BTreeMap<NodeId, State> {
        let (states, retired) = (self.states.lock(), self.retired.lock());
        let state = |id: &NodeId, state: &SharedState| if retired.contains(id) { State::Gone } else { *state.lock() };
        states.iter().map(|(id, shared)| (*id, state(id, shared))).collect()
    }

    /// One node.
    pub(crate) fn node(&self, id: NodeId) -> Arc<Mutex<Node>> {
        self.nodes.lock()[&id].clone()
    }

    /// One node, if nobody is doing things to it.
    pub(crate) fn try_hold(&self, id: NodeId) -> Option<OwnedMutexGuard<Node>> {
        self.node(id).try_lock_owned().ok()
    }

    /// What joins the nodes.
    pub(crate) fn network(&self) -> &Network {
        &self.network
    }

    /// A new client that knows all nodes.
    pub(crate) fn client(&self, request_timeout: Duration) -> Client {
        let mut options = Options::new(self.ids().into_iter().map(node::public_address));
        options.request_timeout = request_timeout;
        Client::connect(options).expect("the endpoints are addresses")
    }

    /// Creates the stream.
    pub(crate) async fn create_stream(&self, name: &StreamName) -> anyhow::Result<()> {
        let settings = CreateStream { shard_count: Some(self.plan.shards), ..CreateStream::default() };
        self.client(Duration::from_secs(30)).streams().create(name, settings).await?;
        Ok(())
    }
}

/// Small logs and caches, so that a short run goes through several segments; a plan's own settings win.
fn environment(plan: &ClusterPlan) -> Vec<(String, String)> {
    let defaults = [
        ("segment_bytes", "50331648"),
        ("cache_bytes", "33554432"),
        ("hot_tail_bytes", "67108864"),
        ("reserve_bytes", "134217728"),
        ("retention_interval", "5s"),
        ("node_dead_after", "60s"),
    ];
    let defaults = defaults.into_iter().filter(|(name, _)| !plan.settings.contains_key(*name));
    let all = defaults.chain(plan.settings.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    all.map(|(name, value)| (format!("THALWEG_{}", name.to_uppercase()), value.to_owned())).collect()
}
