//! What stands around an operation: which requests are operations at all, in which order a request
//! is checked, and what every reply carries.

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use serde_json::json;

use crate::support::wire::{CBOR, JSON, post, raw, request};
use crate::support::{Reply, Wire, main_cluster};

const NO_OPERATION: &str = "<AccessDeniedException>\n  <Message>Unable to determine service/operation name to be authorized</Message>\n</AccessDeniedException>\n";
const LIST: (&str, &str) = ("x-amz-target", "Kinesis_20131202.ListStreams");

async fn reply(request: Request<Full<Bytes>>) -> Reply {
    Wire::h1(main_cluster().endpoints[0]).await.send(request).await
}

#[tokio::test]
async fn a_request_without_operation_is_refused_in_xml() {
    for (method, headers) in [
        ("GET", vec![]),
        ("PUT", vec![("content-type", JSON), LIST]),
        ("DELETE", vec![]),
        ("OPTIONS", vec![]),
        ("POST", vec![]),
        ("POST", vec![("content-type", "text/plain")]),
        ("POST", vec![("x-amz-target", "")]),
    ] {
        let reply = reply(raw(method, &headers, "{}")).await;
        assert_eq!((reply.status, reply.text()), (403, NO_OPERATION), "{method} {headers:?}");
    }
}

#[tokio::test]
async fn an_operation_in_an_unknown_encoding_is_not_found() {
    for encoding in ["application/json", "application/x-amz-json-1.0", "application/cbor", "text/plain"] {
        let reply = reply(post(&[("content-type", encoding), LIST], "{}")).await;
        assert_eq!((reply.status, reply.text()), (404, "<UnknownOperationException/>\n"), "{encoding}");
    }
    let reply = reply(post(&[LIST], "{}")).await;
    assert_eq!((reply.status, reply.text()), (404, "<UnknownOperationException/>\n"));
}

#[tokio::test]
async fn the_encoding_may_have_parameters_and_any_case() {
    for encoding in ["application/x-amz-json-1.1; charset=utf-8", "Application/X-Amz-Json-1.1"] {
        let reply = reply(post(&[("content-type", encoding), LIST], "{}")).await;
        assert_eq!((reply.status, reply.header("content-type")), (200, JSON), "{encoding}");
    }
}

