//! Listings: which shards a filter names, pages that any node continues, who is meant by what name.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::api::{shard_id, text};
use crate::support::{Api, Refusal, arn, main_cluster};

fn invalid(text: impl Into<String>) -> Refusal {
    Refusal::new("InvalidArgument", text)
}

async fn ids(api: &Api, input: Value) -> Vec<u32> {
    let listed = api.ok("ListShards", input).await;
    let shards = listed["Shards"].as_array().unwrap();
    shards.iter().map(|shard| shard["ShardId"].as_str().unwrap()["shardId-".len()..].parse().unwrap()).collect()
}

/// A stream of two shards of which the first was split, and the times between.
async fn split_stream(api: &Api, name: &str) -> (f64, f64) {
    api.stream(name, 2).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    let before = now(api, name).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    let members = json!({ "ShardToSplit": shard_id(0), "NewStartingHashKey": "1000" });
    api.reshard("SplitShard", name, members).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    (before, now(api, name).await)
}

/// The cluster's time, as a record that arrives now tells it.
async fn now(api: &Api, name: &str) -> f64 {
    let (shard, number) = api.put(name, "k", b"x").await;
    let asked = json!({
        "StreamName": name, "ShardId": shard, "ShardIteratorType": "AT_SEQUENCE_NUMBER", "StartingSequenceNumber": number
    });
    let iterator = text(&api.ok("GetShardIterator", asked).await["ShardIterator"]);
    api.page(&iterator).await["Records"][0]["ApproximateArrivalTimestamp"].as_f64().unwrap()
}

#[tokio::test]
async fn each_filter_lists_the_shards_it_says() {
    let api = Api::to(main_cluster(), 0).await;
    let (before, after) = split_stream(&api, "filters").await;
    for (filter, expected) in [
        (json!(null), vec![0, 1, 2, 3]),
        (json!({ "Type": "FROM_TRIM_HORIZON" }), vec![0, 1, 2, 3]),
        (json!({ "Type": "AT_LATEST" }), vec![1, 2, 3]),
        (json!({ "Type": "AT_TRIM_HORIZON" }), vec![0, 1]),
        (json!({ "Type": "AT_TIMESTAMP", "Timestamp": before }), vec![0, 1]),
        (json!({ "Type": "AT_TIMESTAMP", "Timestamp": after }), vec![1, 2, 3]),
        (json!({ "Type": "FROM_TIMESTAMP", "Timestamp": before }), vec![0, 1, 2, 3]),
        (json!({ "Type": "FROM_TIMESTAMP", "Timestamp": after }), vec![1, 2, 3]),
        (json!({ "Type": "FROM_TIMESTAMP", "Timestamp": 1 }), vec![0, 1, 2, 3]),
        (json!({ "Type": "AFTER_SHARD_ID", "ShardId": shard_id(1) }), vec![2, 3]),
    ] {
        let listed = ids(&api, json!({ "StreamName": "filters", "ShardFilter": filter })).await;
        assert_eq!(listed, expected, "{filter}");
    }
    let after_first = json!({ "StreamName": "filters", "ExclusiveStartShardId": shard_id(0) });
    assert_eq!(ids(&api, after_first).await, [1, 2, 3]);
    for incomplete in ["AT_TIMESTAMP", "FROM_TIMESTAMP", "AFTER_SHARD_ID"] {
        let input = json!({ "StreamName": "filters", "ShardFilter": { "Type": incomplete } });
        assert_eq!(api.refused("ListShards", input).await.kind, "InvalidArgumentException", "{incomplete}");
    }
}

