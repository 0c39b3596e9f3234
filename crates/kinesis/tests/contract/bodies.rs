//! Bodies to the byte: what clients send, and what they get.

use bytes::Bytes;
use thalweg_kinesis::{ApiError, ErrorKind, Format, Operation, Struct, Value, decode, encode};
use thalweg_types::UnixMillis;

fn from_json(operation: Operation, body: &'static str) -> Struct {
    decode(Format::Json, operation.input(), &Bytes::from_static(body.as_bytes())).unwrap()
}

fn from_cbor(operation: Operation, body: &'static [u8]) -> Struct {
    decode(Format::Cbor, operation.input(), &Bytes::from_static(body)).unwrap()
}

fn answer() -> Struct {
    let record = Struct::new()
        .with("SequenceNumber", "49590338271490256608559692538361571095921575989136588898")
        .with("ApproximateArrivalTimestamp", UnixMillis(1_459_799_926_480))
        .with("Data", Bytes::from_static(b"hello\0\xff"))
        .with("PartitionKey", "schl\u{fc}ssel \"1\"\n");
    Struct::new().with("Records", Value::List(vec![record.into()])).with("MillisBehindLatest", 2100i64)
}

#[test]
fn an_answer_is_written_as_the_service_writes_it() {
    let json = concat!(
        r#"{"Records":[{"SequenceNumber":"49590338271490256608559692538361571095921575989136588898","#,
        r#""ApproximateArrivalTimestamp":1459799926.480,"Data":"aGVsbG8A/w==","#,
        "\"PartitionKey\":\"schl\u{fc}ssel \\\"1\\\"\\n\"}],\"MillisBehindLatest\":2100}",
    );
    assert_eq!(String::from_utf8(encode(Format::Json, &answer())).unwrap(), json);
    let cbor = [
        &b"\xa2\x67Records\x81\xa4\x6eSequenceNumber\x78\x38"[..],
        b"49590338271490256608559692538361571095921575989136588898",
        b"\x78\x1bApproximateArrivalTimestamp\x1b\x00\x00\x01\x53\xe2\xdb\x26\xd0",
        b"\x64Data\x47hello\0\xff",
        b"\x6cPartitionKey\x6fschl\xc3\xbcssel \"1\"\n",
        b"\x72MillisBehindLatest\x19\x08\x34",
    ];
    assert_eq!(encode(Format::Cbor, &answer()), cbor.concat());
}

#[test]
fn null_is_absent_and_unknown_members_are_ignored_at_any_depth() {
    let body = r#" { "StreamName" : null, "Nested": {"a": [1, {"b": null}, "]}"]}, "Data": "", "PartitionKey": "k" } "#;
    let expected = Struct::new().with("Data", Bytes::new()).with("PartitionKey", "k");
    assert_eq!(from_json(Operation::PutRecord, body), expected);
    let body = b"\xa4\x6aStreamName\xf6\x66Nested\xa1\x61a\x9f\x01\xa1\xf4\xf7\xff\x64Data\x40\x6cPartitionKey\x61k";
    assert_eq!(from_cbor(Operation::PutRecord, body), expected);
    assert_eq!(from_json(Operation::ListStreams, "null"), Struct::new());
    assert_eq!(from_cbor(Operation::ListStreams, b"\xf6"), Struct::new());
}

#[test]
fn the_last_of_equal_members_counts() {
    let body = r#"{"Limit":1,"Limit":2}"#;
    assert_eq!(from_json(Operation::ListStreams, body), Struct::new().with("Limit", 2i64));
    let body = r#"{"Tags":{"a":"1","b":"2","a":"3"}}"#;
    assert_eq!(
        from_json(Operation::AddTagsToStream, body).map("Tags"),
        [("a", "3"), ("b", "2")].map(|(k, v)| (k.into(), v.into()))
    );
}

#[test]
fn base64_may_be_escaped() {
    let body = r#"{"Data":"\/\/79\u002f\u0077\u003d\u003d"}"#;
    assert_eq!(from_json(Operation::PutRecord, body).blob("Data").unwrap()[..], *b"\xff\xfe\xfd\xff");
}