#[tokio::test]
async fn a_body_that_cannot_be_read_comes_before_an_operation_that_does_not_exist() {
    for operation in ["ListStreams", "NoSuchOperation"] {
        for body in ["", "{", "not json", "{\"a\":1}}"] {
            let reply = reply(request(operation, JSON, body)).await;
            assert_eq!(reply.status, 400);
            assert_eq!(reply.text(), r#"{"__type":"SerializationException"}"#, "{operation} {body}");
        }
    }
    for target in ["Kinesis_20131202.NoSuchOperation", "Kinesis_20131202.", "DynamoDB_20120810.ListTables", "nonsense"]
    {
        let reply = reply(post(&[("content-type", JSON), ("x-amz-target", target)], "{}")).await;
        assert_eq!((reply.status, reply.text()), (400, r#"{"__type":"UnknownOperationException"}"#), "{target}");
    }
}

#[tokio::test]
async fn types_come_before_constraints_and_constraints_before_state() {
    let wrong_type = reply(request("DescribeStreamSummary", JSON, r#"{"StreamName":7}"#)).await;
    assert_eq!(wrong_type.json()["__type"], "SerializationException");
    assert!(wrong_type.json()["Message"].is_string(), "its message is spelled with a capital: {}", wrong_type.text());

    let constraint = reply(request("DescribeStreamSummary", JSON, r#"{"StreamName":"not a name"}"#)).await;
    let said = "1 validation error detected: Value 'not a name' at 'streamName' failed to satisfy constraint: Member \
                must satisfy regular expression pattern: [a-zA-Z0-9_.-]+";
    assert_eq!(constraint.json(), json!({ "__type": "ValidationException", "message": said }));

    let state = reply(request("DescribeStreamSummary", JSON, r#"{"StreamName":"none-such"}"#)).await;
    let said = "Stream none-such under account 000000000000 not found.";
    assert_eq!(state.json(), json!({ "__type": "ResourceNotFoundException", "message": said }));
    assert_eq!((state.status, state.header("x-amzn-errortype")), (400, "ResourceNotFoundException"));
}

#[tokio::test]
async fn every_reply_carries_ids_and_a_date() {
    let mut seen = std::collections::BTreeSet::new();
    for request in [
        request("ListStreams", JSON, "{}"),
        request("ListStreams", CBOR, &b"\xa0"[..]),
        request("NoSuchOperation", JSON, "{}"),
        request("DescribeStreamSummary", JSON, r#"{"StreamName":"none-such"}"#),
        raw("GET", &[], ""),
    ] {
        let reply = reply(request).await;
        assert!(seen.insert(reply.header("x-amzn-requestid").to_owned()), "request ids differ");
        assert_eq!(reply.header("x-amzn-requestid").len(), 36, "{reply:?}");
        assert_eq!(reply.header("x-amz-id-2").len(), 96, "72 bytes in base64: {reply:?}");
        assert!(reply.header("date").ends_with(" GMT"), "{reply:?}");
        assert_eq!(reply.header("access-control-allow-origin"), "", "nobody asked");
    }
}

#[tokio::test]
async fn a_browser_may_read_replies_and_gets_preflight_requests_answered() {
    let origin = ("origin", "https://example.com");
    let asked = reply(post(&[origin, ("content-type", JSON), LIST], "{}")).await;
    assert_eq!(asked.header("access-control-allow-origin"), "*");
    let exposed = "x-amzn-RequestId,x-amzn-ErrorType,x-amz-request-id,x-amz-id-2,x-amzn-ErrorMessage,Date";
    assert_eq!(asked.header("access-control-expose-headers"), exposed);

    let wanted = [
        origin,
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "x-amz-target,authorization"),
    ];
    let preflight = reply(raw("OPTIONS", &wanted, "")).await;
    assert_eq!((preflight.status, preflight.body.len()), (200, 0));
    assert_eq!(preflight.header("access-control-allow-origin"), "*");
    assert_eq!(preflight.header("access-control-allow-methods"), "POST");
    assert_eq!(preflight.header("access-control-allow-headers"), "x-amz-target,authorization");
    assert_eq!(preflight.header("access-control-max-age"), "172800");
    assert_eq!(preflight.header("x-amz-id-2"), "", "a preflight has no extended id");
    assert_eq!(preflight.header("x-amzn-requestid").len(), 36);
}

#[tokio::test]
async fn an_operation_without_output_answers_an_empty_body() {
    for (protocol, wire) in
        [("h1", Wire::h1(main_cluster().endpoints[0]).await), ("h2", Wire::h2(main_cluster().endpoints[0]).await)]
    {
        let (mut wire, name) = (wire, format!("empty-body-{protocol}"));
        let body = json!({ "StreamName": name, "ShardCount": 1 }).to_string();
        let created = wire.send(request("CreateStream", JSON, body)).await;
        assert_eq!((created.status, created.body.len()), (200, 0), "{created:?}");
        assert_eq!((created.header("content-length"), created.header("content-type")), ("0", JSON), "{protocol}");
        let tagged = json!({ "StreamName": name, "Tags": { "a": "b" } }).to_string();
        let tagged = wire.send(request("AddTagsToStream", JSON, tagged)).await;
        assert_eq!((tagged.status, tagged.body.len(), tagged.header("content-length")), (200, 0, "0"), "{protocol}");
    }
}

mod encodings {
    //! JSON and CBOR say the same.

    use ciborium::Value as Cbor;

    use super::*;
    use crate::support::{Api, Event, Events, arn};

    fn cbor(entries: Vec<(&str, Cbor)>) -> Vec<u8> {
        let entries = entries.into_iter().map(|(name, value)| (Cbor::Text(name.to_owned()), value)).collect();
        let mut bytes = Vec::new();
        ciborium::into_writer(&Cbor::Map(entries), &mut bytes).expect("memory takes everything");
        bytes
    }

    fn member<'v>(value: &'v Cbor, name: &str) -> &'v Cbor {
        let found = value.as_map().expect("a map").iter().find(|(key, _)| key.as_text() == Some(name));
        &found.unwrap_or_else(|| panic!("{name} is missing in {value:?}")).1
    }

    async fn call(wire: &mut Wire, operation: &str, entries: Vec<(&str, Cbor)>) -> (u16, Cbor) {
        let reply = wire.send(request(operation, CBOR, cbor(entries))).await;
        assert_eq!(reply.header("content-type"), CBOR, "the answer is in the request's encoding");
        (reply.status, ciborium::from_reader(&reply.body[..]).expect("CBOR"))
    }

    #[tokio::test]
    async fn a_record_put_in_one_encoding_is_read_in_the_other() {
        let api = Api::to(main_cluster(), 0).await;
        api.stream("encodings", 1).await;
        let mut wire = Wire::h1(main_cluster().endpoints[0]).await;
        let text = |text: &str| Cbor::Text(text.to_owned());

        let put =
            vec![("StreamName", text("encodings")), ("PartitionKey", text("k")), ("Data", Cbor::Bytes(vec![0, 255]))];
        let (status, put) = call(&mut wire, "PutRecord", put).await;
        assert_eq!((status, member(&put, "ShardId")), (200, &text("shardId-000000000000")));
        api.put("encodings", "k", b"from JSON").await;

        let iterator = api.iterator("encodings", 0, "TRIM_HORIZON").await;
        let page = api.page(&iterator).await;
        assert_eq!(page["Records"][0]["Data"], "AP8=");
        let seconds = page["Records"][0]["ApproximateArrivalTimestamp"].as_f64().unwrap();

        let (status, page) = call(&mut wire, "GetRecords", vec![("ShardIterator", Cbor::Text(iterator))]).await;
        assert_eq!(status, 200);
        let records = member(&page, "Records").as_array().unwrap();
        assert_eq!(member(&records[0], "Data"), &Cbor::Bytes(vec![0, 255]));
        assert_eq!(member(&records[1], "Data"), &Cbor::Bytes(b"from JSON".to_vec()));
        let arrived = member(&records[0], "ApproximateArrivalTimestamp");
        let arrived = arrived.as_tag().map_or(arrived, |(_, inner)| inner);
        let millis = i128::from(arrived.as_integer().expect("milliseconds are an integer"));
        assert_eq!(millis, (seconds * 1000.0).round() as i128, "CBOR counts milliseconds, JSON seconds");
    }

    #[tokio::test]
    async fn an_error_is_told_in_the_encoding_of_the_request() {
        let mut wire = Wire::h1(main_cluster().endpoints[0]).await;
        let asked = vec![("StreamName", Cbor::Text("none-such".to_owned()))];
        let (status, error) = call(&mut wire, "DescribeStreamSummary", asked).await;
        assert_eq!(status, 400);
        assert_eq!(member(&error, "__type"), &Cbor::Text("ResourceNotFoundException".to_owned()));
        let said = "Stream none-such under account 000000000000 not found.";
        assert_eq!(member(&error, "message"), &Cbor::Text(said.to_owned()));

        let reply = wire.send(request("ListStreams", CBOR, "{}")).await;
        let error: Cbor = ciborium::from_reader(&reply.body[..]).expect("CBOR");
        assert_eq!(member(&error, "__type"), &Cbor::Text("SerializationException".to_owned()), "JSON is no CBOR");
    }

    #[tokio::test]
    async fn a_subscription_asked_for_in_cbor_is_answered_in_json_events() {
        let api = Api::to(main_cluster(), 0).await;
        api.stream("cbor-subscriber", 1).await;
        let text = |text: &str| Cbor::Text(text.to_owned());
        let mut wire = Wire::h1(main_cluster().endpoints[0]).await;
        let asked = vec![("StreamARN", text(&arn("cbor-subscriber"))), ("ConsumerName", text("c"))];
        let (status, made) = call(&mut wire, "RegisterStreamConsumer", asked).await;
        assert_eq!(status, 200);
        let consumer = member(member(&made, "Consumer"), "ConsumerARN").clone();
        let start = Cbor::Map(vec![(text("Type"), text("TRIM_HORIZON"))]);
        let asked = cbor(vec![("ConsumerARN", consumer), ("ShardId", text("0")), ("StartingPosition", start)]);
        let mut events = Events::of(wire.open(request("SubscribeToShard", CBOR, asked)).await);
        assert_eq!(events.next().await, Some(Event::Initial));
        api.put("cbor-subscriber", "k", b"x").await;
        assert_eq!(events.data(1).await.0, [b"x"]);
    }
}
