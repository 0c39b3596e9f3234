//! Three Raft nodes with the real log and record store: one of them is damaged while it is down, and
//! has everything back from the others, or says that it cannot start.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use thalweg_crash::corruption::case::{Case, Damage};
use thalweg_crash::corruption::files::{FileKind, blocks, list, places};
use thalweg_crash::corruption::golden::{Golden, Left};
use thalweg_crash::settings::options;
use thalweg_raft::{Group, GroupOptions, Groups, Options, Payload, RestoreError, StateMachine, TcpConnector};
use thalweg_storage::{Driver, NodeLog, RocksStore};
use thalweg_types::{GroupId, NodeId};
use thalweg_wal::RealDisk;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_stream::wrappers::TcpListenerStream;

const GROUP: GroupId = GroupId(1);
const VICTIM: u64 = 3;
const PATIENCE: Duration = Duration::from_secs(60);

/// Counts commands; all that matters is in the log.
struct Counter(u64);

impl StateMachine for Counter {
    fn apply(&mut self, index: u64, _: &Payload) -> Bytes {
        self.0 = index;
        Bytes::new()
    }

    fn checkpoint(&self) -> Bytes {
        Bytes::copy_from_slice(&self.0.to_le_bytes())
    }

    fn restore(&mut self, checkpoint: &[u8]) -> Result<(), RestoreError> {
        self.0 = u64::from_le_bytes(checkpoint.try_into().expect("eight bytes were saved"));
        Ok(())
    }

    fn snapshot_index(&self) -> Option<u64> {
        None
    }

    fn snapshot(&self) -> Bytes {
        Bytes::new()
    }

    fn install(&mut self, _: u64, _: &[u8]) -> Result<(), RestoreError> {
        Ok(())
    }
}

struct Node {
    groups: Groups,
    group: Option<Group>,
    log: NodeLog,
    fenced_at_start: bool,
    runtime: Option<Runtime>,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.runtime.take().into_iter().for_each(Runtime::shutdown_background);
    }
}

impl Node {
    /// Starts a node and opens its replica; an error if its log or record store does not open.
    async fn start(id: u64, dir: &Path, addresses: &[String]) -> Result<Node, String> {
        let store = RocksStore::open(&dir.join("store")).map_err(|error| error.to_string())?;
        let opened = NodeLog::open(options(dir), Arc::new(RealDisk), Arc::new(store), Driver::Threads);
        let (log, report) = opened.map_err(|error| error.to_string())?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (opened, address, addresses) = (log.clone(), addresses[id as usize - 1].clone(), addresses.to_vec());
        let starting = runtime.spawn(async move {
            let listener = bind(&address).await;
            let groups = Groups::start(NodeId(id), Options::default(), opened, Arc::new(TcpConnector));
            let serving = tonic::transport::Server::builder()
                .max_frame_size(Some(1024 * 1024))
                .add_service(groups.service())
                .serve_with_incoming(TcpListenerStream::new(listener));
            tokio::spawn(serving);
            (1..).zip(&addresses).for_each(|(other, address)| groups.set_peer(NodeId(other), address));
            let group = open_group(&groups).await;
            (groups, group)
        });
        let (groups, group) = starting.await.unwrap();
        Ok(Node { groups, group: Some(group), log, fenced_at_start: report.damaged.is_some(), runtime: Some(runtime) })
    }

    fn group(&self) -> &Group {
        self.group.as_ref().expect("it is open until it is stopped")
    }

    /// Ends its groups and tasks; the log is closed or, as when the process dies, is not.
    async fn stop(mut self, close: bool) {
        let (groups, runtime) = (self.groups.clone(), self.runtime.take().unwrap());
        drop(self.group.take());
        runtime.spawn(async move { groups.shutdown().await }).await.unwrap();
        let log = self.log.clone();
        let ended = tokio::task::spawn_blocking(move || {
            runtime.shutdown_timeout(Duration::from_secs(5));
            if close { log.close().is_ok() } else { true }
        });
        assert!(ended.await.unwrap());
    }
}

