//! SubscribeToShard: the frames of a subscription, who may have one, and how it ends.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use thalweg_gateway::{Gateway, GatewayConfig, GatewayParts};
use thalweg_server::Auth;
use thalweg_types::SystemClock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use crate::reading::assert_kcl_accepts;
use crate::support::api::{shard_id, text};
use crate::support::wire::{self, JSON};
use crate::support::{Api, Cluster, Event, Events, PATIENCE, Refusal, Shape, Wire, arn, main_cluster};

/// The service says something at least this often, give or take a busy machine.
const HEARTBEAT: Duration = Duration::from_secs(8);

/// A stream with one consumer; the consumer's ARN.
async fn consumed(api: &Api, name: &str, shards: u32) -> String {
    api.stream(name, shards).await;
    register(api, name, "reader").await
}

async fn register(api: &Api, name: &str, consumer: &str) -> String {
    let registered =
        api.ok("RegisterStreamConsumer", json!({ "StreamARN": arn(name), "ConsumerName": consumer })).await;
    let consumer = text(&registered["Consumer"]["ConsumerARN"]);
    api.ok("DescribeStreamConsumer", json!({ "ConsumerARN": consumer })).await;
    consumer
}

fn from(consumer: &str, shard: u32, start: Value) -> Value {
    json!({ "ConsumerARN": consumer, "ShardId": shard_id(shard), "StartingPosition": start })
}

fn oldest(consumer: &str, shard: u32) -> Value {
    from(consumer, shard, json!({ "Type": "TRIM_HORIZON" }))
}

/// A subscription of which the first frame has come.
async fn open(api: &Api, input: Value) -> Events {
    let mut events = api.subscribe(input).await.expect("a subscription");
    assert_eq!(events.next().await, Some(Event::Initial), "some SDKs refuse a stream that opens otherwise");
    events
}

fn number(page: &Value) -> String {
    text(&page["ContinuationSequenceNumber"])
}

/// Reads to the end of a shard; the last page.
async fn end_of(events: &mut Events) -> (usize, Value) {
    let mut records = 0;
    loop {
        let page = events.page().await;
        assert_kcl_accepts(page.get("ContinuationSequenceNumber"), page.get("ChildShards"));
        records += page["Records"].as_array().unwrap().len();
        if page.get("ContinuationSequenceNumber").is_none() {
            assert_eq!(events.next().await, None, "the stream ends after the end of the shard");
            return (records, page);
        }
    }
}

#[tokio::test]
async fn records_are_pushed_as_they_come_over_http_1_and_2() {
    let api = Api::to(main_cluster(), 0).await;
    let consumer = consumed(&api, "pushed", 1).await;
    let other = register(&api, "pushed", "over-http-1").await;
    api.put("pushed", "k", b"0").await;
    let mut over_h2 = open(&api, oldest(&consumer, 0)).await;
    let mut wire = Wire::h1(main_cluster().endpoints[1]).await;
    let response = wire.open(wire::request("SubscribeToShard", JSON, oldest(&other, 0).to_string())).await;
    assert_eq!(response.headers()["x-amzn-requestid"].len(), 36);
    let mut over_h1 = Events::of(response);
    assert_eq!(over_h1.next().await, Some(Event::Initial));
    for events in [&mut over_h2, &mut over_h1] {
        let (data, page) = events.data(1).await;
        assert_eq!(data, [b"0"]);
        let record = &page["Records"][0];
        assert_eq!((&record["PartitionKey"], &record["Data"]), (&json!("k"), &json!("MA==")));
        assert!(record["ApproximateArrivalTimestamp"].is_f64(), "epoch seconds: {record}");
        assert_kcl_accepts(page.get("ContinuationSequenceNumber"), page.get("ChildShards"));
    }
    api.put("pushed", "k", b"1").await;
    for events in [&mut over_h2, &mut over_h1] {
        let (data, page) = events.data(1).await;
        assert_eq!((data, &page["MillisBehindLatest"]), (vec![b"1".to_vec()], &json!(0)));
    }
}

#[tokio::test]
async fn latest_means_what_comes_after_the_answer() {
    let api = Api::to(main_cluster(), 0).await;
    let consumer = consumed(&api, "subscribe-latest", 1).await;
    api.put("subscribe-latest", "k", b"before").await;
    let mut events = open(&api, from(&consumer, 0, json!({ "Type": "LATEST" }))).await;
    api.put("subscribe-latest", "k", b"after").await;
    assert_eq!(events.data(1).await.0, [b"after"]);
}

