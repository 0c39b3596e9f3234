//! All Raft groups of this node: opening, finding, closing them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};
use thalweg_storage::{Health, NodeLog};
use thalweg_types::{GroupId, NodeId, UnixMillis};
use tokio::sync::watch;
use tonic::transport::Channel;

use crate::applier::Applier;
use crate::config::raft_config;
use crate::group::{Group, Parts, Raft};
use crate::log_store::{self, LogStore};
use crate::network::{GroupNetwork, OwnMetrics};
use crate::repair::{Damaged, RepairCounts, Repairer, Repairs};
use crate::transport::{self, Connector, Peers};
use crate::{Options, RestoreError, StateMachine, failover, hibernate};

/// What a group is opened with.
#[derive(Clone, Debug)]
pub struct GroupOptions {
    /// Whom the group was made of; never changes. The first is the preferred leader and
    /// initialises a group that has no history.
    pub initial_members: Vec<NodeId>,
    /// Whether an acknowledgement needs a sync; false is durability `os`.
    pub sync: bool,
}

/// Why a group did not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its log or vote cannot be read.
    #[error("cannot read the group's log: {0}")]
    Log(#[from] std::io::Error),
    /// An entry that is to be applied anew is damaged. Opening tries to get it back each time.
    #[error(transparent)]
    Damaged(#[from] Damaged),
    /// Its checkpoint cannot be read.
    #[error(transparent)]
    Checkpoint(#[from] RestoreError),
    /// openraft refused what it found.
    #[error("raft did not start: {0}")]
    Raft(String),
}

/// What all groups of a node share.
pub(crate) struct NodeParts {
    pub(crate) id: NodeId,
    pub(crate) options: Options,
    pub(crate) log: NodeLog,
    pub(crate) health: watch::Receiver<Health>,
    pub(crate) peers: Arc<Peers>,
    pub(crate) awake: Mutex<BTreeSet<GroupId>>,
    pub(crate) failure: watch::Sender<Option<String>>,
    pub(crate) repairs: Arc<Repairs>,
    groups: RwLock<BTreeMap<GroupId, Group>>,
    opening: tokio::sync::Mutex<()>,
    saves_wanted: AtomicU64,
    /// How many of those are served.
    saves_done: tokio::sync::Mutex<u64>,
}

/// All Raft groups of this node. Cheap to clone.
#[derive(Clone)]
pub struct Groups(Arc<NodeParts>);

impl Groups {
    /// The registry over a node's log. Starts the tasks that watch peers and put idle groups to
    /// sleep; must be called within a tokio runtime.
    pub fn start(id: NodeId, options: Options, log: NodeLog, connector: Arc<dyn Connector>) -> Groups {
        let health = log.health();
        let peers = Peers::new(id, options.clone(), connector);
        let groups = Groups(Arc::new(NodeParts {
            id,
            options,
            log,
            health,
            peers,
            awake: Mutex::default(),
            failure: watch::Sender::new(None),
            repairs: Arc::default(),
            groups: RwLock::default(),
            opening: tokio::sync::Mutex::new(()),
            saves_wanted: AtomicU64::new(0),
            saves_done: tokio::sync::Mutex::new(0),
        }));
        tokio::spawn(failover::watch_peers(Arc::downgrade(&groups.0), groups.0.peers.events()));
        tokio::spawn(hibernate::run(Arc::downgrade(&groups.0)));
        groups
    }

    /// This node.
    pub fn node_id(&self) -> NodeId {
        self.0.id
    }

    /// Whether anything of a group is on this node's disk, open or not.
    pub fn holds(&self, id: GroupId) -> bool {
        self.0.log.groups().contains(&id)
    }

    /// Opens a group, with whatever its log holds. Opening an open group returns it.
    pub async fn open(
        &self,
        id: GroupId,
        options: GroupOptions,
        machine: Box<dyn StateMachine>,
    ) -> Result<Group, OpenError> {
        if let Some(open) = self.get(id) {
            return Ok(open);
        }
        let node = &self.0;
        let log = node.log.group(id);
        let applier = Applier::open(log.clone(), machine)?;
        log.set_applied(*applier.applied().borrow());
        let members = options.initial_members.clone();
        let repairer = Repairer::new(log.clone(), applier.clone(), node.peers.clone(), node.repairs.clone(), members);
        let mut store = LogStore::new(log.clone(), options.sync, node.options.append_bytes_max, repairer.clone())?;
        store.mind_lost_vote(node.id).await?;
        let started = self.start_raft(id, store, applier.clone(), &repairer).await;
        if repairer.is_unsaved() {
            node.failure.send_replace(Some(format!("group {id} took up a snapshot that could not be saved")));
        }
        let raft = started?;
        let group = Group::new(id, options, node.clone(), Parts { log, applier, repairer, raft });
        let _one_at_a_time = node.opening.lock().await;
        if let Some(open) = self.get(id) {
            stop(group.inner().raft()).await;
            return Ok(open);
        }
        node.repairs.settle(id);
        node.groups.write().insert(id, group.clone());
        failover::attend(&group);
        Ok(group)
    }

    /// Starts openraft on a log of which everything can be read that it is going to need.
    async fn start_raft(
        &self,
        id: GroupId,
        mut store: LogStore,
        applier: Applier,
        repairer: &Repairer,
    ) -> Result<Raft, OpenError> {
        let node = &self.0;
        let damaged = || repairer.failure().map(OpenError::Damaged);
        store.survey().await.map_err(|error| damaged().unwrap_or(OpenError::Log(error)))?;
        store.vote_as_the_log(node.id).await?;
        let opening = store.opening();
        let (peers, append_window, own) = (node.peers.clone(), node.options.append_window, OwnMetrics::default());
        let network = GroupNetwork { group: id, peers, append_window, own: own.clone() };
        let raft = Raft::new(node.id.0, raft_config(&node.options), network, store, applier).await;
        let raft = raft.map_err(|fatal| damaged().unwrap_or(OpenError::Raft(fatal.to_string())))?;
        opening.end();
        let _ = own.set(raft.metrics());
        Ok(raft)
    }

    /// An open group.
    pub fn get(&self, id: GroupId) -> Option<Group> {
        self.0.groups.read().get(&id).cloned()
    }

    /// Stops a group; its data stays.
    pub async fn close(&self, id: GroupId) {
        let Some(group) = self.0.groups.write().remove(&id) else { return };
        self.0.awake.lock().remove(&id);
        group.inner().tasks.lock().drain(..).for_each(|task| task.abort());
        group.inner().repairer.close();
        stop(group.inner().raft()).await;
    }

    /// Stops a group and gives its data up.
    pub async fn destroy(&self, id: GroupId) -> Result<(), std::io::Error> {
        self.close(id).await;
        self.0.repairs.settle(id);
        log_store::durable(|done| self.0.log.group(id).destroy(done)).await
    }

    /// Stops all groups, in no order, and forgets the peers.
    pub async fn shutdown(&self) {
        let ids: Vec<GroupId> = self.0.groups.read().keys().copied().collect();
        futures::future::join_all(ids.into_iter().map(|id| self.close(id))).await;
        let peers: Vec<NodeId> = self.0.peers.up().borrow().iter().copied().collect();
        peers.into_iter().for_each(|peer| self.0.peers.remove(peer));
    }

    /// Learns or changes where a node is reached.
    pub fn set_peer(&self, node: NodeId, address: impl AsRef<str>) {
        self.0.peers.set(node, address.as_ref());
    }

    /// Forgets a node.
    pub fn remove_peer(&self, node: NodeId) {
        self.0.peers.remove(node);
    }

    /// Nodes that answer, without this one.
    pub fn peers_up(&self) -> watch::Receiver<BTreeSet<NodeId>> {
        self.0.peers.up()
    }

    /// What the time is by the clocks of the other nodes, as far as they have ever told it.
    pub fn peer_times(&self) -> Vec<(NodeId, UnixMillis)> {
        self.0.peers.times()
    }

    /// The time that this node tells others.
    pub(crate) fn now(&self) -> Option<UnixMillis> {
        self.0.options.clock.0.as_ref().map(|clock| clock.now())
    }

    /// A channel to a node's peer port, for other services there.
    pub fn peer_channel(&self, node: NodeId) -> Option<Channel> {
        self.0.peers.channel(node)
    }

    /// Groups whose timers run; the others sleep.
    pub fn awake_count(&self) -> usize {
        self.0.awake.lock().len()
    }

    /// Why this node must be restarted, once a group has stopped by itself.
    pub fn failure(&self) -> watch::Receiver<Option<String>> {
        self.0.failure.subscribe()
    }

    /// What the repairs of damaged entries came to.
    pub fn repair_counts(&self) -> RepairCounts {
        self.0.repairs.counts()
    }

    /// Groups that are closed or fenced until another node gives a damaged entry back.
    pub fn damaged(&self) -> BTreeMap<GroupId, Damaged> {
        self.0.repairs.waiting()
    }

    /// The service to mount on the peer port.
    pub fn service(&self) -> crate::transport::Server {
        transport::server(self.clone())
    }

    /// The node's log.
    pub fn node_log(&self) -> &NodeLog {
        &self.0.log
    }
}

/// Stops openraft for a group, also when whoever waits for that gives up: openraft waits for its own end
/// on behalf of all who ask, and panics in each of them if that wait is dropped.
async fn stop(raft: &Raft) {
    let raft = raft.clone();
    let _ = tokio::spawn(async move { raft.shutdown().await }).await;
}

impl NodeParts {
    /// Returns when the record store has what was in memory before the call, of all groups. Calls that
    /// come together are served together.
    pub(crate) async fn save(&self) -> std::io::Result<()> {
        let mine = self.saves_wanted.fetch_add(1, Ordering::AcqRel) + 1;
        let mut done = self.saves_done.lock().await;
        if *done >= mine {
            return Ok(());
        }
        let served = self.saves_wanted.load(Ordering::Acquire);
        let log = self.log.clone();
        log_store::blocking(log.driver(), move || log.flush()).await?.map_err(std::io::Error::other)?;
        *done = served;
        Ok(())
    }

    pub(crate) fn open_groups(&self) -> Vec<Group> {
        self.groups.read().values().cloned().collect()
    }

    pub(crate) fn group(&self, id: GroupId) -> Option<Group> {
        self.groups.read().get(&id).cloned()
    }
}
