//! Named tails over the wire: one a name, on the leader, handed on by age, reconnect and end.

use std::time::Duration;

use thalweg_proto::errors::{META_LEADER_ADDRESS, Reason, WireError};
use thalweg_proto::v1::position::At;
use thalweg_proto::v1::{Position, ReadResponse, ShardRef, TailRequest, TailResponse};
use thalweg_shard::{Options, ReplicaSpec};
use thalweg_types::{NodeId, SequenceNumber, ShardId};
use tonic::Streaming;

use crate::support::*;

/// Long enough to be refused within it, however slow the machine.
const LONG_HOLD: Duration = Duration::from_secs(3_600);

async fn cluster_of(count: u64, options: Options) -> Cluster {
    let cluster = Cluster::start_with(count, options).await;
    let nodes: Vec<u64> = (1..=count).collect();
    cluster.apply(&[spec(1, &nodes)]);
    cluster.observed(1, 1, |seen| seen.ready).await;
    cluster
}

fn holding(subscription_hold: Duration) -> Options {
    Options { subscription_hold, ..options() }
}

fn named(subscriber: &str, subscription_id: u64) -> TailRequest {
    TailRequest {
        shard: Some(ShardRef { stream_id: 1, shard: 1 }),
        position: Some(Position { at: Some(At::TrimHorizon(true)) }),
        subscriber: subscriber.to_owned(),
        subscription_id,
        ..Default::default()
    }
}

async fn tail(cluster: &Cluster, node: u64, request: TailRequest) -> Result<Streaming<TailResponse>, WireError> {
    let opened = cluster.client(node).await.tail(request).await;
    opened.map(|answer| answer.into_inner()).map_err(|status| WireError::from_status(&status))
}

async fn page(tail: &mut Streaming<TailResponse>) -> Result<ReadResponse, WireError> {
    let message = tail.message().await.map_err(|status| WireError::from_status(&status))?;
    Ok(message.expect("a tail of an open shard goes on").page.unwrap())
}

/// Batches of the next page that has any.
async fn news(tail: &mut Streaming<TailResponse>) -> usize {
    let news = async {
        loop {
            match page(tail).await.unwrap().batches.len() {
                0 => {}
                batches => return batches,
            }
        }
    };
    tokio::time::timeout(PATIENCE, news).await.expect("what is committed comes")
}

/// What a tail ends with.
async fn end(tail: &mut Streaming<TailResponse>) -> WireError {
    loop {
        if let Err(error) = page(tail).await {
            return error;
        }
    }
}

