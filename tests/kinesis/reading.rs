//! GetRecords: pages, their limits, and the end of a shard, on which every consumer library depends.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::api::{MIDDLE, data_of, shard_id, text};
use crate::support::{Api, main_cluster};

/// KCL's rule for one page: what it accepts, and what it would retry for ever.
pub(crate) fn assert_kcl_accepts(indicator: Option<&Value>, children: Option<&Value>) {
    match indicator {
        None => {
            let children = children.and_then(Value::as_array).expect("the end of a shard names its children");
            assert!(!children.is_empty());
            for child in children {
                let parents = child["ParentShards"].as_array().expect("a child names its parents");
                let expected = if children.len() == 1 { 2 } else { 1 };
                assert_eq!(parents.len(), expected, "one child is a merge of two: {child}");
            }
        }
        Some(indicator) => {
            assert!(indicator.is_string(), "absent, not null: {indicator}");
            assert!(children.is_none(), "children come only at the end: {children:?}");
        }
    }
}

/// Reads a shard to its end; all data and the children.
async fn to_the_end(api: &Api, iterator: String) -> (Vec<Vec<u8>>, Vec<Value>) {
    let (mut all, mut iterator) = (Vec::new(), iterator);
    for _ in 0..1_000 {
        let page = api.page(&iterator).await;
        assert_kcl_accepts(page.get("NextShardIterator"), page.get("ChildShards"));
        all.extend(data_of(&page));
        match page.get("NextShardIterator") {
            Some(next) => iterator = text(next),
            None => return (all, page["ChildShards"].as_array().unwrap().clone()),
        }
    }
    panic!("the shard does not end");
}

fn ids(children: &[Value]) -> BTreeSet<String> {
    children.iter().map(|child| text(&child["ShardId"])).collect()
}

#[tokio::test]
async fn a_split_shard_ends_with_both_children_asked_early_and_late() {
    let api = Api::to(main_cluster(), 0).await;
    api.stream("split-end", 1).await;
    for n in 0..5 {
        api.put("split-end", "k", format!("{n}").as_bytes()).await;
    }
    let early = api.iterator("split-end", 0, "TRIM_HORIZON").await;
    let tip = api.iterator("split-end", 0, "LATEST").await;
    assert_kcl_accepts(api.page(&tip).await.get("NextShardIterator"), None);
    api.split_whole("split-end", 0).await;

    let (data, children) = to_the_end(&api, early).await;
    assert_eq!(data, [b"0", b"1", b"2", b"3", b"4"]);
    assert_eq!(ids(&children), [shard_id(1), shard_id(2)].into());
    for child in &children {
        assert_eq!(child["ParentShards"], json!([shard_id(0)]));
    }
    let ranges: BTreeSet<(String, String)> = children
        .iter()
        .map(|child| (text(&child["HashKeyRange"]["StartingHashKey"]), text(&child["HashKeyRange"]["EndingHashKey"])))
        .collect();
    let all = "340282366920938463463374607431768211455";
    let below = "170141183460469231731687303715884105727";
    assert_eq!(ranges, [("0".into(), below.into()), (MIDDLE.into(), all.into())].into());

    assert_eq!(to_the_end(&api, tip).await, (vec![], children.clone()), "from before the split");
    let late = Api::to(main_cluster(), 1).await;
    for kind in ["LATEST", "TRIM_HORIZON"] {
        let iterator = late.iterator("split-end", 0, kind).await;
        assert_eq!(to_the_end(&late, iterator).await.1, children, "{kind} on a closed shard");
    }
    let last = api.shards("split-end").await[0]["SequenceNumberRange"]["EndingSequenceNumber"].clone();
    let behind = api.iterator_by("split-end", 0, "AFTER_SEQUENCE_NUMBER", &text(&last)).await;
    assert_eq!(to_the_end(&api, behind).await, (vec![], children), "after its last number");
}

#[tokio::test]
async fn the_numbers_that_shards_are_listed_with_can_be_read_from() {
    let api = Api::to(main_cluster(), 0).await;
    api.stream("listed-numbers", 1).await;
    api.put("listed-numbers", "k", b"parent").await;
    api.split_whole("listed-numbers", 0).await;
    let (child, _) = api.put("listed-numbers", "k", b"child").await;
    for (number, expected) in [(0, "parent"), (child[8..].parse().unwrap(), "child")] {
        let shards = api.shards("listed-numbers").await;
        let starting = text(&shards[number as usize]["SequenceNumberRange"]["StartingSequenceNumber"]);
        for kind in ["AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER"] {
            let iterator = api.iterator_by("listed-numbers", number, kind, &starting).await;
            assert_eq!(api.drain(&iterator).await.0, [expected.as_bytes()], "{kind} the start of {number}");
        }
    }
    let now = api.page(&api.iterator("listed-numbers", child[8..].parse().unwrap(), "TRIM_HORIZON").await).await;
    let time = &now["Records"][0]["ApproximateArrivalTimestamp"];
    let asked = json!({
        "StreamName": "listed-numbers", "ShardId": shard_id(0), "ShardIteratorType": "AT_TIMESTAMP", "Timestamp": time
    });
    let iterator = text(&api.ok("GetShardIterator", asked).await["ShardIterator"]);
    let (data, children) = to_the_end(&api, iterator).await;
    assert_eq!((data.len(), children.len()), (0, 2), "a time after the end of a shard is its end");
}