#[tokio::test]
async fn only_closed_shards_have_an_end_and_children_begin_above_their_parents() {
    let api = Api::to(main_cluster(), 0).await;
    split_stream(&api, "lineage").await;
    let shards = api.shards("lineage").await;
    for (at, shard) in shards.iter().enumerate() {
        let numbers = shard["SequenceNumberRange"].as_object().unwrap();
        assert_eq!(numbers.contains_key("EndingSequenceNumber"), at == 0, "{shard}");
        assert_eq!(shard.get("ParentShardId").cloned(), (at > 1).then(|| json!(shard_id(0))), "{shard}");
        assert!(shard.get("AdjacentParentShardId").is_none(), "a split has one parent: {shard}");
    }
    let start = |at: usize| text(&shards[at]["SequenceNumberRange"]["StartingSequenceNumber"]);
    let end = text(&shards[0]["SequenceNumberRange"]["EndingSequenceNumber"]);
    for child in [2, 3] {
        assert_eq!(start(child).len(), end.len());
        assert!(start(child) > end && end >= start(0), "{} after {end}", start(child));
    }
}

#[tokio::test]
async fn every_node_continues_a_listing_of_shards() {
    let api = Api::to(main_cluster(), 0).await;
    split_stream(&api, "shard-pages").await;
    let mut input = json!({ "StreamName": "shard-pages", "MaxResults": 1, "ShardFilter": { "Type": "AT_LATEST" } });
    let mut listed = Vec::new();
    for node in [0, 1, 2] {
        let page = Api::to(main_cluster(), node).await.ok("ListShards", input).await;
        listed.extend(page["Shards"].as_array().unwrap().iter().map(|shard| text(&shard["ShardId"])));
        let Some(token) = page.get("NextToken") else { break };
        input = json!({ "NextToken": token, "MaxResults": 1 });
    }
    assert_eq!(listed, [shard_id(1), shard_id(2), shard_id(3)], "the token carries the filter");

    let begun = api.ok("ListShards", json!({ "StreamName": "shard-pages", "MaxResults": 1 })).await;
    let token = text(&begun["NextToken"]);
    for (member, value) in [
        ("StreamName", json!("shard-pages")),
        ("StreamARN", json!(arn("shard-pages"))),
        ("ExclusiveStartShardId", json!(shard_id(0))),
        ("StreamCreationTimestamp", json!(1)),
    ] {
        let input = json!({ "NextToken": token, member: value });
        let said = format!("NextToken and {member} cannot be provided together.");
        assert_eq!(api.refused("ListShards", input).await, invalid(said));
    }
    for bad in ["nonsense".to_owned(), format!("{token}A"), token.replace(&token[9..12], "AAA")] {
        let refused = api.refused("ListShards", json!({ "NextToken": bad })).await;
        assert_eq!(refused.kind, "InvalidArgumentException", "{refused:?}");
    }
    let of_streams = api.ok("ListStreams", json!({ "Limit": 1 })).await;
    if let Some(other) = of_streams.get("NextToken") {
        let refused = api.refused("ListShards", json!({ "NextToken": other })).await;
        assert_eq!(refused.kind, "InvalidArgumentException", "a token of another operation: {refused:?}");
    }
    let said = "Either NextToken or StreamName should be provided.";
    assert_eq!(api.refused("ListShards", json!({})).await, invalid(said));
}

#[tokio::test]
async fn describe_stream_pages_by_the_last_shard() {
    let api = Api::to(main_cluster(), 0).await;
    split_stream(&api, "described").await;
    let mut listed = Vec::new();
    let mut input = json!({ "StreamName": "described", "Limit": 3 });
    loop {
        let page = api.ok("DescribeStream", input.clone()).await["StreamDescription"].take();
        let shards = page["Shards"].as_array().unwrap();
        listed.extend(shards.iter().map(|shard| text(&shard["ShardId"])));
        assert_eq!((&page["StreamStatus"], &page["RetentionPeriodHours"]), (&json!("ACTIVE"), &json!(24)));
        if page["HasMoreShards"] == false {
            break;
        }
        input["ExclusiveStartShardId"] = shards.last().unwrap()["ShardId"].clone();
    }
    assert_eq!(listed, (0..4).map(shard_id).collect::<Vec<_>>());
    for operation in ["DescribeStream", "ListShards"] {
        let input = json!({ "StreamName": "described", "ExclusiveStartShardId": "nonsense" });
        let said = "nonsense is not a shard id: expected shardId-000000000000";
        assert_eq!(api.refused(operation, input).await, invalid(said), "a listing that began anew would never end");
    }
    let summary = api.summary("described").await;
    assert_eq!((&summary["OpenShardCount"], &summary["ConsumerCount"]), (&json!(3), &json!(0)));
    assert_eq!(summary["StreamARN"], arn("described"));
    assert!(summary.get("StreamId").is_none(), "SDKs would build host names of it");
    assert_eq!(summary["EnhancedMonitoring"], json!([{ "ShardLevelMetrics": [] }]));
}

