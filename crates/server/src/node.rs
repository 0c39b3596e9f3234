//! A node: a [`Core`] over the data on its disk, and the ports and fronts around it.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use thalweg_controller::{Advertised, Image};
use thalweg_gateway::Gateway;
use thalweg_raft::TcpConnector;
use thalweg_storage::{Driver, RecordStore, RocksStore};
use thalweg_types::{Clock, Incarnation, NodeId, SystemClock, UnixMillis};
use thalweg_wal::RealDisk;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::core::{Core, CoreOptions, CoreParts};
use crate::data::Data;
use crate::metrics::{self, Sources};
use crate::neighbours::Neighbours;
use crate::{Auth, Config, admin, front, grpc, public, tls};

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

/// What answers clients besides gRPC.
struct Front {
    gateway: Gateway,
    tls: Option<TlsAcceptor>,
    neighbours: Neighbours,
}

/// A running node: a [`Core`] on sockets, beside the Kinesis front.
pub struct Node(Core);

impl Node {
    /// Starts a node; returns when its ports answer. Joining goes on by itself: see [`Node::wait_ready`].
    pub async fn start(config: Config, listeners: Listeners) -> Result<Node, StartError> {
        Node::start_with(config, listeners, Arc::new(SystemClock)).await
    }

    /// As [`Node::start`], with wall-clock time from `clock`: for tests of what takes days.
    pub async fn start_with(config: Config, listeners: Listeners, clock: Arc<dyn Clock>) -> Result<Node, StartError> {
        let id = NodeId(config.node_id);
        let tls = config.tls.as_ref().map(tls::acceptor).transpose().map_err(StartError::Tls)?;
        let mut random = [0; 48];
        rand::TryRngCore::try_fill_bytes(&mut rand::rngs::OsRng, &mut random)
            .map_err(|error| StartError::Identity(io::Error::other(error)))?;
        let incarnation = Incarnation(u64::from_le_bytes(random[..8].try_into().expect("eight bytes")));
        let parts = CoreParts {
            id,
            data: open_data(&config, id, incarnation, clock.now()).await?,
            clock,
            seed: random[8..40].try_into().expect("32 bytes"),
            connector: Arc::new(TcpConnector),
        };
        let core = Core::start(core_options(&config, &listeners), parts).map_err(StartError::Identity)?;
        let front_seed = u64::from_le_bytes(random[40..].try_into().expect("eight bytes"));
        let gateway = front::gateway(&config, listeners.public(), core.controller(), core.clock(), front_seed);
        let neighbours = Neighbours::new(config.auth == Auth::Required, core.image());
        let front = Front { gateway, tls, neighbours };
        Ok(Node::serve(core, listeners, front).await)
    }

    async fn serve(mut core: Core, listeners: Listeners, front: Front) -> Node {
        let sources = Sources {
            node: core.id(),
            log: core.log().clone(),
            groups: core.groups().clone(),
            host: core.host().clone(),
            image: core.image(),
            membership: core.controller().membership(),
        };
        let grpc = core.public_routes().await;
        let router = public::by_content_type(grpc.into_axum_router(), front.gateway.router(), front.neighbours);
        let (peer, end) = (core.peer_routes(), core.ending());
        let registry = metrics::registry(sources, front.gateway);
        let admin = admin::serve(listeners.admin, core.checks().clone(), registry, end.clone());
        core.serve_clients(tokio::spawn(public::serve(listeners.public, router, front.tls, core.stopping())));
        core.attend(tokio::spawn(grpc::serve(grpc::nodelay(listeners.peer), peer, end)));
        core.attend(tokio::spawn(admin));
        Node(core)
    }

    /// This node's id.
    pub fn id(&self) -> NodeId {
        self.0.id()
    }

    /// The cluster as this node knows it.
    pub fn image(&self) -> watch::Receiver<Arc<Image>> {
        self.0.image()
    }

    /// Whether this node can serve; else what it waits for.
    pub fn ready(&self) -> Result<(), String> {
        self.0.ready()
    }

    /// Waits until this node can serve, or can never: then why.
    pub async fn wait_ready(&self) -> Result<(), String> {
        self.0.wait_ready().await
    }

    /// Resolves, with the reason, when the node must end: its disk failed, a raft group stopped, or
    /// the cluster refused it.
    pub async fn failed(&self) -> String {
        self.0.failed().await
    }

    /// Ends the node in order: leaders handed over, requests answered, calls ended, log closed.
    pub async fn shutdown(self) {
        self.0.shutdown().await;
    }

    /// Ends the node without a hand-over: for a cluster that ends as a whole.
    pub(crate) async fn stop_all(self) {
        self.0.stop_all().await;
    }
}

async fn open_data(config: &Config, id: NodeId, incarnation: Incarnation, now: UnixMillis) -> Result<Data, StartError> {
    let options = thalweg_storage::Options {
        damage_mark: now.0,
        cache_bytes: config.cache_bytes,
        reserve_bytes: config.reserve_bytes,
        segment_bytes: config.segment_bytes,
        hot_tail_bytes: config.hot_tail_bytes,
        ..thalweg_storage::Options::new("")
    };
    let dir = config.data_dir.clone();
    let store_dir = dir.join("store");
    let store = move || -> Result<Arc<dyn RecordStore>, String> {
        Ok(Arc::new(RocksStore::open(&store_dir).map_err(|error| error.to_string())?))
    };
    let opening = tokio::task::spawn_blocking(move || {
        Data::open((id, incarnation), &dir, options, Arc::new(RealDisk), store, Driver::Threads)
    });
    let failed = |reason: String| StartError::Storage { dir: config.data_dir.display().to_string(), reason };
    opening.await.map_err(|error| failed(error.to_string()))?
}

fn core_options(config: &Config, listeners: &Listeners) -> CoreOptions {
    CoreOptions {
        raft: thalweg_raft::Options::default(),
        shard: thalweg_shard::Options {
            retention_interval: config.retention_interval,
            rate_interval: config.rate_interval(),
            rate_window: config.rate_window(),
            ..thalweg_shard::Options::default()
        },
        controller: controller_options(config, listeners),
    }
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
