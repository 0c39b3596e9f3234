//! An acknowledged record is on the disks of a majority, and there after anything that ends
//! processes.

use thalweg_client::{CreateStream, Durability, Record, StreamName};
use thalweg_test_cluster::{
    ClusterOptions, Load, LoadOptions, Strace, Tail, TestCluster, history, read_all, short_or_soak,
};
use thalweg_types::{Clock, SystemClock};

async fn start() -> TestCluster {
    TestCluster::start(ClusterOptions::new(env!("CARGO_BIN_EXE_test-node"))).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn all_nodes_killed_at_once_under_load_lose_no_acknowledged_record() {
    let mut cluster = start().await;
    let stream: StreamName = "orders".parse().unwrap();
    cluster.create_stream(&stream, 4).await.unwrap();
    let client = cluster.client();
    let tail = Tail::start(&client, &stream).await.unwrap();
    let load = Load::start(&client, &stream, LoadOptions::default());
    for round in 0..short_or_soak(3, 20) {
        load.wait_acked(500 + 137 * round).await.unwrap();
        cluster.kill_all().unwrap();
        cluster.restart_all().await.unwrap();
    }
    load.wait_acked(500).await.unwrap();
    let written = load.stop().await.unwrap();
    assert_eq!(written.failures(), Vec::<String>::new());
    let read = read_all(&client, &stream, &written).await.unwrap();
    assert_eq!(history::check(&written, &read), Vec::<String>::new());
    let tailed = tail.finish(&written).await.unwrap();
    assert_eq!(history::check(&written, &tailed), Vec::<String>::new());
}

/// Sequential writes of one record each.
const WRITES: usize = 60;

/// For each write, on how many nodes a sync began between its sending and its acknowledgement.
async fn nodes_that_synced_for_each_write(cluster: &mut TestCluster, durability: Durability) -> Vec<usize> {
    let client = cluster.client();
    let stream: StreamName = "orders".parse().unwrap();
    let settings = CreateStream { shard_count: Some(1), durability: Some(durability), ..CreateStream::default() };
    let described = client.streams().create(&stream, settings).await.unwrap();
    assert_eq!(described.durability, durability);
    // The first write finds the leader; it is not counted.
    client.append(&stream, vec![Record::new("key", "0")]).await.unwrap();
    let mut traces = Vec::new();
    for node in cluster.nodes() {
        traces.push(Strace::attach(node, &["-e", "trace=fdatasync,fsync"]).await.unwrap());
    }
    let mut spans = Vec::new();
    for serial in 0..WRITES {
        let sent = SystemClock.now().0;
        client.append(&stream, vec![Record::new("key", format!("{serial}"))]).await.unwrap();
        spans.push((sent, SystemClock.now().0 + 1));
    }
    let synced: Vec<Vec<u64>> = traces.into_iter().map(|trace| sync_times(&trace.finish().unwrap())).collect();
    let in_span = |times: &Vec<u64>, span: &(u64, u64)| times.iter().any(|at| span.0 <= *at && *at <= span.1);
    spans.iter().map(|span| synced.iter().filter(|times| in_span(times, span)).count()).collect()
}

/// When each sync began, in milliseconds since the epoch.
fn sync_times(trace: &str) -> Vec<u64> {
    let begun = trace.lines().filter(|line| line.contains("fdatasync(") || line.contains("fsync("));
    begun.map(|line| (line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() * 1e3) as u64).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_acknowledgement_follows_a_sync_on_a_majority() {
    if !Strace::works() {
        return eprintln!("skipped: strace is missing or may not trace here");
    }
    let mut cluster = start().await;
    let nodes = nodes_that_synced_for_each_write(&mut cluster, Durability::Fsync).await;
    assert!(nodes.iter().all(|synced| *synced >= 2), "{nodes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_durability_os_an_acknowledgement_needs_no_sync() {
    if !Strace::works() {
        return eprintln!("skipped: strace is missing or may not trace here");
    }
    let mut cluster = start().await;
    let nodes = nodes_that_synced_for_each_write(&mut cluster, Durability::Os).await;
    let synced = nodes.iter().filter(|synced| **synced >= 2).count();
    assert!(synced < WRITES / 2, "{synced} of {WRITES} writes had a sync on a majority: {nodes:?}");
}
