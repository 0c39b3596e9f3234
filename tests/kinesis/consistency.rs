//! What one client sees that talks to several nodes: its own changes, at once.

use serde_json::json;
use tokio::time::Instant;

use crate::support::api::{shard_id, text};
use crate::support::{Api, PATIENCE, Refusal, arn, main_cluster};

async fn apis() -> [Api; 3] {
    let cluster = main_cluster();
    [Api::to(cluster, 0).await, Api::to(cluster, 1).await, Api::to(cluster, 2).await]
}

#[tokio::test]
async fn a_stream_made_through_one_node_is_there_at_once_at_the_others() {
    let apis = apis().await;
    for round in 0..100 {
        let name = format!("at-once-{round}");
        let (maker, other, third) = (&apis[round % 3], &apis[(round + 1) % 3], &apis[(round + 2) % 3]);
        maker.ok("CreateStream", json!({ "StreamName": name, "ShardCount": 1 })).await;
        let put = json!({ "StreamName": name, "PartitionKey": "k", "Data": "eA==" });
        let (described, written) = tokio::join!(
            other.call("DescribeStreamSummary", json!({ "StreamName": name })),
            third.call("PutRecord", put.clone()),
        );
        described.unwrap_or_else(|refusal| panic!("round {round}: {refusal:?}"));
        let written = written.unwrap_or_else(|refusal| panic!("round {round}: {refusal:?}"));
        other.ok("PutRecord", put).await;
        let number = text(&written["SequenceNumber"]);
        maker.iterator_by(&name, 0, "AT_SEQUENCE_NUMBER", &number).await;
        third.ok("DeleteStream", json!({ "StreamName": name })).await;
    }
}

#[tokio::test]
async fn a_consumer_registered_through_one_node_is_there_at_once_at_all() {
    let apis = apis().await;
    apis[0].stream("registered-at-once", 1).await;
    for round in 0..30 {
        let name = format!("c{round}");
        let input = json!({ "StreamARN": arn("registered-at-once"), "ConsumerName": name });
        let made = apis[round % 3].ok("RegisterStreamConsumer", input.clone()).await;
        let consumer = json!({ "ConsumerARN": made["Consumer"]["ConsumerARN"] });
        let asked = [0, 1, 2].map(|node| apis[node].call("DescribeStreamConsumer", consumer.clone()));
        for (node, described) in futures::future::join_all(asked).await.into_iter().enumerate() {
            described.unwrap_or_else(|refusal| panic!("round {round}, node {node}: {refusal:?}"));
        }
        apis[(round + 1) % 3].ok("DescribeStreamConsumer", input).await;
        apis[(round + 2) % 3].ok("DeregisterStreamConsumer", consumer).await;
    }
}

#[tokio::test]
async fn children_of_a_split_through_one_node_are_there_at_once_at_the_others() {
    let apis = apis().await;
    apis[0].stream("split-at-once", 1).await;
    apis[1].split_whole("split-at-once", 0).await;
    for api in [&apis[2], &apis[0]] {
        for child in [1, 2] {
            api.iterator("split-at-once", child, "TRIM_HORIZON").await;
        }
    }
}

#[tokio::test]
async fn a_flood_of_wrong_names_is_refused_and_costs_the_controller_little() {
    let api = Api::to(main_cluster(), 1).await;
    let begun = Instant::now();
    let flood = (0..2_000).map(|number| {
        let api = api.clone();
        async move {
            let name = format!("nobody-{number}");
            let refused = api.refused("DescribeStream", json!({ "StreamName": name })).await;
            let said = format!("Stream {name} under account 000000000000 not found.");
            assert_eq!(refused, Refusal::new("ResourceNotFound", said));
        }
    });
    futures::future::join_all(flood).await;
    assert!(begun.elapsed() < PATIENCE);
    let shard = json!({ "StreamName": "nobody", "ShardId": shard_id(0), "ShardIteratorType": "LATEST" });
    assert_eq!(api.refused("GetShardIterator", shard).await.kind, "ResourceNotFoundException");
}
