//! PutRecord and PutRecords: what is taken, in which order it is answered, what is refused whole.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use thalweg_client::{LimitsProfile, ShardLimits, StreamPatch};
use tokio::time::Instant;

use crate::support::api::{MIDDLE, data_of, shard_id, text};
use crate::support::{Api, Refusal, arn, main_cluster};

fn invalid(text: impl Into<String>) -> Refusal {
    Refusal::new("InvalidArgument", text)
}

#[tokio::test]
async fn results_are_in_the_order_of_the_request_and_numbers_rise_in_a_shard() {
    let api = Api::to(main_cluster(), 0).await;
    api.stream("order", 2).await;
    let keys = ["0", MIDDLE, "1", MIDDLE, MIDDLE, "2"];
    let records: Vec<_> =
        keys.iter().map(|key| json!({ "Data": "eA==", "PartitionKey": "k", "ExplicitHashKey": key })).collect();
    let put = api.ok("PutRecords", json!({ "StreamName": "order", "Records": records })).await;
    assert_eq!(put["FailedRecordCount"], 0, "it is there even when it is 0: {put}");
    let results = put["Records"].as_array().unwrap();
    let shards: Vec<&str> = results.iter().map(|result| result["ShardId"].as_str().unwrap()).collect();
    let (low, high) = (shard_id(0), shard_id(1));
    assert_eq!(shards, [&low, &high, &low, &high, &high, &low]);
    for shard in [&low, &high] {
        let of_shard = results.iter().filter(|result| result["ShardId"] == **shard);
        let numbers: Vec<&str> = of_shard.map(|result| result["SequenceNumber"].as_str().unwrap()).collect();
        let order = |a: &&str, b: &&str| (a.len(), *a) < (b.len(), *b);
        assert!(numbers.is_sorted_by(order), "{numbers:?}");
    }
    assert!(results.iter().all(|result| result.get("ErrorCode").is_none()));
}

#[tokio::test]
async fn one_bad_hash_key_fails_a_whole_request() {
    let api = Api::to(main_cluster(), 0).await;
    api.stream("hash-keys", 1).await;
    let beyond = "340282366920938463463374607431768211456";
    let said = format!(
        "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified value was {beyond}"
    );
    let good =
        json!({ "Data": "eA==", "PartitionKey": "k", "ExplicitHashKey": "340282366920938463463374607431768211455" });
    let bad = json!({ "Data": "eA==", "PartitionKey": "k", "ExplicitHashKey": beyond });
    let put = json!({ "StreamName": "hash-keys", "Records": [good, bad, good] });
    assert_eq!(api.refused("PutRecords", put).await, invalid(said.clone()));
    let put = json!({ "StreamName": "hash-keys", "Data": "eA==", "PartitionKey": "k", "ExplicitHashKey": beyond });
    assert_eq!(api.refused("PutRecord", put).await, invalid(said));
    let iterator = api.iterator("hash-keys", 0, "TRIM_HORIZON").await;
    assert!(api.drain(&iterator).await.0.is_empty(), "nothing was written");
}

#[tokio::test]
async fn empty_data_is_data() {
    let api = Api::to(main_cluster(), 0).await;
    api.stream("tombstones", 1).await;
    api.put("tombstones", "k", b"").await;
    let page = api.page(&api.iterator("tombstones", 0, "TRIM_HORIZON").await).await;
    assert_eq!((data_of(&page), &page["Records"][0]["PartitionKey"]), (vec![vec![]], &json!("k")));
    assert!(page["Records"][0].get("EncryptionType").is_none(), "it is not encrypted");
}

