//! What is set about streams and accounts: shard counts, retention, mode, tags, and the rest.

use serde_json::{Value, json};
use thalweg_client::AccountPatch;
use thalweg_server::Auth;

use crate::support::api::{MIDDLE, shard_id};
use crate::support::{Api, Cluster, Refusal, Shape, arn, main_cluster};

const ACCOUNT: &str = "000000000000";

fn invalid(text: impl Into<String>) -> Refusal {
    Refusal::new("InvalidArgument", text)
}

#[tokio::test]
async fn a_name_is_taken_once_and_a_provisioned_stream_says_its_shards() {
    let api = Api::to(main_cluster(), 0).await;
    api.stream("taken", 1).await;
    let said = format!("Stream taken under account {ACCOUNT} already exists.");
    let again = api.refused("CreateStream", json!({ "StreamName": "taken", "ShardCount": 1 })).await;
    assert_eq!(again, Refusal::new("ResourceInUse", said));
    let uncounted = api.refused("CreateStream", json!({ "StreamName": "uncounted" })).await;
    assert_eq!(uncounted.kind, "InvalidArgumentException", "{uncounted:?}");
    let full = json!({
        "StreamName": "with-everything", "StreamModeDetails": { "StreamMode": "PROVISIONED" }, "ShardCount": 1,
        "Tags": { "team": "a" }, "MaxRecordSizeInKiB": 2048
    });
    api.ok("CreateStream", full).await;
    let summary = api.summary("with-everything").await;
    assert_eq!(summary["MaxRecordSizeInKiB"], 2048);
    assert_eq!(summary["StreamModeDetails"], json!({ "StreamMode": "PROVISIONED" }));
    let tags = api.ok("ListTagsForStream", json!({ "StreamName": "with-everything" })).await;
    assert_eq!(tags, json!({ "Tags": [{ "Key": "team", "Value": "a" }], "HasMoreTags": false }));
    let said = format!("Stream none-such under account {ACCOUNT} not found.");
    let unknown = api.refused("DeleteStream", json!({ "StreamName": "none-such" })).await;
    assert_eq!(unknown, Refusal::new("ResourceNotFound", said));
}

#[tokio::test]
async fn a_split_needs_an_open_shard_and_a_key_inside_it() {
    let api = Api::to(main_cluster(), 0).await;
    api.stream("splits", 2).await;
    let split =
        |shard: &str, key: &str| json!({ "StreamName": "splits", "ShardToSplit": shard, "NewStartingHashKey": key });
    let end = "170141183460469231731687303715884105727";
    for key in ["0", "1", end, MIDDLE, "999999999999999999999999999999999999999"] {
        let said = format!(
            "NewStartingHashKey {key} used in SplitShard() on shard shardId-000000000000 in stream splits under account \
             {ACCOUNT} is not both greater than one plus the shard's StartingHashKey 0 and less than the shard's \
             EndingHashKey {end}."
        );
        assert_eq!(api.refused("SplitShard", split(&shard_id(0), key)).await, invalid(said));
    }
    let said = format!("Could not find shard {} in stream splits under account {ACCOUNT}.", shard_id(9));
    let unknown = api.refused("SplitShard", split(&shard_id(9), "5")).await;
    assert_eq!(unknown, Refusal::new("ResourceNotFound", said));
    api.ok("SplitShard", split(&shard_id(0), "2")).await;
    api.until_active("splits").await;
    let said = format!(
        "Shard {} in stream splits under account {ACCOUNT} has already been merged or split, and thus is not eligible \
         for merging or splitting.",
        shard_id(0)
    );
    assert_eq!(api.refused("SplitShard", split(&shard_id(0), "5")).await, invalid(said.clone()));
    let merge = json!({ "StreamName": "splits", "ShardToMerge": shard_id(0), "AdjacentShardToMerge": shard_id(1) });
    assert_eq!(api.refused("MergeShards", merge).await, invalid(said));
}

