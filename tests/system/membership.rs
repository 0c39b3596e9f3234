//! Nodes join, lose their disks, die, are drained and removed, and no write fails.

use std::time::Duration;

use thalweg_client::{Client, ListShards, NodeId, NodeState, StreamName};
use thalweg_test_cluster::{ClusterOptions, Load, LoadOptions, TestCluster, eventually, history, read_all};

const SHARDS: u32 = 6;
/// Moving the replicas of a small stream is over within this, on any machine.
const MOVE_TIMEOUT: Duration = Duration::from_secs(90);

async fn start(nodes: u64) -> TestCluster {
    let options = ClusterOptions::new(env!("CARGO_BIN_EXE_test-node")).nodes(nodes);
    TestCluster::start(options.set("THALWEG_NODE_DEAD_AFTER", "2s")).await.unwrap()
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

async fn check_all(cluster: &TestCluster, stream: &StreamName, load: Load) {
    let written = load.stop().await.unwrap();
    assert_eq!(written.failures(), Vec::<String>::new());
    let read = read_all(&cluster.client(), stream, &written).await.unwrap();
    assert_eq!(history::check(&written, &read), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_lost_its_disk_is_refused_and_its_replicas_are_rebuilt_on_a_new_node() {
    let mut cluster = start(3).await;
    let stream: StreamName = "orders".parse().unwrap();
    cluster.create_stream(&stream, SHARDS).await.unwrap();
    let client = cluster.client();
    let load = Load::start(&client, &stream, LoadOptions::default());
    load.wait_acked(200).await.unwrap();

    cluster.add_node(NodeId(4)).unwrap().wait_ready().await.unwrap();
    let nodes = client.cluster().describe().await.unwrap().nodes;
    assert_eq!(nodes.iter().filter(|node| node.state == NodeState::Active).count(), 4, "{nodes:?}");

    let lost = cluster.node(NodeId(2));
    lost.kill().unwrap();
    lost.wipe().unwrap();
    lost.start().unwrap();
    assert!(!lost.wait_ended().await.unwrap().success());
    assert!(lost.log().contains("node 2 is registered with another disk"), "{}", lost.log_end());

    replicas_moved_off(&client, &stream, NodeId(2)).await;
    client.cluster().remove(NodeId(2)).await.unwrap();
    let nodes = client.cluster().describe().await.unwrap().nodes;
    assert!(nodes.iter().all(|node| node.id != NodeId(2) || node.state == NodeState::Removed), "{nodes:?}");
    load.wait_acked(200).await.unwrap();
    check_all(&cluster, &stream, load).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_node_hands_over_leaders_and_replicas_without_a_failed_write() {
    let mut cluster = start(4).await;
    let stream: StreamName = "orders".parse().unwrap();
    cluster.create_stream(&stream, SHARDS).await.unwrap();
    let client = cluster.client();
    let load = Load::start(&client, &stream, LoadOptions::default());
    load.wait_acked(200).await.unwrap();
    let drained = NodeId(3);
    let done = async || {
        let left = client.cluster().drain(drained).await.ok()?;
        (left.replicas_left == 0 && left.leaders_left == 0).then_some(())
    };
    eventually("the node is drained", MOVE_TIMEOUT, done).await.unwrap();
    replicas_moved_off(&client, &stream, drained).await;
    load.wait_acked(200).await.unwrap();
    let ended = cluster.node(drained).stop().await.unwrap();
    assert!(ended.success(), "{}", cluster.node(drained).log_end());
    client.cluster().remove(drained).await.unwrap();
    load.wait_acked(200).await.unwrap();
    check_all(&cluster, &stream, load).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stays_dead_has_its_replicas_rebuilt_elsewhere() {
    let mut cluster = start(4).await;
    let stream: StreamName = "orders".parse().unwrap();
    cluster.create_stream(&stream, SHARDS).await.unwrap();
    let client = cluster.client();
    let load = Load::start(&client, &stream, LoadOptions::default());
    load.wait_acked(200).await.unwrap();
    cluster.node(NodeId(1)).kill().unwrap();
    replicas_moved_off(&client, &stream, NodeId(1)).await;
    load.wait_acked(200).await.unwrap();
    cluster.node(NodeId(1)).restart().await.unwrap();
    load.wait_acked(200).await.unwrap();
    check_all(&cluster, &stream, load).await;
}
