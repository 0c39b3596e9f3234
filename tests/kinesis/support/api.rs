//! Operations by name, with JSON in and out, over one HTTP/2 connection.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http2::SendRequest;
use serde_json::{Value, json};

use super::cluster::Cluster;
use super::events::Events;
use super::wire::{self, JSON, Wire};

/// A connection to one node.
#[derive(Clone)]
pub(crate) struct Api {
    sender: SendRequest<Full<Bytes>>,
}

/// An error of the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) kind: String,
    pub(crate) text: String,
}

impl Refusal {
    pub(crate) fn new(kind: &str, text: impl Into<String>) -> Refusal {
        Refusal { kind: format!("{kind}Exception"), text: text.into() }
    }
}

/// What AWS calls a stream of the cluster's account.
pub(crate) fn arn(stream: &str) -> String {
    format!("arn:aws:kinesis:us-east-1:000000000000:stream/{stream}")
}

impl Api {
    pub(crate) async fn to(cluster: &Cluster, node: usize) -> Api {
        Api::at(cluster.endpoints[node]).await
    }

    pub(crate) async fn at(address: std::net::SocketAddr) -> Api {
        match Wire::h2(address).await {
            Wire::H2(sender) => Api { sender },
            Wire::H1(_) => unreachable!("HTTP/2 was asked for"),
        }
    }

    /// An operation's output; `Value::Null` for one that has none.
    pub(crate) async fn call(&self, operation: &str, input: Value) -> Result<Value, Refusal> {
        let mut wire = Wire::H2(self.sender.clone());
        let reply = wire.send(wire::request(operation, JSON, input.to_string())).await;
        match reply.status {
            200 if reply.body.is_empty() => Ok(Value::Null),
            200 => Ok(reply.json()),
            _ => Err(refusal(&reply.json())),
        }
    }

    /// As [`Api::call`], of what must succeed.
    pub(crate) async fn ok(&self, operation: &str, input: Value) -> Value {
        match self.call(operation, input.clone()).await {
            Ok(output) => output,
            Err(refusal) => panic!("{operation} {input}: {refusal:?}"),
        }
    }

    /// As [`Api::call`], of what must be refused.
    pub(crate) async fn refused(&self, operation: &str, input: Value) -> Refusal {
        match self.call(operation, input.clone()).await {
            Ok(output) => panic!("{operation} {input} was carried out: {output}"),
            Err(refusal) => refusal,
        }
    }

    /// Opens a subscription.
    pub(crate) async fn subscribe(&self, input: Value) -> Result<Events, Refusal> {
        let mut wire = Wire::H2(self.sender.clone());
        let response = wire.open(wire::request("SubscribeToShard", JSON, input.to_string())).await;
        match response.status().as_u16() {
            200 => Ok(Events::of(response)),
            _ => Err(refusal(&wire::whole(response).await.json())),
        }
    }

    /// A new stream that can be used.
    pub(crate) async fn stream(&self, name: &str, shards: u32) {
        self.ok("CreateStream", json!({ "StreamName": name, "ShardCount": shards })).await;
        self.until_active(name).await;
    }

    /// Waits as SDKs do, only more often.
    pub(crate) async fn until_active(&self, name: &str) {
        let begun = tokio::time::Instant::now();
        while self.summary(name).await["StreamStatus"] != "ACTIVE" {
            assert!(begun.elapsed() < super::PATIENCE, "{name} does not become ACTIVE");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) async fn summary(&self, name: &str) -> Value {
        self.ok("DescribeStreamSummary", json!({ "StreamName": name })).await["StreamDescriptionSummary"].take()
    }

    /// All shards that are listed.
    pub(crate) async fn shards(&self, name: &str) -> Vec<Value> {
        let mut listed = self.ok("ListShards", json!({ "StreamName": name })).await;
        listed["Shards"].as_array_mut().expect("a list").drain(..).collect()
    }

    /// Puts one record; returns where it is.
    pub(crate) async fn put(&self, name: &str, key: &str, data: &[u8]) -> (String, String) {
        let put = json!({ "StreamName": name, "PartitionKey": key, "Data": STANDARD.encode(data) });
        let put = self.ok("PutRecord", put).await;
        (text(&put["ShardId"]), text(&put["SequenceNumber"]))
    }

    /// An iterator without further members.
    pub(crate) async fn iterator(&self, name: &str, shard: u32, kind: &str) -> String {
        let input = json!({ "StreamName": name, "ShardId": shard_id(shard), "ShardIteratorType": kind });
        text(&self.ok("GetShardIterator", input).await["ShardIterator"])
    }

    /// An iterator at or after a number.
    pub(crate) async fn iterator_by(&self, name: &str, shard: u32, kind: &str, number: &str) -> String {
        let input = json!({
            "StreamName": name, "ShardId": shard_id(shard), "ShardIteratorType": kind, "StartingSequenceNumber": number
        });
        text(&self.ok("GetShardIterator", input).await["ShardIterator"])
    }

    /// One page.
    pub(crate) async fn page(&self, iterator: &str) -> Value {
        self.ok("GetRecords", json!({ "ShardIterator": iterator })).await
    }

    /// All data from an iterator to the tip or the end, and the last page.
    pub(crate) async fn drain(&self, iterator: &str) -> (Vec<Vec<u8>>, Value) {
        let (mut all, mut iterator) = (Vec::new(), iterator.to_owned());
        loop {
            let page = self.page(&iterator).await;
            let read = data_of(&page);
            let caught_up = read.is_empty() && page["MillisBehindLatest"] == 0;
            all.extend(read);
            match page["NextShardIterator"].as_str() {
                Some(next) if !caught_up => iterator = next.to_owned(),
                _ => return (all, page),
            }
        }
    }

    /// Splits a shard in the middle, or merges it with the next, and waits for it.
    pub(crate) async fn reshard(&self, operation: &str, name: &str, members: Value) {
        let mut input = json!({ "StreamName": name });
        input.as_object_mut().expect("an object").extend(members.as_object().expect("an object").clone());
        self.ok(operation, input).await;
        self.until_active(name).await;
    }

    /// Splits a shard that covers everything into halves.
    pub(crate) async fn split_whole(&self, name: &str, shard: u32) {
        let members = json!({ "ShardToSplit": shard_id(shard), "NewStartingHashKey": MIDDLE });
        self.reshard("SplitShard", name, members).await;
    }
}

/// Where the upper half of all hash keys begins.
pub(crate) const MIDDLE: &str = "170141183460469231731687303715884105728";

pub(crate) fn shard_id(number: u32) -> String {
    format!("shardId-{number:012}")
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no string")).to_owned()
}

/// The data of a page's records.
pub(crate) fn data_of(page: &Value) -> Vec<Vec<u8>> {
    let records = page["Records"].as_array().expect("a page has records");
    records.iter().map(|record| STANDARD.decode(record["Data"].as_str().expect("data")).expect("base64")).collect()
}

fn refusal(body: &Value) -> Refusal {
    let message = body.get("message").or(body.get("Message")).and_then(Value::as_str);
    Refusal { kind: text(&body["__type"]), text: message.unwrap_or_default().to_owned() }
}