#[test]
fn cbor_of_the_java_sdk_is_read_indefinite_lengths_and_all() {
    let body = b"\xbf\x67Records\x9f\xbf\x64Data\x45hello\x6cPartitionKey\x61a\xff\
                 \xbf\x64Data\x5f\x42he\x43llo\xff\x6cPartitionKey\x7f\x61b\x61c\xff\xff\xff\
                 \x6aStreamName\x61s\xff";
    let record =
        |key: &str| Value::from(Struct::new().with("Data", Bytes::from_static(b"hello")).with("PartitionKey", key));
    let expected = Struct::new().with("Records", Value::List(vec![record("a"), record("bc")])).with("StreamName", "s");
    assert_eq!(from_cbor(Operation::PutRecords, body), expected);
}

#[test]
fn blobs_of_cbor_share_the_bytes_of_the_body() {
    let body = Bytes::from([&b"\xa1\x64Data\x59\x04\x00"[..], &[7; 1024]].concat());
    let request = decode(Format::Cbor, Operation::PutRecord.input(), &body).unwrap();
    let blob = request.blob("Data").unwrap();
    assert_eq!(blob.len(), 1024);
    assert!(body.as_ptr_range().contains(&blob.as_ptr()), "a copy was made");
}

#[test]
fn times_are_seconds_in_json_and_milliseconds_in_cbor() {
    let json = |number: &str| {
        let body = Bytes::from(format!(r#"{{"Timestamp":{number}}}"#));
        decode(Format::Json, Operation::GetShardIterator.input(), &body).unwrap().time("Timestamp").unwrap().0
    };
    assert_eq!(json("1459799926.480"), 1_459_799_926_480);
    assert_eq!(json("1.45979992648E9"), 1_459_799_926_480);
    assert_eq!(json("1459799926"), 1_459_799_926_000);
    assert_eq!((json("-1"), json("-1.5"), json("1e300")), (0, 0, i64::MAX as u64));
    let cbor = |number: &[u8]| {
        let body = Bytes::from([b"\xa1\x69Timestamp", number].concat());
        decode(Format::Cbor, Operation::GetShardIterator.input(), &body).unwrap().time("Timestamp").unwrap().0
    };
    let ms = b"\x1b\x00\x00\x01\x53\xe2\xdb\x26\xd0";
    assert_eq!(cbor(ms), 1_459_799_926_480);
    assert_eq!(cbor(&[b"\xc1", &ms[..]].concat()), 1_459_799_926_480, "with tag 1");
    let double = 1_459_799_926_480f64.to_be_bytes();
    assert_eq!(cbor(&[b"\xc1\xfb", &double[..]].concat()), 1_459_799_926_480, "as a tagged double");
    assert_eq!(cbor(b"\xf9\x3e\x00"), 2, "half a float, one and a half");
    assert_eq!((cbor(b"\x20"), cbor(b"\xf9\x7e\x00")), (0, 0), "negative, and not a number");
}

#[test]
fn flags_are_read_from_words_too() {
    let flag = |value: &str| {
        let body = Bytes::from(format!(r#"{{"EnforceConsumerDeletion":{value}}}"#));
        decode(Format::Json, Operation::DeleteStream.input(), &body).unwrap().flag("EnforceConsumerDeletion")
    };
    assert_eq!(["true", r#""true""#, r#""YES""#, r#""1""#].map(flag), [true; 4]);
    assert_eq!(["false", r#""False""#, r#""no""#, r#""0""#].map(flag), [false; 4]);
}

#[test]
fn errors_are_the_same_map_in_both_formats() {
    let error = ApiError::new(ErrorKind::ResourceNotFound, "Stream s under account 000000000000 not found.");
    let json = r#"{"__type":"ResourceNotFoundException","message":"Stream s under account 000000000000 not found."}"#;
    assert_eq!(error.body(Format::Json), json.as_bytes());
    let cbor: serde_json::Value = ciborium::from_reader(&error.body(Format::Cbor)[..]).unwrap();
    assert_eq!(cbor, serde_json::from_str::<serde_json::Value>(json).unwrap());
    let unknown = ApiError::bare(ErrorKind::UnknownOperation);
    assert_eq!(unknown.body(Format::Json), br#"{"__type":"UnknownOperationException"}"#);
}

#[test]
fn only_the_services_content_types_name_a_format() {
    let format = Format::from_content_type;
    assert_eq!(format("application/x-amz-json-1.1"), Some(Format::Json));
    assert_eq!(format("application/X-AMZ-JSON-1.1; charset=utf-8"), Some(Format::Json));
    assert_eq!(format("application/x-amz-cbor-1.1"), Some(Format::Cbor));
    for other in ["", "application/json", "application/x-amz-json-1.0", "application/cbor", "text/plain"] {
        assert_eq!(format(other), None, "{other}");
    }
}