#[tokio::test]
async fn streams_are_listed_page_by_page_in_order() {
    let api = Api::to(main_cluster(), 0).await;
    for name in ["zz-list-a", "zz-list-b", "zz-list-c"] {
        api.stream(name, 1).await;
    }
    let mut input = json!({ "Limit": 1, "ExclusiveStartStreamName": "zz-list" });
    let mut names = Vec::new();
    for node in [0, 1, 2, 0] {
        let page = Api::to(main_cluster(), node).await.ok("ListStreams", input).await;
        let listed = page["StreamNames"].as_array().unwrap();
        assert_eq!(page["StreamSummaries"].as_array().unwrap().len(), listed.len());
        names.extend(listed.iter().map(text));
        assert_eq!(page["HasMoreStreams"] == true, page.get("NextToken").is_some());
        let Some(token) = page.get("NextToken") else { break };
        input = json!({ "Limit": 1, "NextToken": token });
    }
    assert_eq!(names, ["zz-list-a", "zz-list-b", "zz-list-c"]);
}

#[tokio::test]
async fn consumers_are_listed_page_by_page_and_found_by_both_names() {
    let api = Api::to(main_cluster(), 0).await;
    api.stream("consumers", 1).await;
    let stream = arn("consumers");
    for name in ["a", "b", "c"] {
        let made = api.ok("RegisterStreamConsumer", json!({ "StreamARN": stream, "ConsumerName": name })).await;
        assert_eq!(made["Consumer"]["ConsumerStatus"], "CREATING");
        let seconds = made["Consumer"]["ConsumerCreationTimestamp"].as_f64().unwrap() as u64;
        assert_eq!(made["Consumer"]["ConsumerARN"], format!("{stream}/consumer/{name}:{seconds}"));
    }
    let again = api.refused("RegisterStreamConsumer", json!({ "StreamARN": stream, "ConsumerName": "a" })).await;
    assert_eq!(again.kind, "ResourceInUseException");

    let first = api.ok("ListStreamConsumers", json!({ "StreamARN": stream, "MaxResults": 2 })).await;
    let input = json!({ "StreamARN": stream, "NextToken": first["NextToken"] });
    let second = Api::to(main_cluster(), 1).await.ok("ListStreamConsumers", input).await;
    let names: Vec<&Value> = [&first, &second]
        .into_iter()
        .flat_map(|page| page["Consumers"].as_array().unwrap())
        .map(|consumer| &consumer["ConsumerName"])
        .collect();
    assert_eq!(names, ["a", "b", "c"]);
    assert!(second.get("NextToken").is_none());

    let by_name =
        api.ok("DescribeStreamConsumer", json!({ "StreamARN": stream, "ConsumerName": "b" })).await["ConsumerDescription"]
            .take();
    let by_arn = api.ok("DescribeStreamConsumer", json!({ "ConsumerARN": by_name["ConsumerARN"] })).await;
    assert_eq!(by_arn["ConsumerDescription"], by_name);
    assert_eq!((&by_name["ConsumerStatus"], &by_name["StreamARN"]), (&json!("ACTIVE"), &json!(stream)));
    let neither = api.refused("DescribeStreamConsumer", json!({ "ConsumerName": "b" })).await;
    assert_eq!(neither.kind, "InvalidArgumentException");
    api.ok("DeregisterStreamConsumer", json!({ "StreamARN": stream, "ConsumerName": "b" })).await;
    let said = "Consumer b, account 000000000000 not found under stream consumers.";
    let gone = api.refused("DescribeStreamConsumer", json!({ "StreamARN": stream, "ConsumerName": "b" })).await;
    assert_eq!(gone, Refusal::new("ResourceNotFound", said), "a node sees its own changes at once");
}

