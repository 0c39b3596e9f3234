//! On-demand streams follow their traffic by themselves, without a failed or misplaced record, and
//! the cluster says what it did and why.

use std::time::Duration;

use thalweg_client::{
    Client, ClusterEvent, CreateStream, ListEvents, ListShards, ShardFilter, StreamMode, StreamName, StreamSettings,
};
use thalweg_test_cluster::{ClusterOptions, ImageWatch, Load, LoadOptions, TestCluster, eventually, history, read_all};
use tokio::time::Instant;

/// Longer than either takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// One key with up to 1,600 records a second, where 500 make a shard hot: its shard is split until it
/// is as narrow as it may become.
const BUSY: LoadOptions =
    LoadOptions { keys: 1, records_per_tick: 8, record_bytes: 64, delivery_deadline: Duration::from_secs(30) };

async fn events(client: &Client, stream: &StreamName, kind: &str) -> Vec<ClusterEvent> {
    let wanted = ListEvents { stream: Some(stream.clone()), limit: Some(1_000), ..ListEvents::default() };
    let page = client.cluster().events(&wanted).await.unwrap();
    assert!(page.events.iter().all(|event| event.stream.as_ref() == Some(stream)));
    page.events.into_iter().filter(|event| event.kind == kind).collect()
}

async fn open_shards(client: &Client, stream: &StreamName) -> usize {
    let which = ListShards { filter: ShardFilter::AtLatest, ..ListShards::default() };
    client.streams().list_shards(stream, which).await.unwrap().len()
}

async fn created(client: &Client, name: &str, mode: StreamMode) -> StreamName {
    let stream: StreamName = name.parse().unwrap();
    let settings = StreamSettings { mode, ..StreamSettings::default() };
    let wanted = CreateStream { shard_count: Some(4), settings, ..CreateStream::default() };
    client.streams().create(&stream, wanted).await.unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn hot_shards_are_split_cold_ones_are_merged_and_every_node_tells_why() {
    let options = ClusterOptions::new(env!("CARGO_BIN_EXE_test-node"))
        .set("THALWEG_ON_DEMAND_SPLIT_AFTER", "2s")
        .set("THALWEG_ON_DEMAND_MERGE_AFTER", "4s");
    let mut cluster = TestCluster::start(options).await.unwrap();
    let client = cluster.client();
    let stream = created(&client, "river", StreamMode::OnDemand).await;
    let provisioned = created(&client, "canal", StreamMode::Provisioned).await;
    let images = ImageWatch::start(cluster.endpoints(), &stream);

    let load = Load::start(&client, &stream, BUSY);
    let canal_load = Load::start(&client, &provisioned, BUSY);
    let split = async || {
        let splits = events(&client, &stream, "shard_split").await;
        (splits.len() >= 2).then_some(splits)
    };
    let began = Instant::now();
    let splits = eventually("the hot shard is split, and its hot child", PATIENCE, split).await;
    let rate = load.acked() as f64 / began.elapsed().as_secs_f64();
    let splits = splits.unwrap_or_else(|error| panic!("{error}, at {rate:.0} records/s"));
    for split in &splits {
        assert_eq!((split.closed.len(), split.opened.len()), (1, 2), "{split:?}");
        assert!(split.why.contains("records/s for ") && split.what.contains(&split.closed[0].to_string()), "{split:?}");
    }
    load.wait_acked(2_000).await.unwrap();
    let (written, canal) = (load.stop().await.unwrap(), canal_load.stop().await.unwrap());
    assert!(written.failed.is_empty() && written.unknown.is_empty() && canal.failed.is_empty());

    let merged = async || (open_shards(&client, &stream).await == 4).then_some(());
    eventually("cold shards are merged until four are left", PATIENCE, merged).await.unwrap();
    let merges = events(&client, &stream, "shards_merged").await;
    assert!(!merges.is_empty() && merges.iter().all(|merge| merge.why.starts_with("together at most ")), "{merges:?}");
    assert_eq!(open_shards(&client, &provisioned).await, 4, "a provisioned stream is left to its user");
    assert_eq!(events(&client, &provisioned, "shard_split").await, []);

    let told = client.cluster().events(&ListEvents::default()).await.unwrap();
    // Any node tells the same, also when another leads the controller.
    let leader = client.cluster().describe().await.unwrap().controller_leader.unwrap();
    cluster.node(leader).kill().unwrap();
    let after = cluster.client().cluster().events(&ListEvents::default()).await.unwrap();
    assert_eq!(after.events[..told.events.len()], told.events, "the next leader has the same log");
    cluster.node(leader).start().unwrap();
    cluster.wait_ready().await.unwrap();

    let read = read_all(&client, &stream, &written).await.unwrap();
    let complaints = history::check(&written, &read);
    assert!(complaints.is_empty(), "{complaints:#?}");
    let (seen, wrong) = images.finish();
    assert!(seen > splits.len() && wrong.is_empty(), "{seen} images: {wrong:#?}");
}
