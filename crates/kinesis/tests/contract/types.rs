//! Wrong types, in the words that the service was recorded to answer them with.

use bytes::Bytes;
use serde_json::{Value as Json, json};
use thalweg_kinesis::{ErrorKind, Format, Operation, decode};

const NUMBER: &str = "com.amazon.coral.value.json.numbers.TruncatingBigNumber";
const LIST: &str = "Start of list found where not expected";
const MAP: &str = "Start of structure or map found where not expected.";

/// What each type is refused with: a value, and the text.
fn refusals(kind: &str) -> Vec<(Json, String)> {
    let class = |class: &str, target: &str| format!("class {class} can not be converted to {target}");
    let boolean = |target| (json!(true), class("java.lang.Boolean", target));
    let string = |target| (json!("23"), class("java.lang.String", target));
    let numbers = |text: String| {
        [json!(23), json!(-2147483648i64), json!(2147483648u64), json!(34.56)].map(|n| (n, text.clone()))
    };
    let list = (json!([]), LIST.to_owned());
    let map = (json!({}), MAP.to_owned());
    let scalars = |text: &str| {
        let mut all = vec![(json!("23"), text.to_owned()), (json!(true), text.to_owned())];
        all.extend(numbers(text.to_owned()));
        all
    };
    match kind {
        "Boolean" => {
            let whole = numbers(class(NUMBER, "an Boolean")).into_iter().take(3);
            let text = (json!("hellowtf"), "'HELLOWTF' can not be converted to an Boolean".to_owned());
            whole.chain([text, list, map]).collect()
        }
        "String" => numbers(class(NUMBER, "an String")).into_iter().chain([boolean("an String"), list, map]).collect(),
        "Integer" => vec![string("an Integer"), boolean("an Integer"), list, map],
        "Timestamp" => {
            let target = "milliseconds since epoch";
            vec![string(target), boolean(target), list, map]
        }
        "Blob" => numbers(class(NUMBER, "a Blob"))
            .into_iter()
            .chain([boolean("a Blob"), list, map])
            .chain(bad_base64())
            .collect(),
        "List" => scalars("Expected list or null").into_iter().chain([map]).collect(),
        "Map" => scalars("Expected map or null").into_iter().chain([list]).collect(),
        "Structure" => scalars("Expected null").into_iter().chain([list]).collect(),
        _ => unreachable!("a kind of the table below"),
    }
}

fn bad_base64() -> Vec<(Json, String)> {
    [
        ("23456", "Base64 encoded length is expected a multiple of 4 bytes but found: 5"),
        ("=+/=", "Invalid Base64 character: '='"),
        ("ab-_", "Invalid Base64 character: '-'"),
        ("ääää", "Invalid Base64 character: 'ä'"),
        ("+/+=", "Invalid last non-pad Base64 character dectected"),
    ]
    .map(|(text, fault)| (json!(text), format!("'{text}' can not be converted to a Blob: {fault}")))
    .to_vec()
}

