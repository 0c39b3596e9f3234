//! Nodes join, lose their disks, die, are drained and removed, and no write fails.

use std::time::Duration;

use thalweg_client::{Client, ListShards, NodeId, NodeState, StreamName};
use thalweg_test_cluster::{ClusterOptions, Load, LoadOptions, TestCluster, eventually, history, read_all};

const SHARDS: u32 = 6;
/// Moving the replicas of a small stream is over within this, on any machine.
const MOVE_TIMEOUT: Duration = Duration::from_secs(90);

/// A cluster with a stream that is written to all the time.
struct Story {
    cluster: TestCluster,
    stream: StreamName,
    client: Client,
    load: Load,
}

impl Story {
    /// Begins with this many nodes; writes go well already.
    async fn begin(nodes: u64) -> Story {
        let options = ClusterOptions::new(env!("CARGO_BIN_EXE_test-node")).nodes(nodes);
        let cluster = TestCluster::start(options.set("THALWEG_NODE_DEAD_AFTER", "2s")).await.unwrap();
        let stream: StreamName = "orders".parse().unwrap();
        cluster.create_stream(&stream, SHARDS).await.unwrap();
        let client = cluster.client();
        let load = Load::start(&client, &stream, LoadOptions::default());
        load.wait_acked(200).await.unwrap();
        Story { cluster, stream, client, load }
    }

    async fn node_state(&self, id: NodeId) -> Option<NodeState> {
        let nodes = self.client.cluster().describe().await.unwrap().nodes;
        nodes.iter().find(|node| node.id == id).map(|node| node.state)
    }

    /// Ends with more writes, of which none failed, and everything read back.
    async fn end(self) {
        self.load.wait_acked(200).await.unwrap();
        let written = self.load.stop().await.unwrap();
        assert_eq!(written.failures(), Vec::<String>::new());
        let read = read_all(&self.cluster.client(), &self.stream, &written).await.unwrap();
        assert_eq!(history::check(&written, &read), Vec::<String>::new());
    }
}

/// Waits until every shard has three replicas and none of them on `node`.
async fn replicas_moved_off(client: &Client, stream: &StreamName, node: NodeId) {
    let moved = async || {
        let shards = client.streams().list_shards(stream, ListShards::default()).await.ok()?;
        let off = |replicas: &[NodeId]| replicas.len() == 3 && !replicas.contains(&node);
        shards.iter().all(|shard| off(&shard.replicas)).then_some(())
    };
    eventually("three replicas of every shard on other nodes", MOVE_TIMEOUT, moved).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_lost_its_disk_is_refused_and_its_replicas_are_rebuilt_on_a_new_node() {
    let mut story = Story::begin(3).await;
    story.cluster.add_node(NodeId(4)).unwrap().wait_ready().await.unwrap();
    assert_eq!(story.node_state(NodeId(4)).await, Some(NodeState::Active));

    let lost = story.cluster.node(NodeId(2));
    lost.kill().unwrap();
    lost.wipe().unwrap();
    lost.start().unwrap();
    assert!(!lost.wait_ended().await.unwrap().success());
    assert!(lost.log().contains("node 2 is registered with another disk"), "{}", lost.log_end());

    replicas_moved_off(&story.client, &story.stream, NodeId(2)).await;
    story.client.cluster().remove(NodeId(2)).await.unwrap();
    assert!(matches!(story.node_state(NodeId(2)).await, None | Some(NodeState::Removed)));
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_node_hands_over_leaders_and_replicas_without_a_failed_write() {
    let mut story = Story::begin(4).await;
    let drained = NodeId(3);
    let done = async || {
        let left = story.client.cluster().drain(drained).await.ok()?;
        (left.replicas_left == 0 && left.leaders_left == 0).then_some(())
    };
    eventually("the node is drained", MOVE_TIMEOUT, done).await.unwrap();
    replicas_moved_off(&story.client, &story.stream, drained).await;
    story.load.wait_acked(200).await.unwrap();
    let node = story.cluster.node(drained);
    assert!(node.stop().await.unwrap().success(), "{}", node.log_end());
    story.client.cluster().remove(drained).await.unwrap();
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stays_dead_has_its_replicas_rebuilt_elsewhere() {
    let mut story = Story::begin(4).await;
    story.cluster.node(NodeId(1)).kill().unwrap();
    replicas_moved_off(&story.client, &story.stream, NodeId(1)).await;
    story.load.wait_acked(200).await.unwrap();
    story.cluster.node(NodeId(1)).restart().await.unwrap();
    story.end().await;
}
