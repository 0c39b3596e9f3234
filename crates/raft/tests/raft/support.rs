//! Nodes in one process: real gRPC on loopback, the real log, the memory record store.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Buf, Bytes};
use thalweg_raft::{
    Group, GroupOptions, Groups, OpenError, Options, Payload, RestoreError, StateMachine, TcpConnector,
};
use thalweg_storage::{Driver, MemoryStore, NodeLog};
use thalweg_types::{GroupId, NodeId};
use thalweg_wal::RealDisk;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;

use crate::gated::{Gate, Gated};

/// Remembers the bodies of all commands since the snapshot index; `trim:N` moves that index.
#[derive(Default)]
struct Recorder {
    trimmed: u64,
    seen: Vec<(u64, Bytes)>,
}

impl Recorder {
    fn encode(&self) -> Bytes {
        let mut bytes = self.trimmed.to_le_bytes().to_vec();
        for (index, body) in &self.seen {
            bytes.extend(index.to_le_bytes());
            bytes.extend((body.len() as u64).to_le_bytes());
            bytes.extend(body.iter());
        }
        bytes.into()
    }
}

impl StateMachine for Recorder {
    fn apply(&mut self, index: u64, payload: &Payload) -> Bytes {
        if payload.head.starts_with(b"trim:") {
            self.trimmed = std::str::from_utf8(&payload.head[5..]).unwrap().parse().unwrap();
            self.seen.retain(|(index, _)| *index > self.trimmed);
        } else {
            self.seen.push((index, payload.body.clone()));
        }
        Bytes::from(self.seen.len().to_string())
    }

    fn checkpoint(&self) -> Bytes {
        self.encode()
    }

    fn restore(&mut self, mut checkpoint: &[u8]) -> Result<(), RestoreError> {
        self.trimmed = checkpoint.get_u64_le();
        self.seen.clear();
        while checkpoint.has_remaining() {
            let (index, length) = (checkpoint.get_u64_le(), checkpoint.get_u64_le() as usize);
            self.seen.push((index, checkpoint.copy_to_bytes(length)));
        }
        Ok(())
    }

    fn snapshot_index(&self) -> Option<u64> {
        (self.trimmed > 0).then_some(self.trimmed)
    }

    fn snapshot(&self) -> Bytes {
        Recorder { trimmed: self.trimmed, seen: Vec::new() }.encode()
    }

    fn install(&mut self, _index: u64, snapshot: &[u8]) -> Result<(), RestoreError> {
        self.restore(snapshot)
    }
}

/// Above any term that a test reaches without damage.
pub(crate) const DAMAGE_MARK: u64 = 1_000_000;

pub(crate) struct Node {
    pub(crate) groups: Groups,
    pub(crate) log: NodeLog,
    /// All tasks of the node; they and their sockets end with it, as with a process.
    pub(crate) runtime: Option<tokio::runtime::Runtime>,
    pub(crate) dir: Option<tempfile::TempDir>,
    pub(crate) store: Arc<MemoryStore>,
    /// What commits of the record store pass.
    pub(crate) gate: Arc<Gate>,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.runtime.take().into_iter().for_each(tokio::runtime::Runtime::shutdown_background);
    }
}

impl Node {
    fn open_log(dir: &tempfile::TempDir, store: Gated) -> NodeLog {
        let options = thalweg_storage::Options {
            damage_mark: DAMAGE_MARK,
            ..thalweg_storage::Options::new(dir.path().join("wal"))
        };
        NodeLog::open(options, Arc::new(RealDisk), Arc::new(store), Driver::Threads).unwrap().0
    }

