//! A node without its surroundings: no sockets, no threads, no clock, disk or entropy of its own.
//!
//! ```text
//!   CoreParts: data, clock, seed, connector
//!        └─► Core: log ─► groups ─► shard host ◄─ wiring ─► controller
//!              ├─ public_routes(), peer_routes()   gRPC, to be served by whoever has sockets
//!              └─ failed(), shutdown()
//! ```
//! [`crate::Node`] puts a core on real sockets beside the Kinesis front; a simulation puts it on
//! a simulated network. Ends from the top down: leaders handed over, calls ended, log closed.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use thalweg_catalog::Catalog;
use thalweg_controller::{Controller, ControllerHandle, Image, Membership, Parts, Reports};
use thalweg_raft::{AgreedClock, Connector, Groups, ToldClock};
use thalweg_shard::ShardHost;
use thalweg_storage::{Driver, Health, NodeLog};
use thalweg_types::{Clock, GroupId, NodeId};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tonic::service::Routes;

use crate::admin::Checks;
use crate::data::Data;
use crate::grpc::{self, ImageDirectory};
use crate::wiring;

/// How long leaders may take to be handed over when a node stops.
const HAND_OVER_TIMEOUT: Duration = Duration::from_secs(3);

/// Catching up is told by nothing: how often it is looked for.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// What a core is told.
#[derive(Clone)]
pub struct CoreOptions {
    /// How its groups take part in Raft.
    pub raft: thalweg_raft::Options,
    /// How its shards behave.
    pub shard: thalweg_shard::Options,
    /// How it takes part in the cluster.
    pub controller: thalweg_controller::Options,
}

/// What a core is given.
pub struct CoreParts {
    /// This node.
    pub id: NodeId,
    /// Who it is, and its log.
    pub data: Data,
    /// Wall-clock time.
    pub clock: Arc<dyn Clock>,
    /// Seed of the controller's randomness.
    pub seed: [u8; 32],
    /// Opens channels to other nodes' peer ports.
    pub connector: Arc<dyn Connector>,
}

/// A running node without its surroundings. Dropping it is what a crash of the process does, but
/// for its tasks, which end with their runtime.
pub struct Core {
    id: NodeId,
    log: NodeLog,
    groups: Groups,
    host: ShardHost,
    controller: ControllerHandle,
    clock: Arc<dyn Clock>,
    checks: Checks,
    /// Clients are told to go elsewhere.
    stop: watch::Sender<bool>,
    /// Ends when they all have their answers.
    public: Option<JoinHandle<()>>,
    /// The other ports end.
    end: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

/// Whether the controller's lead is handed over when a node ends.
enum HandOver {
    Yes,
    No,
}

impl Core {
    /// Starts it, within a tokio runtime. The routes have to be served for a cluster to form.
    pub fn start(options: CoreOptions, parts: CoreParts) -> io::Result<Core> {
        let CoreParts { id, data: Data { identity, log, .. }, clock, seed, connector } = parts;
        let told = ToldClock(Some(clock.clone()));
        let raft_options = thalweg_raft::Options { clock: told, ..options.raft };
        let groups = Groups::start(id, raft_options, log.clone(), connector.clone());
        // No part of this node goes by its own clock where that is far off.
        let agreed = AgreedClock::new(clock, groups.clone());
        let clock: Arc<dyn Clock> = Arc::new(agreed.clone());
        let host = ShardHost::new(groups.clone(), clock.clone(), options.shard);
        let (reports, observations) = watch::channel(Arc::new(Reports::default()));
        let steady_clock = host.steady_clock();
        let (groups_there, clock_there) = (groups.clone(), clock.clone());
        let parts =
            Parts { groups: groups_there, identity, clock: clock_there, steady_clock, seed, connector, observations };
        let controller = Controller::start(options.controller, parts)?;
        let (stop, end) = (watch::Sender::new(false), watch::Sender::new(false));
        let image = controller.image();
        let checks = Checks {
            node: id,
            membership: controller.membership(),
            image: image.clone(),
            host: host.clone(),
            groups: groups.clone(),
            log: log.clone(),
            stopping: stop.subscribe(),
        };
        let following = wiring::follow_image(id, image, host.clone(), groups.clone(), agreed);
        let (confirmed, to_be_trusted) = (controller.confirmed(), log.clone());
        let tasks = vec![
            tokio::spawn(async move {
                trust_what_is_younger(&to_be_trusted, confirmed).await;
                following.await;
            }),
            tokio::spawn(wiring::report(host.observe(), reports)),
        ];
        Ok(Core { id, log, groups, host, controller, clock, checks, stop, public: None, end, tasks })
    }