#[tokio::test]
async fn a_quiet_shard_is_heard_of_every_five_seconds() {
    let api = Api::to(main_cluster(), 0).await;
    let consumer = consumed(&api, "quiet", 1).await;
    let mut events = open(&api, oldest(&consumer, 0)).await;
    // The first comes with the answer, the next is due in five seconds.
    for _ in 0..2 {
        let begun = Instant::now();
        let page = events.page().await;
        assert!(begun.elapsed() < HEARTBEAT, "{:?}", begun.elapsed());
        assert_eq!((&page["Records"], &page["MillisBehindLatest"]), (&json!([]), &json!(0)));
        assert_kcl_accepts(page.get("ContinuationSequenceNumber"), page.get("ChildShards"));
    }
}

#[tokio::test]
async fn reading_on_after_a_continuation_number_misses_and_repeats_nothing() {
    let api = Api::to(main_cluster(), 0).await;
    let consumer = consumed(&api, "continued", 1).await;
    let mut expected = Vec::new();
    let mut start = json!({ "Type": "TRIM_HORIZON" });
    for round in 0..4u8 {
        // A consumer's next subscription may come at once only if it is another consumer.
        let consumer =
            if round == 0 { consumer.clone() } else { register(&api, "continued", &format!("c{round}")).await };
        let mut events = open(&api, from(&consumer, 0, start.clone())).await;
        let records: Vec<_> =
            (0..5).map(|n| json!({ "Data": STANDARD.encode([round, n]), "PartitionKey": "k" })).collect();
        api.ok("PutRecords", json!({ "StreamName": "continued", "Records": records })).await;
        let (data, page) = events.data(5).await;
        assert_eq!(data, (0..5).map(|n| vec![round, n]).collect::<Vec<_>>(), "round {round}");
        expected.extend(data);
        start = json!({ "Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": number(&page) });
        let polled = api.iterator_by("continued", 0, "AFTER_SEQUENCE_NUMBER", &number(&page)).await;
        assert!(api.drain(&polled).await.0.is_empty(), "iterators take it as well");
    }
    let (all, _) = api.drain(&api.iterator("continued", 0, "TRIM_HORIZON").await).await;
    assert_eq!(all, expected);
}

