//! Starting and stopping the controller's part of a node.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use thalweg_catalog::Catalog;
use thalweg_proto::peer::controller_peer_service_server::ControllerPeerServiceServer;
use thalweg_proto::v1::cluster_service_server::ClusterServiceServer;
use thalweg_proto::v1::stream_service_server::StreamServiceServer;
use thalweg_raft::{Connector, Groups, SteadyClock};
use thalweg_types::{Clock, GroupId};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::dialer::Dialer;
use crate::identity::{IdentityStore, Keeper};
use crate::leader::hub::Hub;
use crate::node::Node;
use crate::random::Random;
use crate::room::Room;
use crate::services::{cluster, peer, stream, wait};
use crate::{Cluster, Image, Membership, Options, PeerService, Reports, Streams, agent, leader, seat};

/// A successor that has not taken over by then leaves it to an election.
const HAND_OVER_TIMEOUT: Duration = Duration::from_secs(1);

/// What the controller's part of a node is given.
pub struct Parts {
    /// This node's raft groups.
    pub groups: Groups,
    /// Where the node's identity is kept.
    pub identity: Arc<dyn IdentityStore>,
    /// Wall-clock time.
    pub clock: Arc<dyn Clock>,
    /// The time by which records are given up; somebody looks at it from the beginning.
    pub steady_clock: Arc<SteadyClock>,
    /// Seed of all randomness; drawn from the operating system in production.
    pub seed: [u8; 32],
    /// Opens channels to other nodes' peer ports.
    pub connector: Arc<dyn Connector>,
    /// What this node's shard replicas do; each change is reported at once.
    pub observations: watch::Receiver<Arc<Reports>>,
}

/// The controller's part of a node.
pub struct Controller;

impl Controller {
    /// Starts it. The services have to be served on the peer and public ports for a cluster to form.
    pub fn start(options: Options, parts: Parts) -> io::Result<ControllerHandle> {
        let node = Arc::new(Node {
            room: Room::new(options.catalog_bytes_max),
            options,
            keeper: Keeper::load(parts.identity)?,
            groups: parts.groups,
            clock: parts.clock,
            steady_clock: parts.steady_clock,
            random: Random::seeded(parts.seed),
            dialer: Dialer::new(parts.connector),
            observations: parts.observations,
            image: watch::channel(Arc::new(Image::default())).0,
            catalog: watch::channel(Arc::default()).0,
            membership: watch::channel(Membership::waiting("starting")).0,
            seat: watch::channel(None).0,
            applied: watch::channel(Arc::default()).0,
            events: watch::channel(Arc::default()).0,
            hub: Hub::new(),
            stop: CancellationToken::new(),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(agent::run(node.clone()));
        tasks.spawn(agent::local::run(node.clone()));
        tasks.spawn(seat::run(node.clone()));
        tasks.spawn(leader::drive::run(node.clone()));
        Ok(ControllerHandle { node, tasks })
    }
}

/// A running controller part. Dropping it stops it, less politely than [`ControllerHandle::shutdown`].
pub struct ControllerHandle {
    node: Arc<Node>,
    tasks: JoinSet<()>,
}

impl ControllerHandle {
    /// The cluster as this node knows it, and its changes.
    pub fn image(&self) -> watch::Receiver<Arc<Image>> {
        self.node.image.subscribe()
    }

    /// The catalog of the image and its changes, without those of leaders and connections. A change
    /// that this node has answered is in it. Ends with the node.
    pub fn catalog(&self) -> watch::Receiver<Arc<Catalog>> {
        self.node.catalog.subscribe()
    }

    /// Where this node stands on its way into the cluster.
    pub fn membership(&self) -> watch::Receiver<Membership> {
        self.node.membership.subscribe()
    }

    /// Resolves to a catalog that has everything in it that was agreed on before it was first
    /// polled. Waits for as long as the controller has no leader.
    pub fn confirmed(&self) -> impl Future<Output = Arc<Catalog>> + Send + 'static {
        let node = self.node.clone();
        async move { wait::confirmed(&node).await }
    }

    /// Whether this node leads the controller right now.
    pub fn leads(&self) -> bool {
        self.node.leads()
    }

    /// For the peer port.
    pub fn peer_service(&self) -> ControllerPeerServiceServer<PeerService> {
        peer::service(self.node.clone())
    }

    /// For the public port.
    pub fn stream_service(&self) -> StreamServiceServer<Streams> {
        stream::service(self.node.clone())
    }

    /// For the public port.
    pub fn cluster_service(&self) -> ClusterServiceServer<Cluster> {
        cluster::service(self.node.clone())
    }

    /// Hands over the controller's lead if this node has it, stops all tasks and closes group 0.
    pub async fn shutdown(self) {
        self.hand_over().await;
        self.stop().await;
    }

    /// Stops all tasks and closes group 0, without a hand-over: for a cluster that ends as a whole.
    pub async fn stop(mut self) {
        self.node.stop.cancel();
        self.tasks.shutdown().await;
        self.node.groups.close(GroupId::CONTROLLER).await;
    }

    async fn hand_over(&self) {
        let Some(seat) = self.node.leading_seat() else { return };
        let voters = seat.status().borrow().voters.clone();
        let connected = self.node.image.borrow().connected.clone();
        let successor = voters.into_iter().find(|voter| *voter != self.node.id() && connected.contains(voter));
        let Some(successor) = successor else { return };
        match tokio::time::timeout(HAND_OVER_TIMEOUT, seat.transfer_leader(successor)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn!(%error, %successor, "could not hand over the controller's lead"),
            Err(_) => warn!(%successor, "the controller's lead was not taken over in time"),
        }
    }
}

impl Drop for ControllerHandle {
    fn drop(&mut self) {
        self.node.stop.cancel();
    }
}