#[tokio::test]
async fn a_merge_needs_neighbours_in_their_order() {
    let api = Api::to(main_cluster(), 0).await;
    api.stream("merges", 3).await;
    for (low, high) in [(0, 2), (1, 0), (2, 1), (1, 1)] {
        let merge =
            json!({ "StreamName": "merges", "ShardToMerge": shard_id(low), "AdjacentShardToMerge": shard_id(high) });
        let said = format!(
            "Shards {} and {} in stream merges under account {ACCOUNT} are not an adjacent pair of shards eligible for \
             merging",
            shard_id(low),
            shard_id(high)
        );
        assert_eq!(api.refused("MergeShards", merge).await, invalid(said));
    }
}

#[tokio::test]
async fn scaling_goes_from_half_to_double_and_ends_in_equal_ranges() {
    let api = Api::to(main_cluster(), 0).await;
    api.stream("scaled", 2).await;
    let scale =
        |count: u32| json!({ "StreamName": "scaled", "TargetShardCount": count, "ScalingType": "UNIFORM_SCALING" });
    let said = "UpdateShardCount cannot scale up over double your current open shard count. Current open shard count: \
                2, Target shard count: 5";
    assert_eq!(api.refused("UpdateShardCount", scale(5)).await, Refusal::new("LimitExceeded", said));
    let scaled = api.ok("UpdateShardCount", scale(4)).await;
    let expected = json!({
        "StreamName": "scaled", "CurrentShardCount": 2, "TargetShardCount": 4, "StreamARN": arn("scaled")
    });
    assert_eq!(scaled, expected);
    api.until_active("scaled").await;
    let listed = api.ok("ListShards", json!({ "StreamName": "scaled", "ShardFilter": { "Type": "AT_LATEST" } })).await;
    let mut starts: Vec<u128> = listed["Shards"]
        .as_array()
        .unwrap()
        .iter()
        .map(|shard| shard["HashKeyRange"]["StartingHashKey"].as_str().unwrap().parse().unwrap())
        .collect();
    starts.sort_unstable();
    assert_eq!(starts, [0, 1 << 126, 2 << 126, 3 << 126]);
    let said = "UpdateShardCount cannot scale down below half your current open shard count. Current open shard count: \
                4, Target shard count: 1";
    assert_eq!(api.refused("UpdateShardCount", scale(1)).await, Refusal::new("LimitExceeded", said));
}

#[tokio::test]
async fn a_stream_is_scaled_ten_times_a_day() {
    let api = Api::to(main_cluster(), 0).await;
    api.stream("scaled-often", 1).await;
    let scale = |count: u32| json!({ "StreamName": "scaled-often", "TargetShardCount": count, "ScalingType": "UNIFORM_SCALING" });
    for n in 0..10 {
        api.ok("UpdateShardCount", scale(2 - n % 2)).await;
        api.until_active("scaled-often").await;
    }
    assert_eq!(api.refused("UpdateShardCount", scale(2)).await.kind, "LimitExceededException");
}

#[tokio::test]
async fn an_on_demand_stream_is_not_resharded_by_its_users() {
    let api = Api::to(main_cluster(), 0).await;
    let created = json!({ "StreamName": "on-demand", "StreamModeDetails": { "StreamMode": "ON_DEMAND" } });
    api.ok("CreateStream", created).await;
    api.until_active("on-demand").await;
    assert_eq!(api.summary("on-demand").await["OpenShardCount"], 4);
    for (operation, members) in [
        ("SplitShard", json!({ "ShardToSplit": shard_id(0), "NewStartingHashKey": "17" })),
        ("MergeShards", json!({ "ShardToMerge": shard_id(0), "AdjacentShardToMerge": shard_id(1) })),
        ("UpdateShardCount", json!({ "TargetShardCount": 8, "ScalingType": "UNIFORM_SCALING" })),
    ] {
        let mut input = json!({ "StreamName": "on-demand" });
        input.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        let refused = api.refused(operation, input).await;
        assert!(refused.kind == "ValidationException" || refused.kind == "InvalidArgumentException", "{refused:?}");
    }
    let mode = |mode: &str| json!({ "StreamARN": arn("on-demand"), "StreamModeDetails": { "StreamMode": mode } });
    api.ok("UpdateStreamMode", mode("PROVISIONED")).await;
    api.until_active("on-demand").await;
    assert_eq!(api.summary("on-demand").await["OpenShardCount"], 4, "the shards stay");
    api.ok("UpdateStreamMode", mode("ON_DEMAND")).await;
    let third = api.refused("UpdateStreamMode", mode("PROVISIONED")).await;
    assert_eq!(third.kind, "LimitExceededException", "twice a day: {third:?}");
}