#[tokio::test]
async fn merged_shards_end_with_one_child_that_names_both() {
    let api = Api::to(main_cluster(), 0).await;
    api.stream("merge-end", 2).await;
    let members = json!({ "ShardToMerge": shard_id(0), "AdjacentShardToMerge": shard_id(1) });
    api.reshard("MergeShards", "merge-end", members).await;
    for parent in [0, 1] {
        let iterator = api.iterator("merge-end", parent, "LATEST").await;
        let (_, children) = to_the_end(&api, iterator).await;
        assert_eq!(ids(&children), [shard_id(2)].into());
        assert_eq!(children[0]["ParentShards"], json!([shard_id(0), shard_id(1)]));
    }
    let child = &api.shards("merge-end").await[2];
    assert_eq!((&child["ParentShardId"], &child["AdjacentParentShardId"]), (&json!(shard_id(0)), &json!(shard_id(1))));
}

#[tokio::test]
async fn a_limit_may_cut_a_batch_anywhere() {
    let api = Api::to(main_cluster(), 0).await;
    api.stream("cut", 1).await;
    let expected: Vec<Vec<u8>> = (0..50u8).map(|n| vec![n]).collect();
    let records: Vec<_> =
        expected.iter().map(|data| json!({ "Data": STANDARD.encode(data), "PartitionKey": "k" })).collect();
    api.ok("PutRecords", json!({ "StreamName": "cut", "Records": records })).await;
    let mut iterator = api.iterator("cut", 0, "TRIM_HORIZON").await;
    let mut read = Vec::new();
    for limit in [1, 2, 3, 5, 7, 11, 13, 8] {
        let page = api.ok("GetRecords", json!({ "ShardIterator": iterator, "Limit": limit })).await;
        assert_eq!(data_of(&page).len(), limit, "{page}");
        read.extend(data_of(&page));
        iterator = text(&page["NextShardIterator"]);
    }
    assert_eq!(read, expected);
}

#[tokio::test]
async fn a_limit_is_1_to_10000() {
    let api = Api::to(main_cluster(), 0).await;
    api.stream("limits", 1).await;
    let iterator = api.iterator("limits", 0, "TRIM_HORIZON").await;
    for (limit, bound) in [(0, "greater than or equal to 1"), (10_001, "less than or equal to 10000")] {
        let refused = api.refused("GetRecords", json!({ "ShardIterator": iterator, "Limit": limit })).await;
        let said = format!(
            "1 validation error detected: Value '{limit}' at 'limit' failed to satisfy constraint: Member must have \
             value {bound}"
        );
        assert_eq!((refused.kind.as_str(), refused.text), ("ValidationException", said));
    }
    api.ok("GetRecords", json!({ "ShardIterator": iterator, "Limit": 10_000 })).await;
}

#[tokio::test]
async fn a_page_holds_at_most_10_mib_and_says_how_far_behind_it_is() {
    let api = Api::to(main_cluster(), 0).await;
    api.stream("big-pages", 1).await;
    let data = STANDARD.encode(vec![b'x'; 900_000]);
    let records: Vec<_> = (0..10).map(|_| json!({ "Data": data, "PartitionKey": "k" })).collect();
    for _ in 0..2 {
        let put = api.ok("PutRecords", json!({ "StreamName": "big-pages", "Records": records })).await;
        assert_eq!(put["FailedRecordCount"], 0);
    }
    let mut iterator = api.iterator("big-pages", 0, "TRIM_HORIZON").await;
    let mut read = 0;
    while read < 20 {
        let page = api.page(&iterator).await;
        let data = data_of(&page);
        assert!(data.iter().map(Vec::len).sum::<usize>() <= 10 * 1024 * 1024, "{} records", data.len());
        read += data.len();
        let behind = page["MillisBehindLatest"].as_u64().unwrap();
        assert_eq!(behind == 0, read == 20, "{behind} ms behind after {read} of 20");
        iterator = text(&page["NextShardIterator"]);
    }
}

#[tokio::test]
async fn every_record_is_read_through_reshards_in_order() {
    let api = Api::to(main_cluster(), 0).await;
    api.stream("through", 1).await;
    let mut written = 0;
    let mut write = async |api: &Api| {
        for _ in 0..10 {
            api.put("through", "one key", format!("{written}").as_bytes()).await;
            written += 1;
        }
    };
    write(&api).await;
    api.split_whole("through", 0).await;
    write(&api).await;
    let members = json!({ "ShardToMerge": shard_id(1), "AdjacentShardToMerge": shard_id(2) });
    api.reshard("MergeShards", "through", members).await;
    write(&api).await;

    let mut read = Vec::new();
    let mut done = BTreeSet::new();
    let mut ready = vec![shard_id(0)];
    while let Some(shard) = ready.pop() {
        let asked = json!({ "StreamName": "through", "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON" });
        let iterator = text(&api.ok("GetShardIterator", asked).await["ShardIterator"]);
        if shard == shard_id(3) {
            read.extend(api.drain(&iterator).await.0);
            continue;
        }
        let (data, children) = to_the_end(&api, iterator).await;
        read.extend(data);
        done.insert(shard);
        for child in children {
            let parents = child["ParentShards"].as_array().unwrap();
            if parents.iter().all(|parent| done.contains(parent.as_str().unwrap())) {
                ready.push(text(&child["ShardId"]));
            }
        }
    }
    let expected: Vec<Vec<u8>> = (0..30).map(|n| format!("{n}").into_bytes()).collect();
    assert_eq!(read, expected);
}
