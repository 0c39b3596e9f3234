//! Event-stream frames as botocore's Kinesis client reads them.

mod sign_python;

use serde_json::{Value, json};
use thalweg_kinesis::{ApiError, ErrorKind, event};

#[test]
fn botocore_reads_a_subscription_to_its_error() {
    let records = json!({
        "Records": [{
            "SequenceNumber": "49590338271490256608559692538361571095921575989136588898",
            "ApproximateArrivalTimestamp": 1_545_084_650.987,
            "Data": "aGVsbG8=",
            "PartitionKey": "é",
        }],
        "ContinuationSequenceNumber": "49590338271490256608559692538361571095921575989136588898",
        "MillisBehindLatest": 12,
    });
    let end = json!({ "Records": [], "MillisBehindLatest": 0, "ChildShards": [] });
    let error = ApiError::new(ErrorKind::ResourceInUse, "Another active subscription exists for this consumer: é");
    let frames = [
        event::initial_response(),
        event::event("SubscribeToShardEvent", records.to_string().as_bytes()),
        event::event("SubscribeToShardEvent", end.to_string().as_bytes()),
        event::exception(&error),
    ];
    let Some(output) = sign_python::run("event_botocore.py", &frames.concat()) else { return };
    let seen: Vec<Value> = output.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut first = records;
    first["Records"][0]["Data"] = json!("hello");
    assert_eq!(seen.len(), 3, "{output}");
    assert_eq!(seen[0]["SubscribeToShardEvent"], first);
    assert_eq!(seen[1]["SubscribeToShardEvent"], end);
    assert_eq!(seen[2], json!({ "Code": "ResourceInUseException", "Message": error.message.unwrap() }));
}