#[tokio::test]
async fn retention_moves_between_a_day_and_a_year_by_the_right_operation() {
    let api = Api::to(main_cluster(), 0).await;
    api.stream("retention", 1).await;
    let hours = |hours: i64| json!({ "StreamName": "retention", "RetentionPeriodHours": hours });
    for operation in ["IncreaseStreamRetentionPeriod", "DecreaseStreamRetentionPeriod"] {
        for few in [23, 0, -1] {
            let said = format!(
                "Minimum allowed retention period is 24 hours. Requested retention period ({few} hours) is too short."
            );
            assert_eq!(api.refused(operation, hours(few)).await, invalid(said), "{operation}");
        }
        let said =
            "Maximum allowed retention period is 8760 hours. Requested retention period (8761 hours) is too long.";
        assert_eq!(api.refused(operation, hours(8761)).await, invalid(said), "{operation}");
        assert_eq!(api.ok(operation, hours(24)).await, Value::Null, "what it is already succeeds");
    }
    api.ok("IncreaseStreamRetentionPeriod", hours(48)).await;
    assert_eq!(api.summary("retention").await["RetentionPeriodHours"], 48);
    let said = "Requested retention period (30 hours) for stream retention can not be shorter than existing retention \
                period (48 hours). Use DecreaseRetentionPeriod API.";
    assert_eq!(api.refused("IncreaseStreamRetentionPeriod", hours(30)).await, invalid(said));
    let said = "Requested retention period (50 hours) for stream retention can not be longer than existing retention \
                period (48 hours). Use IncreaseRetentionPeriod API.";
    assert_eq!(api.refused("DecreaseStreamRetentionPeriod", hours(50)).await, invalid(said));
    api.ok("DecreaseStreamRetentionPeriod", hours(24)).await;
    assert_eq!(api.summary("retention").await["RetentionPeriodHours"], 24);
}

#[tokio::test]
async fn tags_of_streams_are_the_same_through_both_families() {
    let api = Api::to(main_cluster(), 0).await;
    api.stream("tagged", 1).await;
    let by_name = |members: Value| {
        let mut input = json!({ "StreamName": "tagged" });
        input.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        input
    };
    api.ok("AddTagsToStream", by_name(json!({ "Tags": { "b": "2", "a": "1" } }))).await;
    api.ok("TagResource", json!({ "ResourceARN": arn("tagged"), "Tags": { "c": "ü + -=._:/@" } })).await;
    let all = json!([
        { "Key": "a", "Value": "1" }, { "Key": "b", "Value": "2" }, { "Key": "c", "Value": "ü + -=._:/@" }
    ]);
    assert_eq!(api.ok("ListTagsForResource", json!({ "ResourceARN": arn("tagged") })).await["Tags"], all);
    let page = api.ok("ListTagsForStream", by_name(json!({ "Limit": 1, "ExclusiveStartTagKey": "a" }))).await;
    assert_eq!(page, json!({ "Tags": [{ "Key": "b", "Value": "2" }], "HasMoreTags": true }));
    api.ok("RemoveTagsFromStream", by_name(json!({ "TagKeys": ["a", "unknown"] }))).await;
    api.ok("UntagResource", json!({ "ResourceARN": arn("tagged"), "TagKeys": ["b"] })).await;
    let left = api.ok("ListTagsForStream", by_name(json!({}))).await["Tags"].take();
    assert_eq!(left, json!([{ "Key": "c", "Value": "ü + -=._:/@" }]));

    let bad = api.refused("AddTagsToStream", by_name(json!({ "Tags": { "a*": "b" } }))).await;
    let said = "Some tags contain invalid characters. Valid characters: Unicode letters, digits, white space, _ . / = + \
                - % @.";
    assert_eq!(bad, invalid(said));
    let fifty: serde_json::Map<String, Value> = (0..50).map(|n| (format!("k{n}"), json!(""))).collect();
    let many = api.refused("AddTagsToStream", by_name(json!({ "Tags": fifty }))).await;
    let said = format!(
        "Failed to add tags to stream tagged under account {ACCOUNT} because a given stream cannot have more than 50 \
         tags associated with it."
    );
    assert_eq!(many, invalid(said));
}