    async fn start(id: u64, listener: TcpListener, dir: tempfile::TempDir, store: Arc<MemoryStore>) -> Node {
        let gate = Gate::open();
        let log = Node::open_log(&dir, Gated { store: store.clone(), gate: gate.clone() });
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = listener.into_std().unwrap();
        let (opened, connector) = (log.clone(), Arc::new(TcpConnector));
        let started = runtime.spawn(async move {
            let groups = Groups::start(NodeId(id), Options::default(), opened, connector);
            let serving = tonic::transport::Server::builder()
                .max_frame_size(Some(1024 * 1024))
                .add_service(groups.service())
                .serve_with_incoming(TcpListenerStream::new(TcpListener::from_std(listener).unwrap()));
            tokio::spawn(serving);
            groups
        });
        Node { groups: started.await.unwrap(), log, runtime: Some(runtime), dir: Some(dir), store, gate }
    }

    /// Ends all tasks where they are, and closes the log; the data stays.
    async fn kill(mut self) -> (tempfile::TempDir, Arc<MemoryStore>) {
        self.runtime.take().into_iter().for_each(tokio::runtime::Runtime::shutdown_background);
        self.gate.lose();
        let _ = self.log.close();
        (self.dir.take().unwrap(), self.store.clone())
    }

    /// Ends the groups, then all tasks, then the log if that is to be closed. Once its groups have
    /// ended a log moves what is left without a checkpoint. Handles to groups must be gone.
    async fn stop(mut self, close: bool) -> (tempfile::TempDir, Arc<MemoryStore>) {
        let (groups, runtime) = (self.groups.clone(), self.runtime.take().unwrap());
        runtime.spawn(async move { groups.shutdown().await }).await.unwrap();
        tokio::task::spawn_blocking(move || runtime.shutdown_timeout(Duration::from_secs(5))).await.unwrap();
        if close {
            self.log.close().unwrap();
        }
        (self.dir.take().unwrap(), self.store.clone())
    }
}

/// How often a leader took what a follower holds for lost, in all tests of this process.
pub(crate) static SEARCHED_ANEW: AtomicU64 = AtomicU64::new(0);

/// Counts what openraft only says in its log.
struct SearchesAnew;

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for SearchesAnew {
    fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        let mut look = |field: &tracing::field::Field, value: &dyn std::fmt::Debug| {
            if field.name() == "message" && format!("{value:?}").contains("follower log is reverted") {
                SEARCHED_ANEW.fetch_add(1, Ordering::Relaxed);
            }
        };
        if *event.metadata().level() == tracing::Level::WARN {
            event.record(&mut look);
        }
    }
}

pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Option<Node>>,
    addresses: Vec<String>,
}

impl Cluster {
    pub(crate) async fn start(count: u64) -> Cluster {
        use tracing_subscriber::prelude::*;
        let filter = tracing_subscriber::EnvFilter::from_default_env();
        let shown = tracing_subscriber::fmt::layer().with_test_writer().with_filter(filter);
        let _ = tracing_subscriber::registry().with(shown).with(SearchesAnew).try_init();
        let mut listeners = Vec::new();
        for _ in 0..count {
            listeners.push(TcpListener::bind("127.0.0.1:0").await.unwrap());
        }
        let addresses: Vec<String> = listeners.iter().map(|l| l.local_addr().unwrap().to_string()).collect();
        let mut nodes = Vec::new();
        for (id, listener) in (1..).zip(listeners) {
            let node = Node::start(id, listener, tempfile::tempdir().unwrap(), Arc::new(MemoryStore::default())).await;
            nodes.push(Some(node));
        }
        let cluster = Cluster { nodes, addresses };
        (1..=count).for_each(|id| cluster.introduce(id));
        cluster
    }

    pub(crate) fn introduce(&self, id: u64) {
        for (other, address) in (1..).zip(&self.addresses) {
            let _within = self.node(id).runtime.as_ref().unwrap().enter();
            self.node(id).groups.set_peer(NodeId(other), address);
        }
    }

    pub(crate) fn node(&self, id: u64) -> &Node {
        self.nodes[id as usize - 1].as_ref().unwrap()
    }

