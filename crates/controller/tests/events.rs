//! Any node tells what happened, whoever leads and whoever led.

mod support;

use std::time::Duration;

use support::{LONG, TestCluster};
use thalweg_proto::v1::{CreateStreamRequest, DeleteStreamRequest, Event, ListEventsRequest, ListEventsResponse};

fn wanted(after: u64) -> ListEventsRequest {
    ListEventsRequest { after, limit: 1_000, ..ListEventsRequest::default() }
}

async fn list(cluster: &TestCluster, node: u64, request: ListEventsRequest) -> ListEventsResponse {
    cluster.cluster(node).list_events(request).await.unwrap().into_inner()
}

async fn create(cluster: &TestCluster, node: u64, name: &str) {
    let request =
        CreateStreamRequest { name: name.to_owned(), shard_count: 2, replication: 3, ..CreateStreamRequest::default() };
    cluster.streams(node).create_stream(request).await.unwrap();
}

fn kinds(events: &[Event]) -> Vec<(&str, &str)> {
    events.iter().map(|event| (&*event.kind, &*event.stream_name)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_node_tells_the_same_and_the_next_leader_goes_on() {
    let mut cluster = TestCluster::formed(3).await;
    create(&cluster, 1, "orders").await;
    let told = list(&cluster, 1, wanted(0)).await;
    let joined = told.events.iter().filter(|event| event.kind == "node_joined").count();
    assert_eq!((joined, kinds(&told.events).last()), (3, Some(&("stream_created", "orders"))));
    assert!(told.events.iter().all(|event| event.at_ms > 0), "each has its time");
    for node in [2, 3] {
        assert_eq!(list(&cluster, node, wanted(0)).await, told);
    }

    let leader = cluster.leader().await;
    cluster.kill(leader).await;
    // Asked where it is carried out, creating has no unknown outcome.
    let next = cluster.leader().await;
    create(&cluster, next, "returns").await;
    for node in cluster.up() {
        let after = list(&cluster, node, wanted(told.next_after)).await;
        assert_eq!(kinds(&after.events), [("stream_created", "returns")]);
        assert!(list(&cluster, node, wanted(0)).await.events.starts_with(&told.events));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_hears_of_the_next_event_of_the_stream_as_it_happens() {
    let cluster = TestCluster::formed(3).await;
    create(&cluster, 1, "orders").await;
    let after = list(&cluster, 1, wanted(0)).await.next_after;
    let request = ListEventsRequest { stream_name: "orders".to_owned(), wait_ms: 20_000, ..wanted(after) };
    let mut clients: Vec<_> = [1, 2, 3].map(|node| cluster.cluster(node)).into();
    let waiting = clients.iter_mut().map(|client| client.list_events(request.clone()));
    let act = async {
        create(&cluster, 2, "other").await;
        let request = DeleteStreamRequest { name: "orders".to_owned(), ..DeleteStreamRequest::default() };
        cluster.streams(3).delete_stream(request).await.unwrap();
    };
    let (answers, ()) = tokio::join!(futures::future::join_all(waiting), act);
    for answer in answers {
        assert_eq!(kinds(&answer.unwrap().into_inner().events), [("stream_deleted", "orders")]);
    }

    let began = tokio::time::Instant::now();
    let none = ListEventsRequest { stream_name: "orders".to_owned(), wait_ms: 300, ..wanted(u64::MAX) };
    assert!(list(&cluster, 2, none).await.events.is_empty());
    assert!((Duration::from_millis(300)..LONG).contains(&began.elapsed()), "it waited as long as it was told");
}
