//! A node: its parts built from the bottom up, and ended from the top down.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use thalweg_controller::{Advertised, Controller, ControllerHandle, Image, Membership, Parts, Reports};
use thalweg_gateway::Gateway;
use thalweg_raft::{AgreedClock, Groups, TcpConnector, ToldClock};
use thalweg_shard::ShardHost;
use thalweg_storage::{Driver, Health, NodeLog, RocksStore};
use thalweg_types::{Clock, Incarnation, NodeId, SystemClock};
use thalweg_wal::{Disk, RealDisk};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::admin::{self, Checks};
use crate::grpc::{self, ImageDirectory};
use crate::identity::IdentityFile;
use crate::metrics::{self, Sources};
use crate::neighbours::Neighbours;
use crate::{Auth, Config, front, public, tls, wiring};

/// Why a node did not start, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {error}; is another node running there? give another address or port 0")]
    Listen {
        /// The address.
        address: String,
        /// What the system said.
        error: io::Error,
    },
    /// The data directory belongs to another node, or lost its log.
    #[error("{0}")]
    Identity(io::Error),
    /// The log or record store did not open.
    #[error("cannot open the data in {dir}: {reason}")]
    Storage {
        /// The data directory.
        dir: String,
        /// What is wrong.
        reason: String,
    },
    /// Certificate or key cannot be used.
    #[error("{0}")]
    Tls(String),
}

/// The sockets of a node, bound before anything else so that their addresses are known.
#[derive(Debug)]
pub struct Listeners {
    public: TcpListener,
    peer: TcpListener,
    admin: TcpListener,
}

impl Listeners {
    /// Binds the three ports.
    pub async fn bind(config: &Config) -> Result<Listeners, StartError> {
        Ok(Listeners {
            public: bind(&config.public_address).await?,
            peer: bind(&config.peer_address).await?,
            admin: bind(&config.admin_address).await?,
        })
    }

    /// The address for clients.
    pub fn public(&self) -> SocketAddr {
        self.public.local_addr().expect("the socket is bound")
    }

    /// The address for other nodes.
    pub fn peer(&self) -> SocketAddr {
        self.peer.local_addr().expect("the socket is bound")
    }

    /// The address for health and metrics.
    pub fn admin(&self) -> SocketAddr {
        self.admin.local_addr().expect("the socket is bound")
    }
}

async fn bind(address: &str) -> Result<TcpListener, StartError> {
    let failed = |error| StartError::Listen { address: address.to_owned(), error };
    TcpListener::bind(address).await.map_err(failed)
}

/// How long leaders may take to be handed over when a node stops.
const HAND_OVER_TIMEOUT: Duration = Duration::from_secs(3);

/// Catching up is told by nothing: how often it is looked for.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// Whether the controller's lead is handed over when a node ends.
enum HandOver {
    Yes,
    No,
}

/// What answers clients besides gRPC.
struct Front {
    gateway: Gateway,
    tls: Option<TlsAcceptor>,
    neighbours: Neighbours,
}

