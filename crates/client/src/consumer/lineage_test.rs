//! Promises of the lineage: parents before children, each shard once, whatever images come.

use proptest::prelude::*;
use thalweg_types::{HashRange, UnixMillis};

use super::*;
use crate::consumer::Checkpoint;
use crate::testing::{image, shard};

fn halves() -> Vec<HashRange> {
    HashRange::tile(2)
}

fn after_split() -> Image {
    let halves = halves();
    let children = [shard(1, halves[0], &[0], false), shard(2, halves[1], &[0], false)];
    image(2, [vec![shard(0, HashRange::FULL, &[], true)], children.to_vec()].concat())
}

fn ids(ready: &[(ShardId, Position)]) -> Vec<u32> {
    ready.iter().map(|(shard, _)| shard.0).collect()
}

#[test]
fn children_wait_for_their_parent() {
    let image = after_split();
    let mut lineage = Lineage::new(&StartPosition::TrimHorizon, &image);
    assert_eq!(ids(&lineage.begin_ready(&image)), [0]);
    assert_eq!(ids(&lineage.begin_ready(&image)), [0u32; 0]);
    lineage.finish(ShardId(0));
    assert_eq!(ids(&lineage.begin_ready(&image)), [1, 2]);
}

#[test]
fn a_merged_shard_waits_for_both_parents() {
    let halves = halves();
    let parents = [shard(0, halves[0], &[], true), shard(1, halves[1], &[], true)];
    let image = image(2, [parents.to_vec(), vec![shard(2, HashRange::FULL, &[0, 1], false)]].concat());
    let mut lineage = Lineage::new(&StartPosition::TrimHorizon, &image);
    assert_eq!(ids(&lineage.begin_ready(&image)), [0, 1]);
    lineage.finish(ShardId(1));
    assert_eq!(ids(&lineage.begin_ready(&image)), [0u32; 0]);
    lineage.finish(ShardId(0));
    assert_eq!(ids(&lineage.begin_ready(&image)), [2]);
}

#[test]
fn latest_skips_what_is_closed_and_reads_later_children_from_their_beginning() {
    let before = image(1, vec![shard(0, HashRange::FULL, &[], false)]);
    let mut lineage = Lineage::new(&StartPosition::Latest, &before);
    assert_eq!(lineage.starting_at_latest(), [ShardId(0)]);
    lineage.pin(ShardId(0), ShardProgress::ReadTo(9));
    assert_eq!(lineage.begin_ready(&before), [(ShardId(0), Position::Index(9))]);
    lineage.finish(ShardId(0));
    let children = lineage.begin_ready(&after_split());
    assert_eq!(children, [(ShardId(1), Position::TrimHorizon), (ShardId(2), Position::TrimHorizon)]);

    let late = Lineage::new(&StartPosition::Latest, &after_split());
    assert_eq!(late.starting_at_latest(), [ShardId(1), ShardId(2)]);
}

#[test]
fn a_time_after_a_shard_closed_skips_it() {
    let image = after_split();
    let time = UnixMillis(2_001);
    let mut lineage = Lineage::new(&StartPosition::At(time), &image);
    let expected = [(ShardId(1), Position::AtTime(time)), (ShardId(2), Position::AtTime(time))];
    assert_eq!(lineage.begin_ready(&image), expected);
}

#[test]
fn a_checkpoint_is_taken_up_where_it_stopped() {
    let image = after_split();
    let progress = [(ShardId(0), ShardProgress::Finished), (ShardId(1), ShardProgress::ReadTo(5))];
    let checkpoint: Checkpoint = progress.into_iter().collect();
    let mut lineage = Lineage::new(&StartPosition::Resume(checkpoint), &image);
    let expected = [(ShardId(1), Position::Index(5)), (ShardId(2), Position::TrimHorizon)];
    assert_eq!(lineage.begin_ready(&image), expected);
}

#[test]
fn a_forgotten_parent_holds_nobody_up() {
    let image = image(3, vec![shard(1, halves()[0], &[0], false), shard(2, halves()[1], &[0], false)]);
    let mut lineage = Lineage::new(&StartPosition::TrimHorizon, &image);
    assert_eq!(ids(&lineage.begin_ready(&image)), [1, 2]);
}

proptest! {
    /// Shard `i` has up to two parents below `i`; shards finish in any order that they may.
    #[test]
    fn every_shard_is_read_once_and_after_its_parents(
        parents in proptest::collection::vec((any::<u32>(), any::<u32>(), 0usize..3), 1..30),
        picks in proptest::collection::vec(any::<prop::sample::Index>(), 60),
    ) {
        let shards: Vec<_> = (0u32..).zip(&parents).map(|(id, (a, b, count))| {
            let all = [a % id.max(1), b % id.max(1)];
            let count = if id == 0 { 0 } else { *count };
            shard(id, HashRange::FULL, &all[..count], true)
        }).collect();
        let image = image(1, shards.clone());
        let mut lineage = Lineage::new(&StartPosition::TrimHorizon, &image);
        let (mut reading, mut finished) = (Vec::new(), Vec::new());
        for pick in picks {
            for (id, _) in lineage.begin_ready(&image) {
                let begun = image.shard(id).unwrap();
                prop_assert!(begun.parents().all(|parent| finished.contains(&parent)));
                prop_assert!(!reading.contains(&id) && !finished.contains(&id));
                reading.push(id);
            }
            if !reading.is_empty() {
                let id = reading.remove(pick.index(reading.len()));
                lineage.finish(id);
                finished.push(id);
            }
        }
        prop_assert_eq!(finished.len(), shards.len());
    }
}