/// The members whose types were recorded, by operation.
const RECORDED: &[(&str, &[(&str, &str)])] = &[
    ("AddTagsToStream", &[("Tags", "Map"), ("Tags.a", "String"), ("StreamName", "String")]),
    ("CreateStream", &[("StreamName", "String"), ("ShardCount", "Integer")]),
    ("DescribeStream", &[("StreamName", "String"), ("Limit", "Integer"), ("ExclusiveStartShardId", "String")]),
    ("GetRecords", &[("Limit", "Integer"), ("ShardIterator", "String")]),
    (
        "GetShardIterator",
        &[
            ("ShardId", "String"),
            ("ShardIteratorType", "String"),
            ("StartingSequenceNumber", "String"),
            ("StreamName", "String"),
            ("Timestamp", "Timestamp"),
        ],
    ),
    (
        "ListShards",
        &[
            ("StreamName", "String"),
            ("MaxResults", "Integer"),
            ("NextToken", "String"),
            ("StreamCreationTimestamp", "Timestamp"),
            ("ShardFilter", "Structure"),
        ],
    ),
    ("ListStreams", &[("Limit", "Integer"), ("ExclusiveStartStreamName", "String")]),
    ("ListTagsForStream", &[("Limit", "Integer"), ("ExclusiveStartTagKey", "String"), ("StreamName", "String")]),
    ("MergeShards", &[("AdjacentShardToMerge", "String"), ("ShardToMerge", "String"), ("StreamName", "String")]),
    (
        "PutRecord",
        &[
            ("Data", "Blob"),
            ("ExplicitHashKey", "String"),
            ("PartitionKey", "String"),
            ("SequenceNumberForOrdering", "String"),
            ("StreamName", "String"),
            ("DryRun", "Boolean"),
        ],
    ),
    (
        "PutRecords",
        &[
            ("Records", "List"),
            ("Records.0", "Structure"),
            ("Records.0.Data", "Blob"),
            ("Records.0.ExplicitHashKey", "String"),
            ("Records.0.PartitionKey", "String"),
            ("StreamName", "String"),
        ],
    ),
    ("RemoveTagsFromStream", &[("TagKeys", "List"), ("TagKeys.0", "String"), ("StreamName", "String")]),
    ("SplitShard", &[("NewStartingHashKey", "String"), ("ShardToSplit", "String"), ("StreamName", "String")]),
    ("UpdateShardCount", &[("StreamName", "String"), ("ScalingType", "String"), ("TargetShardCount", "Integer")]),
];

/// A request that has only `value`, at `path`.
fn request(path: &str, value: Json) -> Json {
    path.rsplit('.').fold(value, |inner, step| if step == "0" { json!([inner]) } else { json!({ step: inner }) })
}

/// The same request in CBOR, by a library that is not the one under test.
fn as_cbor(json: &Json) -> Bytes {
    let mut body = Vec::new();
    ciborium::into_writer(json, &mut body).unwrap();
    Bytes::from(body)
}

#[test]
fn wrong_types_are_refused_in_the_services_words_in_both_formats() {
    let mut checked = 0;
    for (operation, members) in RECORDED {
        let shape = Operation::by_name(operation).unwrap().input();
        for (path, kind) in *members {
            for (value, text) in refusals(kind) {
                let json = request(path, value);
                for (format, body) in [(Format::Json, Bytes::from(json.to_string())), (Format::Cbor, as_cbor(&json))] {
                    let error = decode(format, shape, &body).expect_err(&json.to_string());
                    assert_eq!(error.kind, ErrorKind::Serialization);
                    assert_eq!(error.message.as_deref(), Some(&*text), "{operation} {json} {format:?}");
                    checked += 1;
                }
            }
        }
    }
    assert!(checked > 500, "{checked}");
}

#[test]
fn a_refusal_spells_its_message_with_a_capital() {
    let shape = Operation::GetRecords.input();
    let error = decode(Format::Json, shape, &Bytes::from_static(br#"{"Limit":true}"#)).unwrap_err();
    let body: Json = serde_json::from_slice(&error.body(Format::Json)).unwrap();
    let text = "class java.lang.Boolean can not be converted to an Integer";
    assert_eq!(body, json!({ "__type": "SerializationException", "Message": text }));
}

#[test]
fn a_body_that_cannot_be_parsed_is_refused_without_words_even_behind_a_wrong_type() {
    let shape = Operation::ListStreams.input();
    for body in ["", "hello", "{", r#"{"Limit":true"#, r#"{"Limit":true}}"#, "{}x", r#"{"Limit":1e999}"#, "\u{feff}{}"]
    {
        let error = decode(Format::Json, shape, &Bytes::from(body)).expect_err(body);
        assert_eq!(error.body(Format::Json), br#"{"__type":"SerializationException"}"#, "{body}");
    }
    // A map that ends too early, with a wrong type before; a lone break; a byte too many.
    for body in [&b"\xa2\x65Limit\xf5"[..], b"\xff", b"\xa0\x00", b"", b"\x1f"] {
        let error = decode(Format::Cbor, shape, &Bytes::from_static(body)).unwrap_err();
        assert_eq!(error.message, None, "{body:x?}");
    }
}
