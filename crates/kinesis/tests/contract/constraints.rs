//! Broken constraints, in the words and the order that the service was recorded to answer with.
//!
//! The recordings are older than the model: since then `StreamName` may be left out, and some
//! limits have grown. Everything else is as it was recorded.

use bytes::Bytes;
use serde_json::{Value as Json, json};
use thalweg_kinesis::{ErrorKind, Format, Operation, decode, validate};

fn outcome(operation: Operation, request: &Json) -> Option<String> {
    let request = decode(Format::Json, operation.input(), &Bytes::from(request.to_string())).unwrap();
    let error = validate(operation, &request).err()?;
    assert_eq!(error.kind, ErrorKind::Validation);
    error.message
}

#[track_caller]
fn refused(operation: Operation, request: &Json, expected: &[&str]) {
    let plural = if expected.len() == 1 { "" } else { "s" };
    let text = format!("{} validation error{plural} detected: {}", expected.len(), expected.join("; "));
    assert_eq!(outcome(operation, request), Some(text), "{operation}");
}

fn violation(value: &str, at: &str, constraint: &str) -> String {
    let value = if value == "null" { value.to_owned() } else { format!("'{value}'") };
    format!("Value {value} at '{at}' failed to satisfy constraint: {constraint}")
}

fn absent(at: &str) -> String {
    violation("null", at, "Member must not be null")
}

fn too_short(at: &str) -> String {
    violation("", at, "Member must have length greater than or equal to 1")
}

fn too_long(value: &str, at: &str, max: u32) -> String {
    violation(value, at, &format!("Member must have length less than or equal to {max}"))
}

fn not_a_name(value: &str, at: &str) -> String {
    violation(value, at, "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+")
}

