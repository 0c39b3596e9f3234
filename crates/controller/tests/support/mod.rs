//! A cluster of nodes in one process: the real controller over real groups and loopback gRPC;
//! only the shards are played.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]

mod raft;
mod shards;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use thalweg_controller::{Advertised, Controller, ControllerHandle, Image, Membership, MemoryIdentity, Options, Parts};
use thalweg_proto::v1::cluster_service_client::ClusterServiceClient;
use thalweg_proto::v1::stream_service_client::StreamServiceClient;
use thalweg_raft::{SteadyClock, TcpConnector};
use thalweg_types::{Clock, GroupId, Incarnation, NodeId, SystemClock, UnixMillis};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Channel, Endpoint, Server};

/// Longer than anything here takes, even on a busy machine.
pub const LONG: Duration = Duration::from_secs(30);

/// Nodes by id, running or not.
pub struct TestCluster {
    pub nodes: BTreeMap<u64, TestNode>,
    world: raft::World,
    running: watch::Sender<(u64, BTreeSet<NodeId>)>,
    node_dead_after: Duration,
    catalog_bytes_max: Option<u64>,
    clock: SkewedClock,
}

/// The system's clock, ahead by as much as a test says.
#[derive(Clone, Default)]
pub struct SkewedClock(Arc<AtomicU64>);

impl SkewedClock {
    pub fn set_ahead_ms(&self, ms: u64) {
        self.0.store(ms, Ordering::SeqCst);
    }
}

impl Clock for SkewedClock {
    fn now(&self) -> UnixMillis {
        UnixMillis(SystemClock.now().0 + self.0.load(Ordering::SeqCst))
    }
}

/// One node's disk and address, and the running node if it runs.
pub struct TestNode {
    pub id: u64,
    pub address: String,
    pub identity: Arc<MemoryIdentity>,
    pub running: Option<Running>,
    disk: raft::Disk,
    seeds: Vec<u64>,
}

pub struct Running {
    pub handle: ControllerHandle,
    raft: raft::Node,
}

impl TestCluster {
    /// Nodes that exist but do not run; each has all of them as seeds.
    pub async fn of(ids: &[u64]) -> TestCluster {
        let filter = tracing_subscriber::EnvFilter::from_default_env();
        let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init();
        let mut cluster = TestCluster {
            nodes: BTreeMap::new(),
            world: raft::World::default(),
            running: watch::channel((1, BTreeSet::new())).0,
            node_dead_after: LONG,
            catalog_bytes_max: None,
            clock: SkewedClock::default(),
        };
        for id in ids {
            cluster.add(*id, ids).await;
        }
        cluster
    }

    pub fn with_node_dead_after(mut self, after: Duration) -> TestCluster {
        self.node_dead_after = after;
        self
    }

    /// The bound on the catalog of nodes that start from here on.
    pub fn set_catalog_bytes_max(&mut self, bytes: u64) {
        self.catalog_bytes_max = Some(bytes);
    }

    /// The clock of all nodes.
    pub fn clock(&self) -> &SkewedClock {
        &self.clock
    }

    /// A node with a fresh disk.
    pub async fn add(&mut self, id: u64, seeds: &[u64]) {
        let address = match self.nodes.get(&id) {
            Some(known) => known.address.clone(),
            None => TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string(),
        };
        let incarnation = Incarnation(id * 1_000 + self.world.next_disk());
        let identity = Arc::new(MemoryIdentity::fresh(NodeId(id), incarnation));
        let (seeds, disk) = (seeds.to_vec(), self.world.fresh_disk());
        self.nodes.insert(id, TestNode { id, address, identity, running: None, disk, seeds });
    }

    /// Other seeds from the next start on.
    pub fn reseed(&mut self, id: u64, seeds: &[u64]) {
        self.nodes.get_mut(&id).unwrap().seeds = seeds.to_vec();
    }

