//! Groups of real nodes in one process: real gRPC on loopback, the real log, the memory record store.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use thalweg_raft::{
    Group, GroupOptions, Groups, Options, Payload, ProposeError, RestoreError, StateMachine, TcpConnector,
};
use thalweg_storage::{Driver, MemoryStore, NodeLog};
use thalweg_types::{GroupId, NodeId};
use thalweg_wal::RealDisk;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;

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

struct Node {
    groups: Groups,
    log: NodeLog,
    /// All tasks of the node; they and their sockets end with it, as with a process.
    runtime: Option<tokio::runtime::Runtime>,
    dir: Option<tempfile::TempDir>,
    store: Arc<MemoryStore>,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.runtime.take().into_iter().for_each(tokio::runtime::Runtime::shutdown_background);
    }
}

impl Node {
    fn open_log(dir: &tempfile::TempDir, store: &Arc<MemoryStore>) -> NodeLog {
        let options = thalweg_storage::Options::new(dir.path().join("wal"));
        NodeLog::open(options, Arc::new(RealDisk), store.clone(), Driver::Threads).unwrap().0
    }

    async fn start(id: u64, listener: TcpListener, dir: tempfile::TempDir, store: Arc<MemoryStore>) -> Node {
        let log = Node::open_log(&dir, &store);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = listener.into_std().unwrap();
        let (opened, connector) = (log.clone(), Arc::new(TcpConnector::default()));
        let started = runtime.spawn(async move {
            let groups = Groups::start(NodeId(id), Options::default(), opened, connector);
            let serving = tonic::transport::Server::builder()
                .max_frame_size(Some(1024 * 1024))
                .add_service(groups.service())
                .serve_with_incoming(TcpListenerStream::new(TcpListener::from_std(listener).unwrap()));
            tokio::spawn(serving);
            groups
        });
        Node { groups: started.await.unwrap(), log, runtime: Some(runtime), dir: Some(dir), store }
    }

    /// Ends all tasks where they are, and closes the log; the data stays.
    async fn kill(mut self) -> (tempfile::TempDir, Arc<MemoryStore>) {
        self.runtime.take().into_iter().for_each(tokio::runtime::Runtime::shutdown_background);
        let _ = self.log.close();
        (self.dir.take().unwrap(), self.store.clone())
    }
}

struct Cluster {
    nodes: Vec<Option<Node>>,
    addresses: Vec<String>,
}