#[track_caller]
fn refused_with(operation: Operation, request: Json, expected: &[String]) {
    refused(operation, &request, &expected.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn absent_members_are_listed_with_the_other_violations() {
    refused_with(Operation::CreateStream, json!({}), &[absent("streamName")]);
    refused_with(Operation::PutRecord, json!({}), &[absent("data")]);
    refused_with(Operation::PutRecords, json!({}), &[absent("records")]);
    refused_with(Operation::GetRecords, json!({}), &[absent("shardIterator")]);
    refused_with(Operation::GetShardIterator, json!({}), &[absent("shardId"), absent("shardIteratorType")]);
    refused_with(Operation::SplitShard, json!({}), &[absent("newStartingHashKey"), absent("shardToSplit")]);
    refused_with(Operation::MergeShards, json!({}), &[absent("shardToMerge"), absent("adjacentShardToMerge")]);
    refused_with(Operation::UpdateShardCount, json!({}), &[absent("scalingType"), absent("targetShardCount")]);
    refused_with(Operation::AddTagsToStream, json!({}), &[absent("tags")]);
    refused_with(Operation::RemoveTagsFromStream, json!({}), &[absent("tagKeys")]);
    refused_with(Operation::IncreaseStreamRetentionPeriod, json!({}), &[absent("retentionPeriodHours")]);
    refused_with(
        Operation::PutRecords,
        json!({"Records": [{}, null]}),
        &[absent("records.1.member.data"), absent("records.2.member.data")],
    );
    let nested = json!({"ShardId": "s", "ConsumerARN": "arn:aws:kinesis:r:000000000000:stream/s/consumer/c:1", "StartingPosition": {}});
    refused_with(Operation::SubscribeToShard, nested, &[absent("startingPosition.type")]);
}

#[test]
fn empty_names_break_their_pattern_and_their_length() {
    let name = [not_a_name("", "streamName"), too_short("streamName")];
    let at_least = |value: &str, at: &str| violation(value, at, "Member must have value greater than or equal to 1");
    refused_with(
        Operation::CreateStream,
        json!({"StreamName": "", "ShardCount": 0}),
        &[&[at_least("0", "shardCount")], &name[..]].concat(),
    );
    refused_with(
        Operation::ListTagsForStream,
        json!({"StreamName": "", "ExclusiveStartTagKey": "", "Limit": 0}),
        &[&[at_least("0", "limit"), too_short("exclusiveStartTagKey")], &name[..]].concat(),
    );
    refused_with(
        Operation::ListShards,
        json!({"StreamName": "", "NextToken": "", "MaxResults": 0, "ExclusiveStartShardId": ""}),
        &[
            at_least("0", "maxResults"),
            not_a_name("", "exclusiveStartShardId"),
            too_short("exclusiveStartShardId"),
            name[0].clone(),
            name[1].clone(),
            too_short("nextToken"),
        ],
    );
    refused_with(
        Operation::MergeShards,
        json!({"StreamName": "", "ShardToMerge": "", "AdjacentShardToMerge": ""}),
        &[
            not_a_name("", "shardToMerge"),
            too_short("shardToMerge"),
            not_a_name("", "adjacentShardToMerge"),
            too_short("adjacentShardToMerge"),
            name[0].clone(),
            name[1].clone(),
        ],
    );
    refused_with(
        Operation::GetRecords,
        json!({"ShardIterator": "", "Limit": 0}),
        &[at_least("0", "limit"), too_short("shardIterator")],
    );
}

#[test]
fn patterns_and_enums_are_printed_as_the_service_prints_them() {
    refused_with(
        Operation::GetShardIterator,
        json!({"StreamName": "", "ShardIteratorType": "", "ShardId": "", "StartingSequenceNumber": ""}),
        &[
            not_a_name("", "shardId"),
            too_short("shardId"),
            violation(
                "",
                "shardIteratorType",
                "Member must satisfy enum value set: [AFTER_SEQUENCE_NUMBER, LATEST, AT_TIMESTAMP, AT_SEQUENCE_NUMBER, \
                 TRIM_HORIZON]",
            ),
            violation(
                "",
                "startingSequenceNumber",
                r"Member must satisfy regular expression pattern: 0|([1-9]\d{0,128})",
            ),
            not_a_name("", "streamName"),
            too_short("streamName"),
        ],
    );
    let hash_key = r"Member must satisfy regular expression pattern: 0|([1-9]\d{0,38})";
    refused_with(
        Operation::SplitShard,
        json!({"StreamName": "s", "ShardToSplit": "shardId-000000000000", "NewStartingHashKey": "00"}),
        &[violation("00", "newStartingHashKey", hash_key)],
    );
    refused_with(
        Operation::UpdateShardCount,
        json!({"StreamName": "s", "ScalingType": "", "TargetShardCount": 0}),
        &[
            violation("", "scalingType", "Member must satisfy enum value set: [UNIFORM_SCALING]"),
            violation("0", "targetShardCount", "Member must have value greater than or equal to 1"),
        ],
    );
}

#[test]
fn long_values_are_echoed_whole_and_blobs_as_java_prints_them() {
    let (long, longer) = ("a".repeat(129), "a".repeat(257));
    let data = base64_simd::STANDARD.encode_to_string(vec![0; 10_485_761]);
    let buffer = "java.nio.HeapByteBuffer[pos=0 lim=10485761 cap=10485761]";
    let hash_key = r"Member must satisfy regular expression pattern: 0|([1-9]\d{0,38})";
    refused_with(
        Operation::PutRecord,
        json!({"StreamName": long, "PartitionKey": longer, "Data": data, "ExplicitHashKey": ""}),
        &[
            too_long(&longer, "partitionKey", 256),
            violation("", "explicitHashKey", hash_key),
            too_long(buffer, "data", 10_485_760),
            too_long(&long, "streamName", 128),
        ],
    );
    refused_with(
        Operation::PutRecords,
        json!({"StreamName": long, "Records": [{"PartitionKey": longer, "Data": data, "ExplicitHashKey": ""}]}),
        &[
            too_long(&longer, "records.1.member.partitionKey", 256),
            violation("", "records.1.member.explicitHashKey", hash_key),
            too_long(buffer, "records.1.member.data", 10_485_760),
            too_long(&long, "streamName", 128),
        ],
    );
    refused_with(
        Operation::ListStreams,
        json!({"ExclusiveStartStreamName": long, "Limit": 1_000_000}),
        &[
            violation("1000000", "limit", "Member must have value less than or equal to 10000"),
            too_long(&long, "exclusiveStartStreamName", 128),
        ],
    );
}

#[test]
fn ten_violations_are_told_at_most() {
    let record = json!({"PartitionKey": "", "Data": ""});
    let classes = vec!["com.amazonaws.kinesis.v20131202.PutRecordsRequestEntry@2"; 501].join(", ");
    let mut expected = vec![too_long(&format!("[{classes}]"), "records", 500)];
    expected.extend((1..=9).map(|at| too_short(&format!("records.{at}.member.partitionKey"))));
    refused_with(Operation::PutRecords, json!({"StreamName": "", "Records": vec![record; 501]}), &expected);
}

#[test]
fn strings_in_lists_and_maps_are_refused_with_all_their_rules() {
    let long = "a".repeat(129);
    refused_with(
        Operation::RemoveTagsFromStream,
        json!({"StreamName": "s", "TagKeys": ["a", long, "b"]}),
        &[violation(
            &format!("[a, {long}, b]"),
            "tagKeys",
            "Member must satisfy constraint: [Member must have length less than or equal to 128, Member must have length \
             greater than or equal to 1]",
        )],
    );
    refused_with(
        Operation::AddTagsToStream,
        json!({"StreamName": "s", "Tags": {"a": "1", (long.clone()): "3"}}),
        &[violation(
            &format!("{{a=1, {long}=3}}"),
            "tags",
            "Map keys must satisfy constraint: [Member must have length less than or equal to 128, Member must have length \
             greater than or equal to 1]",
        )],
    );
    let value = "v".repeat(257);
    refused_with(
        Operation::AddTagsToStream,
        json!({"StreamName": "s", "Tags": {"c": value}}),
        &[violation(
            &format!("{{c={value}}}"),
            "tags",
            "Map value must satisfy constraint: [Member must have length less than or equal to 256, Member must have length \
             greater than or equal to 0]",
        )],
    );
    refused_with(
        Operation::AddTagsToStream,
        json!({"StreamName": "s", "Tags": {}}),
        &[violation("{}", "tags", "Member must have length greater than or equal to 1")],
    );
    refused_with(
        Operation::EnableEnhancedMonitoring,
        json!({"StreamName": "s", "ShardLevelMetrics": ["IncomingBytes", "Nonsense"]}),
        &[violation(
            "[IncomingBytes, Nonsense]",
            "shardLevelMetrics",
            "Member must satisfy constraint: [Member must satisfy enum value set: [IncomingBytes, IncomingRecords, \
             OutgoingBytes, OutgoingRecords, WriteProvisionedThroughputExceeded, ReadProvisionedThroughputExceeded, \
             IteratorAgeMilliseconds, ALL]]",
        )],
    );
}

#[test]
fn a_pattern_matches_the_whole_value_or_nothing() {
    let accepted = |name: &str| outcome(Operation::DeleteStream, &json!({"StreamName": name})).is_none();
    assert!(accepted("orders.v2_a-b"));
    for refused in ["orders/v2", "a b", " a", "a\n", "ä"] {
        assert!(!accepted(refused), "{refused:?}");
    }
    let arn = |arn: &str| outcome(Operation::DeleteStream, &json!({"StreamARN": arn})).is_none();
    assert!(arn("arn:aws:kinesis:eu-west-1:123456789012:stream/orders"));
    assert!(arn("arn:aws-cn:kinesis:cn-north-1:123456789012:stream/orders"));
    for refused in
        ["arn:aws:kinesis:eu-west-1:12345678901٢:stream/orders", "arn:aws:kinesis:r:123456789012:stream/", "x"]
    {
        assert!(!arn(refused), "{refused:?}");
    }
    assert!(!arn("arn:aws:kinesis:a\rb:123456789012:stream/orders"));
}

#[test]
fn a_partition_key_counts_utf_16_units_as_java_does() {
    let accepted = |key: String| {
        let request = json!({"StreamName": "s", "Data": "", "PartitionKey": key});
        outcome(Operation::PutRecord, &request).is_none()
    };
    assert!(accepted("ä".repeat(256)), "512 bytes, but 256 characters");
    assert!(!accepted("ä".repeat(257)));
    assert!(accepted("😀".repeat(128)), "each counts twice");
    assert!(!accepted("😀".repeat(129)));
}

#[test]
fn numbers_beyond_32_bits_stop_at_the_greatest_and_fractions_are_cut() {
    assert_eq!(outcome(Operation::CreateStream, &json!({"StreamName": "s", "ShardCount": 100_000_000_000u64})), None);
    assert_eq!(outcome(Operation::CreateStream, &json!({"StreamName": "s", "ShardCount": 1.9})), None);
    refused_with(
        Operation::CreateStream,
        json!({"StreamName": "s", "ShardCount": 0.9}),
        &[violation("0", "shardCount", "Member must have value greater than or equal to 1")],
    );
}
