//! Shard iterators: where they point, how long they live, and what is said of wrong ones.

use std::time::Duration;

use serde_json::{Value, json};
use thalweg_server::Auth;

use crate::support::api::{MIDDLE, data_of, shard_id, text};
use crate::support::{Api, Cluster, Refusal, Shape, main_cluster};

fn invalid(text: impl Into<String>) -> Refusal {
    Refusal::new("InvalidArgument", text)
}

async fn refusal(api: &Api, name: &str, members: Value) -> Refusal {
    let mut input = json!({ "StreamName": name, "ShardId": shard_id(0) });
    input.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    api.refused("GetShardIterator", input).await
}

#[tokio::test]
async fn shards_that_are_not_there_are_told_apart_from_ids_that_are_none() {
    let api = Api::to(main_cluster(), 0).await;
    api.stream("iterator-shards", 1).await;
    let kind = "TRIM_HORIZON";
    let asked = json!({ "ShardId": "nonsense", "ShardIteratorType": kind });
    let said = "Could not find shard nonsense in stream iterator-shards under account 000000000000.";
    assert_eq!(refusal(&api, "iterator-shards", asked).await, Refusal::new("ResourceNotFound", said));

    let asked = json!({ "ShardId": "shardId-000000000005", "ShardIteratorType": kind });
    let said = "Shard shardId-000000000005 in stream iterator-shards under account 000000000000 does not exist";
    assert_eq!(refusal(&api, "iterator-shards", asked.clone()).await, Refusal::new("ResourceNotFound", said));

    let said = "Shard shardId-000000000005 in stream none-such under account 000000000000 does not exist";
    assert_eq!(refusal(&api, "none-such", asked).await, Refusal::new("ResourceNotFound", said));
}

#[tokio::test]
async fn a_starting_number_goes_with_the_types_that_need_one() {
    let api = Api::to(main_cluster(), 0).await;
    api.stream("iterator-types", 1).await;
    let (_, number) = api.put("iterator-types", "k", b"x").await;
    let rule = "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and StartingSequenceNumber or (2) \
                TRIM_HORIZON or LATEST and no StartingSequenceNumber. Request specified";
    for kind in ["TRIM_HORIZON", "LATEST"] {
        let asked = json!({ "ShardIteratorType": kind, "StartingSequenceNumber": number });
        let said = format!("{rule} {kind} and also a StartingSequenceNumber.");
        assert_eq!(refusal(&api, "iterator-types", asked).await, invalid(said));
    }
    for kind in ["AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER"] {
        let said = format!("{rule} {kind} and no StartingSequenceNumber.");
        assert_eq!(refusal(&api, "iterator-types", json!({ "ShardIteratorType": kind })).await, invalid(said));
    }
}

#[tokio::test]
async fn a_starting_number_belongs_to_the_shard_and_this_incarnation_of_the_stream() {
    let api = Api::to(main_cluster(), 0).await;
    api.stream("iterator-numbers", 2).await;
    let low = json!({ "StreamName": "iterator-numbers", "PartitionKey": "k", "Data": "", "ExplicitHashKey": "0" });
    let of_shard_0 = text(&api.ok("PutRecord", low).await["SequenceNumber"]);
    let high = json!({ "StreamName": "iterator-numbers", "PartitionKey": "k", "Data": "", "ExplicitHashKey": MIDDLE });
    let of_shard_1 = text(&api.ok("PutRecord", high).await["SequenceNumber"]);
    let at = |number: &str| json!({ "ShardIteratorType": "AT_SEQUENCE_NUMBER", "StartingSequenceNumber": number });

    let said = "StartingSequenceNumber 123 used in GetShardIterator on shard shardId-000000000000 in stream \
                iterator-numbers under account 000000000000 is invalid.";
    assert_eq!(refusal(&api, "iterator-numbers", at("123")).await, invalid(said));

    let said = "Invalid StartingSequenceNumber. It encodes shardId-000000000001, while it was used in a call to a \
                shard with shardId-000000000000";
    assert_eq!(refusal(&api, "iterator-numbers", at(&of_shard_1)).await, invalid(said));

    api.ok("DeleteStream", json!({ "StreamName": "iterator-numbers" })).await;
    // Creation times count seconds, and the number of the old stream must not be from the same one.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    recreate(&api, "iterator-numbers").await;
    let said = format!(
        "StartingSequenceNumber {of_shard_0} used in GetShardIterator on shard shardId-000000000000 in stream \
         iterator-numbers under account 000000000000 is invalid because it did not come from this stream."
    );
    assert_eq!(refusal(&api, "iterator-numbers", at(&of_shard_0)).await, invalid(said));
}