impl Cluster {
    async fn start(count: u64) -> Cluster {
        let filter = tracing_subscriber::EnvFilter::from_default_env();
        let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init();
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

    fn introduce(&self, id: u64) {
        for (other, address) in (1..).zip(&self.addresses) {
            let _within = self.node(id).runtime.as_ref().unwrap().enter();
            self.node(id).groups.set_peer(NodeId(other), address);
        }
    }

    fn node(&self, id: u64) -> &Node {
        self.nodes[id as usize - 1].as_ref().unwrap()
    }

    async fn open(&self, id: u64, group: u64, members: &[u64]) -> Group {
        let initial_members = members.iter().copied().map(NodeId).collect();
        let options = GroupOptions { initial_members, sync: true };
        let groups = self.node(id).groups.clone();
        let opening = async move { groups.open(GroupId(group), options, Box::new(Recorder::default())).await.unwrap() };
        self.node(id).runtime.as_ref().unwrap().spawn(opening).await.unwrap()
    }

    async fn open_all(&self, group: u64, members: &[u64]) -> Vec<Group> {
        let mut groups = Vec::new();
        for id in members {
            groups.push(self.open(*id, group, members).await);
        }
        groups
    }

    async fn kill(&mut self, id: u64) -> (tempfile::TempDir, Arc<MemoryStore>) {
        self.nodes[id as usize - 1].take().unwrap().kill().await
    }

    async fn restart(&mut self, id: u64, parts: (tempfile::TempDir, Arc<MemoryStore>)) {
        let listener = TcpListener::bind(&self.addresses[id as usize - 1]).await.unwrap();
        self.nodes[id as usize - 1] = Some(Node::start(id, listener, parts.0, parts.1).await);
        self.introduce(id);
    }
}

async fn leader_of<'a>(groups: impl IntoIterator<Item = &'a Group>) -> Group {
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

fn command(body: impl Into<Bytes>) -> Payload {
    Payload { head: Bytes::new(), body: body.into() }
}

async fn put(group: &Group, body: &str) -> u64 {
    group.propose(command(body.to_owned())).await.unwrap().outcome().await.unwrap().index
}

async fn bodies(group: &Group, upto: u64) -> Vec<String> {
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

#[tokio::test(flavor = "multi_thread")]
async fn a_single_member_commits_and_reads_back() {
    let cluster = Cluster::start(1).await;
    let group = cluster.open(1, 1, &[1]).await;
    leader_of([&group]).await;
    let mut last = 0;
    for i in 0..10 {
        last = put(&group, &i.to_string()).await;
    }
    assert_eq!(bodies(&group, last).await, (0..10).map(|i| i.to_string()).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_replica_applies_the_same_commands_in_order() {
    let cluster = Cluster::start(3).await;
    let groups = cluster.open_all(7, &[1, 2, 3]).await;
    let leader = leader_of(&groups).await;
    let mut proposals = Vec::new();
    for i in 0..200 {
        proposals.push(leader.propose(command(i.to_string())).await.unwrap());
    }
    let mut last = 0;
    for proposal in proposals {
        let index = proposal.outcome().await.unwrap().index;
        assert!(index > last);
        last = index;
    }
    let expected: Vec<String> = (0..200).map(|i| i.to_string()).collect();
    for group in &groups {
        assert_eq!(bodies(group, last).await, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_refuses_commands_and_names_the_leader() {
    let cluster = Cluster::start(3).await;
    let groups = cluster.open_all(1, &[1, 2, 3]).await;
    let leader = leader_of(&groups).await;
    let leader_id = leader.status().borrow().leader.unwrap();
    put(&leader, "x").await;
    let follower = groups.iter().find(|group| !group.status().borrow().leading).unwrap();
    follower.status().wait_for(|status| status.leader == Some(leader_id)).await.unwrap();
    let refused = match follower.propose(command("y")).await {
        Ok(proposal) => proposal.outcome().await.unwrap_err(),
        Err(error) => error,
    };
    assert_eq!(refused, ProposeError::NotLeader { leader: Some(leader_id) });
}

#[tokio::test(flavor = "multi_thread")]
async fn survivors_elect_a_new_leader_at_once_when_the_leader_dies() {
    let mut cluster = Cluster::start(3).await;
    let groups = cluster.open_all(1, &[1, 2, 3]).await;
    let leader = leader_of(&groups).await;
    put(&leader, "before").await;
    for node in cluster.nodes.iter().flatten() {
        node.groups.peers_up().wait_for(|up| up.len() == 2).await.unwrap();
    }
    let dead = leader.status().borrow().leader.unwrap();
    let survivors: Vec<Group> = groups.into_iter().filter(|group| !group.status().borrow().leading).collect();
    drop(leader);
    let killed_at = Instant::now();
    let parts = cluster.kill(dead.0).await;
    let next = leader_of(&survivors).await;
    let last = put(&next, "after").await;
    assert!(killed_at.elapsed() < Duration::from_secs(2), "took {:?}", killed_at.elapsed());
    for group in &survivors {
        assert_eq!(bodies(group, last).await, ["before", "after"]);
    }
    cluster.restart(dead.0, parts).await;
    let back = cluster.open(dead.0, 1, &[1, 2, 3]).await;
    let last = put(&next, "again").await;
    assert_eq!(bodies(&back, last).await, ["before", "after", "again"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_group_falls_asleep_and_a_write_wakes_it() {
    let cluster = Cluster::start(3).await;
    let groups = cluster.open_all(1, &[1, 2, 3]).await;
    let leader = leader_of(&groups).await;
    put(&leader, "a").await;
    let asleep = async {
        while cluster.nodes.iter().flatten().any(|node| node.groups.awake_count() > 0) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), asleep).await.expect("all replicas fall asleep");
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert!(leader.status().borrow().leading, "nobody campaigned while the group slept");
    let started = Instant::now();
    let last = put(&leader, "b").await;
    assert!(started.elapsed() < Duration::from_millis(500));
    for group in &groups {
        assert_eq!(bodies(group, last).await, ["a", "b"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_voter_starts_at_the_trim_point_and_lacks_nothing_after_it() {
    let cluster = Cluster::start(4).await;
    let groups = cluster.open_all(1, &[1, 2, 3]).await;
    let leader = leader_of(&groups).await;
    let cut = {
        put(&leader, "old").await;
        put(&leader, "older").await
    };
    put(&leader, "kept").await;
    let trim = Payload { head: format!("trim:{cut}").into_bytes().into(), body: Bytes::new() };
    leader.propose(trim).await.unwrap().outcome().await.unwrap();
    let purged = async {
        while leader.log().state().trimmed.is_none_or(|(index, _)| index < cut) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), purged).await.expect("the log is trimmed");
    let joined = cluster.open(4, 1, &[1, 2, 3]).await;
    let leader_id = leader.status().borrow().leader.unwrap();
    let leaving = [1, 2, 3].into_iter().map(NodeId).find(|node| *node != leader_id).unwrap();
    let voters: BTreeSet<NodeId> = (1..=4).map(NodeId).filter(|node| *node != leaving).collect();
    leader.change_voters(voters.clone()).await.unwrap();
    let last = put(&leader, "new").await;
    assert_eq!(leader.status().borrow().voters, voters);
    let mut seen = bodies(&joined, last).await;
    seen.retain(|body| !body.is_empty());
    assert_eq!(seen, ["kept", "new"]);
    assert_eq!(joined.log().state().trimmed.unwrap().0, cut);
}

#[tokio::test(flavor = "multi_thread")]
async fn leadership_moves_where_it_is_sent() {
    let cluster = Cluster::start(3).await;
    let groups = cluster.open_all(1, &[1, 2, 3]).await;
    let leader = leader_of(&groups).await;
    put(&leader, "a").await;
    let from = leader.status().borrow().leader.unwrap();
    let to = (1..=3).map(NodeId).find(|node| *node != from).unwrap();
    for node in cluster.nodes.iter().flatten() {
        node.groups.peers_up().wait_for(|up| up.len() == 2).await.unwrap();
    }
    leader.transfer_leader(to).await.unwrap();
    let next = &groups[to.0 as usize - 1];
    tokio::time::timeout(Duration::from_secs(3), next.status().wait_for(|status| status.leading))
        .await
        .unwrap()
        .unwrap();
    put(next, "b").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_of_all_nodes_everything_is_there() {
    let mut cluster = Cluster::start(3).await;
    let groups = cluster.open_all(1, &[1, 2, 3]).await;
    let leader = leader_of(&groups).await;
    for i in 0..50 {
        put(&leader, &i.to_string()).await;
    }
    drop((groups, leader));
    let mut parts = Vec::new();
    for id in 1..=3 {
        parts.push(cluster.kill(id).await);
    }
    for (id, parts) in (1..=3).zip(parts) {
        cluster.restart(id, parts).await;
    }
    let groups = cluster.open_all(1, &[1, 2, 3]).await;
    let leader = leader_of(&groups).await;
    let last = put(&leader, "50").await;
    for group in &groups {
        assert_eq!(bodies(group, last).await, (0..=50).map(|i| i.to_string()).collect::<Vec<_>>());
    }
}
