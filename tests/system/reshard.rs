//! Shards split and merge at random under load, some while a leader is killed: no write fails,
//! every image tiles the key space, and every key stays in order.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use thalweg_client::{
    CallError, Client, ListShards, NodeId, ShardDescription, ShardFilter, ShardId, StreamName, StreamStatus,
};
use thalweg_test_cluster::{
    ClusterOptions, ImageWatch, Load, LoadOptions, Tail, TestCluster, eventually, history, read_all, short_or_soak,
};

const SEED: u64 = 7;
const OPEN_SHARDS_MAX: usize = 9;
/// A reshard is over within this, whoever dies meanwhile.
const RESHARD_TIMEOUT: Duration = Duration::from_secs(60);

/// A change of shards.
#[derive(Clone, Copy, Debug)]
enum Reshard {
    Split(ShardId),
    Merge(ShardId, ShardId),
}

impl Reshard {
    fn random(random: &mut StdRng, open: &[ShardDescription]) -> Reshard {
        let grow = open.len() < 3 || (open.len() < OPEN_SHARDS_MAX && random.random_bool(0.55));
        if grow {
            return Reshard::Split(open[random.random_range(0..open.len())].id);
        }
        let lower = random.random_range(0..open.len() - 1);
        Reshard::Merge(open[lower].id, open[lower + 1].id)
    }

    async fn ask(self, client: &Client, stream: &StreamName) -> Result<(), CallError> {
        match self {
            Reshard::Split(shard) => client.streams().split(stream, shard, None).await.map(drop),
            Reshard::Merge(lower, upper) => client.streams().merge(stream, lower, upper).await.map(drop),
        }
    }

    fn parent(self) -> ShardId {
        match self {
            Reshard::Split(shard) | Reshard::Merge(shard, _) => shard,
        }
    }
}

/// The open shards, by range.
async fn open_shards(client: &Client, stream: &StreamName) -> Vec<ShardDescription> {
    let which = ListShards { filter: ShardFilter::AtLatest, ..ListShards::default() };
    let mut open = client.streams().list_shards(stream, which).await.unwrap();
    open.sort_by_key(|shard| shard.range.start());
    open
}

/// Who is killed while a reshard is on its way, in this step; mostly nobody.
async fn victim(cluster: &TestCluster, client: &Client, stream: &StreamName, step: u64, at: Reshard) -> Option<NodeId> {
    match step % 6 {
        2 => client.cluster().describe().await.unwrap().controller_leader,
        5 => cluster.leader_of(client, stream, at.parent()).await.ok(),
        _ => None,
    }
}

async fn settled(client: &Client, stream: &StreamName) {
    let active = async || {
        let described = client.streams().describe(stream).await.ok()?;
        (described.status == StreamStatus::Active).then_some(())
    };
    eventually("the reshard is over", RESHARD_TIMEOUT, active).await.unwrap();
}

/// Kills a node while the reshard is asked for, and starts it again.
async fn reshard_and_kill(
    cluster: &mut TestCluster,
    client: &Client,
    stream: &StreamName,
    what: Reshard,
    node: NodeId,
) {
    let (client, stream) = (client.clone(), stream.clone());
    let asked = tokio::spawn(async move { what.ask(&client, &stream).await });
    cluster.node(node).kill().unwrap();
    // The answer may be lost with the node; what counts is that the reshard ends or never began.
    if let Err(error) = asked.await.unwrap() {
        println!("{what:?}, node {node} killed: {error}");
    }
    cluster.node(node).restart().await.unwrap();
}

/// What a load that is held back by nothing but the cluster has acknowledged a second.
async fn maximum_rate(client: &Client, stream: &StreamName, options: LoadOptions) -> f64 {
    let load = Load::start(client, stream, options);
    load.wait_acked(1_000).await.unwrap();
    let (begun, before) = (Instant::now(), load.acked());
    tokio::time::sleep(Duration::from_secs(short_or_soak(1, 5))).await;
    let rate = (load.acked() - before) as f64 / begun.elapsed().as_secs_f64();
    assert_eq!(load.stop().await.unwrap().failures(), Vec::<String>::new());
    rate
}

