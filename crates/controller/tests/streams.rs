//! Streams through their life, by requests to any node.

mod support;

use std::time::Duration;

use support::TestCluster;
use thalweg_catalog::ShardState;
use thalweg_controller::Image;
use thalweg_proto::errors::{Reason, WireError};
use thalweg_proto::v1::*;
use thalweg_types::ShardId;
use tokio::time::Instant;
use tonic::Status;

fn create(name: &str, shard_count: u32) -> CreateStreamRequest {
    CreateStreamRequest { name: name.to_owned(), shard_count, ..CreateStreamRequest::default() }
}

fn list(name: &str, filter: ShardFilter) -> ListShardsRequest {
    ListShardsRequest { name: name.to_owned(), filter: filter.into(), ..ListShardsRequest::default() }
}

fn split(name: &str, shard: u64) -> SplitShardRequest {
    let shard_id = format!("shardId-{shard:012}");
    SplitShardRequest { name: name.to_owned(), shard_id, ..SplitShardRequest::default() }
}

fn reason<T: std::fmt::Debug>(result: Result<T, Status>) -> (Reason, String) {
    let error = WireError::from_status(&result.unwrap_err());
    (error.reason, error.message)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_created_stream_is_active_and_led_when_the_call_returns_on_any_node() {
    let cluster = TestCluster::formed(3).await;
    for id in [1, 2, 3] {
        let name = format!("orders-{id}");
        let stream = cluster.streams(id).create_stream(create(&name, 4)).await.unwrap().into_inner().stream.unwrap();
        assert_eq!((stream.status(), stream.open_shard_count), (StreamStatus::Active, 4));
        let shards = cluster.streams(id).list_shards(list(&name, ShardFilter::AtLatest)).await.unwrap().into_inner();
        assert_eq!(shards.shards.len(), 4);
        assert!(shards.shards.iter().all(|shard| shard.leader != 0 && shard.replicas.len() == 3), "{shards:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_carry_a_reason_and_the_catalogs_words() {
    let cluster = TestCluster::formed(3).await;
    let mut streams = cluster.streams(2);
    streams.create_stream(create("orders", 1)).await.unwrap();
    let (code, words) = reason(streams.create_stream(create("orders", 1)).await);
    assert_eq!((code, &*words), (Reason::AlreadyExists, "stream `orders` exists already"));
    assert_eq!(reason(streams.create_stream(create("bad name", 1)).await).0, Reason::InvalidArgument);
    assert_eq!(reason(streams.create_stream(create("big", 1_000_000)).await).0, Reason::LimitExceeded);
    assert_eq!(reason(streams.split_shard(split("none", 0)).await).0, Reason::StreamNotFound);
    assert_eq!(reason(streams.split_shard(split("orders", 9)).await).0, Reason::ShardNotFound);
    let retention = UpdateRetentionRequest { name: "orders".to_owned(), retention_hours: 3, ..Default::default() };
    let (code, words) = reason(streams.update_retention(retention).await);
    assert_eq!((code, &*words), (Reason::InvalidArgument, "retention of 3 hours is too short; the minimum is 24"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_split_and_a_merge_return_when_the_children_are_open() {
    let cluster = TestCluster::formed(3).await;
    let mut streams = cluster.streams(3);
    streams.create_stream(create("orders", 1)).await.unwrap();
    let children = streams.split_shard(split("orders", 0)).await.unwrap().into_inner().children;
    let parents: Vec<&str> = children.iter().map(|child| &*child.parent_shard_id).collect();
    assert_eq!(parents, ["shardId-000000000000"; 2]);
    let merge = MergeShardsRequest {
        name: "orders".to_owned(),
        shard_id: children[0].shard_id.clone(),
        adjacent_shard_id: children[1].shard_id.clone(),
        ..MergeShardsRequest::default()
    };
    let child = streams.merge_shards(merge).await.unwrap().into_inner().child.unwrap();
    assert_eq!(child.adjacent_parent_shard_id, children[1].shard_id);
    let open = streams.list_shards(list("orders", ShardFilter::AtLatest)).await.unwrap().into_inner().shards;
    assert_eq!(open.iter().map(|shard| &shard.shard_id).collect::<Vec<_>>(), [&child.shard_id]);
    let all = streams.list_shards(list("orders", ShardFilter::FromTrimHorizon)).await.unwrap().into_inner().shards;
    assert_eq!(all.len(), 4);
    assert!(all.iter().filter(|shard| shard.shard_id != child.shard_id).all(|shard| shard.closed_ms > 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scaling_ends_in_equal_ranges() {
    let cluster = TestCluster::formed(3).await;
    let mut streams = cluster.streams(1);
    streams.create_stream(create("orders", 3)).await.unwrap();
    for target in [7, 2] {
        let request = UpdateShardCountRequest {
            name: "orders".to_owned(),
            target_shard_count: target,
            ..UpdateShardCountRequest::default()
        };
        streams.update_shard_count(request).await.unwrap();
        let scaled = |image: &Image| {
            let stream = image.catalog.stream(&"orders".parse().unwrap()).unwrap();
            stream.status == thalweg_catalog::StreamStatus::Active && stream.shards.open_count() == target as usize
        };
        let image = cluster.until(2, "the stream scaled", scaled).await;
        let stream = image.catalog.stream(&"orders".parse().unwrap()).unwrap();
        let ranges: Vec<_> = stream.open_shards().map(|shard| shard.range).collect();
        assert_eq!(ranges, thalweg_types::HashRange::tile(target));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_streams_name_is_free_again_for_another_incarnation() {
    let cluster = TestCluster::formed(3).await;
    let mut streams = cluster.streams(1);
    let first = streams.create_stream(create("orders", 2)).await.unwrap().into_inner().stream.unwrap();
    streams.delete_stream(DeleteStreamRequest { name: "orders".to_owned(), ..Default::default() }).await.unwrap();
    let describe = DescribeStreamRequest { name: "orders".to_owned() };
    assert_eq!(reason(streams.describe_stream(describe).await).0, Reason::StreamNotFound);
    let second = streams.create_stream(create("orders", 2)).await.unwrap().into_inner().stream.unwrap();
    assert_ne!(first.stream_id, second.stream_id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watcher_sees_every_split_as_one_change() {
    let cluster = TestCluster::formed(3).await;
    cluster.streams(1).create_stream(create("orders", 1)).await.unwrap();
    let request = WatchRoutingRequest { stream_name: "orders".to_owned() };
    let active = |image: &Image| image.catalog.stream(&"orders".parse().unwrap()).is_some_and(|stream| stream.serves());
    cluster.until(2, "the stream active", active).await;
    let mut watch = cluster.cluster(2).watch_routing(request).await.unwrap().into_inner();
    let splitting = tokio::spawn({
        let mut streams = cluster.streams(3);
        async move { streams.split_shard(split("orders", 0)).await.unwrap() }
    });
    loop {
        let routing = watch.message().await.unwrap().unwrap();
        let open: Vec<&Shard> = routing.shards.iter().filter(|shard| shard.closed_ms == 0).collect();
        let width = |shard: &&Shard| {
            let key = |text: &str| text.parse::<u128>().unwrap();
            key(&shard.ending_hash_key) - key(&shard.starting_hash_key)
        };
        let gaps = open.len() as u128 - 1;
        assert_eq!(open.iter().map(width).sum::<u128>() + gaps, u128::MAX, "open ranges tile: {open:?}");
        if open.len() == 2 {
            break;
        }
    }
    splitting.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_streams_and_shards_lead_to_the_end() {
    let cluster = TestCluster::formed(1).await;
    let mut streams = cluster.streams(1);
    for i in 0..5 {
        streams.create_stream(create(&format!("s{i}"), 5)).await.unwrap();
    }
    let (mut names, mut page_token) = (Vec::new(), String::new());
    loop {
        let page = streams.list_streams(ListStreamsRequest { page_size: 2, page_token }).await.unwrap().into_inner();
        names.extend(page.streams.into_iter().map(|stream| stream.name));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(names, ["s0", "s1", "s2", "s3", "s4"]);
    let request = ListShardsRequest { page_size: 3, ..list("s0", ShardFilter::AtLatest) };
    let first = streams.list_shards(request.clone()).await.unwrap().into_inner();
    let exclusive_start_shard_id = first.shards.last().unwrap().shard_id.clone();
    let rest =
        streams.list_shards(ListShardsRequest { exclusive_start_shard_id, ..request }).await.unwrap().into_inner();
    assert_eq!((first.shards.len(), first.has_more, rest.shards.len(), rest.has_more), (3, true, 2, false));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_split_keeps_its_parent_sealed_for_a_few_milliseconds() {
    let cluster = TestCluster::formed(3).await;
    let mut streams = cluster.streams(1);
    streams.create_stream(create("orders", 1)).await.unwrap();
    let mut stalls = Vec::new();
    for parent in (0..10).map(|split| ShardId(split * 2)) {
        let mut image = cluster.handle(2).image();
        let sealed = tokio::spawn(async move {
            let stream = "orders".parse().unwrap();
            let is = |image: &Image, want: fn(&ShardState) -> bool| {
                image.catalog.shard(&stream, parent).is_some_and(|shard| want(&shard.state))
            };
            let begun = |state: &ShardState| !matches!(state, ShardState::Open | ShardState::Opening);
            image.wait_for(|image| is(image, begun)).await.map(drop).unwrap();
            let at = Instant::now();
            image
                .wait_for(|image| is(image, |state| matches!(state, ShardState::Closed { .. })))
                .await
                .map(drop)
                .unwrap();
            at.elapsed()
        });
        let request =
            SplitShardRequest { name: "orders".to_owned(), shard_id: parent.to_string(), ..Default::default() };
        streams.split_shard(request).await.unwrap();
        stalls.push(sealed.await.unwrap());
    }
    stalls.sort();
    println!("parents were sealed for {stalls:?}");
    assert!(stalls[5] < Duration::from_millis(100), "median of {stalls:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_of_two_thousand_shards_opens_in_one_call() {
    // Its placement is longer than the head of a log entry may be.
    let cluster = TestCluster::formed(3).await;
    let stream = cluster.streams(2).create_stream(create("orders", 2_000)).await.unwrap().into_inner().stream.unwrap();
    assert_eq!((stream.status(), stream.open_shard_count), (StreamStatus::Active, 2_000));
}
