//! Nodes in one process, each with a shard host and one port for all services.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use thalweg_proto::v1::record_service_client::RecordServiceClient;
use thalweg_raft::{Groups, TcpConnector};
use thalweg_shard::append::{AppendError, Appended};
use thalweg_shard::command::ProducerTag;
use thalweg_shard::read::{Cursor, Page};
use thalweg_shard::{Directory, Located, Options, Replica, ReplicaObservation, ReplicaSpec, ShardHost, record_service};
use thalweg_storage::{Driver, MemoryStore, NodeLog};
use thalweg_types::{
    BatchBuilder, GroupId, HashRange, ManualClock, NodeId, ProducerId, Record, ShardId, StreamId, UnixMillis,
};
use thalweg_wal::RealDisk;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Channel;

pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
pub(crate) const DAY_MS: u64 = 86_400_000;
/// When every test begins.
pub(crate) const START: UnixMillis = UnixMillis(1_700_000_000_000);

/// Knows that everything unknown is led by nobody, and where the nodes are.
struct Addresses(Vec<String>);

impl Directory for Addresses {
    fn locate(&self, stream: StreamId, shard: ShardId) -> Located {
        match (stream.0, shard.0) {
            (1, ..100) => Located::Elsewhere { leader: None },
            (1, _) => Located::ShardUnknown,
            _ => Located::StreamUnknown,
        }
    }

    fn public_address(&self, node: NodeId) -> Option<String> {
        self.0.get(node.0 as usize - 1).cloned()
    }
}

pub(crate) struct Node {
    pub(crate) host: ShardHost,
    pub(crate) groups: Groups,
    pub(crate) log: NodeLog,
    pub(crate) store: Arc<MemoryStore>,
    dir: Arc<tempfile::TempDir>,
    server: JoinHandle<()>,
}

pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Node>,
    pub(crate) clock: ManualClock,
    addresses: Vec<String>,
}

pub(crate) fn options() -> Options {
    Options {
        sweep_interval: Duration::from_millis(20),
        retention_interval: Duration::from_millis(50),
        clock_jump_max: Duration::from_secs(1_000_000_000),
        opening_wait_max: Duration::from_millis(200),
        tail_heartbeat: Duration::from_millis(100),
        ..Options::default()
    }
}

impl Cluster {
    pub(crate) async fn start(count: u64) -> Cluster {
        Cluster::start_with(count, options()).await
    }

    pub(crate) async fn start_with(count: u64, options: Options) -> Cluster {
        let filter = tracing_subscriber::EnvFilter::from_default_env();
        let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init();
        let clock = ManualClock::at(START);
        let mut listeners = Vec::new();
        for _ in 0..count {
            listeners.push(TcpListener::bind("127.0.0.1:0").await.unwrap());
        }
        let addresses: Vec<String> = listeners.iter().map(|l| l.local_addr().unwrap().to_string()).collect();
        let mut cluster = Cluster { nodes: Vec::new(), clock, addresses };
        for (id, listener) in (1..).zip(listeners) {
            let (dir, store) = (Arc::new(tempfile::tempdir().unwrap()), Arc::new(MemoryStore::default()));
            let node = cluster.start_node(id, listener, dir, store, options.clone());
            cluster.nodes.push(node);
        }
        cluster.introduce();
        cluster
    }

    fn start_node(
        &self,
        id: u64,
        listener: TcpListener,
        dir: Arc<tempfile::TempDir>,
        store: Arc<MemoryStore>,
        options: Options,
    ) -> Node {
        // Without a cache reads come from the log and the store, where damage can be done.
        let storage =
            thalweg_storage::Options { cache_bytes: 0, ..thalweg_storage::Options::new(dir.path().join("wal")) };
        let log = NodeLog::open(storage, Arc::new(RealDisk), store.clone(), Driver::Threads).unwrap().0;
        let connector = Arc::new(TcpConnector);
        let groups = Groups::start(NodeId(id), thalweg_raft::Options::default(), log.clone(), connector);
        let host = ShardHost::new(groups.clone(), Arc::new(self.clock.clone()), options);
        let directory = Arc::new(Addresses(self.addresses.clone()));
        let serving = tonic::transport::Server::builder()
            .add_service(groups.service())
            .add_service(record_service(host.clone(), directory))
            .serve_with_incoming(TcpListenerStream::new(listener));
        let server = tokio::spawn(async move { serving.await.unwrap() });
        Node { host, groups, log, store, dir, server }
    }

    fn introduce(&self) {
        for node in &self.nodes {
            for (id, address) in (1..).zip(&self.addresses) {
                if NodeId(id) != node.groups.node_id() {
                    node.groups.set_peer(NodeId(id), address);
                }
            }
        }
    }

    pub(crate) fn node(&self, id: u64) -> &Node {
        &self.nodes[id as usize - 1]
    }

    /// Stops a node in good order.
    pub(crate) async fn stop(&self, id: u64) {
        let node = self.node(id);
        node.host.shutdown().await;
        node.groups.shutdown().await;
        node.server.abort();
        let _ = node.log.close();
    }