    /// The services for clients.
    pub async fn public_routes(&self) -> Routes {
        let directory = Arc::new(ImageDirectory { image: self.controller.image() });
        grpc::public_routes(&self.host, &self.controller, directory).await
    }

    /// The services for other nodes.
    pub fn peer_routes(&self) -> Routes {
        grpc::peer_routes(&self.controller, &self.groups)
    }

    /// Whether clients are told to go elsewhere. What they have asked by then is still answered.
    pub fn stopping(&self) -> watch::Receiver<bool> {
        self.stop.subscribe()
    }

    /// Whether the other ports end.
    pub fn ending(&self) -> watch::Receiver<bool> {
        self.end.subscribe()
    }

    /// Hands over the task that serves clients: it ends when the node is [stopping](Self::stopping)
    /// and all have their answers, and the rest of the node waits for that.
    pub fn serve_clients(&mut self, task: JoinHandle<()>) {
        self.public = Some(task);
    }

    /// Hands over another task that serves, to be ended with the node.
    pub fn attend(&mut self, task: JoinHandle<()>) {
        self.tasks.push(task);
    }

    /// The time as this node's parts have it.
    pub fn clock(&self) -> Arc<dyn Clock> {
        self.clock.clone()
    }

    /// This node's id.
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// The cluster as this node knows it.
    pub fn image(&self) -> watch::Receiver<Arc<Image>> {
        self.controller.image()
    }

    /// The controller's part.
    pub fn controller(&self) -> &ControllerHandle {
        &self.controller
    }

    /// The raft groups.
    pub fn groups(&self) -> &Groups {
        &self.groups
    }

    /// The shard replicas.
    pub fn host(&self) -> &ShardHost {
        &self.host
    }

    /// The log.
    pub fn log(&self) -> &NodeLog {
        &self.log
    }

    pub(crate) fn checks(&self) -> &Checks {
        &self.checks
    }

    /// Whether this node can serve; else what it waits for.
    pub fn ready(&self) -> Result<(), String> {
        self.checks.ready()
    }

    /// Waits until this node can serve, or can never: then why.
    pub async fn wait_ready(&self) -> Result<(), String> {
        let mut membership = self.controller.membership();
        let mut image = self.controller.image();
        let mut observed = self.host.observe();
        loop {
            if self.ready().is_ok() {
                return Ok(());
            }
            if let Membership::Refused { reason } = &*membership.borrow_and_update() {
                return Err(reason.clone());
            }
            tokio::select! {
                changed = membership.changed() => if changed.is_err() { return Err("the node stopped".to_owned()) },
                changed = image.changed() => if changed.is_err() { return Err("the node stopped".to_owned()) },
                changed = observed.changed() => if changed.is_err() { return Err("the node stopped".to_owned()) },
                () = tokio::time::sleep(LOOK_INTERVAL) => {}
            }
        }
    }

    /// Resolves, with the reason, when the node must end: its disk failed, a raft group stopped, or
    /// the cluster refused it.
    pub async fn failed(&self) -> String {
        let mut health = self.log.health();
        let mut failure = self.groups.failure();
        let mut membership = self.controller.membership();
        let disk = async {
            match health.wait_for(|health| matches!(health, Health::Failed(_))).await.as_deref() {
                Ok(Health::Failed(reason)) => format!("storage failed and takes no more writes: {reason}"),
                _ => std::future::pending().await,
            }
        };
        let raft = async {
            match failure.wait_for(Option::is_some).await.as_deref() {
                Ok(Some(reason)) => reason.clone(),
                _ => std::future::pending().await,
            }
        };
        let refused = async {
            match membership.wait_for(|now| matches!(now, Membership::Refused { .. })).await.as_deref() {
                Ok(Membership::Refused { reason }) => reason.clone(),
                _ => std::future::pending().await,
            }
        };
        tokio::select! { reason = disk => reason, reason = raft => reason, reason = refused => reason }
    }

