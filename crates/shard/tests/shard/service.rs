//! The gRPC services as a client sees them.

use std::collections::BTreeMap;

use thalweg_proto::errors::{META_LEADER_ADDRESS, Reason, WireError};
use thalweg_proto::v1::append_stream_response::Outcome;
use thalweg_proto::v1::position::At;
use thalweg_proto::v1::{
    AppendRequest, AppendStreamRequest, Position, ProducerTag, ReadRequest, ShardRef, TailRequest,
};
use thalweg_shard::ReplicaSpec;
use thalweg_types::ShardId;

use crate::support::*;

fn shard_ref(shard: u32) -> Option<ShardRef> {
    Some(ShardRef { stream_id: 1, shard })
}

fn append_request(shard: u32, payload: &str, sequence: u64) -> AppendRequest {
    let producer = ProducerTag { producer_id: vec![1; 16].into(), sequence };
    AppendRequest { shard: shard_ref(shard), batch: batch(&[payload]), producer: Some(producer), timeout_ms: 0 }
}

fn at(at: At) -> Option<Position> {
    Some(Position { at: Some(at) })
}

async fn cluster_of(count: u64, shards: u32) -> Cluster {
    let cluster = Cluster::start(count).await;
    let nodes: Vec<u64> = (1..=count).collect();
    let specs: Vec<ReplicaSpec> = (1..=shards).map(|shard| spec(shard, &nodes)).collect();
    cluster.apply(&specs);
    for shard in 1..=shards {
        cluster.observed(1, shard, |seen| seen.ready).await;
    }
    cluster
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_reads_back_over_the_wire() {
    let cluster = cluster_of(1, 1).await;
    let mut client = cluster.client(1).await;
    let appended = client.append(append_request(1, "a", 1)).await.unwrap().into_inner();
    assert_eq!((appended.record_count, appended.arrived_ms, appended.duplicate), (1, START.0, false));
    assert!(client.append(append_request(1, "a", 1)).await.unwrap().into_inner().duplicate);
    let position = at(At::AtSequenceNumber(appended.first_sequence_number.clone()));
    let request = ReadRequest { shard: shard_ref(1), position, max_bytes: 0, wait_ms: 0 };
    let page = client.read(request).await.unwrap().into_inner();
    assert_eq!((page.batches.len(), page.shard_created_ms), (1, START.0));
    assert_eq!(page.batches[0].batch, batch(&["a"]));
    assert_eq!(cluster.node(1).host.metrics().duplicates.get(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_appends_of_several_shards_are_answered_in_order_within_each() {
    let cluster = cluster_of(1, 3).await;
    let mut client = cluster.client(1).await;
    let calls: Vec<AppendStreamRequest> = (0..300u64)
        .map(|i| AppendStreamRequest {
            request_id: i,
            append: Some(append_request(1 + (i % 3) as u32, &i.to_string(), 1 + i / 3)),
        })
        .collect();
    let mut answers = client.append_stream(futures::stream::iter(calls)).await.unwrap().into_inner();
    let mut by_shard: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    while let Some(answer) = answers.message().await.unwrap() {
        assert!(matches!(answer.outcome, Some(Outcome::Appended(_))), "{answer:?}");
        by_shard.entry(answer.request_id % 3).or_default().push(answer.request_id);
    }
    for (shard, ids) in by_shard {
        assert_eq!(ids, (0..100).map(|i| 3 * i + shard).collect::<Vec<_>>());
    }
    let expected: Vec<String> = (0..100).map(|i| (3 * i).to_string()).collect();
    assert_eq!(all_payloads(&cluster.replica(1, 1).await).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_batch_is_answered_in_the_stream_which_goes_on() {
    let cluster = cluster_of(1, 1).await;
    let mut client = cluster.client(1).await;
    let call = |request_id, append| AppendStreamRequest { request_id, append: Some(append) };
    let mut damaged = append_request(1, "b", 2);
    let mut bytes = damaged.batch.to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    damaged.batch = bytes.into();
    let calls = [call(1, append_request(1, "a", 1)), call(2, damaged), call(3, append_request(1, "b", 2))];
    let mut answers = client.append_stream(futures::stream::iter(calls)).await.unwrap().into_inner();
    let mut outcomes = Vec::new();
    while let Some(answer) = answers.message().await.unwrap() {
        outcomes.push(match answer.outcome.unwrap() {
            Outcome::Appended(_) => "appended".to_owned(),
            Outcome::Failed(failure) => format!("{} {}", failure.reason, failure.perhaps_applied),
        });
    }
    assert_eq!(outcomes, ["appended", "CORRUPT_BATCH false", "appended"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_are_sent_to_the_leader_or_told_that_there_is_none() {
    let cluster = cluster_of(3, 1).await;
    cluster.observed(2, 1, |seen| seen.leader.is_some()).await;
    let mut follower = cluster.client(2).await;
    let refused = WireError::from_status(&follower.append(append_request(1, "a", 1)).await.unwrap_err());
    assert_eq!(refused.reason, Reason::NotLeader);
    assert_eq!(refused.metadata[META_LEADER_ADDRESS], cluster.address(1));
    let mut ask = async |stream_id, shard| {
        let request = AppendRequest { shard: Some(ShardRef { stream_id, shard }), ..append_request(1, "a", 1) };
        WireError::from_status(&follower.append(request).await.unwrap_err()).reason
    };
    assert_eq!(ask(1, 99).await, Reason::NotLeader);
    assert_eq!(ask(1, 100).await, Reason::ShardNotFound);
    assert_eq!(ask(2, 1).await, Reason::StreamNotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_follows_a_shard_to_its_end_and_shows_that_it_lives() {
    let cluster = cluster_of(1, 1).await;
    let mut client = cluster.client(1).await;
    let shard = cluster.replica(1, 1).await;
    append(&shard, &["a"]).await;
    let request = TailRequest { shard: shard_ref(1), position: at(At::TrimHorizon(true)), ..Default::default() };
    let mut tail = client.tail(request).await.unwrap().into_inner();
    let mut next = async || tail.message().await.unwrap().and_then(|response| response.page);
    assert_eq!(next().await.unwrap().batches.len(), 1);
    assert!(next().await.unwrap().batches.is_empty(), "an empty page comes when nothing else does");
    assert_eq!(cluster.node(1).host.metrics().tail_readers(), 1);
    append(&shard, &["b"]).await;
    while next().await.unwrap().batches.is_empty() {}
    let sealed = ReplicaSpec { seal: Some(1), closed: true, children: vec![ShardId(2)], ..spec(1, &[1]) };
    cluster.apply(&[sealed]);
    let mut end = None;
    while let Some(page) = next().await {
        end = page.end;
    }
    assert_eq!(end.unwrap().child_shards, [2]);
}