    pub(crate) async fn open(&self, id: u64, group: u64, members: &[u64]) -> Group {
        self.try_open(id, group, members).await.unwrap()
    }

    pub(crate) async fn try_open(&self, id: u64, group: u64, members: &[u64]) -> Result<Group, OpenError> {
        let initial_members = members.iter().copied().map(NodeId).collect();
        let options = GroupOptions { initial_members, sync: true };
        let groups = self.node(id).groups.clone();
        let opening = async move { groups.open(GroupId(group), options, Box::new(Recorder::default())).await };
        self.node(id).runtime.as_ref().unwrap().spawn(opening).await.unwrap()
    }

    pub(crate) async fn open_all(&self, group: u64, members: &[u64]) -> Vec<Group> {
        let mut groups = Vec::new();
        for id in members {
            groups.push(self.open(*id, group, members).await);
        }
        groups
    }

    pub(crate) async fn kill(&mut self, id: u64) -> (tempfile::TempDir, Arc<MemoryStore>) {
        self.nodes[id as usize - 1].take().unwrap().kill().await
    }

    /// Ends a node in such a way that its last entries lie in the record store above the checkpoint.
    pub(crate) async fn stop_without_checkpoint(&mut self, id: u64) -> (tempfile::TempDir, Arc<MemoryStore>) {
        self.nodes[id as usize - 1].take().unwrap().stop(true).await
    }

    /// Ends a node in such a way that all its entries lie in the write-ahead log.
    pub(crate) async fn stop_without_close(&mut self, id: u64) -> (tempfile::TempDir, Arc<MemoryStore>) {
        self.nodes[id as usize - 1].take().unwrap().stop(false).await
    }

    pub(crate) async fn restart(&mut self, id: u64, parts: (tempfile::TempDir, Arc<MemoryStore>)) {
        self.restart_alone(id, parts).await;
        self.introduce(id);
    }

    /// Starts a node that knows no other until it is introduced.
    pub(crate) async fn restart_alone(&mut self, id: u64, parts: (tempfile::TempDir, Arc<MemoryStore>)) {
        // The tasks of a node that was killed may hold its socket for a moment.
        let bound = async {
            loop {
                match TcpListener::bind(&self.addresses[id as usize - 1]).await {
                    Ok(listener) => return listener,
                    Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                }
            }
        };
        let listener = tokio::time::timeout(Duration::from_secs(10), bound).await.expect("its address is free");
        self.nodes[id as usize - 1] = Some(Node::start(id, listener, parts.0, parts.1).await);
    }
}

pub(crate) async fn leader_of<'a>(groups: impl IntoIterator<Item = &'a Group>) -> Group {
    let watch = |group: &Group| {
        let group = group.clone();
        Box::pin(async move {
            let mut status = group.status();
            status.wait_for(|status| status.leading).await.unwrap();
            group.clone()
        })
    };
    let waiting: Vec<_> = groups.into_iter().map(watch).collect();
    tokio::time::timeout(Duration::from_secs(10), futures::future::select_all(waiting)).await.expect("a leader").0
}

pub(crate) fn command(body: impl Into<Bytes>) -> Payload {
    Payload { head: Bytes::new(), body: body.into() }
}

pub(crate) async fn put(group: &Group, body: &str) -> u64 {
    group.propose(command(body.to_owned())).await.unwrap().outcome().await.unwrap().index
}

pub(crate) async fn bodies(group: &Group, upto: u64) -> Vec<String> {
    group.applied().wait_for(|applied| *applied >= upto).await.unwrap();
    let (mut from, mut bodies) = (0, Vec::new());
    loop {
        let page = group.read(from, 1 << 20).await.unwrap();
        bodies.extend(page.entries.iter().map(|entry| String::from_utf8(entry.payload.body.to_vec()).unwrap()));
        if page.next_index > upto || page.next_index == from {
            return bodies;
        }
        from = page.next_index;
    }
}