    /// Stops a node and starts it on what it left.
    pub(crate) async fn restart(&mut self, id: u64) {
        self.stop(id).await;
        let at = id as usize - 1;
        let old = self.nodes.remove(at);
        let (dir, store) = (old.dir.clone(), old.store.clone());
        // The socket is free once the task that listened is gone.
        let _ = old.server.await;
        let listener = TcpListener::bind(&self.addresses[at]).await.unwrap();
        let node = self.start_node(id, listener, dir, store, options());
        self.nodes.insert(at, node);
        self.introduce();
    }

    /// Gives every node the same specs.
    pub(crate) fn apply(&self, specs: &[ReplicaSpec]) {
        self.nodes.iter().for_each(|node| node.host.apply_specs(specs.to_vec()));
    }

    /// The replica on a node, once it is open.
    pub(crate) async fn replica(&self, node: u64, shard: u32) -> Arc<Replica> {
        let host = &self.node(node).host;
        let group = GroupId(u64::from(shard));
        self.observed(node, shard, |_| true).await;
        host.replica_of(group).unwrap()
    }

    /// The replica that leads, once it takes writes.
    pub(crate) async fn leader(&self, shard: u32) -> Arc<Replica> {
        let all: Vec<u64> = (1..=self.nodes.len() as u64).collect();
        self.leader_among(&all, shard).await
    }

    /// The replica that leads, if it is on one of these nodes.
    pub(crate) async fn leader_among(&self, nodes: &[u64], shard: u32) -> Arc<Replica> {
        let ready = nodes.iter().map(|node| {
            Box::pin(async move {
                self.observed(*node, shard, |seen| seen.ready).await;
                self.node(*node).host.replica_of(GroupId(u64::from(shard))).unwrap()
            })
        });
        futures::future::select_all(ready).await.0
    }

    /// Waits until a node sees of a shard what is asked for.
    pub(crate) async fn observed(
        &self,
        node: u64,
        shard: u32,
        what: impl Fn(&ReplicaObservation) -> bool,
    ) -> ReplicaObservation {
        let mut observations = self.node(node).host.observe();
        let group = GroupId(u64::from(shard));
        let seen = observations.wait_for(|all| all.get(&group).is_some_and(&what));
        let seen = tokio::time::timeout(PATIENCE, seen).await.expect("observed in time").unwrap();
        seen[&group].clone()
    }

    pub(crate) async fn client(&self, node: u64) -> RecordServiceClient<Channel> {
        let url = format!("http://{}", self.addresses[node as usize - 1]);
        RecordServiceClient::connect(url).await.unwrap()
    }

    pub(crate) fn address(&self, node: u64) -> &str {
        &self.addresses[node as usize - 1]
    }
}

/// An open shard over the whole key space on these nodes, the first leading.
pub(crate) fn spec(shard: u32, nodes: &[u64]) -> ReplicaSpec {
    let members: Vec<NodeId> = nodes.iter().copied().map(NodeId).collect();
    ReplicaSpec {
        group: GroupId(u64::from(shard)),
        stream_id: StreamId(1),
        stream_name: "orders".parse().unwrap(),
        shard: ShardId(shard),
        range: HashRange::FULL,
        created: START,
        desired_voters: members.iter().copied().collect::<BTreeSet<_>>(),
        placement: 0,
        settled: true,
        preferred_leader: members.first().copied(),
        initial_members: members,
        bootstrap: true,
        writable: true,
        seal: None,
        closed: false,
        children: Vec::new(),
        retention_ms: DAY_MS,
        trimmed_until: UnixMillis(0),
        durability_fsync: true,
        record_bytes_max: 1024 * 1024,
    }
}

/// A batch of records with these payloads.
pub(crate) fn batch(payloads: &[&str]) -> Bytes {
    let mut builder = BatchBuilder::with_capacity(0);
    for payload in payloads {
        builder.push(&Record::new("key", payload.to_string())).unwrap();
    }
    builder.finish().unwrap().bytes().clone()
}

pub(crate) fn tag(sequence: u64) -> Option<ProducerTag> {
    Some(ProducerTag { producer: ProducerId(7), sequence })
}

pub(crate) async fn append(replica: &Replica, payloads: &[&str]) -> Appended {
    replica.append(batch(payloads), None, PATIENCE).await.unwrap()
}

pub(crate) async fn append_tagged(replica: &Replica, payload: &str, sequence: u64) -> Result<Appended, AppendError> {
    replica.append(batch(&[payload]), tag(sequence), PATIENCE).await
}

/// One page without waiting.
pub(crate) async fn page(replica: &Arc<Replica>, from: Cursor) -> Page {
    replica.read(from, 1 << 20, Duration::ZERO).await.unwrap()
}

/// The payloads of a page's records, as a reader sees them.
pub(crate) fn payloads(page: &Page) -> Vec<String> {
    let records = page.batches.iter().flat_map(|read| {
        let batch = thalweg_types::RecordBatch::parse(read.batch.clone()).unwrap();
        let skip = read.skip_records as usize;
        batch.records().skip(skip).map(|record| String::from_utf8(record.data.to_vec()).unwrap()).collect::<Vec<_>>()
    });
    records.collect()
}

/// Everything in the shard, as this replica has it.
pub(crate) async fn all_payloads(replica: &Arc<Replica>) -> Vec<String> {
    let mut from = Cursor::at(0);
    let mut all = Vec::new();
    loop {
        let page = page(replica, from).await;
        all.extend(payloads(&page));
        if page.batches.is_empty() {
            return all;
        }
        from = page.next;
    }
}
