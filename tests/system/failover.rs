//! A node that leads shards is killed and comes back, again and again, under a producer and a
//! reader: nothing is lost, written twice or misordered, and writes go on soon.

use std::time::Duration;

use thalweg_client::{ShardId, StreamName};
use thalweg_test_cluster::{
    ClusterOptions, Load, LoadOptions, Tail, TestCluster, history, read_all, short_or_soak, soaking,
};
use tokio::time::Instant;

const SHARDS: u32 = 16;
/// So many acknowledgements of a shard after a kill cannot all have been on their way before it.
const ACKS_OF_A_NEW_LEADER: usize = 30;

#[tokio::test(flavor = "multi_thread")]
async fn killed_leaders_cost_no_record_and_little_time() {
    let mut cluster = TestCluster::start(ClusterOptions::new(env!("CARGO_BIN_EXE_test-node"))).await.unwrap();
    let stream: StreamName = "orders".parse().unwrap();
    cluster.create_stream(&stream, SHARDS).await.unwrap();
    let shards: Vec<ShardId> = (0..SHARDS).map(ShardId).collect();
    let client = cluster.client();
    let tail = Tail::start(&client, &stream).await.unwrap();
    let load = Load::start(&client, &stream, LoadOptions { keys: 256, ..LoadOptions::default() });
    load.wait_acked_by_each(&shards, 10).await.unwrap();
    let mut gaps = Vec::new();
    for round in 0..short_or_soak(5, 20) {
        let shard = shards[round as usize * 7 % shards.len()];
        let leader = cluster.leader_of(&client, &stream, shard).await.unwrap();
        let killed_at = Instant::now();
        cluster.node(leader).kill().unwrap();
        load.wait_acked_by_each(&shards, ACKS_OF_A_NEW_LEADER).await.unwrap();
        let (killed, restarted_at) = (load.longest_gap(killed_at), Instant::now());
        cluster.node(leader).restart().await.unwrap();
        load.wait_acked_by_each(&shards, ACKS_OF_A_NEW_LEADER).await.unwrap();
        let restarted = load.longest_gap(restarted_at);
        println!(
            "round {round}: node {leader}: longest gap {killed:?} after the kill, {restarted:?} after the restart"
        );
        gaps.push(killed.max(restarted));
    }
    let written = load.stop().await.unwrap();
    let summary = summary(&mut gaps);
    println!("{summary}; {} records acknowledged", written.acked.len());
    assert_eq!(written.failures(), Vec::<String>::new());
    let read = read_all(&client, &stream, &written).await.unwrap();
    assert_eq!(history::check(&written, &read), Vec::<String>::new());
    let tailed = tail.finish(&written).await.unwrap();
    assert_eq!(history::check(&written, &tailed), Vec::<String>::new());
    // A machine that runs every test at once proves nothing about time.
    let longest = Duration::from_secs(if soaking() { 1 } else { 10 });
    assert!(gaps.last().is_some_and(|gap| *gap <= longest), "{summary}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_was_paused_acknowledges_nothing_that_is_lost() {
    let mut cluster = TestCluster::start(ClusterOptions::new(env!("CARGO_BIN_EXE_test-node"))).await.unwrap();
    let stream: StreamName = "orders".parse().unwrap();
    cluster.create_stream(&stream, 4).await.unwrap();
    let shards: Vec<ShardId> = (0..4).map(ShardId).collect();
    let client = cluster.client();
    let load = Load::start(&client, &stream, LoadOptions::default());
    for round in 0..short_or_soak(2, 10) {
        load.wait_acked_by_each(&shards, ACKS_OF_A_NEW_LEADER).await.unwrap();
        let leader = cluster.leader_of(&client, &stream, shards[round as usize % 4]).await.unwrap();
        cluster.node(leader).pause().unwrap();
        load.wait_acked_by_each(&shards, 2 * ACKS_OF_A_NEW_LEADER).await.unwrap();
        cluster.node(leader).resume().unwrap();
        load.wait_acked_by_each(&shards, ACKS_OF_A_NEW_LEADER).await.unwrap();
    }
    let written = load.stop().await.unwrap();
    assert_eq!(written.failures(), Vec::<String>::new());
    let read = read_all(&client, &stream, &written).await.unwrap();
    assert_eq!(history::check(&written, &read), Vec::<String>::new());
}

/// One line about the longest silence of any shard in each round.
fn summary(gaps: &mut [Duration]) -> String {
    gaps.sort();
    let at = |share: f64| gaps[((gaps.len() - 1) as f64 * share).ceil() as usize].as_millis();
    let (median, p99) = (at(0.5), at(0.99));
    format!(
        "failover: longest gap between acknowledgements of a shard over {} kills: median {median} ms, p99 {p99} ms",
        gaps.len()
    )
}