    pub async fn start(&mut self, id: u64) {
        let node = &self.nodes[&id];
        let listener = bind(&node.address).await.into_std().unwrap();
        let raft = raft::Node::start(NodeId(id), &node.disk).await;
        let (reports, observations) = watch::channel(Arc::default());
        let seeds = node.seeds.iter().map(|seed| self.nodes[seed].address.clone()).collect();
        let parts = Parts {
            groups: raft.groups(),
            identity: node.identity.clone(),
            clock: Arc::new(self.clock.clone()),
            steady_clock: Arc::new(SteadyClock::new(Arc::new(self.clock.clone()), Duration::from_secs(3_600))),
            seed: [id as u8; 32],
            connector: Arc::new(TcpConnector),
            observations,
        };
        let _within = raft.runtime().enter();
        let handle = Controller::start(self.options(&node.address, seeds), parts).unwrap();
        let serving = Server::builder()
            .add_service(raft.groups().service())
            .add_service(handle.peer_service())
            .add_service(handle.stream_service())
            .add_service(handle.cluster_service());
        // Without this, small answers wait 40 ms for the other side's delayed acknowledgement.
        let incoming = TcpListenerStream::new(TcpListener::from_std(listener).unwrap())
            .map(|accepted| accepted.and_then(|socket| socket.set_nodelay(true).map(|()| socket)));
        tokio::spawn(serving.serve_with_incoming(incoming));
        tokio::spawn(shards::play(NodeId(id), handle.image(), self.running.subscribe(), reports));
        drop(_within);
        let running = Running { handle, raft };
        self.nodes.get_mut(&id).unwrap().running = Some(running);
        self.note_running();
    }

    fn options(&self, address: &str, seeds: Vec<String>) -> Options {
        let address = address.to_owned();
        let advertised = Advertised {
            peer_address: address.clone(),
            public_address: address.clone(),
            admin_address: address,
            zone: String::new(),
        };
        let defaults = Options::new(advertised, seeds);
        let catalog_bytes_max = self.catalog_bytes_max.unwrap_or(defaults.catalog_bytes_max);
        Options { node_dead_after: self.node_dead_after, catalog_bytes_max, ..defaults }
    }

    pub async fn start_all(&mut self) {
        for id in self.nodes.keys().copied().collect::<Vec<_>>() {
            self.start(id).await;
        }
    }

    /// Nodes 1 to `count`, formed.
    pub async fn formed(count: u64) -> TestCluster {
        Self::formed_with(count, LONG).await
    }

    pub async fn formed_with(count: u64, node_dead_after: Duration) -> TestCluster {
        let ids: Vec<u64> = (1..=count).collect();
        let mut cluster = TestCluster::of(&ids).await.with_node_dead_after(node_dead_after);
        cluster.start_all().await;
        cluster.all_joined().await;
        cluster
    }

    /// Stops a node as a crash does: nobody is told, its disk stays.
    pub async fn kill(&mut self, id: u64) {
        let Some(running) = self.nodes.get_mut(&id).unwrap().running.take() else { return };
        running.raft.kill();
        self.note_running();
    }

    /// Stops a node in order.
    pub async fn shutdown(&mut self, id: u64) {
        let Some(Running { handle, raft }) = self.nodes.get_mut(&id).unwrap().running.take() else { return };
        raft.runtime().spawn(handle.shutdown()).await.unwrap();
        raft.kill();
        self.note_running();
    }

    fn note_running(&self) {
        let up = self.nodes.values().filter(|node| node.running.is_some()).map(|node| NodeId(node.id)).collect();
        self.running.send_modify(|(version, running)| (*version, *running) = (*version + 1, up));
    }

    pub fn handle(&self, id: u64) -> &ControllerHandle {
        &self.nodes[&id].running.as_ref().expect("the node runs").handle
    }

    /// The last entry of the controller's log that a voter has applied.
    pub fn applied_index(&self, id: u64) -> u64 {
        let groups = self.nodes[&id].running.as_ref().expect("the node runs").raft.groups();
        *groups.get(GroupId::CONTROLLER).expect("the node votes").applied().borrow()
    }