#[tokio::test(flavor = "multi_thread")]
async fn reshards_at_half_of_the_maximum_load_fail_no_write_and_lose_nothing() {
    const RECORD_BYTES: usize = 8 * 1024;
    const TICKS_A_SECOND: f64 = 200.0;
    let cluster = TestCluster::start(ClusterOptions::new(env!("CARGO_BIN_EXE_test-node"))).await.unwrap();
    let client = cluster.client();
    let options =
        LoadOptions { keys: 512, record_bytes: RECORD_BYTES, records_per_tick: 2_000, ..LoadOptions::default() };
    let calibration: StreamName = "calibration".parse().unwrap();
    cluster.create_stream(&calibration, 6).await.unwrap();
    let maximum = maximum_rate(&client, &calibration, options).await;
    client.streams().delete(&calibration).await.unwrap();

    let stream: StreamName = "orders".parse().unwrap();
    cluster.create_stream(&stream, 6).await.unwrap();
    let images = ImageWatch::start(cluster.endpoints(), &stream);
    let tail = Tail::start(&client, &stream).await.unwrap();
    let records_per_tick = ((maximum / 2.0 / TICKS_A_SECOND).round() as u32).max(1);
    let (load, begun) = (Load::start(&client, &stream, LoadOptions { records_per_tick, ..options }), Instant::now());
    let mut random = StdRng::seed_from_u64(SEED);
    for _ in 0..short_or_soak(3, 30) {
        load.wait_acked(500).await.unwrap();
        let what = Reshard::random(&mut random, &open_shards(&client, &stream).await);
        what.ask(&client, &stream).await.unwrap_or_else(|error| panic!("{what:?}: {error}"));
        settled(&client, &stream).await;
    }
    let reached = load.acked() as f64 / begun.elapsed().as_secs_f64();
    let written = load.stop().await.unwrap();
    let mib = |rate: f64| rate * RECORD_BYTES as f64 / 1024.0 / 1024.0;
    println!(
        "maximum {:.0} MiB/s, reshards at {:.0} MiB/s, {} records",
        mib(maximum),
        mib(reached),
        written.acked.len()
    );
    assert_eq!(written.failures(), Vec::<String>::new());
    assert_eq!(images.finish().1, Vec::<String>::new());
    let read = read_all(&client, &stream, &written).await.unwrap();
    assert_eq!(history::check(&written, &read), Vec::<String>::new());
    let tailed = tail.finish(&written).await.unwrap();
    assert_eq!(history::check(&written, &tailed), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn random_splits_and_merges_under_load_fail_no_write_and_keep_every_key_in_order() {
    let mut cluster = TestCluster::start(ClusterOptions::new(env!("CARGO_BIN_EXE_test-node"))).await.unwrap();
    let stream: StreamName = "orders".parse().unwrap();
    cluster.create_stream(&stream, 4).await.unwrap();
    let client = cluster.client();
    let images = ImageWatch::start(cluster.endpoints(), &stream);
    let tail = Tail::start(&client, &stream).await.unwrap();
    let load = Load::start(&client, &stream, LoadOptions { keys: 128, ..LoadOptions::default() });
    let mut random = StdRng::seed_from_u64(SEED);
    for step in 0..short_or_soak(8, 30) {
        load.wait_acked(300).await.unwrap();
        let what = Reshard::random(&mut random, &open_shards(&client, &stream).await);
        match victim(&cluster, &client, &stream, step, what).await {
            Some(node) => reshard_and_kill(&mut cluster, &client, &stream, what, node).await,
            None => what.ask(&client, &stream).await.unwrap_or_else(|error| panic!("{what:?}: {error}")),
        }
        settled(&client, &stream).await;
    }
    load.wait_acked(300).await.unwrap();
    let written = load.stop().await.unwrap();
    assert_eq!(written.failures(), Vec::<String>::new());
    let (seen, complaints) = images.finish();
    println!("{} records acknowledged, {seen} images seen", written.acked.len());
    assert_eq!(complaints, Vec::<String>::new());
    let fresh = Tail::start(&client, &stream).await.unwrap();
    assert_eq!(history::check(&written, &fresh.finish(&written).await.unwrap()), Vec::<String>::new());
    let read = read_all(&client, &stream, &written).await.unwrap();
    assert_eq!(history::check(&written, &read), Vec::<String>::new());
    let tailed = tail.finish(&written).await.unwrap();
    assert_eq!(history::check(&written, &tailed), Vec::<String>::new());
}