    /// Ends the node in order: leaders handed over, requests answered, calls ended, log closed.
    pub async fn shutdown(self) {
        self.hand_over_leaders().await;
        self.end(HandOver::Yes).await;
    }

    /// Ends the node without a hand-over: for a cluster that ends as a whole.
    pub async fn stop_all(self) {
        self.end(HandOver::No).await;
    }

    async fn end(mut self, controller: HandOver) {
        self.stop.send_replace(true);
        // What clients have asked needs all the rest of the node. It waits no longer than it says.
        if let Some(public) = self.public.take() {
            let _ = public.await.is_ok();
        }
        self.end.send_replace(true);
        self.save_state().await;
        match controller {
            HandOver::Yes => self.controller.shutdown().await,
            HandOver::No => self.controller.stop().await,
        }
        self.host.shutdown().await;
        self.groups.shutdown().await;
        for task in self.tasks {
            task.abort();
            let _ = task.await;
        }
        if let Err(error) = on_log(&self.log, NodeLog::close).await {
            tracing::warn!(%error, "the log was not closed cleanly; the next start recovers it");
        }
    }

    /// Moves what is applied while the replicas can still say where they stand, so that the next
    /// start applies next to nothing anew.
    async fn save_state(&self) {
        if let Err(error) = on_log(&self.log, NodeLog::flush).await {
            tracing::warn!(%error, "the state was not saved; the next start applies more of the log anew");
        }
    }

    /// Asks another living voter to lead each shard that is led here, and waits a moment for it.
    async fn hand_over_leaders(&self) {
        let up = self.groups.peers_up().borrow().clone();
        let observed = self.host.observe().borrow().clone();
        let led = observed.iter().filter(|(_, replica)| replica.leading);
        let hand_overs = led.filter_map(|(group, replica)| {
            let successor = replica.voters.iter().copied().find(|voter| up.contains(voter))?;
            Some((self.groups.get(*group)?, successor))
        });
        let moving = hand_overs.map(|(group, successor)| async move {
            let mut status = group.status();
            if group.transfer_leader(successor).await.is_ok() {
                let _ = status.wait_for(|status| !status.leading).await.is_ok();
            }
        });
        let all = futures::future::join_all(moving);
        if tokio::time::timeout(HAND_OVER_TIMEOUT, all).await.is_err() {
            tracing::warn!("not all leaders were handed over in time; the others will elect new ones");
        }
    }
}

/// Where bytes were lost, a group that is absent may be what was lost. Before any is opened, the
/// controller says which are younger than that: they are what they seem.
async fn trust_what_is_younger(log: &NodeLog, confirmed: impl Future<Output = Arc<Catalog>>) {
    if log.distrusts_below() < GroupId(u64::MAX) {
        return;
    }
    let next = confirmed.await.next_group();
    match on_log(log, move |log| log.distrust_below(next)).await {
        Ok(()) => tracing::info!(from = %next, "new groups are trusted again"),
        Err(error) => tracing::warn!(error, "new groups stay fenced on this node until the next start"),
    }
}

/// A call that blocks: on a thread for such calls, or here if the log starts no threads.
async fn on_log<E: std::fmt::Display + Send + 'static>(
    log: &NodeLog,
    call: impl FnOnce(&NodeLog) -> Result<(), E> + Send + 'static,
) -> Result<(), String> {
    if log.driver() == Driver::Manual {
        return call(log).map_err(|error| error.to_string());
    }
    let log = log.clone();
    let called = tokio::task::spawn_blocking(move || call(&log)).await;
    called.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
}