async fn bind(address: &str) -> TcpListener {
    let bound = async {
        loop {
            match TcpListener::bind(address).await {
                Ok(listener) => return listener,
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    };
    tokio::time::timeout(PATIENCE, bound).await.expect("its address is free")
}

/// Opens the replica, again until it opens: peers may not be connected yet.
async fn open_group(groups: &Groups) -> Group {
    let members: Vec<NodeId> = [1, 2, 3].map(NodeId).into();
    let opened = async {
        loop {
            let options = GroupOptions { initial_members: members.clone(), sync: true };
            match groups.open(GROUP, options, Box::new(Counter(0))).await {
                Ok(group) => return group,
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    };
    tokio::time::timeout(PATIENCE, opened).await.expect("the replica opens")
}

struct Cluster {
    dirs: Vec<tempfile::TempDir>,
    addresses: Vec<String>,
    nodes: Vec<Option<Node>>,
    acknowledged: Vec<(u64, Bytes)>,
}

impl Cluster {
    async fn start() -> Cluster {
        let listeners = [(); 3].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
        let addresses: Vec<String> = listeners.iter().map(|bound| bound.local_addr().unwrap().to_string()).collect();
        drop(listeners);
        let dirs: Vec<_> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
        let starting = (1..).zip(&dirs).map(|(id, dir)| Node::start(id, dir.path(), &addresses));
        let nodes = futures::future::join_all(starting).await.into_iter().map(|node| Some(node.unwrap())).collect();
        Cluster { dirs, addresses, nodes, acknowledged: Vec::new() }
    }

    fn dir(&self) -> PathBuf {
        self.dirs[VICTIM as usize - 1].path().to_path_buf()
    }

    async fn leader(&self) -> Group {
        let watch = |node: &Node| {
            let group = node.group().clone();
            Box::pin(async move {
                group.status().wait_for(|status| status.leading).await.unwrap();
                group
            })
        };
        let waiting: Vec<_> = self.nodes.iter().flatten().map(watch).collect();
        tokio::time::timeout(PATIENCE, futures::future::select_all(waiting)).await.expect("a leader").0
    }

    /// Has commands of all sizes acknowledged. A leader may be lost in between, so each is tried again.
    async fn put(&mut self, count: u64) {
        for _ in 0..count {
            let number = self.acknowledged.len();
            let bytes = if number.is_multiple_of(3) { 300 } else { 6000 };
            let body = Bytes::from(format!("{number:08}").repeat(bytes / 8));
            let proposed = async {
                loop {
                    let command = Payload { head: Bytes::new(), body: body.clone() };
                    let Ok(proposal) = self.leader().await.propose(command).await else { continue };
                    if let Ok(applied) = proposal.outcome().await {
                        return applied.index;
                    }
                }
            };
            let index = tokio::time::timeout(PATIENCE, proposed).await.expect("a majority is there");
            self.acknowledged.push((index, body));
        }
    }

    async fn stop(&mut self, close: bool) {
        self.nodes[VICTIM as usize - 1].take().unwrap().stop(close).await;
    }

    async fn restart(&mut self) -> Result<bool, String> {
        let node = Node::start(VICTIM, &self.dir(), &self.addresses).await?;
        let fenced = node.fenced_at_start;
        self.nodes[VICTIM as usize - 1] = Some(node);
        Ok(fenced)
    }

    /// The damaged node has a say again and reads every acknowledged command, byte for byte.
    async fn is_whole(&self, after: &str) {
        let node = self.nodes[VICTIM as usize - 1].as_ref().unwrap();
        let (group, last) = (node.group().clone(), self.acknowledged.last().unwrap().0);
        let acknowledged = self.acknowledged.clone();
        let reading = async move {
            group.status().wait_for(|status| !status.fenced).await.unwrap();
            group.applied().wait_for(|applied| *applied >= last).await.unwrap();
            let (mut from, mut read) = (0, std::collections::BTreeMap::new());
            while from <= last {
                // A reader of a damaged entry is refused while no peer is connected, and asks again.
                let Ok(page) = group.read(from, 1 << 20).await else {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    continue;
                };
                assert!(page.next_index > from, "a read gets on");
                read.extend(page.entries.into_iter().map(|entry| (entry.index, entry.payload.body)));
                from = page.next_index;
            }
            acknowledged.iter().all(|(index, body)| read.get(index) == Some(body))
        };
        let reading = node.runtime.as_ref().unwrap().spawn(reading);
        let whole = tokio::time::timeout(PATIENCE, reading).await;
        assert!(matches!(whole, Ok(Ok(true))), "after {after}: {whole:?}");
    }

    /// Damages a file of the node, which is down.
    fn damage(&self, kind: FileKind, damage: impl Fn(&Path, &Path) -> Damage) -> String {
        let dir = self.dir();
        let full = |path: &Path| {
            let bytes = std::fs::read(dir.join(path)).unwrap_or_default();
            if kind == FileKind::Segment { blocks(&bytes, path).len() as u64 } else { bytes.len() as u64 }
        };
        let of_kind = list(&dir).unwrap().into_iter().filter(|(of, _)| *of == kind);
        let (_, path) = of_kind.max_by_key(|(_, path)| full(path)).expect("there is such a file");
        let damage = damage(&dir, &path);
        let case = Case { left: Left::Killed, kind, path: path.clone(), place: String::new(), damage };
        assert!(case.damage(&Golden::at(&dir), &dir).unwrap(), "{case:?} changes something");
        format!("{case:?}")
    }
}

fn flip(kind: FileKind, dir: &Path, path: &Path, place: &str) -> Damage {
    let places = places(kind, dir, path).unwrap();
    let (_, offset) = places.iter().find(|(name, _)| *name == place).expect("there is such a place");
    Damage::Flip { offset: *offset, bit: 3 }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_node_gets_everything_back_from_its_peers() {
    let mut cluster = Cluster::start().await;
    type How = fn(&Path, &Path) -> Damage;
    let cases: [(FileKind, bool, How); 5] = [
        (FileKind::Segment, false, |dir, path| flip(FileKind::Segment, dir, path, "first block's payload")),
        (FileKind::Segment, false, |_, _| Damage::Delete),
        (FileKind::Segment, false, |_, _| Damage::Cut { len: 4096 }),
        (FileKind::Fence, false, |_, _| Damage::Delete),
        (FileKind::WalDir, false, |_, _| Damage::Delete),
    ];
    let mut fenced = 0;
    for (kind, close, how) in cases {
        cluster.put(60).await;
        cluster.stop(close).await;
        let damage = cluster.damage(kind, how);
        cluster.put(5).await;
        fenced += u32::from(cluster.restart().await.unwrap_or_else(|error| panic!("{damage}: {error}")));
        cluster.is_whole(&damage).await;
    }
    assert!(fenced > 0, "no damage was noticed");
    cluster.put(20).await;
    cluster.stop(true).await;
    let damage = cluster.damage(FileKind::Manifest, |dir, path| flip(FileKind::Manifest, dir, path, "middle"));
    assert!(cluster.restart().await.is_err(), "{damage}: a record store that cannot be trusted does not open");
    cluster.put(5).await;
}