#[tokio::test]
async fn consumers_have_tags_and_policies_of_their_own() {
    let api = Api::to(main_cluster(), 0).await;
    api.stream("labelled", 1).await;
    let input = json!({ "StreamARN": arn("labelled"), "ConsumerName": "c", "Tags": { "a": "1" } });
    let consumer = api.ok("RegisterStreamConsumer", input).await["Consumer"]["ConsumerARN"].take();
    api.ok("TagResource", json!({ "ResourceARN": consumer, "Tags": { "b": "2" } })).await;
    api.ok("UntagResource", json!({ "ResourceARN": consumer, "TagKeys": ["a"] })).await;
    let tags = api.ok("ListTagsForResource", json!({ "ResourceARN": consumer })).await;
    assert_eq!(tags["Tags"], json!([{ "Key": "b", "Value": "2" }]));
    assert_eq!(api.ok("ListTagsForResource", json!({ "ResourceARN": arn("labelled") })).await["Tags"], json!([]));

    for resource in [consumer, json!(arn("labelled"))] {
        let of = json!({ "ResourceARN": resource });
        assert_eq!(api.ok("GetResourcePolicy", of.clone()).await, json!({ "Policy": "{}" }), "none yet");
        let none = api.refused("DeleteResourcePolicy", of.clone()).await;
        assert_eq!(none.kind, "ResourceNotFoundException", "{none:?}");
        let text = r#"{"Version":"2012-10-17","Statement":{"Effect":"Deny","Principal":"*","Action":"kinesis:Put*"}}"#;
        api.ok("PutResourcePolicy", json!({ "ResourceARN": resource, "Policy": text })).await;
        assert_eq!(api.ok("GetResourcePolicy", of.clone()).await, json!({ "Policy": text }), "byte for byte");
        api.ok("DeleteResourcePolicy", of.clone()).await;
        assert_eq!(api.ok("GetResourcePolicy", of).await, json!({ "Policy": "{}" }));
        let bad = api.refused("PutResourcePolicy", json!({ "ResourceARN": resource, "Policy": "{" })).await;
        assert_eq!(bad.kind, "InvalidArgumentException", "{bad:?}");
    }
}

#[tokio::test]
async fn metrics_asked_for_and_encryption_are_recorded_and_told() {
    let api = Api::to(main_cluster(), 0).await;
    api.stream("recorded", 1).await;
    let input = |metrics: Value| json!({ "StreamName": "recorded", "ShardLevelMetrics": metrics });
    let enabled = api.ok("EnableEnhancedMonitoring", input(json!(["IncomingBytes", "OutgoingBytes"]))).await;
    assert_eq!(enabled["CurrentShardLevelMetrics"], json!([]));
    assert_eq!(enabled["DesiredShardLevelMetrics"].as_array().unwrap().len(), 2);
    let disabled = api.ok("DisableEnhancedMonitoring", input(json!(["ALL"]))).await;
    assert_eq!(disabled["CurrentShardLevelMetrics"].as_array().unwrap().len(), 2);
    assert_eq!(disabled["DesiredShardLevelMetrics"], json!([]));

    let key = json!({ "StreamName": "recorded", "EncryptionType": "KMS", "KeyId": "alias/aws/kinesis" });
    api.ok("StartStreamEncryption", key.clone()).await;
    let summary = api.summary("recorded").await;
    assert_eq!((&summary["EncryptionType"], &summary["KeyId"]), (&json!("KMS"), &json!("alias/aws/kinesis")));
    let record = json!({ "StreamName": "recorded", "PartitionKey": "k", "Data": "eA==" });
    assert_eq!(api.ok("PutRecord", record).await["EncryptionType"], "KMS");
    let page = api.page(&api.iterator("recorded", 0, "TRIM_HORIZON").await).await;
    assert_eq!(page["Records"][0]["EncryptionType"], "KMS");
    api.ok("StopStreamEncryption", key).await;
    let summary = api.summary("recorded").await;
    assert_eq!((&summary["EncryptionType"], summary.get("KeyId")), (&json!("NONE"), None));
}

