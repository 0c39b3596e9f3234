//! boto3 with its default retries, while nodes that lead shards are killed or stopped in order: no
//! error reaches the program, nothing is lost, doubled or misordered. An orderly stop fails no
//! request at all; what it may cost is a connection.

use std::time::Duration;

use client_tests::report::{self, Noted};
use client_tests::{Balancer, Program, Running, Server, thalweg_binary};
use serde::Deserialize;
use thalweg_client::{ListShards, NodeId, StreamName};
use thalweg_test_cluster::{ClusterOptions, ReadBack, TestCluster, eventually, history, read_all, short_or_soak};

const SHARDS: u32 = 8;
/// So many records after a kill are many batches, each of which reaches most shards.
const RECORDS_AFTER_A_KILL: usize = 300;
/// Whatever a failover takes on a busy machine, and the retries of the SDK.
const PROGRESS_TIMEOUT: Duration = Duration::from_secs(60);

const FAILOVER: Program = Program { run: "exec $OUT/venv/bin/python failover.py", ..Program::BOTO3 };

#[derive(Deserialize)]
struct Report {
    written: Vec<Noted>,
    polled: Vec<Noted>,
    longest_ms: LongestMs,
    /// Attempts that the SDK made again.
    retried: u64,
    /// Answers with a status of the server's failure.
    failures: Vec<String>,
}

/// Of any call, its retries included.
#[derive(Debug, Deserialize)]
struct LongestMs {
    #[allow(dead_code, reason = "for the line that is printed")]
    put_records: u64,
    #[allow(dead_code, reason = "for the line that is printed")]
    get_records: u64,
}

#[tokio::test(flavor = "multi_thread")]
async fn boto3_notices_no_killed_leader() {
    if !FAILOVER.can_run() {
        return;
    }
    let (mut cluster, stream) = cluster_with_a_stream().await;
    // An SDK knows one address only, so that node stays.
    let spared = cluster.nodes()[0].id();
    let endpoint = cluster.node(spared).public_address();
    let mut program = FAILOVER.start(&Server { endpoint, stream: stream.to_string() }).unwrap();
    for _ in 0..short_or_soak(3, 20) {
        follow(&mut program).await;
        let leader = a_leader_beside(&cluster, &stream, spared).await;
        cluster.node(leader).kill().unwrap();
        follow(&mut program).await;
        cluster.node(leader).restart().await.unwrap();
    }
    follow(&mut program).await;
    finish(program, &cluster, &stream).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn boto3_notices_no_node_that_is_stopped_in_order() {
    if !FAILOVER.can_run() {
        return;
    }
    let (mut cluster, stream) = cluster_with_a_stream().await;
    let balancer = Balancer::start(cluster.endpoints()).await.unwrap();
    let server = Server { endpoint: balancer.address().to_owned(), stream: stream.to_string() };
    let mut program = FAILOVER.start(&server).unwrap();
    let nodes: Vec<NodeId> = cluster.nodes().iter().map(|node| node.id()).collect();
    let stops = short_or_soak(2, 10) * nodes.len() as u64;
    for node in nodes.into_iter().cycle().take(stops as usize) {
        follow(&mut program).await;
        let status = cluster.node(node).stop().await.unwrap();
        assert!(status.success(), "node {node} ended with {status}");
        follow(&mut program).await;
        cluster.node(node).restart().await.unwrap();
    }
    follow(&mut program).await;
    let report = finish(program, &cluster, &stream).await;
    assert_eq!(report.failures, Vec::<String>::new(), "what the SDK hid");
    // A request that is on its way when its connection is closed has to be made again: HTTP/1.1
    // knows no other way. Writer and reader have a connection each.
    assert!(report.retried <= 2 * stops, "{} attempts were made again in {stops} stops", report.retried);
}

/// What the program works with, once it is installed.
async fn cluster_with_a_stream() -> (TestCluster, StreamName) {
    FAILOVER.install().await.unwrap();
    let binary = thalweg_binary();
    let options = ClusterOptions::new(binary.to_str().unwrap());
    let cluster = TestCluster::start(options).await.unwrap();
    let stream: StreamName = "orders".parse().unwrap();
    cluster.create_stream(&stream, SHARDS).await.unwrap();
    (cluster, stream)
}

/// Ends the program and checks what it wrote and read.
async fn finish(program: Running, cluster: &TestCluster, stream: &StreamName) -> Report {
    let report: Report = serde_json::from_str(&program.finish().await.unwrap()).unwrap();
    let Report { written, longest_ms, retried, failures, .. } = &report;
    println!("{} records, longest calls {longest_ms:?}", written.len());
    println!("spared the program: {retried} more attempts, failures {failures:?}");
    let written = report::written(written).unwrap();
    let polled = ReadBack::told(report::read(&report.polled).unwrap(), &[]);
    assert_eq!(history::check(&written, &polled), Vec::<String>::new());
    let native = read_all(&cluster.client(), stream, &written).await.unwrap();
    assert_eq!(history::check(&written, &native), Vec::<String>::new());
    report
}

/// Waits until the program has written and read for a while.
async fn follow(program: &mut Running) {
    let begun = progress(program).await;
    let goal = begun.map(|records| records + RECORDS_AFTER_A_KILL);
    let gone_on = eventually("the program goes on", PROGRESS_TIMEOUT, async || {
        let [written, read] = progress(program).await;
        (written >= goal[0] && read >= goal[1]).then_some(())
    });
    gone_on.await.unwrap();
}

/// How much it has written and read.
async fn progress(program: &mut Running) -> [usize; 2] {
    serde_json::from_str(&program.ask().await.unwrap()).unwrap()
}

/// A node that leads a shard, and is not `spared`.
async fn a_leader_beside(cluster: &TestCluster, stream: &StreamName, spared: NodeId) -> NodeId {
    let shards = cluster.client().streams().list_shards(stream, ListShards::default()).await.unwrap();
    let leader = shards.iter().filter_map(|shard| shard.leader).find(|leader| *leader != spared);
    leader.expect("leaders are spread over the nodes")
}
