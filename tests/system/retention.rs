//! Records past retention are gone on time and for good, and their space comes back. Days pass by
//! restarting the nodes with clocks that are ahead.

use std::path::Path;
use std::time::Duration;

use rand::distr::Alphanumeric;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use thalweg_client::{Client, CreateStream, NodeId, Position, ReadOptions, Record, ShardId, StreamName};
use thalweg_test_cluster::{CLOCK_AHEAD_HOURS, ClusterOptions, TestCluster, eventually};
use thalweg_types::{Clock, SystemClock};

const SHARD: ShardId = ShardId(0);
/// Sweeps come every second in these tests.
const SWEEP_TIMEOUT: Duration = Duration::from_secs(30);

async fn start() -> TestCluster {
    let options = ClusterOptions::new(env!("CARGO_BIN_EXE_test-node"));
    TestCluster::start(options.set("THALWEG_RETENTION_INTERVAL", "1s")).await.unwrap()
}

async fn restart_ahead(cluster: &mut TestCluster, hours: u64) {
    for node in cluster.nodes() {
        assert!(node.stop().await.unwrap().success(), "{}", node.log_end());
        node.set(CLOCK_AHEAD_HOURS, &hours.to_string());
    }
    cluster.restart_all().await.unwrap();
}

/// The payloads that a reader finds now.
async fn readable(client: &Client, stream: &StreamName) -> Vec<String> {
    let mut found = Vec::new();
    let mut position = Position::TrimHorizon;
    loop {
        let page = client.read_page(stream, SHARD, position, ReadOptions::default()).await.unwrap();
        if page.records.is_empty() && page.millis_behind_latest == 0 {
            return found;
        }
        position = Position::Index(page.next_index);
        found.extend(page.records.into_iter().map(|record| String::from_utf8_lossy(&record.data).into_owned()));
    }
}

async fn becomes_readable(client: &Client, stream: &StreamName, wanted: &[&str]) {
    let as_wanted = async || (readable(client, stream).await == wanted).then_some(());
    eventually(&format!("exactly {wanted:?} is readable"), SWEEP_TIMEOUT, as_wanted).await.unwrap();
}