#[tokio::test]
async fn limits_of_the_account_are_told() {
    let api = Api::to(main_cluster(), 0).await;
    let limits = api.ok("DescribeLimits", json!({})).await;
    for member in ["ShardLimit", "OpenShardCount", "OnDemandStreamCount", "OnDemandStreamCountLimit"] {
        assert!(limits[member].is_u64(), "{member} in {limits}");
    }
    let settings = api.ok("DescribeAccountSettings", json!({})).await;
    assert!(settings["MinimumThroughputBillingCommitment"]["Status"].is_string(), "{settings}");
}

#[tokio::test]
async fn what_the_account_may_have_is_bounded_and_a_commitment_allows_more() {
    let cluster = Cluster::start(Shape { name: "account", nodes: 1, tls: false, auth: Auth::Off });
    let api = Api::to(&cluster, 0).await;
    let patch = AccountPatch { shards_max: Some(6), ..AccountPatch::default() };
    cluster.client(0).cluster().update_account(&patch).await.unwrap();
    assert_eq!(api.ok("DescribeLimits", json!({})).await["ShardLimit"], 6);
    let created = json!({ "StreamName": "busy", "StreamModeDetails": { "StreamMode": "ON_DEMAND" } });
    api.ok("CreateStream", created).await;
    api.until_active("busy").await;
    let said = format!(
        "This request would exceed the shard limit for the account {ACCOUNT} in us-east-1. Current shard count for the \
         account: 4. Limit: 6. Number of additional shards that would have resulted from this request: 3. Refer to the \
         AWS Service Limits page (http://docs.aws.amazon.com/general/latest/gr/aws_service_limits.html) for current \
         limits and how to request higher limits."
    );
    let three = json!({ "StreamName": "three", "ShardCount": 3 });
    assert_eq!(api.refused("CreateStream", three).await, Refusal::new("LimitExceeded", said));

    let warm = json!({ "StreamName": "busy", "WarmThroughputMiBps": 4 });
    let refused = api.refused("UpdateStreamWarmThroughput", warm.clone()).await;
    assert_eq!(refused.kind, "InvalidArgumentException", "without the commitment: {refused:?}");
    let register = |n: usize| json!({ "StreamARN": arn("busy"), "ConsumerName": format!("c{n}") });
    for n in 0..20 {
        api.ok("RegisterStreamConsumer", register(n)).await;
    }
    assert_eq!(api.refused("RegisterStreamConsumer", register(20)).await.kind, "LimitExceededException");

    let status = |status: &str| json!({ "MinimumThroughputBillingCommitment": { "Status": status } });
    let before = api.ok("DescribeAccountSettings", json!({})).await;
    assert_eq!(before, status("DISABLED"));
    let enabled = api.ok("UpdateAccountSettings", status("ENABLED")).await;
    let commitment = &enabled["MinimumThroughputBillingCommitment"];
    assert_eq!(commitment["Status"], "ENABLED");
    assert!(commitment["StartedAt"].is_number() && commitment["EarliestAllowedEndAt"].is_number(), "{enabled}");
    api.ok("RegisterStreamConsumer", register(20)).await;
    let warmed = api.ok("UpdateStreamWarmThroughput", warm).await;
    assert_eq!(warmed["WarmThroughput"]["TargetMiBps"], 4);
    assert_eq!(api.summary("busy").await["WarmThroughput"]["TargetMiBps"], 4);
    let ended = api.ok("UpdateAccountSettings", status("DISABLED")).await;
    let commitment = &ended["MinimumThroughputBillingCommitment"];
    assert_eq!(commitment["Status"], "ENABLED_UNTIL_EARLIEST_ALLOWED_END", "it lasts a day at least");
}

#[tokio::test]
async fn queues_and_channels_say_clearly_that_they_are_not_there() {
    let api = Api::to(main_cluster(), 0).await;
    for operation in ["ListQueues", "ListChannels"] {
        let refused = api.refused(operation, json!({})).await;
        let said = format!("{operation} is not implemented by Thalweg; docs/kinesis.md lists the operations that are");
        assert_eq!(refused, invalid(said));
    }
}