/// A running node.
pub struct Node {
    id: NodeId,
    log: NodeLog,
    groups: Groups,
    host: ShardHost,
    controller: ControllerHandle,
    checks: Checks,
    /// Clients are told to go elsewhere.
    stop: watch::Sender<bool>,
    /// Ends when they all have their answers.
    public: JoinHandle<()>,
    /// The other ports end.
    end: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Node {
    /// Starts a node; returns when its ports answer. Joining goes on by itself: see [`Node::wait_ready`].
    pub async fn start(config: Config, listeners: Listeners) -> Result<Node, StartError> {
        Node::start_with(config, listeners, Arc::new(SystemClock)).await
    }

    /// As [`Node::start`], with wall-clock time from `clock`: for tests of what takes days.
    pub async fn start_with(config: Config, listeners: Listeners, clock: Arc<dyn Clock>) -> Result<Node, StartError> {
        let id = NodeId(config.node_id);
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let tls = config.tls.as_ref().map(tls::acceptor).transpose().map_err(StartError::Tls)?;
        let mut random = [0; 48];
        rand::TryRngCore::try_fill_bytes(&mut rand::rngs::OsRng, &mut random)
            .map_err(|error| StartError::Identity(io::Error::other(error)))?;
        let incarnation = Incarnation(u64::from_le_bytes(random[..8].try_into().expect("eight bytes")));
        let identity =
            IdentityFile::open(disk.clone(), &config.data_dir, id, incarnation).map_err(StartError::Identity)?;
        let (log, damaged) = open_log(&config, disk, &identity).await?;
        let told = ToldClock(Some(clock.clone()));
        let raft_options =
            thalweg_raft::Options { distrust_empty: damaged, clock: told, ..thalweg_raft::Options::default() };
        let groups = Groups::start(id, raft_options, log.clone(), Arc::new(TcpConnector::default()));
        // No part of this node goes by its own clock where that is far off.
        let clock: Arc<dyn Clock> = Arc::new(AgreedClock::new(clock, groups.clone()));
        let shard_options = thalweg_shard::Options {
            retention_interval: config.retention_interval,
            rate_interval: config.rate_interval(),
            rate_window: config.rate_window(),
            ..thalweg_shard::Options::default()
        };
        let host = ShardHost::new(groups.clone(), clock.clone(), shard_options);
        let (reports, observations) = watch::channel(Arc::new(Reports::default()));
        let parts = Parts {
            groups: groups.clone(),
            identity: Arc::new(identity),
            clock: clock.clone(),
            seed: random[8..40].try_into().expect("32 bytes"),
            observations,
        };
        let controller =
            Controller::start(controller_options(&config, &listeners), parts).map_err(StartError::Identity)?;
        let front_seed = u64::from_le_bytes(random[40..].try_into().expect("eight bytes"));
        let gateway = front::gateway(&config, listeners.public(), &controller, clock, front_seed);
        let neighbours = Neighbours::new(config.auth == Auth::Required, controller.image());
        let front = Front { gateway, tls, neighbours };
        Ok(Node::serve(id, log, groups, host, controller, reports, listeners, front).await)
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of a node, each used once")]
    async fn serve(
        id: NodeId,
        log: NodeLog,
        groups: Groups,
        host: ShardHost,
        controller: ControllerHandle,
        reports: watch::Sender<Arc<Reports>>,
        listeners: Listeners,
        front: Front,
    ) -> Node {
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
        let sources = Sources {
            node: id,
            log: log.clone(),
            groups: groups.clone(),
            host: host.clone(),
            image: image.clone(),
            membership: controller.membership(),
        };
        let directory = Arc::new(ImageDirectory { image: image.clone() });
        let grpc = grpc::public_routes(&host, &controller, directory).await;
        let router = public::by_content_type(grpc.into_axum_router(), front.gateway.router(), front.neighbours);
        let peer = grpc::peer_routes(&controller, &groups);
        let public = tokio::spawn(public::serve(listeners.public, router, front.tls, stop.subscribe()));
        let tasks = vec![
            tokio::spawn(wiring::follow_image(id, image, host.clone(), groups.clone())),
            tokio::spawn(wiring::report(host.observe(), reports)),
            tokio::spawn(grpc::serve(listeners.peer, peer, end.subscribe())),
            tokio::spawn(admin::serve(
                listeners.admin,
                checks.clone(),
                metrics::registry(sources, front.gateway),
                end.subscribe(),
            )),
        ];
        Node { id, log, groups, host, controller, checks, stop, public, end, tasks }
    }

    /// This node's id.
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// The cluster as this node knows it.
    pub fn image(&self) -> watch::Receiver<Arc<Image>> {
        self.controller.image()
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
    pub(crate) async fn stop_all(self) {
        self.end(HandOver::No).await;
    }

    async fn end(mut self, controller: HandOver) {
        self.stop.send_replace(true);
        // What clients have asked needs all the rest of the node. It waits no longer than it says.
        let _ = (&mut self.public).await.is_ok();
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
        let log = self.log;
        let closed = tokio::task::spawn_blocking(move || log.close()).await;
        if let Ok(Err(error)) = closed {
            tracing::warn!(%error, "the log was not closed cleanly; the next start recovers it");
        }
    }

    /// Moves what is applied while the replicas can still say where they stand, so that the next
    /// start applies next to nothing anew.
    async fn save_state(&self) {
        let log = self.log.clone();
        let flushed = tokio::task::spawn_blocking(move || log.flush()).await;
        if let Ok(Err(error)) = flushed {
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

/// The node's log, and whether it lost acknowledged bytes.
async fn open_log(
    config: &Config,
    disk: Arc<dyn Disk>,
    identity: &IdentityFile,
) -> Result<(NodeLog, bool), StartError> {
    use thalweg_controller::IdentityStore;
    let failed = |reason: String| StartError::Storage { dir: config.data_dir.display().to_string(), reason };
    let incarnation = identity.load().map_err(StartError::Identity)?.incarnation;
    let options = thalweg_storage::Options {
        identity: incarnation.0,
        cache_bytes: config.cache_bytes,
        reserve_bytes: config.reserve_bytes,
        segment_bytes: config.segment_bytes,
        hot_tail_bytes: config.hot_tail_bytes,
        ..thalweg_storage::Options::new(config.data_dir.join("wal"))
    };
    let store_dir = config.data_dir.join("store");
    let opening = tokio::task::spawn_blocking(move || {
        let store = Arc::new(RocksStore::open(&store_dir).map_err(|error| error.to_string())?);
        NodeLog::open(options, disk, store, Driver::Threads).map_err(|error| error.to_string())
    });
    let (log, report) = opening.await.map_err(|error| failed(error.to_string()))?.map_err(failed)?;
    if let Some(damage) = &report.damaged {
        tracing::error!(
            damage,
            groups = report.fenced_groups,
            "acknowledged bytes may be missing here: replicas are fenced until their peers have given them back"
        );
    }
    Ok((log, report.damaged.is_some()))
}

fn controller_options(config: &Config, listeners: &Listeners) -> thalweg_controller::Options {
    let advertised = Advertised {
        peer_address: config.advertise_peer.clone().unwrap_or_else(|| listeners.peer().to_string()),
        public_address: config.advertise_public.clone().unwrap_or_else(|| listeners.public().to_string()),
        admin_address: listeners.admin().to_string(),
        zone: config.zone.clone(),
    };
    let mut options = thalweg_controller::Options::new(advertised, seeds(config));
    options.node_dead_after = config.node_dead_after;
    options.on_demand.split_after = config.on_demand_split_after;
    options.on_demand.merge_after = config.on_demand_merge_after;
    options.on_demand.steps_per_minute_max = config.on_demand_reshards_per_minute;
    options
}

/// The seeds without repetition.
fn seeds(config: &Config) -> Vec<String> {
    let unique: BTreeSet<String> = config.seeds.iter().cloned().collect();
    unique.into_iter().collect()
}
