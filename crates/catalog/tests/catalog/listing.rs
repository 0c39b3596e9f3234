//! Which shards a client is told of, for each filter it may use.

use thalweg_catalog::{ShardFilter, ShardState};
use thalweg_types::{HashKey, ShardId};

use crate::support::{at_hour, cluster_with_stream, listed, merge, plan, reshard_now, shard, split, stream, tiles};

/// Shard 0 is split at hour 10 into 1 and 2, which are merged at hour 20 into 3.
fn split_and_merged() -> thalweg_catalog::Catalog {
    let mut catalog = cluster_with_stream(1);
    assert_eq!(reshard_now(&mut catalog, split(0), at_hour(10)), [ShardId(1), ShardId(2)]);
    assert_eq!(reshard_now(&mut catalog, merge(1, 2), at_hour(20)), [ShardId(3)]);
    catalog
}

#[test]
fn each_filter_lists_what_the_service_documents() {
    let catalog = split_and_merged();
    let now = at_hour(21);
    let list = |filter| listed(&catalog, filter, now);
    assert_eq!(list(ShardFilter::AtLatest), [3]);
    assert_eq!(list(ShardFilter::AtTrimHorizon), [0]);
    assert_eq!(list(ShardFilter::FromTrimHorizon), [0, 1, 2, 3]);
    assert_eq!(list(ShardFilter::AtTimestamp(at_hour(15))), [1, 2]);
    assert_eq!(list(ShardFilter::FromTimestamp(at_hour(15))), [1, 2, 3]);
    assert_eq!(list(ShardFilter::AfterShardId(ShardId(1))), [2, 3]);
}

#[test]
fn at_the_instant_of_a_reshard_only_the_children_are_open() {
    let catalog = split_and_merged();
    assert_eq!(listed(&catalog, ShardFilter::AtTimestamp(at_hour(10)), at_hour(21)), [1, 2]);
    assert_eq!(listed(&catalog, ShardFilter::AtTimestamp(at_hour(20)), at_hour(21)), [3]);
}

#[test]
fn times_before_the_trim_horizon_and_after_now_are_answered_with_whole_ranges() {
    let catalog = split_and_merged();
    assert_eq!(listed(&catalog, ShardFilter::AtTimestamp(at_hour(0)), at_hour(36)), [1, 2]);
    assert_eq!(listed(&catalog, ShardFilter::FromTimestamp(at_hour(0)), at_hour(36)), [1, 2, 3]);
    assert_eq!(listed(&catalog, ShardFilter::AtTimestamp(at_hour(900)), at_hour(21)), [3]);
}

#[test]
fn children_name_their_parents_and_parents_find_their_children() {
    let catalog = split_and_merged();
    let lineage = |id| (shard(&catalog, id).parent(), shard(&catalog, id).adjacent_parent());
    assert_eq!(lineage(0), (None, None));
    assert_eq!(lineage(2), (Some(ShardId(0)), None));
    assert_eq!(lineage(3), (Some(ShardId(1)), Some(ShardId(2))));
    let children = |id| stream(&catalog).children_of(ShardId(id)).iter().map(|shard| shard.id.0).collect::<Vec<_>>();
    assert_eq!((children(0), children(1), children(2), children(3)), (vec![1, 2], vec![3], vec![3], vec![]));
}

#[test]
fn closed_shards_have_an_ending_below_their_children_and_open_ones_have_none() {
    let catalog = split_and_merged();
    for parent in 0..3 {
        let ending = shard(&catalog, parent).ending().unwrap();
        assert!(stream(&catalog).children_of(ShardId(parent)).iter().all(|child| child.starting() > ending));
    }
    assert_eq!(shard(&catalog, 3).ending(), None);
    assert_eq!(shard(&catalog, 3).state, ShardState::Open);
}

#[test]
fn children_being_opened_are_told_to_nobody() {
    let mut catalog = cluster_with_stream(2);
    catalog.apply(&plan(&catalog, split(0), at_hour(1))).unwrap();
    assert_eq!(stream(&catalog).shards.len(), 4);
    for filter in [ShardFilter::AtLatest, ShardFilter::FromTrimHorizon, ShardFilter::AtTimestamp(at_hour(1))] {
        assert_eq!(listed(&catalog, filter, at_hour(1)), [0, 1]);
    }
    assert!(stream(&catalog).children_of(ShardId(0)).is_empty());
    assert!(stream(&catalog).visible_shard(ShardId(2)).is_none());
    assert!(tiles(stream(&catalog).open_shards()));
}

#[test]
fn a_key_goes_to_the_one_open_shard_that_holds_it() {
    let catalog = split_and_merged();
    assert_eq!(stream(&catalog).shard_for(HashKey::MAX).unwrap().id, ShardId(3));
    let catalog = cluster_with_stream(2);
    let border = 1 << 127;
    let at = |key| stream(&catalog).shard_for(HashKey(key)).unwrap().id.0;
    assert_eq!((at(0), at(border - 1), at(border), at(u128::MAX)), (0, 0, 1, 1));
}