#[tokio::test]
async fn each_stream_has_its_own_record_size() {
    let api = Api::to(main_cluster(), 0).await;
    api.stream("sizes", 1).await;
    let put =
        |bytes: usize| json!({ "StreamName": "sizes", "PartitionKey": "key", "Data": STANDARD.encode(vec![0; bytes]) });
    let kib = 1024 * 1024;
    api.ok("PutRecord", put(kib - 3)).await;
    let said = format!(
        "1 validation error detected: Value 'java.nio.HeapByteBuffer[pos=0 lim={0} cap={0}]' at 'data' failed to \
         satisfy constraint: Member must have length less than or equal to 1048576",
        kib - 2
    );
    assert_eq!(api.refused("PutRecord", put(kib - 2)).await, Refusal::new("Validation", said));
    assert_eq!(api.summary("sizes").await["MaxRecordSizeInKiB"], 1024);
    api.ok("UpdateMaxRecordSize", json!({ "StreamARN": arn("sizes"), "MaxRecordSizeInKiB": 10_240 })).await;
    assert_eq!(api.summary("sizes").await["MaxRecordSizeInKiB"], 10_240);
    let largest = api.ok("PutRecord", put(10 * kib - 3)).await;
    assert_eq!(api.refused("PutRecord", put(10 * kib - 2)).await.kind, "ValidationException");
    let number = text(&largest["SequenceNumber"]);
    let iterator = api.iterator_by("sizes", 0, "AT_SEQUENCE_NUMBER", &number).await;
    let page = api.ok("GetRecords", json!({ "ShardIterator": iterator, "Limit": 1 })).await;
    assert_eq!(data_of(&page)[0].len(), 10 * kib - 3);
    let refused =
        api.refused("UpdateMaxRecordSize", json!({ "StreamARN": arn("sizes"), "MaxRecordSizeInKiB": 1023 })).await;
    assert_eq!(refused.kind, "ValidationException", "{refused:?}");
}

#[tokio::test]
async fn the_number_for_ordering_has_to_be_a_number_of_the_past() {
    let api = Api::to(main_cluster(), 0).await;
    api.stream("ordering", 1).await;
    let (_, number) = api.put("ordering", "k", b"1").await;
    let put = |number: &str| {
        json!({
            "StreamName": "ordering", "PartitionKey": "k", "Data": "eA==", "SequenceNumberForOrdering": number
        })
    };
    let next = text(&api.ok("PutRecord", put(&number)).await["SequenceNumber"]);
    assert!((next.len(), &next) > (number.len(), &number));
    let said = "ExclusiveMinimumSequenceNumber 12 used in PutRecord on stream ordering under account 000000000000 is \
                invalid.";
    assert_eq!(api.refused("PutRecord", put("12")).await, invalid(said));
}

#[tokio::test]
async fn a_dry_run_says_so_and_does_nothing() {
    let api = Api::to(main_cluster(), 0).await;
    api.stream("dry", 1).await;
    let dry = |mut input: Value| {
        input["StreamName"] = json!("dry");
        input["DryRun"] = json!(true);
        input
    };
    let record = json!({ "Data": "eA==", "PartitionKey": "k" });
    let iterator = json!({ "ShardId": shard_id(0), "ShardIteratorType": "LATEST" });
    for (operation, input) in [
        ("PutRecord", record.clone()),
        ("PutRecords", json!({ "Records": [record] })),
        ("GetShardIterator", iterator.clone()),
    ] {
        assert_eq!(api.refused(operation, dry(input)).await.kind, "DryRunOperationException", "{operation}");
    }
    let oldest = api.iterator("dry", 0, "TRIM_HORIZON").await;
    let refused = api.refused("GetRecords", json!({ "ShardIterator": oldest, "DryRun": true })).await;
    assert_eq!(refused.kind, "DryRunOperationException");
    assert!(api.drain(&oldest).await.0.is_empty(), "nothing was written");
    let wrong = json!({ "StreamName": "none-such", "DryRun": true, "PartitionKey": "k", "Data": "" });
    let said = "Stream none-such under account 000000000000 not found.";
    assert_eq!(api.refused("PutRecord", wrong).await, Refusal::new("ResourceNotFound", said), "as it would fail");
}

