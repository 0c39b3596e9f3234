//! Promises of the routing image: keys find their shard, leaders named by refusals last as long as they are true.

use thalweg_types::HashRange;

use super::*;
use crate::testing::{image, shard};

#[test]
fn keys_go_to_the_open_shard_whose_range_holds_them() {
    let halves = HashRange::tile(2);
    let image = image(
        1,
        vec![shard(0, HashRange::FULL, &[], true), shard(1, halves[0], &[0], false), shard(2, halves[1], &[0], false)],
    );
    let place = |key| image.shard_for(key).map(|shard| shard.id);
    assert_eq!(place(HashKey::MIN), Some(ShardId(1)));
    assert_eq!(place(halves[0].end()), Some(ShardId(1)));
    assert_eq!(place(halves[1].start()), Some(ShardId(2)));
    assert_eq!(place(HashKey::MAX), Some(ShardId(2)));
}

#[test]
fn a_stream_being_created_routes_nowhere() {
    assert_eq!(image(1, vec![]).route(HashKey::MIN), None);
}

#[test]
fn a_hint_outlives_a_new_image_until_the_cluster_names_a_new_leader() {
    let old = image(1, vec![shard(0, HashRange::FULL, &[], false)]).with_leader(ShardId(0), "n2:1");
    assert_eq!(old.leader_address(ShardId(0)), Some("n2:1"));
    let same = image(2, vec![shard(0, HashRange::FULL, &[], false)]).keeping_hints_of(&old);
    assert_eq!(same.leader_address(ShardId(0)), Some("n2:1"));
    let mut moved = shard(0, HashRange::FULL, &[], false);
    moved.leader = Some(NodeId(3));
    let moved = image(3, vec![moved]).keeping_hints_of(&same);
    assert_eq!(moved.leader_address(ShardId(0)), Some("n3:1"));
}

#[test]
fn the_leader_is_asked_first_then_replicas_then_anyone() {
    let image = image(1, vec![shard(0, HashRange::FULL, &[], false)]).with_leader(ShardId(0), "n2:1");
    assert_eq!(image.candidates(ShardId(0)), ["n2:1", "n1:1", "n3:1"]);
}

#[test]
fn an_older_image_never_replaces_a_newer_one() {
    assert!(!image(1, vec![]).succeeds(&image(2, vec![])));
    assert!(image(2, vec![]).succeeds(&image(2, vec![])));
}
