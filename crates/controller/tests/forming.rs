//! Nodes with the same seeds form exactly one cluster, and others join it.

mod support;

use support::TestCluster;
use thalweg_controller::Membership;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_single_node_without_seeds_forms_alone() {
    let mut cluster = TestCluster::of(&[]).await;
    cluster.add(7, &[]).await;
    cluster.start(7).await;
    cluster.all_joined().await;
    assert_eq!(cluster.leader().await, 7);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exactly_one_cluster_forms_in_every_order_of_starts() {
    for order in [[1, 2, 3], [1, 3, 2], [2, 1, 3], [2, 3, 1], [3, 1, 2], [3, 2, 1]] {
        let mut cluster = TestCluster::of(&[1, 2, 3]).await;
        for id in order {
            cluster.start(id).await;
        }
        cluster.all_joined().await;
        cluster.cluster_id();
        let voters: Vec<u64> = cluster.image(3).catalog.controller_voters().iter().map(|node| node.0).collect();
        assert_eq!(voters, [1, 2, 3]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_forms_before_every_seed_has_started() {
    let mut cluster = TestCluster::of(&[1, 2, 3]).await;
    cluster.start(1).await;
    cluster.start(2).await;
    let mut membership = cluster.handle(1).membership();
    let waits = |now: &Membership| format!("{now:?}").contains("when all seeds have started");
    membership.wait_for(waits).await.map(drop).unwrap();
    cluster.start(3).await;
    cluster.all_joined().await;
    cluster.cluster_id();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_survives_the_restart_of_all_its_nodes() {
    let mut cluster = TestCluster::formed(3).await;
    let formed = cluster.cluster_id();
    for id in [1, 2, 3] {
        cluster.kill(id).await;
    }
    for id in [3, 1, 2] {
        cluster.start(id).await;
    }
    cluster.all_joined().await;
    assert_eq!(cluster.cluster_id(), formed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_founder_that_crashes_while_forming_goes_on_where_it_stopped() {
    // The lowest node gets as far as drawing a cluster id and inviting; it is killed at many
    // different moments, and each time one cluster comes out.
    for pause_ms in [0, 1, 3, 10, 30, 100, 250] {
        let mut cluster = TestCluster::of(&[1, 2, 3]).await;
        cluster.start_all().await;
        tokio::time::sleep(std::time::Duration::from_millis(pause_ms)).await;
        cluster.kill(1).await;
        cluster.start(1).await;
        cluster.all_joined().await;
        cluster.cluster_id();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fourth_node_joins_the_cluster_of_its_seeds() {
    let mut cluster = TestCluster::formed(3).await;
    cluster.add(4, &[1, 2]).await;
    cluster.start(4).await;
    cluster.all_joined().await;
    cluster.cluster_id();
    assert_eq!(cluster.image(1).catalog.nodes().count(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_disk_under_a_known_id_is_refused_with_what_to_do() {
    let mut cluster = TestCluster::formed(3).await;
    cluster.kill(2).await;
    cluster.add(2, &[1, 3]).await;
    cluster.start(2).await;
    let reason = cluster.refused(2).await;
    assert_eq!(
        reason,
        "node 2 is registered with another disk: give the new one an unused --node-id, and run \
         `thalweg admin remove 2` if the old disk is gone"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_keeps_to_its_own_cluster_whatever_its_seeds_say() {
    let mut cluster = TestCluster::formed(3).await;
    cluster.add(9, &[]).await;
    cluster.start(9).await;
    let mut membership = cluster.handle(9).membership();
    membership.wait_for(|now| *now == Membership::Joined).await.map(drop).unwrap();
    let own = cluster.image(9).catalog.cluster().cloned();
    assert_ne!(own, cluster.image(1).catalog.cluster().cloned());
    cluster.kill(9).await;
    cluster.reseed(9, &[1, 2, 3]);
    cluster.start(9).await;
    let mut membership = cluster.handle(9).membership();
    membership.wait_for(|now| *now == Membership::Joined).await.map(drop).unwrap();
    assert_eq!(cluster.image(9).catalog.cluster().cloned(), own);
}
