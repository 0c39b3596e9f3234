//! What faults act upon, and who may act on what.
//!
//! Holds: a node is acted upon by one fault at a time; so are the network, the catalog's placement
//! and the disks that may lose something (of which the cluster survives one at a time).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use thalweg_client::{Client, NodeId, StreamName};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::cluster::{Cluster, READY_TIMEOUT};
use crate::node::{self, Node};
use crate::observe::{Observer, View};
use crate::record::Recorder;

/// A node whose disk was damaged has everything again within this.
const REPAIR_TIMEOUT: Duration = Duration::from_secs(90);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(100);

/// What came of a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Happening {
    /// It happened, to whom.
    Happened(String),
    /// It could not happen now, and nothing was done.
    NotNow(&'static str),
}

/// Things that only one fault has at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    /// The rules of the network.
    Network,
    /// Disks that lose what was acknowledged.
    Damage,
    /// Shards and nodes in the catalog.
    Catalog,
    /// Clocks that are wrong by years: the nodes go by the majority.
    Clocks,
}

/// A cluster under fire.
pub(crate) struct Arena {
    /// Its nodes.
    pub(crate) cluster: Arc<Cluster>,
    /// What it says about itself.
    pub(crate) observer: Arc<Observer>,
    /// Where things are written down.
    pub(crate) recorder: Arc<Recorder>,
    /// The stream under load.
    pub(crate) stream: StreamName,
    /// For administration.
    pub(crate) client: Client,
    holds: [Arc<Mutex<()>>; 4],
}

impl Arena {
    /// The arena of one run.
    pub(crate) fn new(
        cluster: Arc<Cluster>,
        observer: Arc<Observer>,
        recorder: Arc<Recorder>,
        stream: StreamName,
        client: Client,
    ) -> Arena {
        Arena { cluster, observer, recorder, stream, client, holds: Default::default() }
    }

    /// One of the things that only one fault has, unless another has it.
    pub(crate) fn try_hold(&self, hold: Hold) -> Option<OwnedMutexGuard<()>> {
        self.holds[hold as usize].clone().try_lock_owned().ok()
    }

    /// The newest that is known of the cluster.
    pub(crate) fn view(&self) -> View {
        self.observer.view()
    }

    /// Some node that nobody has hold of, drawn from those that `wanted` lets through.
    pub(crate) fn any_node(
        &self,
        random: &mut StdRng,
        wanted: impl Fn(NodeId) -> bool,
    ) -> Option<OwnedMutexGuard<Node>> {
        let mut ids: Vec<NodeId> = self.cluster.active().into_iter().filter(|id| wanted(*id)).collect();
        ids.shuffle(random);
        ids.into_iter().find_map(|id| self.cluster.try_hold(id).filter(|node| node.has_process()))
    }

    /// Nodes that lead shards.
    pub(crate) fn leading(&self) -> BTreeSet<NodeId> {
        self.view().leaders().into_keys().collect()
    }

    /// All active nodes, if nobody has hold of any.
    pub(crate) fn all_nodes(&self) -> Option<Vec<OwnedMutexGuard<Node>>> {
        let held = self.cluster.active().into_iter().map(|id| self.cluster.try_hold(id));
        held.collect::<Option<Vec<_>>>().filter(|nodes| nodes.iter().all(|node| node.has_process()))
    }

    /// Starts a node and waits until it can serve.
    pub(crate) async fn restart(&self, node: &mut Node) -> anyhow::Result<()> {
        node.start()?;
        node.wait_ready(READY_TIMEOUT).await
    }

    /// Starts nodes and waits until all can serve.
    pub(crate) async fn restart_all(&self, nodes: &mut [OwnedMutexGuard<Node>]) -> anyhow::Result<()> {
        nodes.iter_mut().try_for_each(|node| node.start())?;
        let waits = nodes.iter_mut().map(|node| node.wait_ready(READY_TIMEOUT));
        futures::future::try_join_all(waits).await.map(drop)
    }

    /// Waits until a node misses nothing any more that its disk has lost.
    pub(crate) async fn wait_repaired(&self, id: NodeId) -> anyhow::Result<()> {
        let deadline = tokio::time::Instant::now() + REPAIR_TIMEOUT;
        while node::metric(id, "thalweg_groups_damaged").await != Some(0.0) {
            let waiting = tokio::time::Instant::now() < deadline;
            anyhow::ensure!(waiting, "node {id} is not repaired within {REPAIR_TIMEOUT:?}");
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }
}

/// "node 3", or nothing when there is none.
pub(super) fn named(ids: &[NodeId]) -> String {
    let numbers: Vec<String> = ids.iter().map(ToString::to_string).collect();
    format!("{} {}", if ids.len() == 1 { "node" } else { "nodes" }, numbers.join(", "))
}