async fn put(client: &Client, stream: &StreamName, data: &str) {
    client.append(stream, vec![Record::new("key", data.to_owned())]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn lowering_hides_at_once_raising_never_resurrects_and_time_takes_the_rest() {
    let mut cluster = start().await;
    let stream: StreamName = "orders".parse().unwrap();
    let client = cluster.client();
    let settings = CreateStream { shard_count: Some(1), retention_hours: Some(48), ..CreateStream::default() };
    client.streams().create(&stream, settings).await.unwrap();
    put(&client, &stream, "first day").await;

    restart_ahead(&mut cluster, 30).await;
    put(&client, &stream, "second day").await;
    becomes_readable(&client, &stream, &["first day", "second day"]).await;

    client.streams().set_retention(&stream, 24).await.unwrap();
    becomes_readable(&client, &stream, &["second day"]).await;
    client.streams().set_retention(&stream, 8_760).await.unwrap();
    put(&client, &stream, "later").await;
    becomes_readable(&client, &stream, &["second day", "later"]).await;

    client.streams().set_retention(&stream, 24).await.unwrap();
    restart_ahead(&mut cluster, 60).await;
    becomes_readable(&client, &stream, &[]).await;
    put(&client, &stream, "third day").await;
    becomes_readable(&client, &stream, &["third day"]).await;
}

/// Several sweeps come in this time; that none of them takes something cannot be waited for.
const SEVERAL_SWEEPS: Duration = Duration::from_secs(4);
const TEN_YEARS_IN_HOURS: u64 = 87_600;

/// Waits until a node leads the stream's shard.
async fn leads_from_now(cluster: &TestCluster, stream: &StreamName, node: NodeId) {
    let client = cluster.client();
    let leads = async || {
        let _ = client.cluster().transfer_leader(stream, SHARD, node).await;
        (cluster.leader_of(&client, stream, SHARD).await.ok()? == node).then_some(())
    };
    eventually("the node with the wrong clock leads", SWEEP_TIMEOUT, leads).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_starts_days_behind_trims_by_the_time_that_the_others_tell() {
    let mut cluster = start().await;
    let stream: StreamName = "orders".parse().unwrap();
    cluster.create_stream(&stream, 1).await.unwrap();
    let client = cluster.client();
    put(&client, &stream, "first").await;
    client.streams().set_retention(&stream, 8_760).await.unwrap();
    restart_ahead(&mut cluster, 240).await;
    let behind = NodeId(2);
    let node = cluster.node(behind);
    assert!(node.stop().await.unwrap().success(), "{}", node.log_end());
    node.set(CLOCK_AHEAD_HOURS, "0");
    node.start().unwrap();
    node.wait_ready().await.unwrap();
    leads_from_now(&cluster, &stream, behind).await;
    put(&client, &stream, "second").await;
    client.streams().set_retention(&stream, 24).await.unwrap();
    becomes_readable(&client, &stream, &["second"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_starts_years_ahead_neither_trims_nor_stamps_by_its_own_clock() {
    let mut cluster = start().await;
    let stream: StreamName = "orders".parse().unwrap();
    cluster.create_stream(&stream, 1).await.unwrap();
    let client = cluster.client();
    put(&client, &stream, "first").await;
    let ahead = NodeId(2);
    let node = cluster.node(ahead);
    assert!(node.stop().await.unwrap().success(), "{}", node.log_end());
    node.set(CLOCK_AHEAD_HOURS, &TEN_YEARS_IN_HOURS.to_string());
    node.start().unwrap();
    node.wait_ready().await.unwrap();
    leads_from_now(&cluster, &stream, ahead).await;
    put(&client, &stream, "second").await;
    tokio::time::sleep(SEVERAL_SWEEPS).await;
    assert_eq!(readable(&client, &stream).await, ["first", "second"]);
    let page = client.read_page(&stream, SHARD, Position::TrimHorizon, ReadOptions::default()).await.unwrap();
    let hour_ahead = SystemClock.now().0 + 3_600_000;
    assert!(page.records.iter().all(|record| record.arrived.0 < hour_ahead), "{:?}", page.records);
}

/// Bytes of all files in a directory.
fn bytes_in(dir: &Path) -> u64 {
    let files = std::fs::read_dir(dir).unwrap().flatten();
    // A file may go between listing and looking.
    files.filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_space_of_expired_records_comes_back() {
    const WRITTEN_BYTES: u64 = 24 * 1024 * 1024;
    const CHUNK_BYTES: u64 = 512 * 1024;
    let mut cluster = start().await;
    let stream: StreamName = "orders".parse().unwrap();
    cluster.create_stream(&stream, 1).await.unwrap();
    let client = cluster.client();
    // Letters at random, so that no compression hides what is stored.
    let mut letters = StdRng::seed_from_u64(7).sample_iter(Alphanumeric).map(char::from);
    for _ in 0..WRITTEN_BYTES / CHUNK_BYTES {
        let chunk: String = letters.by_ref().take(CHUNK_BYTES as usize).collect();
        put(&client, &stream, &chunk).await;
    }
    // A record in the next segment lets the log move on.
    restart_ahead(&mut cluster, 0).await;
    let stores: Vec<_> = cluster.nodes().iter().map(|node| node.data_dir().join("store")).collect();
    let full = async || stores.iter().all(|store| bytes_in(store) > WRITTEN_BYTES / 2).then_some(());
    eventually("the records are in the stores", SWEEP_TIMEOUT, full).await.unwrap();
    restart_ahead(&mut cluster, 30).await;
    becomes_readable(&client, &stream, &[]).await;
    let empty = async || stores.iter().all(|store| bytes_in(store) < WRITTEN_BYTES / 4).then_some(());
    eventually("the stores are small again", SWEEP_TIMEOUT, empty).await.unwrap();
}