#[tokio::test]
async fn a_continuation_number_is_good_after_retention_has_passed_it() {
    let cluster = Cluster::start(Shape { name: "trimmed", nodes: 1, tls: false, auth: Auth::Off });
    let api = Api::to(&cluster, 0).await;
    let day = Duration::from_secs(25 * 3600);
    // Retention measures the time from its first shard on at the latest.
    api.stream("first", 1).await;
    cluster.clock.rewind(day);
    let consumer = consumed(&api, "trimmed", 1).await;
    api.put("trimmed", "k", b"old").await;
    let mut events = open(&api, oldest(&consumer, 0)).await;
    let continuation = number(&events.data(1).await.1);
    drop(events);
    for data in [b"gone 1", b"gone 2"] {
        api.put("trimmed", "k", data).await;
    }
    cluster.clock.advance(day);
    let begun = Instant::now();
    while !api.drain(&api.iterator("trimmed", 0, "TRIM_HORIZON").await).await.0.is_empty() {
        assert!(begun.elapsed() < PATIENCE, "nothing expires");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    api.put("trimmed", "k", b"new").await;
    let after = json!({ "Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": continuation });
    let other = register(&api, "trimmed", "another").await;
    assert_eq!(open(&api, from(&other, 0, after)).await.data(1).await.0, [b"new"]);
    let polled = api.iterator_by("trimmed", 0, "AT_SEQUENCE_NUMBER", &continuation).await;
    assert_eq!(api.drain(&polled).await.0, [b"new"], "a position before the horizon moves up to it");
}

#[tokio::test]
async fn a_second_subscription_is_refused_at_first_and_takes_over_after_five_seconds() {
    let api = Api::to(main_cluster(), 0).await;
    let other = Api::to(main_cluster(), 1).await;
    let consumer = consumed(&api, "contested", 1).await;
    let begun = Instant::now();
    let mut first = open(&api, oldest(&consumer, 0)).await;
    let said =
        "Another active subscription exists for this consumer: 000000000000:contested:shardId-000000000000:reader";
    let mut refused = 0;
    let mut second = loop {
        match other.subscribe(oldest(&consumer, 0)).await {
            Ok(events) => break events,
            Err(refusal) => assert_eq!(refusal, Refusal::new("ResourceInUse", said)),
        }
        refused += 1;
        assert!(begun.elapsed() < PATIENCE, "it never takes over");
        tokio::time::sleep(Duration::from_millis(250)).await;
    };
    assert!(refused > 0 && begun.elapsed() > Duration::from_millis(4_500), "{refused} in {:?}", begun.elapsed());
    assert_eq!(second.next().await, Some(Event::Initial));
    let ended = loop {
        match first.next().await {
            Some(Event::Page(_)) => {}
            other => break other,
        }
    };
    assert!(matches!(&ended, Some(Event::Exception(refusal)) if refusal.kind == "ResourceInUseException"), "{ended:?}");
    assert_eq!(first.next().await, None);
    api.put("contested", "k", b"x").await;
    assert_eq!(second.data(1).await.0, [b"x"]);
}

#[tokio::test]
async fn a_split_shard_ends_with_its_children_whenever_it_is_subscribed() {
    let api = Api::to(main_cluster(), 0).await;
    let early = consumed(&api, "subscribed-split", 1).await;
    let late = register(&api, "subscribed-split", "late").await;
    let mut events = open(&api, oldest(&early, 0)).await;
    for _ in 0..3 {
        api.put("subscribed-split", "k", b"x").await;
    }
    api.split_whole("subscribed-split", 0).await;
    let (records, last) = end_of(&mut events).await;
    assert_eq!(records, 3);
    let children: Vec<&Value> = last["ChildShards"].as_array().unwrap().iter().map(|child| &child["ShardId"]).collect();
    assert_eq!(children, [&shard_id(1), &shard_id(2)]);
    assert_eq!(last["MillisBehindLatest"], 0);
    let (records, same) = end_of(&mut open(&api, oldest(&late, 0)).await).await;
    assert_eq!((records, &same["ChildShards"]), (3, &last["ChildShards"]));
    let latest = register(&api, "subscribed-split", "latest").await;
    let start = from(&latest, 0, json!({ "Type": "LATEST" }));
    let (records, same) = end_of(&mut open(&api, start).await).await;
    assert_eq!((records, &same["ChildShards"]), (0, &last["ChildShards"]));
}

#[tokio::test]
async fn merged_shards_end_with_the_child_that_names_both() {
    let api = Api::to(main_cluster(), 0).await;
    let consumer = consumed(&api, "subscribed-merge", 2).await;
    let (mut low, mut high) = (open(&api, oldest(&consumer, 0)).await, open(&api, oldest(&consumer, 1)).await);
    let members = json!({ "ShardToMerge": shard_id(0), "AdjacentShardToMerge": shard_id(1) });
    api.reshard("MergeShards", "subscribed-merge", members).await;
    for events in [&mut low, &mut high] {
        let (_, last) = end_of(events).await;
        let children = last["ChildShards"].as_array().unwrap();
        assert_eq!(children.len(), 1);
        assert_eq!(children[0]["ParentShards"], json!([shard_id(0), shard_id(1)]));
    }
}

/// Reads until the subscription ends by itself; the exception with which it did, if any.
async fn outcome(mut events: Events) -> Option<Refusal> {
    let begun = Instant::now();
    loop {
        assert!(begun.elapsed() < PATIENCE, "the subscription goes on");
        match events.next().await {
            Some(Event::Exception(refusal)) => return Some(refusal),
            Some(_) => {}
            None => return None,
        }
    }
}

#[tokio::test]
async fn a_subscription_ends_when_its_consumer_is_deregistered() {
    let api = Api::to(main_cluster(), 0).await;
    let consumer = consumed(&api, "deregistered", 1).await;
    let other = register(&api, "deregistered", "stays").await;
    let (events, mut stays) = (open(&api, oldest(&consumer, 0)).await, open(&api, oldest(&other, 0)).await);
    let begun = Instant::now();
    api.ok("DeregisterStreamConsumer", json!({ "ConsumerARN": consumer })).await;
    let said = "Consumer reader, account 000000000000 not found under stream deregistered.";
    assert_eq!(outcome(events).await, Some(Refusal::new("ResourceNotFound", said)));
    assert!(begun.elapsed() < Duration::from_secs(3), "at once, not with the next event: {:?}", begun.elapsed());
    api.put("deregistered", "k", b"x").await;
    assert_eq!(stays.data(1).await.0, [b"x"], "others go on");
    let refused = api.subscribe(oldest(&consumer, 0)).await.err();
    assert_eq!(refused, Some(Refusal::new("ResourceNotFound", said)));
}

#[tokio::test]
async fn a_subscription_ends_when_its_stream_is_deleted() {
    let api = Api::to(main_cluster(), 0).await;
    let consumer = consumed(&api, "deleted", 1).await;
    let events = open(&api, oldest(&consumer, 0)).await;
    let refused = api.refused("DeleteStream", json!({ "StreamName": "deleted" })).await;
    assert_eq!(refused.kind, "ResourceInUseException", "it has a consumer: {refused:?}");
    api.ok("DeleteStream", json!({ "StreamName": "deleted", "EnforceConsumerDeletion": true })).await;
    let ended = outcome(events).await.expect("an exception");
    assert_eq!(ended.kind, "ResourceNotFoundException", "{ended:?}");
}

#[tokio::test]
async fn what_cannot_be_subscribed_is_refused_as_an_ordinary_answer() {
    let api = Api::to(main_cluster(), 0).await;
    let consumer = consumed(&api, "refusals", 1).await;
    let unknown = consumer.replace("/reader:", "/nobody:");
    let refused = async |input: Value| api.subscribe(input).await.err().expect("a refusal");
    let said = "Consumer nobody, account 000000000000 not found under stream refusals.";
    assert_eq!(refused(oldest(&unknown, 0)).await, Refusal::new("ResourceNotFound", said));
    let said = "Shard shardId-000000000007 in stream refusals under account 000000000000 does not exist";
    assert_eq!(refused(oldest(&consumer, 7)).await, Refusal::new("ResourceNotFound", said));
    for start in [
        json!({ "Type": "AT_SEQUENCE_NUMBER" }),
        json!({ "Type": "LATEST", "SequenceNumber": "5" }),
        json!({ "Type": "AT_TIMESTAMP" }),
        json!({ "Type": "AT_TIMESTAMP", "Timestamp": 4_000_000_000i64 }),
        json!({ "Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": "5" }),
    ] {
        assert_eq!(refused(from(&consumer, 0, start.clone())).await.kind, "InvalidArgumentException", "{start}");
    }
    let older = consumer.rsplit_once(':').expect("an ARN ends in a time").0.to_owned() + ":1";
    assert_eq!(refused(oldest(&older, 0)).await.kind, "ResourceNotFoundException", "another registration");
    let mut dry = oldest(&consumer, 0);
    dry["DryRun"] = json!(true);
    assert_eq!(refused(dry).await.kind, "DryRunOperationException");
}

/// What the node's admin port says it has read from a stream for clients.
async fn read_by_front(cluster: &Cluster, node: usize, stream: &str) -> u64 {
    let mut socket = TcpStream::connect(cluster.admin[node]).await.unwrap();
    socket.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut metrics = String::new();
    socket.read_to_string(&mut metrics).await.unwrap();
    let name = format!("thalweg_kinesis_outgoing_bytes_total{{stream=\"{stream}\"");
    let lines = metrics.lines().filter(|line| line.starts_with(&name));
    lines.map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum()
}

#[tokio::test]
async fn a_reader_that_stalls_is_not_read_ahead_for_and_delays_nobody() {
    let cluster = main_cluster();
    let api = Api::to(cluster, 0).await;
    let consumer = consumed(&api, "stalled", 1).await;
    let other = register(&api, "stalled", "brisk").await;
    let body = oldest(&consumer, 0).to_string();
    let mut socket = TcpStream::connect(cluster.endpoints[2]).await.unwrap();
    wire::begun(&mut socket, "SubscribeToShard", &body).await;

    let data = STANDARD.encode(vec![b'x'; 1_000_000]);
    let records: Vec<_> = (0..10).map(|_| json!({ "Data": data, "PartitionKey": "k" })).collect();
    let mut brisk = open(&Api::to(cluster, 2).await, oldest(&other, 0)).await;
    for _ in 0..4 {
        api.ok("PutRecords", json!({ "StreamName": "stalled", "Records": records })).await;
        assert_eq!(brisk.data(10).await.0.len(), 10);
    }
    // The brisk reader took 40 MB; the stalled one at most what sockets and one page hold.
    let read = read_by_front(cluster, 2, "stalled").await;
    assert!((40_000_000..56_000_000).contains(&read), "{read} bytes read for both");
    drop(socket);
}

#[tokio::test]
async fn a_subscription_that_is_not_read_delays_no_other_on_its_connection() {
    let api = Api::to(main_cluster(), 0).await;
    let consumer = consumed(&api, "beside", 1).await;
    let other = register(&api, "beside", "brisk").await;
    let stalled = open(&api, oldest(&consumer, 0)).await;
    let mut brisk = open(&api, oldest(&other, 0)).await;
    let data = STANDARD.encode(vec![b'x'; 1_000_000]);
    let records: Vec<_> = (0..10).map(|_| json!({ "Data": data, "PartitionKey": "k" })).collect();
    for _ in 0..2 {
        api.ok("PutRecords", json!({ "StreamName": "beside", "Records": records })).await;
        assert_eq!(brisk.data(10).await.0.len(), 10);
    }
    let mut stalled = stalled;
    assert_eq!(stalled.data(20).await.0.len(), 20, "and it loses nothing");
}

#[tokio::test]
async fn one_connection_carries_hundreds_of_subscriptions() {
    let soaking = std::env::var_os("SOAK").is_some_and(|value| value != "0");
    let shards: u32 = if soaking { 50 } else { 10 };
    let api = Api::to(main_cluster(), 0).await;
    api.stream("many", shards).await;
    let names: Vec<String> = (0..20).map(|n| format!("consumer-{n}")).collect();
    let consumers = futures::future::join_all(names.iter().map(|name| register(&api, "many", name))).await;
    let places: Vec<(&String, u32)> =
        consumers.iter().flat_map(|consumer| (0..shards).map(move |shard| (consumer, shard))).collect();
    let mut all =
        futures::future::join_all(places.iter().map(|(consumer, shard)| open(&api, oldest(consumer, *shard)))).await;
    assert_eq!(all.len(), 20 * shards as usize);
    let ranges = api.shards("many").await;
    let records: Vec<_> = ranges
        .iter()
        .map(|shard| {
            json!({
                "Data": "eA==", "PartitionKey": "k", "ExplicitHashKey": shard["HashKeyRange"]["StartingHashKey"]
            })
        })
        .collect();
    api.ok("PutRecords", json!({ "StreamName": "many", "Records": records })).await;
    let read = futures::future::join_all(all.iter_mut().map(|events| events.data(1))).await;
    assert!(read.iter().all(|(data, _)| data == &[b"x"]));
}

#[tokio::test]
async fn a_subscription_ends_cleanly_after_its_life_and_can_be_continued() {
    let cluster = main_cluster();
    let parts = GatewayParts {
        client: cluster.client(0),
        catalog: cluster.catalog.clone(),
        clock: std::sync::Arc::new(SystemClock),
        seed: 7,
        config: GatewayConfig::default(),
    };
    // As the service's five minutes, only shorter.
    let life = Duration::from_secs(2);
    let gateway = Gateway::new(parts).with_subscription_life(life);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, gateway.router()).await });

    let api = Api::at(address).await;
    let consumer = consumed(&api, "short-life", 1).await;
    api.put("short-life", "k", b"0").await;
    let mut events = open(&api, oldest(&consumer, 0)).await;
    let begun = Instant::now();
    let continuation = number(&events.data(1).await.1);
    assert_eq!(outcome(events).await, None, "no exception: clients subscribe again");
    let lived = begun.elapsed();
    assert!(lived > life / 2 && lived < life + Duration::from_secs(5), "{lived:?}");
    api.put("short-life", "k", b"1").await;
    let again = from(&consumer, 0, json!({ "Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": continuation }));
    let begun = Instant::now();
    let mut events = loop {
        match api.subscribe(again.clone()).await {
            Ok(events) => break events,
            // The place is held for five seconds after a subscription began, also when it has ended.
            Err(refusal) => assert_eq!(refusal.kind, "ResourceInUseException"),
        }
        assert!(begun.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert_eq!(events.next().await, Some(Event::Initial));
    assert_eq!(events.data(1).await.0, [b"1"]);
}