#[tokio::test]
async fn a_key_is_needed_unless_the_stream_places_records_itself() {
    let api = Api::to(main_cluster(), 0).await;
    api.stream("keyed", 1).await;
    let said = |member: &str| {
        format!(
            "1 validation error detected: Value null at '{member}' failed to satisfy constraint: Member must not be null"
        )
    };
    let put = json!({ "StreamName": "keyed", "Data": "eA==" });
    assert_eq!(api.refused("PutRecord", put).await, Refusal::new("Validation", said("partitionKey")));
    let put = json!({ "StreamName": "keyed", "Records": [{ "Data": "", "PartitionKey": "k" }, { "Data": "" }] });
    let said = said("records.2.member.partitionKey");
    assert_eq!(api.refused("PutRecords", put).await, Refusal::new("Validation", said));
    let auto = json!({ "StreamARN": arn("keyed"), "RecordDistributionStrategy": "AUTO" });
    let refused = api.refused("UpdateStreamRecordDistributionStrategy", auto).await;
    assert_eq!(refused.kind, "InvalidArgumentException", "only on-demand streams: {refused:?}");
}

#[tokio::test]
async fn a_stream_that_places_records_itself_spreads_them_and_keeps_their_keys() {
    let api = Api::to(main_cluster(), 0).await;
    let created = json!({
        "StreamName": "auto", "StreamModeDetails": { "StreamMode": "ON_DEMAND" }, "RecordDistributionStrategy": "AUTO"
    });
    api.ok("CreateStream", created).await;
    api.until_active("auto").await;
    let summary = api.summary("auto").await;
    assert_eq!((&summary["RecordDistributionStrategy"], &summary["OpenShardCount"]), (&json!("AUTO"), &json!(4)));
    let mut records = vec![json!({ "Data": "eA==" })];
    records.extend((0..99).map(|_| json!({ "Data": "eA==", "PartitionKey": "same", "ExplicitHashKey": "0" })));
    let put = api.ok("PutRecords", json!({ "StreamName": "auto", "Records": records })).await;
    let shards: std::collections::BTreeSet<&str> =
        put["Records"].as_array().unwrap().iter().map(|result| result["ShardId"].as_str().unwrap()).collect();
    assert_eq!(shards.len(), 4, "neither key places a record: {shards:?}");
    let mut keys = Vec::new();
    for shard in 0..4 {
        let page = api.page(&api.iterator("auto", shard, "TRIM_HORIZON").await).await;
        let records = page["Records"].as_array().unwrap().clone();
        keys.extend(records.iter().map(|record| record.get("PartitionKey").cloned()));
    }
    assert_eq!(keys.iter().filter(|key| key.is_none()).count(), 1, "no key was given, none is returned");
    assert_eq!(keys.iter().filter(|key| **key == Some(json!("same"))).count(), 99);
    let ordered =
        json!({ "StreamName": "auto", "PartitionKey": "k", "Data": "eA==", "SequenceNumberForOrdering": "5" });
    assert_eq!(api.refused("PutRecord", ordered).await.kind, "InvalidArgumentException");
}

#[tokio::test]
async fn the_limits_of_kinesis_throttle_single_records_and_readers() {
    let cluster = main_cluster();
    let api = Api::to(cluster, 0).await;
    api.stream("throttled", 1).await;
    let patch = StreamPatch { limits: Some(LimitsProfile::Kinesis), ..StreamPatch::default() };
    cluster.client(0).streams().update(&"throttled".parse().unwrap(), &patch).await.unwrap();
    let records: Vec<_> = (0..500).map(|_| json!({ "Data": "eA==", "PartitionKey": "k" })).collect();
    let input = json!({ "StreamName": "throttled", "Records": records });
    let mut throttled = None;
    for _ in 0..20 {
        let put = api.ok("PutRecords", input.clone()).await;
        let results = put["Records"].as_array().unwrap();
        assert_eq!(results.len(), 500);
        let failed: Vec<&Value> = results.iter().filter(|result| result.get("ErrorCode").is_some()).collect();
        assert_eq!(put["FailedRecordCount"], failed.len());
        if let Some(failed) = failed.first() {
            throttled = Some((*failed).clone());
            break;
        }
    }
    let said = "Rate exceeded for shard shardId-000000000000 in stream throttled under account 000000000000.";
    let expected = json!({ "ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": said });
    assert_eq!(throttled, Some(expected), "a thousand records a second are too many at some time");

    let iterator = api.iterator("throttled", 0, "TRIM_HORIZON").await;
    let mut refused = None;
    for _ in 0..20 {
        if let Err(refusal) = api.call("GetRecords", json!({ "ShardIterator": iterator })).await {
            refused = Some(refusal);
            break;
        }
    }
    let said = "Rate exceeded for Shard - 000000000000/throttled/shardId-000000000000";
    assert_eq!(refused, Some(Refusal::new("ProvisionedThroughputExceeded", said)), "five calls a second");
}