/// A stream of one shard under a name that was just deleted.
async fn recreate(api: &Api, name: &str) {
    let begun = tokio::time::Instant::now();
    while api.call("CreateStream", json!({ "StreamName": name, "ShardCount": 1 })).await.is_err() {
        assert!(begun.elapsed() < crate::support::PATIENCE, "the name is never free");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    api.until_active(name).await;
}

#[tokio::test]
async fn a_time_is_needed_and_cannot_be_in_the_future() {
    let api = Api::to(main_cluster(), 0).await;
    api.stream("iterator-times", 1).await;
    let said = "Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. Current request has no \
                timestamp parameter.";
    let asked = json!({ "ShardIteratorType": "AT_TIMESTAMP" });
    assert_eq!(refusal(&api, "iterator-times", asked).await, invalid(said));

    let future = json!({ "ShardIteratorType": "AT_TIMESTAMP", "Timestamp": 4_000_000_000.5 });
    let refused = refusal(&api, "iterator-times", future).await;
    let said = "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. \
                timestampInMillis: 4000000000500, currentTimestampInMillis: ";
    assert!(refused.kind == "InvalidArgumentException" && refused.text.starts_with(said), "{refused:?}");
}

#[tokio::test]
async fn a_time_means_the_first_record_that_arrived_then_or_later() {
    let api = Api::to(main_cluster(), 0).await;
    api.stream("at-timestamp", 1).await;
    for data in [b"0", b"1", b"2"] {
        api.put("at-timestamp", "k", data).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let all = api.page(&api.iterator("at-timestamp", 0, "TRIM_HORIZON").await).await;
    let second = all["Records"][1]["ApproximateArrivalTimestamp"].as_f64().unwrap();
    for (time, expected) in [(second, 2), (second + 0.001, 1), (1.0, 3)] {
        let asked = json!({
            "StreamName": "at-timestamp", "ShardId": "0", "ShardIteratorType": "AT_TIMESTAMP", "Timestamp": time
        });
        let iterator = text(&api.ok("GetShardIterator", asked).await["ShardIterator"]);
        assert_eq!(api.drain(&iterator).await.0.len(), expected, "{time}");
    }
}

#[tokio::test]
async fn at_begins_with_the_record_and_after_behind_it() {
    let api = Api::to(main_cluster(), 0).await;
    api.stream("at-and-after", 1).await;
    // One request is one batch, so the numbers differ within a batch.
    let records: Vec<_> = ["MA==", "MQ==", "Mg=="].map(|data| json!({ "Data": data, "PartitionKey": "k" })).to_vec();
    let put = api.ok("PutRecords", json!({ "StreamName": "at-and-after", "Records": records })).await;
    let second = text(&put["Records"][1]["SequenceNumber"]);
    let at = api.iterator_by("at-and-after", 0, "AT_SEQUENCE_NUMBER", &second).await;
    assert_eq!(api.drain(&at).await.0, [b"1", b"2"]);
    let after = api.iterator_by("at-and-after", 0, "AFTER_SEQUENCE_NUMBER", &second).await;
    assert_eq!(api.drain(&after).await.0, [b"2"]);
    let last = text(&put["Records"][2]["SequenceNumber"]);
    let end = api.iterator_by("at-and-after", 0, "AFTER_SEQUENCE_NUMBER", &last).await;
    assert!(api.drain(&end).await.0.is_empty());
    api.put("at-and-after", "k", b"3").await;
    assert_eq!(api.drain(&end).await.0, [b"3"], "what comes later is read from the same place");
}

#[tokio::test]
async fn latest_is_pinned_when_the_iterator_is_made() {
    let api = Api::to(main_cluster(), 0).await;
    api.stream("latest", 1).await;
    api.put("latest", "k", b"before").await;
    let latest = api.iterator("latest", 0, "LATEST").await;
    api.put("latest", "k", b"after").await;
    assert_eq!(api.drain(&latest).await.0, [b"after"]);
    assert_eq!(api.drain(&latest).await.0, [b"after"], "an iterator may be used again");
    let other = Api::to(main_cluster(), 2).await;
    assert_eq!(other.drain(&latest).await.0, [b"after"], "and at any node");
}

#[tokio::test]
async fn an_empty_page_has_an_iterator_too() {
    let api = Api::to(main_cluster(), 0).await;
    api.stream("empty", 1).await;
    let mut iterator = api.iterator("empty", 0, "TRIM_HORIZON").await;
    for _ in 0..3 {
        let page = api.page(&iterator).await;
        assert_eq!((&page["Records"], &page["MillisBehindLatest"]), (&json!([]), &json!(0)));
        assert!(page.get("ChildShards").is_none(), "{page}");
        iterator = text(&page["NextShardIterator"]);
    }
    api.put("empty", "k", b"x").await;
    assert_eq!(data_of(&api.page(&iterator).await), [b"x"]);
}

#[tokio::test]
async fn what_is_no_iterator_of_this_cluster_is_invalid() {
    let api = Api::to(main_cluster(), 0).await;
    api.stream("tampered", 1).await;
    let iterator = api.iterator("tampered", 0, "TRIM_HORIZON").await;
    let mut bad = vec!["nonsense".to_owned(), "AAAAAAAAAAE=".to_owned(), iterator[..iterator.len() - 4].to_owned()];
    for at in (0..iterator.len()).step_by(7) {
        let mut tampered = iterator.clone().into_bytes();
        tampered[at] = if tampered[at] == b'A' { b'B' } else { b'A' };
        bad.push(String::from_utf8(tampered).unwrap());
    }
    let page_token = api.ok("ListShards", json!({ "StreamName": "tampered", "MaxResults": 1 })).await;
    assert!(page_token.get("NextToken").is_none());
    for bad in bad {
        let refused = api.refused("GetRecords", json!({ "ShardIterator": bad })).await;
        assert_eq!(refused, invalid("Invalid ShardIterator."), "{bad}");
    }
}

#[tokio::test]
async fn an_iterator_of_a_stream_that_is_gone_reads_no_other() {
    let api = Api::to(main_cluster(), 0).await;
    api.stream("gone", 1).await;
    api.put("gone", "k", b"old").await;
    let iterator = api.iterator("gone", 0, "TRIM_HORIZON").await;
    api.ok("DeleteStream", json!({ "StreamName": "gone" })).await;
    let begun = tokio::time::Instant::now();
    let refused = loop {
        match api.call("GetRecords", json!({ "ShardIterator": iterator })).await {
            Err(refused) => break refused,
            Ok(_) => assert!(begun.elapsed() < crate::support::PATIENCE, "a deleted stream is read for ever"),
        }
    };
    assert_eq!(refused.kind, "ResourceNotFoundException", "{refused:?}");
    recreate(&api, "gone").await;
    api.put("gone", "k", b"new").await;
    let refused = api.refused("GetRecords", json!({ "ShardIterator": iterator })).await;
    assert_eq!(refused.kind, "ResourceNotFoundException", "{refused:?}");
}

#[tokio::test]
async fn a_stream_arn_beside_an_iterator_must_name_its_stream() {
    let api = Api::to(main_cluster(), 0).await;
    api.stream("iterator-arn", 1).await;
    let iterator = api.iterator("iterator-arn", 0, "TRIM_HORIZON").await;
    let input = |name: &str| json!({ "ShardIterator": iterator, "StreamARN": crate::support::arn(name) });
    api.ok("GetRecords", input("iterator-arn")).await;
    let refused = api.refused("GetRecords", input("another")).await;
    assert_eq!(refused.kind, "InvalidArgumentException", "{refused:?}");
}

#[tokio::test]
async fn an_iterator_lives_five_minutes_and_each_page_gives_a_new_one() {
    let cluster = Cluster::start(Shape { name: "iterators", nodes: 1, tls: false, auth: Auth::Off });
    let api = Api::to(&cluster, 0).await;
    api.stream("five-minutes", 1).await;
    let iterator = api.iterator("five-minutes", 0, "LATEST").await;
    cluster.clock.advance(Duration::from_secs(299));
    let next = text(&api.page(&iterator).await["NextShardIterator"]);
    cluster.clock.advance(Duration::from_secs(2));
    let refused = api.refused("GetRecords", json!({ "ShardIterator": iterator })).await;
    assert_eq!(refused.kind, "ExpiredIteratorException");
    let (begin, end) =
        ("Iterator expired. The iterator was created at time ", "tolerated delay of 300000 milliseconds.");
    let between = " while right now it is ";
    let said = &refused.text;
    assert!(said.starts_with(begin) && said.contains(between) && said.ends_with(end), "{said}");
    api.page(&next).await;

    // The same clock decides how long page tokens live, and how far behind a reader is.
    api.stream("another", 1).await;
    let token = text(&api.ok("ListStreams", json!({ "Limit": 1 })).await["NextToken"]);
    api.put("five-minutes", "k", b"old").await;
    cluster.clock.advance(Duration::from_secs(301));
    assert_eq!(api.refused("ListStreams", json!({ "NextToken": token })).await.kind, "ExpiredNextTokenException");
    api.put("five-minutes", "k", b"new").await;
    let start = api.iterator("five-minutes", 0, "TRIM_HORIZON").await;
    let one = api.ok("GetRecords", json!({ "ShardIterator": start, "Limit": 1 })).await;
    assert_eq!(data_of(&one), [b"old"]);
    let behind = one["MillisBehindLatest"].as_u64().unwrap();
    assert!(behind < 30_000, "the next record is new: {behind} ms");
    let none = api.ok("GetRecords", json!({ "ShardIterator": start, "Limit": 10 })).await;
    assert_eq!((data_of(&none).len(), &none["MillisBehindLatest"]), (2, &json!(0)), "caught up");
    cluster.clock.advance(Duration::from_secs(60));
    let start = api.iterator("five-minutes", 0, "TRIM_HORIZON").await;
    let one = api.ok("GetRecords", json!({ "ShardIterator": start, "Limit": 1 })).await;
    let behind = one["MillisBehindLatest"].as_u64().unwrap();
    assert!((60_000..90_000).contains(&behind), "the next record is a minute old: {behind} ms");
}
