//! Losing the controller's leader at every step, and losing nodes for good.

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use support::TestCluster;
use thalweg_catalog::{NodeState, StreamStatus};
use thalweg_controller::Image;
use thalweg_proto::errors::{Reason, WireError};
use thalweg_proto::v1::*;
use thalweg_types::{NodeId, StreamName};

fn orders() -> StreamName {
    "orders".parse().unwrap()
}

fn create(shard_count: u32) -> CreateStreamRequest {
    CreateStreamRequest { name: "orders".to_owned(), shard_count, ..CreateStreamRequest::default() }
}

fn split_first() -> SplitShardRequest {
    let (name, shard_id) = ("orders".to_owned(), "shardId-000000000000".to_owned());
    SplitShardRequest { name, shard_id, ..SplitShardRequest::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_split_goes_on_whenever_its_leader_is_killed() {
    let mut cluster = TestCluster::formed(3).await;
    cluster.streams(1).create_stream(create(1)).await.unwrap();
    for (splits, pause_ms) in (0u64..).zip([0, 1, 2, 4, 8, 16, 32]) {
        let leader = cluster.leader().await;
        let asked = cluster.up().into_iter().find(|id| *id != leader).unwrap();
        let shard_id = format!("shardId-{:012}", splits * 2);
        let mut streams = cluster.streams(asked);
        let request = SplitShardRequest { shard_id, ..split_first() };
        let splitting = tokio::spawn(async move { streams.split_shard(request).await });
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        cluster.kill(leader).await;
        cluster.leader().await;
        cluster.start(leader).await;
        cluster.all_joined().await;
        // Whatever the caller was told: no reshard is left half done.
        let outcome = splitting.await.unwrap();
        // A mutation is answered by an image that shows it, and so everything before it.
        let retention_hours = 25 + splits as u32;
        let fresh = UpdateRetentionRequest { name: "orders".to_owned(), retention_hours, ..Default::default() };
        cluster.streams(asked).update_retention(fresh).await.unwrap();
        let idle = |image: &Image| {
            image.catalog.reshards().next().is_none()
                && image.catalog.stream(&orders()).unwrap().status == StreamStatus::Active
        };
        let image = cluster.until(asked, "the stream active", idle).await;
        image.catalog.check().unwrap();
        let open = image.catalog.stream(&orders()).unwrap().shards.open_count() as u64;
        assert!(open == splits + 1 || open == splits + 2, "{open} open after {splits} splits");
        if outcome.is_ok() {
            assert_eq!(open, splits + 2, "a split that succeeded is there");
        }
        if let Err(status) = &outcome {
            assert!(matches!(
                WireError::from_status(status).reason,
                Reason::OutcomeUnknown | Reason::Timeout | Reason::Unavailable
            ));
        }
        if open == splits + 1 {
            let shard_id = format!("shardId-{:012}", splits * 2);
            let again = SplitShardRequest { shard_id, ..split_first() };
            cluster.streams(asked).split_shard(again).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_replicas_of_a_dead_node_move_and_the_node_can_return() {
    let mut cluster = TestCluster::formed_with(4, Duration::from_secs(1)).await;
    cluster.streams(1).create_stream(create(4)).await.unwrap();
    cluster.kill(3).await;
    let rebuilt = |image: &Image| {
        let gone = NodeId(3);
        let dead = matches!(image.catalog.node(gone).unwrap().state, NodeState::Dead { .. });
        let settled = image.catalog.shards().all(|(_, shard)| shard.settled && shard.replicas.len() == 3);
        dead && image.catalog.replicas_on(gone) == 0 && settled
    };
    cluster.until(1, "no replica on node 3", rebuilt).await;
    cluster.start(3).await;
    let back = |image: &Image| image.catalog.node(NodeId(3)).unwrap().state == NodeState::Active;
    cluster.until(1, "node 3 active again", back).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_voter_of_the_controller_is_replaced_and_its_successor_counts() {
    let mut cluster = TestCluster::formed_with(4, Duration::from_secs(1)).await;
    cluster.kill(2).await;
    let wanted = [1, 3, 4].map(NodeId);
    let replaced = |image: &Image| {
        let voters: BTreeSet<NodeId> = image.catalog.controller_voters().iter().copied().collect();
        voters == BTreeSet::from(wanted)
    };
    cluster.until(1, "node 4 voting instead of node 2", replaced).await;
    cluster.voting(4, &wanted).await;
    // Two of the new three are a majority; of the old three only one is left.
    cluster.kill(1).await;
    let left = |image: &Image| image.connected == [3, 4].map(NodeId).into();
    cluster.until(4, "nodes 3 and 4 attached to a new leader", left).await;
    cluster.streams(4).create_stream(CreateStreamRequest { replication: 1, ..create(1) }).await.unwrap();
}

/// The catalog says who should vote. Until those can be reached the others vote, after a restart too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_voter_whose_successor_never_came_still_votes_after_a_restart() {
    let mut cluster = TestCluster::formed(4).await;
    let voters = cluster.image(1).catalog.controller_voters().to_vec();
    assert!(!voters.contains(&NodeId(4)), "three founders vote");
    cluster.kill(4).await;
    cluster.until(1, "node 4 gone", |image| image.connected.len() == 3).await;
    cluster.cluster(2).drain_node(DrainNodeRequest { node_id: 1, cancel: false }).await.unwrap();
    let left_out = |image: &Image| !image.catalog.controller_voters().contains(&NodeId(1));
    for id in [1, 2, 3] {
        cluster.until(id, "node 1 to vote no more", left_out).await;
    }
    for id in [1, 2, 3] {
        cluster.kill(id).await;
    }
    // Two of the three that vote.
    for id in [1, 2] {
        cluster.start(id).await;
    }
    cluster.all_joined().await;
    cluster.leader().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drained_node_is_emptied_and_can_be_removed() {
    let cluster = TestCluster::formed_with(4, Duration::from_secs(1)).await;
    cluster.streams(1).create_stream(create(4)).await.unwrap();
    let refused = cluster.cluster(2).remove_node(RemoveNodeRequest { node_id: 4 }).await.map(drop);
    if let Err(status) = refused {
        assert_eq!(WireError::from_status(&status).reason, Reason::InUse, "{status}");
        cluster.cluster(2).drain_node(DrainNodeRequest { node_id: 4, cancel: false }).await.unwrap();
        let empty = |image: &Image| image.catalog.replicas_on(NodeId(4)) == 0;
        cluster.until(2, "node 4 empty", empty).await;
        cluster.cluster(2).remove_node(RemoveNodeRequest { node_id: 4 }).await.unwrap();
    }
    assert_eq!(cluster.image(2).catalog.node(NodeId(4)).unwrap().state, NodeState::Removed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_node_is_removed_and_its_id_never_comes_back() {
    let mut cluster = TestCluster::formed(4).await;
    cluster.streams(1).create_stream(create(2)).await.unwrap();
    cluster.kill(4).await;
    cluster.until(1, "node 4 gone", |image| image.connected.len() == 3).await;
    cluster.cluster(1).remove_node(RemoveNodeRequest { node_id: 4 }).await.unwrap();
    cluster.add(4, &[1, 2, 3]).await;
    cluster.start(4).await;
    assert!(cluster.refused(4).await.contains("never reused"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transfer_returns_when_the_wanted_node_leads() {
    let cluster = TestCluster::formed(3).await;
    cluster.streams(1).create_stream(create(1)).await.unwrap();
    for to_node_id in [1, 2, 3] {
        let (stream_name, shard_id) = ("orders".to_owned(), "shardId-000000000000".to_owned());
        let request = TransferLeaderRequest { stream_name, shard_id, to_node_id };
        cluster.cluster(2).transfer_leader(request).await.unwrap();
        let image = cluster.image(2);
        let shard = image.catalog.stream(&orders()).unwrap().open_shards().next().unwrap().clone();
        assert_eq!(image.leaders[&shard.group], NodeId(to_node_id));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_shuts_down_hands_over_and_no_mutation_is_lost_meanwhile() {
    let mut cluster = TestCluster::formed(3).await;
    cluster.streams(1).create_stream(create(1)).await.unwrap();
    let leader = cluster.leader().await;
    let asked = cluster.up().into_iter().find(|id| *id != leader).unwrap();
    let mut streams = cluster.streams(asked);
    let changing = tokio::spawn(async move {
        for retention_hours in 30..60 {
            let request = UpdateRetentionRequest { name: "orders".to_owned(), retention_hours, ..Default::default() };
            streams.update_retention(request).await.unwrap();
        }
    });
    cluster.shutdown(leader).await;
    changing.await.unwrap();
    assert_eq!(cluster.image(asked).catalog.stream(&orders()).unwrap().retention_hours, 59);
}
