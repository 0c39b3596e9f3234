//! The replicas of this node: opened, told, watched and closed as the catalog says.
//!
//! ```text
//! apply_specs ─► desired ─► reconcile ─► Replica + warden (one a replica: observes, does duties)
//!                   └─────► settings of running replicas, at once        └─► observe()
//!                              sweep (one a node): retries, retention
//! ```
//! Holds: everything is level-triggered, so a lost or repeated call of [`ShardHost::apply_specs`]
//! does no harm. An idle replica has no timer; the node's one sweep pokes those that need it.

mod duties;
mod observation;
mod reconcile;
mod sweep;
mod warden;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use futures::StreamExt;
use parking_lot::{Mutex, RwLock};
use thalweg_raft::{Groups, SteadyClock};
use thalweg_types::{Clock, GroupId, NodeId, ShardId, StreamId};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinHandle;

use crate::append::NodeLimits;
use crate::metrics::Metrics;
use crate::options::Options;
use crate::replica::Replica;
use crate::spec::ReplicaSpec;

pub use observation::{Observations, ReplicaObservation};

/// What the catalog wants this node to run.
type Desired = BTreeMap<GroupId, Arc<ReplicaSpec>>;

/// Runs the shard replicas of a node. Cheap to clone.
#[derive(Clone)]
pub struct ShardHost(Arc<Host>);

pub(crate) struct Host {
    pub(crate) groups: Groups,
    pub(crate) node: Arc<NodeLimits>,
    desired: watch::Sender<Arc<Desired>>,
    running: RwLock<Running>,
    /// What the wardens saw last; published together.
    observed: Mutex<BTreeMap<GroupId, ReplicaObservation>>,
    observed_changed: Notify,
    observations: watch::Sender<Observations>,
    /// Changes of voters and leaders that run now.
    changes: Arc<Semaphore>,
    /// Retention is to be looked at before its time.
    retention_due: Notify,
    steady_clock: Arc<SteadyClock>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Default)]
struct Running {
    by_group: BTreeMap<GroupId, Arc<Replica>>,
    by_shard: HashMap<(StreamId, ShardId), Arc<Replica>>,
}

impl ShardHost {
    /// A host without replicas. Must be called within a tokio runtime; its tasks run until
    /// [`shutdown`](Self::shutdown).
    pub fn new(groups: Groups, clock: Arc<dyn Clock>, options: Options) -> ShardHost {
        let steady_clock = Arc::new(SteadyClock::new(clock.clone(), options.clock_jump_max));
        let host = Arc::new(Host {
            groups,
            changes: Arc::new(Semaphore::new(options.changes_max)),
            node: NodeLimits::new(options, clock),
            desired: watch::Sender::default(),
            running: RwLock::default(),
            observed: Mutex::default(),
            observed_changed: Notify::new(),
            observations: watch::Sender::default(),
            retention_due: Notify::new(),
            steady_clock,
            tasks: Mutex::default(),
        });
        let tasks = [
            tokio::spawn(reconcile::run(host.clone())),
            tokio::spawn(observation::publish(host.clone())),
            tokio::spawn(observation::measure(host.clone())),
            tokio::spawn(sweep::run(host.clone())),
        ];
        host.tasks.lock().extend(tasks);
        ShardHost(host)
    }

    /// The clock by which records are given up.
    pub fn steady_clock(&self) -> Arc<SteadyClock> {
        self.0.steady_clock.clone()
    }

    /// Tells everything that this node has to run. Running replicas hear of changes at once; missing
    /// ones are opened, and those not listed are closed and their data deleted. By then the clock is to
    /// know whether there are other nodes.
    pub fn apply_specs(&self, specs: Vec<ReplicaSpec>) {
        self.0.steady_clock.look();
        let desired: Desired = specs.into_iter().map(|spec| (spec.group, Arc::new(spec))).collect();
        let mut retention_changed = false;
        for replica in self.0.replicas() {
            if let Some(spec) = desired.get(&replica.group().id()) {
                let old = replica.spec();
                retention_changed |= (old.retention_ms, old.trimmed_until) != (spec.retention_ms, spec.trimmed_until);
                replica.set_spec(spec);
            }
        }
        self.0.desired.send_replace(Arc::new(desired));
        if retention_changed {
            self.0.retention_due.notify_one();
        }
    }

    /// What is known of every replica that runs here; coalesced, so that steps may be missing.
    pub fn observe(&self) -> watch::Receiver<Observations> {
        self.0.observations.subscribe()
    }

    /// A replica that runs here.
    pub fn replica(&self, stream: StreamId, shard: ShardId) -> Option<Arc<Replica>> {
        self.0.running.read().by_shard.get(&(stream, shard)).filter(|replica| !replica.is_gone()).cloned()
    }

    /// A replica that runs here, by its group.
    pub fn replica_of(&self, group: GroupId) -> Option<Arc<Replica>> {
        self.0.running.read().by_group.get(&group).filter(|replica| !replica.is_gone()).cloned()
    }

    /// Whether a replica is to run here, though it may not be open yet.
    pub fn expects(&self, stream: StreamId, shard: ShardId) -> bool {
        self.0.desired.borrow().values().any(|spec| (spec.stream_id, spec.shard) == (stream, shard))
    }

    /// This node.
    pub fn node_id(&self) -> NodeId {
        self.0.groups.node_id()
    }

    /// Counters of all replicas together.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.0.node.metrics
    }

    pub(crate) fn options(&self) -> &Options {
        &self.0.node.options
    }

    /// Stops all tasks and closes all replicas; their data stays.
    pub async fn shutdown(&self) {
        self.0.tasks.lock().drain(..).for_each(|task| task.abort());
        let closing = futures::stream::iter(self.0.replicas()).for_each_concurrent(
            self.options().opens_max,
            |replica| async move {
                self.0.forget(&replica);
                self.0.groups.close(replica.group().id()).await;
            },
        );
        closing.await;
    }
}

impl Host {
    fn replicas(&self) -> Vec<Arc<Replica>> {
        self.running.read().by_group.values().cloned().collect()
    }

    fn enlist(&self, replica: &Arc<Replica>) {
        let spec = replica.spec();
        let mut running = self.running.write();
        running.by_group.insert(spec.group, replica.clone());
        running.by_shard.insert((spec.stream_id, spec.shard), replica.clone());
    }

    /// Takes a replica out of every register and wakes those who wait on it.
    fn forget(&self, replica: &Replica) {
        let spec = replica.spec();
        let mut running = self.running.write();
        running.by_group.remove(&spec.group);
        running.by_shard.remove(&(spec.stream_id, spec.shard));
        drop(running);
        replica.leave();
        self.observed.lock().remove(&spec.group);
        self.observed_changed.notify_one();
    }
}