/// Limits a stream's shards; returns when every node knows.
async fn limit(stream: &str, limits: ShardLimits) {
    let patch = StreamPatch { limits: Some(LimitsProfile::Custom(limits)), ..StreamPatch::default() };
    let cluster = main_cluster();
    cluster.client(0).streams().update(&stream.parse().unwrap(), &patch).await.unwrap();
    for node in 0..cluster.endpoints.len() {
        cluster.client(node).cluster().confirmed_revision().await.unwrap();
    }
}

#[tokio::test]
async fn limits_hold_for_the_cluster_and_not_for_each_node() {
    let cluster = main_cluster();
    let apis = [Api::to(cluster, 0).await, Api::to(cluster, 1).await, Api::to(cluster, 2).await];
    apis[0].stream("shared-limits", 1).await;
    apis[0].put("shared-limits", "k", &[b'x'; 3_000]).await;
    limit("shared-limits", ShardLimits { write_records_per_second: Some(1), ..ShardLimits::NONE }).await;
    let put = json!({ "StreamName": "shared-limits", "PartitionKey": "k", "Data": "eA==" });
    let (begun, mut taken) = (Instant::now(), 0);
    while begun.elapsed() < Duration::from_secs(5) {
        for api in &apis {
            taken += usize::from(api.call("PutRecord", put.clone()).await.is_ok());
        }
    }
    let possible = begun.elapsed().as_secs() as usize + 1;
    assert!((2..=possible).contains(&taken), "{taken} records in {:?} through three nodes", begun.elapsed());

    // A page of 3,000 bytes is paid off for half a minute, whichever node read it.
    limit("shared-limits", ShardLimits { read_bytes_per_second: Some(100), ..ShardLimits::NONE }).await;
    let read = json!({ "ShardIterator": apis[0].iterator("shared-limits", 0, "TRIM_HORIZON").await });
    apis[1].ok("GetRecords", read.clone()).await;
    for api in &apis {
        let refused = api.refused("GetRecords", read.clone()).await;
        assert_eq!(refused.kind, "ProvisionedThroughputExceededException");
    }
    // Calls are counted together as well.
    limit("shared-limits", ShardLimits { read_calls_per_second: Some(5), ..ShardLimits::NONE }).await;
    let begun = Instant::now();
    let calls = (0..30).map(|call| apis[call % 3].call("GetRecords", read.clone()));
    let served = futures::future::join_all(calls).await.iter().filter(|outcome| outcome.is_ok()).count();
    let possible = 5 + (5.0 * begun.elapsed().as_secs_f64()) as usize;
    assert!((5..=possible).contains(&served), "{served} of 30 calls in {:?}", begun.elapsed());
}