async fn until_free(cluster: &Cluster) {
    let metrics = cluster.node(1).host.metrics();
    let free = async {
        while metrics.subscriptions() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, free).await.expect("a tail that ended frees its place");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_tail_of_a_name_is_refused_while_the_first_is_young() {
    let cluster = cluster_of(1, holding(LONG_HOLD)).await;
    let mut first = tail(&cluster, 1, named("reader", 1)).await.unwrap();
    let refused = tail(&cluster, 1, named("reader", 2)).await.unwrap_err();
    assert_eq!((refused.reason, refused.perhaps_applied()), (Reason::AlreadySubscribed, false));
    let _others = [
        tail(&cluster, 1, named("another", 2)).await.unwrap(),
        tail(&cluster, 1, named("", 0)).await.unwrap(),
        tail(&cluster, 1, named("", 0)).await.unwrap(),
    ];
    append(&*cluster.leader(1).await, &["a"]).await;
    assert_eq!(news(&mut first).await, 1);
    let metrics = cluster.node(1).host.metrics();
    assert_eq!((metrics.subscriptions(), metrics.tail_readers()), (2, 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_tail_of_a_name_takes_over_an_old_one_which_is_told_while_nothing_comes() {
    let quiet = Options { tail_heartbeat: LONG_HOLD, ..holding(Duration::ZERO) };
    let cluster = cluster_of(1, quiet).await;
    let mut first = tail(&cluster, 1, named("reader", 1)).await.unwrap();
    let mut second = tail(&cluster, 1, named("reader", 2)).await.unwrap();
    let told = tokio::time::timeout(PATIENCE, end(&mut first)).await.expect("told at once");
    assert_eq!((told.reason, told.perhaps_applied()), (Reason::TakenOver, false));
    let back = tail(&cluster, 1, named("reader", 1)).await.unwrap_err();
    assert_eq!(back.reason, Reason::TakenOver, "the first does not come back");
    assert!(page(&mut second).await.unwrap().batches.is_empty(), "the first page comes at once");
    append(&*cluster.leader(1).await, &["a"]).await;
    assert_eq!(news(&mut second).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reconnect_takes_over_at_once_and_an_end_frees_the_place() {
    let cluster = cluster_of(1, holding(LONG_HOLD)).await;
    let mut broken = tail(&cluster, 1, named("reader", 1)).await.unwrap();
    let again = tail(&cluster, 1, named("reader", 1)).await.unwrap();
    assert_eq!(end(&mut broken).await.reason, Reason::TakenOver);
    drop(broken);
    assert_eq!(tail(&cluster, 1, named("reader", 2)).await.unwrap_err().reason, Reason::AlreadySubscribed);
    drop(again);
    until_free(&cluster).await;
    tail(&cluster, 1, named("reader", 2)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_stalls_does_not_keep_its_place_from_others() {
    let cluster = cluster_of(1, holding(Duration::ZERO)).await;
    let leader = cluster.leader(1).await;
    let large = "x".repeat(1_000_000);
    for _ in 0..8 {
        append(&leader, &[&large]).await;
    }
    let mut stalled = tail(&cluster, 1, named("reader", 1)).await.unwrap();
    let mut next = tail(&cluster, 1, named("reader", 2)).await.unwrap();
    let mut batches = 0;
    while batches < 8 {
        batches += news(&mut next).await;
    }
    assert_eq!(end(&mut stalled).await.reason, Reason::TakenOver);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_have_bounds() {
    let cluster = cluster_of(1, Options { subscriptions_max: 2, ..holding(LONG_HOLD) }).await;
    let _open =
        [tail(&cluster, 1, named("a", 1)).await.unwrap(), tail(&cluster, 1, named(&"é".repeat(256), 1)).await.unwrap()];
    assert_eq!(tail(&cluster, 1, named("c", 1)).await.unwrap_err().reason, Reason::LimitExceeded);
    let _unnamed = tail(&cluster, 1, named("", 0)).await.unwrap();
    let long = tail(&cluster, 1, named(&"x".repeat(513), 1)).await.unwrap_err();
    assert_eq!(long.message, "`subscriber` has 513 bytes; it may have 512");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_that_makes_no_sense_costs_nobody_the_place() {
    let cluster = cluster_of(1, holding(Duration::ZERO)).await;
    let mut first = tail(&cluster, 1, named("reader", 1)).await.unwrap();
    let foreign = SequenceNumber::new(START, ShardId(2), 1, 0, START).to_string();
    let position = Some(Position { at: Some(At::AtSequenceNumber(foreign)) });
    let refused = tail(&cluster, 1, TailRequest { position, ..named("reader", 2) }).await.unwrap_err();
    assert_eq!(refused.reason, Reason::InvalidArgument);
    page(&mut first).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_named_tail_and_the_newest_position_are_the_leaders_alone() {
    let cluster = cluster_of(3, options()).await;
    for node in [2, 3] {
        cluster.observed(node, 1, |seen| seen.leader == Some(NodeId(1))).await;
        let refused = tail(&cluster, node, named("reader", 1)).await.unwrap_err();
        assert_eq!(refused.reason, Reason::NotLeader);
        assert_eq!(refused.metadata[META_LEADER_ADDRESS], cluster.address(1));
        let latest = Some(Position { at: Some(At::Latest(true)) });
        let refused = tail(&cluster, node, TailRequest { position: latest, ..named("", 0) }).await.unwrap_err();
        assert_eq!(refused.reason, Reason::NotLeader);
        assert_eq!(refused.metadata[META_LEADER_ADDRESS], cluster.address(1));
    }
    let latest = Some(Position { at: Some(At::Latest(true)) });
    let mut one_hop = tail(&cluster, 1, TailRequest { position: latest, ..named("reader", 1) }).await.unwrap();
    assert!(page(&mut one_hop).await.unwrap().batches.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn named_tails_end_with_the_leadership_and_go_on_at_the_next_leader_under_the_same_id() {
    let quiet = Options { tail_heartbeat: LONG_HOLD, ..holding(LONG_HOLD) };
    let cluster = cluster_of(3, quiet).await;
    let mut first = tail(&cluster, 1, named("reader", 1)).await.unwrap();
    let mut unnamed = tail(&cluster, 1, named("", 0)).await.unwrap();
    let moved = |node| ReplicaSpec { preferred_leader: Some(NodeId(node)), ..spec(1, &[1, 2, 3]) };
    cluster.apply(&[moved(2)]);
    let told = tokio::time::timeout(PATIENCE, end(&mut first)).await.expect("told when the leadership ends");
    assert_eq!(told.reason, Reason::NotLeader);
    cluster.observed(2, 1, |seen| seen.ready).await;
    let mut second = tail(&cluster, 2, named("reader", 1)).await.unwrap();
    append(&*cluster.leader(1).await, &["a"]).await;
    assert_eq!(news(&mut second).await, 1);
    assert_eq!(news(&mut unnamed).await, 1, "other tails go on where they are");
    cluster.apply(&[moved(1)]);
    assert_eq!(end(&mut second).await.reason, Reason::NotLeader);
    cluster.observed(1, 1, |seen| seen.ready).await;
    tail(&cluster, 1, named("reader", 3)).await.expect("nobody holds the place in this term");
}