    pub fn image(&self, id: u64) -> Arc<Image> {
        self.handle(id).image().borrow().clone()
    }

    pub fn up(&self) -> Vec<u64> {
        self.nodes.values().filter(|node| node.running.is_some()).map(|node| node.id).collect()
    }

    /// Waits until a node's image shows what `look` wants.
    pub async fn until(&self, id: u64, what: &str, look: impl Fn(&Image) -> bool) -> Arc<Image> {
        let mut image = self.handle(id).image();
        let found = tokio::time::timeout(LONG, image.wait_for(|image| look(image))).await;
        let found = found.map(|found| found.unwrap().clone());
        match found {
            Ok(found) => found,
            Err(_) => panic!("node {id} never saw: {what}; it sees {:#?}", self.image(id)),
        }
    }

    pub async fn all_joined(&self) {
        for id in self.up() {
            let mut membership = self.handle(id).membership();
            // What `wait_for` returns holds the watch's lock: it must not live on.
            let joined = membership.wait_for(|now| *now == Membership::Joined);
            let joined = tokio::time::timeout(LONG, joined).await.is_ok();
            assert!(joined, "node {id} is {:?}", *self.handle(id).membership().borrow());
            let expected = self.up().len();
            self.until(id, "all nodes connected", |image| image.connected.len() == expected).await;
        }
    }

    pub async fn refused(&self, id: u64) -> String {
        let mut membership = self.handle(id).membership();
        let refused = membership.wait_for(|now| matches!(now, Membership::Refused { .. }));
        match tokio::time::timeout(LONG, refused).await.expect("the node is refused").unwrap().clone() {
            Membership::Refused { reason } => reason,
            other => unreachable!("waited for a refusal, got {other:?}"),
        }
    }

    /// The node that leads the controller, once one does.
    pub async fn leader(&self) -> u64 {
        let leads = || self.up().into_iter().find(|id| self.handle(*id).leads());
        let deadline = tokio::time::Instant::now() + LONG;
        loop {
            if let Some(leader) = leads() {
                return leader;
            }
            assert!(tokio::time::Instant::now() < deadline, "the controller has no leader");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until a node's replica of group 0 sees exactly these voters.
    pub async fn voting(&self, id: u64, wanted: &[NodeId]) {
        let wanted: BTreeSet<NodeId> = wanted.iter().copied().collect();
        let deadline = tokio::time::Instant::now() + LONG;
        let groups = self.nodes[&id].running.as_ref().expect("the node runs").raft.groups();
        loop {
            let voters = groups.get(GroupId::CONTROLLER).map(|group| group.status().borrow().voters.clone());
            if voters.as_ref() == Some(&wanted) {
                return;
            }
            assert!(tokio::time::Instant::now() < deadline, "the voters are {voters:?}, not {wanted:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub fn streams(&self, id: u64) -> StreamServiceClient<Channel> {
        StreamServiceClient::new(self.channel(id))
    }

    pub fn cluster(&self, id: u64) -> ClusterServiceClient<Channel> {
        ClusterServiceClient::new(self.channel(id))
    }

    fn channel(&self, id: u64) -> Channel {
        Endpoint::from_shared(format!("http://{}", self.nodes[&id].address)).unwrap().connect_lazy()
    }

    /// The one cluster that all running nodes belong to.
    pub fn cluster_id(&self) -> String {
        let id = |node: u64| self.image(node).catalog.cluster().expect("formed").id.clone();
        let ids: BTreeSet<String> = self.up().into_iter().map(id).collect();
        assert_eq!(ids.len(), 1, "one cluster, not {ids:?}");
        ids.into_iter().next().unwrap()
    }
}

/// Binds an address that another node may just have left.
async fn bind(address: &str) -> TcpListener {
    let deadline = tokio::time::Instant::now() + LONG;
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return listener,
            Err(error) => assert!(tokio::time::Instant::now() < deadline, "cannot bind {address}: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