#[tokio::test]
async fn a_fan_out_consumer_with_a_slow_rate_hears_something_every_five_seconds() {
    let api = Api::to(main_cluster(), 1).await;
    api.stream("slow-rate", 1).await;
    for _ in 0..2 {
        api.put("slow-rate", "k", &[b'x'; 1_200]).await;
    }
    limit("slow-rate", ShardLimits { read_bytes_per_second: Some(100), ..ShardLimits::NONE }).await;
    let made = api.ok("RegisterStreamConsumer", json!({ "StreamARN": arn("slow-rate"), "ConsumerName": "c" })).await;
    let start = json!({
        "ConsumerARN": made["Consumer"]["ConsumerARN"], "ShardId": "0", "StartingPosition": { "Type": "TRIM_HORIZON" }
    });
    let mut events = api.subscribe(start).await.unwrap();
    events.next().await;
    let (mut records, mut empty, mut number) = (0, 0, String::new());
    let mut told = Instant::now();
    while records < 2 {
        let page = events.page().await;
        // Give or take a busy machine.
        assert!(told.elapsed() < Duration::from_secs(8), "an event after {:?}", told.elapsed());
        told = Instant::now();
        let count = page["Records"].as_array().unwrap().len();
        let now = text(&page["ContinuationSequenceNumber"]);
        if count == 0 && records == 1 {
            assert_eq!(now, number, "nothing was read in between");
            empty += 1;
        }
        (records, number) = (records + count, now);
    }
    assert!(empty >= 2, "12 seconds are paid off with {empty} empty events");
}

#[tokio::test]
async fn a_fan_out_consumer_has_a_rate_of_its_own() {
    let cluster = main_cluster();
    let api = Api::to(cluster, 0).await;
    api.stream("own-rate", 1).await;
    let data = STANDARD.encode(vec![b'x'; 1_000_000]);
    let records: Vec<_> = (0..4).map(|_| json!({ "Data": data, "PartitionKey": "k" })).collect();
    api.ok("PutRecords", json!({ "StreamName": "own-rate", "Records": records })).await;
    let patch = StreamPatch { limits: Some(LimitsProfile::Kinesis), ..StreamPatch::default() };
    cluster.client(0).streams().update(&"own-rate".parse().unwrap(), &patch).await.unwrap();
    let made = api.ok("RegisterStreamConsumer", json!({ "StreamARN": arn("own-rate"), "ConsumerName": "c" })).await;
    let start = json!({
        "ConsumerARN": made["Consumer"]["ConsumerARN"], "ShardId": "0", "StartingPosition": { "Type": "TRIM_HORIZON" }
    });
    let begun = tokio::time::Instant::now();
    let mut events = api.subscribe(start).await.unwrap();
    events.next().await;
    assert_eq!(events.data(4).await.0.len(), 4);
    let took = begun.elapsed();
    assert!(took.as_millis() > 1_200, "4 MB at 2 MiB a second, not in {took:?}");
    // What it read is not taken from those who poll, whose rate it would have used up.
    let iterator = api.iterator("own-rate", 0, "LATEST").await;
    api.page(&iterator).await;
}

#[tokio::test]
async fn records_written_during_a_reshard_are_never_refused() {
    let api = Api::to(main_cluster(), 0).await;
    api.stream("during", 1).await;
    let writer = Api::to(main_cluster(), 1).await;
    let writing = tokio::spawn(async move {
        for n in 0..60 {
            writer.put("during", &format!("k{n}"), format!("{n}").as_bytes()).await;
        }
    });
    api.split_whole("during", 0).await;
    let members = json!({ "ShardToMerge": shard_id(1), "AdjacentShardToMerge": shard_id(2) });
    api.reshard("MergeShards", "during", members).await;
    writing.await.expect("every record is taken");
    let mut read = 0;
    for shard in 0..4 {
        let mut iterator = Some(api.iterator("during", shard, "TRIM_HORIZON").await);
        while let Some(at) = iterator {
            let page = api.page(&at).await;
            read += data_of(&page).len();
            let at_tip = data_of(&page).is_empty() && page["MillisBehindLatest"] == 0 && shard == 3;
            iterator = page["NextShardIterator"].as_str().filter(|_| !at_tip).map(str::to_owned);
        }
    }
    assert_eq!(read, 60);
}