#[tokio::test]
async fn a_stream_is_named_by_name_or_arn_and_both_must_agree() {
    let api = Api::to(main_cluster(), 0).await;
    api.stream("named", 1).await;
    for input in [
        json!({ "StreamName": "named" }),
        json!({ "StreamARN": arn("named") }),
        json!({ "StreamName": "named", "StreamARN": arn("named") }),
    ] {
        let summary = api.ok("DescribeStreamSummary", input).await;
        assert_eq!(summary["StreamDescriptionSummary"]["StreamName"], "named");
    }
    let said = "Either StreamName or StreamARN must be provided.";
    let unnamed = [
        ("DescribeStreamSummary", json!({})),
        ("PutRecord", json!({ "Data": "", "PartitionKey": "k" })),
        ("GetShardIterator", json!({ "ShardId": shard_id(0), "ShardIteratorType": "LATEST" })),
        ("UpdateMaxRecordSize", json!({ "MaxRecordSizeInKiB": 2048 })),
    ];
    for (operation, input) in unnamed {
        assert_eq!(api.refused(operation, input).await, invalid(said), "{operation}");
    }
    let both = json!({ "StreamName": "named", "StreamARN": arn("another") });
    let refused = api.refused("DescribeStreamSummary", both).await;
    let says_which = refused.text.contains("named") && refused.text.contains("another");
    assert!(refused.kind == "InvalidArgumentException" && says_which, "{refused:?}");

    let foreign = "arn:aws:kinesis:us-east-1:111122223333:stream/named";
    let said = "Stream named under account 111122223333 not found.";
    for (operation, input) in [
        ("DescribeStreamSummary", json!({ "StreamARN": foreign })),
        ("ListStreamConsumers", json!({ "StreamARN": foreign })),
        ("ListTagsForResource", json!({ "ResourceARN": foreign })),
        ("PutRecord", json!({ "StreamARN": foreign, "Data": "", "PartitionKey": "k" })),
    ] {
        assert_eq!(api.refused(operation, input).await, Refusal::new("ResourceNotFound", said), "{operation}");
    }
    let consumer = format!("{foreign}/consumer/c:1");
    let refused = api.refused("DescribeStreamConsumer", json!({ "ConsumerARN": consumer })).await;
    assert_eq!(refused.kind, "ResourceNotFoundException", "{refused:?}");
    let nonsense = api.refused("ListTagsForResource", json!({ "ResourceARN": "nonsense" })).await;
    assert_eq!(nonsense.kind, "ValidationException", "{nonsense:?}");
}

#[tokio::test]
async fn a_creation_time_tells_incarnations_of_a_stream_apart() {
    let api = Api::to(main_cluster(), 0).await;
    api.stream("created", 1).await;
    let created = api.summary("created").await["StreamCreationTimestamp"].clone();
    for operation in ["ListShards", "ListStreamConsumers"] {
        let name = if operation == "ListShards" { "StreamName" } else { "StreamARN" };
        let value = if operation == "ListShards" { "created".to_owned() } else { arn("created") };
        api.ok(operation, json!({ name: value, "StreamCreationTimestamp": created })).await;
        let other = json!({ name: value, "StreamCreationTimestamp": 1_500_000_000 });
        assert_eq!(api.refused(operation, other).await.kind, "ResourceNotFoundException", "{operation}");
    }
}
