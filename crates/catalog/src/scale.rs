//! Changing the number of open shards to equal ranges, as a series of splits and merges.
//!
//! The borders between open shards are compared with those of [`HashRange::tile`]: a shard with
//! wanted borders inside is split at the middle one, neighbours inside one wanted range are
//! merged. Each step removes a difference and adds none, so the series ends in exactly equal
//! ranges from any start; steps on different shards may run at once.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use thalweg_types::limits::SHARDS_PER_STREAM_MAX;
use thalweg_types::{HashKey, HashRange, ShardId, StreamName, UnixMillis};

use crate::{Catalog, Command, ReshardCause, ReshardKind, Rules, Scaling, Stream, placement};

/// Whether the open shards are exactly `target` equal ranges.
pub fn is_complete(stream: &Stream, target: u32) -> bool {
    stream.shards.open_count() == target as usize
        && stream.open_shards().map(|shard| shard.range).eq(HashRange::tile(target))
}

/// The targets that the service itself would allow: from half to twice the open shards.
pub fn service_bounds(open: u32) -> RangeInclusive<u32> {
    open.div_ceil(2)..=open.saturating_mul(2).min(SHARDS_PER_STREAM_MAX)
}

/// How many shards come into being until the open ones are `target` equal ranges: two with each border
/// that is to be, one for each that is to go.
pub fn shards_to_come(stream: &Stream, target: u32) -> usize {
    let wanted: BTreeSet<HashKey> = HashRange::tile(target).iter().map(HashRange::start).collect();
    let present: BTreeSet<HashKey> = stream.open_shards().map(|shard| shard.range.start()).collect();
    2 * wanted.difference(&present).count() + present.difference(&wanted).count()
}

/// The steps that may begin now, at most as many as leave `running_max` reshards running.
/// Nothing when the stream is not being scaled. `seed` varies where the children are placed.
pub fn next_commands(
    catalog: &Catalog,
    name: &StreamName,
    running_max: usize,
    seed: u64,
    now: UnixMillis,
) -> Vec<Command> {
    let Some(stream) = catalog.stream(name) else { return Vec::new() };
    let Some(Scaling { target, .. }) = stream.scaling else { return Vec::new() };
    let mut steps = next_steps(catalog, stream, target);
    steps.truncate(running_max.saturating_sub(stream.reshards.len()));
    let children = steps.iter().map(ReshardKind::child_count).sum();
    let mut places = placement::place(catalog, children, stream.replication, seed).into_iter();
    let command = |kind: ReshardKind| Command::PlanReshard {
        stream: name.clone(),
        kind,
        cause: ReshardCause::Scaling,
        placement: places.by_ref().take(kind.child_count()).collect(),
        rules: Rules::Free,
        now,
    };
    steps.into_iter().map(command).collect()
}

/// Every step towards `target` equal ranges that touches no shard of a running reshard.
pub fn next_steps(catalog: &Catalog, stream: &Stream, target: u32) -> Vec<ReshardKind> {
    let idle = |id| catalog.reshard_of(stream, id).is_none();
    let open: Vec<(ShardId, HashRange)> = stream.open_shards().map(|shard| (shard.id, shard.range)).collect();
    steps(&open, target, idle)
}

fn steps(open: &[(ShardId, HashRange)], target: u32, idle: impl Fn(ShardId) -> bool) -> Vec<ReshardKind> {
    let borders: Vec<HashKey> = HashRange::tile(target).iter().map(HashRange::start).collect();
    let mut steps = Vec::new();
    let mut rest = open;
    while let Some(((shard, range), above)) = rest.split_first() {
        rest = above;
        if !idle(*shard) {
            continue;
        }
        if let Some(at) = middle_border(&borders, range) {
            steps.push(ReshardKind::Split { shard: *shard, at: Some(at) });
        } else if let Some(adjacent) = mergeable(&borders, above).filter(|next| idle(*next)) {
            steps.push(ReshardKind::Merge { shard: *shard, adjacent });
            rest = &above[1..];
        }
    }
    steps
}

/// The middle one of the wanted borders inside a range.
fn middle_border(borders: &[HashKey], range: &HashRange) -> Option<HashKey> {
    let from = borders.partition_point(|border| *border <= range.start());
    let to = borders.partition_point(|border| *border <= range.end());
    borders[from..to].get((to - from) / 2).copied()
}

/// The next neighbour, if no wanted border lies before or inside it.
fn mergeable(borders: &[HashKey], above: &[(ShardId, HashRange)]) -> Option<ShardId> {
    let (id, range) = above.first()?;
    let unwanted = borders.binary_search(&range.start()).is_err();
    (unwanted && middle_border(borders, range).is_none()).then_some(*id)
}
