//! What must hold of every catalog at every revision, as a check.
//!
//! Tests and simulations call it after each command; a controller may call it on a snapshot.

use std::collections::BTreeSet;

use thalweg_types::{HashKey, HashRange, NodeId, UnixMillis};

use crate::access::ACCESS_KEYS_MAX;
use crate::fan_out::{CONSUMERS_COMMITTED_MAX, check_name};
use crate::settings::{MODE_CHANGES_PER_DAY_MAX, check_policy};
use crate::tags;
use crate::{Catalog, NodeState, Reshard, ReshardPhase, Shard, ShardState, Stream, StreamStatus};

/// A rule that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("catalog is broken: {0}")]
pub struct Broken(String);

type Check = Result<(), Broken>;

fn must(holds: bool, broken: impl FnOnce() -> String) -> Check {
    if holds { Ok(()) } else { Err(Broken(broken())) }
}

impl Catalog {
    /// Whether everything holds that the rest of the system relies on.
    pub fn check(&self) -> Check {
        let mut groups = BTreeSet::new();
        for (stream, shard) in self.shards() {
            must(groups.insert(shard.group), || format!("group {} serves two shards", shard.group))?;
            must(shard.group < self.next_group, || format!("group {} may be given again", shard.group))?;
            self.check_hosts(stream, shard)?;
        }
        for stream in self.streams() {
            let found = self.stream_by_id(stream.id).is_some_and(|found| found.name == stream.name);
            must(found, || format!("{:?} does not lead to `{}`", stream.id, stream.name))?;
            must(stream.id < self.next_stream, || format!("{:?} may be given again", stream.id))?;
            check_ranges(stream)?;
            check_lineage(stream)?;
            check_status(stream)?;
            check_stream_settings(stream)?;
            self.check_states(stream)?;
        }
        for (id, key) in &self.access_keys {
            let good = *id == key.id && key.check().is_ok();
            must(good, || format!("access key `{id}` breaks its rules"))?;
        }
        must(self.access_keys.len() <= ACCESS_KEYS_MAX, || format!("{} access keys", self.access_keys.len()))?;
        self.reshards().try_for_each(|reshard| self.check_reshard(reshard))
    }

    fn check_hosts(&self, stream: &Stream, shard: &Shard) -> Check {
        let at = || format!("{} of `{}`", shard.id, stream.name);
        let hosts: Vec<NodeId> = shard.hosts().collect();
        let distinct: BTreeSet<NodeId> = hosts.iter().copied().collect();
        must(!shard.replicas.is_empty(), || format!("{} has no replicas", at()))?;
        must(hosts.len() == distinct.len(), || format!("{} is twice on a node: {hosts:?}", at()))?;
        must(shard.previous.is_empty() || !shard.settled, || format!("{} is settled and moving", at()))?;
        let gone = |id: &NodeId| self.node(*id).is_none_or(|node| node.state == NodeState::Removed);
        let kept = stream.status == StreamStatus::Deleting || !hosts.iter().any(gone);
        must(kept, || format!("{} is on a removed node: {hosts:?}", at()))
    }

    /// Whether shards are Opening or Sealing exactly when a reshard says so.
    fn check_states(&self, stream: &Stream) -> Check {
        if !stream.serves() {
            return Ok(());
        }
        for shard in stream.shards.iter() {
            let reshard = self.reshard_of(stream, shard.id).and_then(|id| self.reshard(id));
            let child = reshard.is_some_and(|reshard| reshard.children.contains(&shard.id));
            let sealing = !child && reshard.is_some_and(|reshard| reshard.phase == ReshardPhase::Sealing);
            let fits = (shard.state == ShardState::Opening) == child && (shard.state == ShardState::Sealing) == sealing;
            must(fits, || format!("{} of `{}` is {:?} in {reshard:?}", shard.id, stream.name, shard.state))?;
        }
        Ok(())
    }

    fn check_reshard(&self, reshard: &Reshard) -> Check {
        let id = reshard.id;
        must(id < self.next_reshard, || format!("{id} may be given again"))?;
        let stream = self.stream(&reshard.stream).filter(|stream| stream.reshards.contains(&id));
        let stream = stream.ok_or_else(|| Broken(format!("{id} belongs to no stream")))?;
        let alone = |shard| self.reshard_of(stream, shard) == Some(id);
        let parents = reshard.parents.iter().all(|shard| alone(*shard));
        must(parents, || format!("a parent of {id} is in two reshards"))?;
        let ranges =
            |ids: &[_]| ids.iter().filter_map(|id| stream.shards.get(*id)).map(|s| s.range).collect::<Vec<_>>();
        let (before, after) = (joined(&ranges(&reshard.parents)), joined(&ranges(&reshard.children)));
        must(before.is_some() && before == after, || format!("children of {id} cover {after:?}, parents {before:?}"))
    }
}

/// The ranges as one, if each begins where the one before ends.
fn joined(ranges: &[HashRange]) -> Option<HashRange> {
    let (first, rest) = ranges.split_first()?;
    rest.iter().try_fold(*first, |all, next| all.merged_with(next))
}

/// Whether what clients may write to tiles the hash space.
fn check_ranges(stream: &Stream) -> Check {
    let ranges: Vec<HashRange> = match stream.status {
        StreamStatus::Deleting => return Ok(()),
        StreamStatus::Creating => stream.shards.iter().map(|shard| shard.range).collect(),
        StreamStatus::Active | StreamStatus::Updating => stream.open_shards().map(|shard| shard.range).collect(),
    };
    let tiles = joined(&ranges) == Some(HashRange::FULL);
    must(tiles, || format!("open shards of `{}` do not tile the hash space: {ranges:?}", stream.name))?;
    let routed = |key: HashKey| stream.shard_for(key).is_some_and(|shard| shard.range.contains(key));
    let keys = || ranges.iter().flat_map(|range| [range.start(), range.end()]);
    must(!stream.serves() || keys().all(routed), || format!("`{}` routes a key astray", stream.name))
}

/// Whether ids are below the next one and children lie above their parents.
fn check_lineage(stream: &Stream) -> Check {
    for shard in stream.shards.iter() {
        must(shard.id < stream.next_shard, || format!("{} of `{}` may be given again", shard.id, stream.name))?;
        must(shard.created_at.0 % 1000 == 0, || format!("{} was created within a second", shard.id))?;
        for parent in shard.parents.iter().filter_map(|id| stream.shards.get(*id)) {
            let end = parent.ending().unwrap_or(parent.starting());
            let later = !shard.is_visible() || shard.opened_at >= parent.opened_at;
            must(later && shard.id > parent.id && shard.starting() > end, || {
                format!("{} does not lie above its parent {}", shard.id, parent.id)
            })?;
        }
    }
    Ok(())
}

/// Whether settings and consumers keep their bounds.
fn check_stream_settings(stream: &Stream) -> Check {
    let (name, settings) = (&stream.name, &stream.settings);
    settings.check().map_err(|refusal| Broken(format!("settings of `{name}`: {refusal}")))?;
    let rising = |times: &[UnixMillis]| times.is_sorted();
    must(rising(&settings.mode_changes) && settings.mode_changes.len() <= MODE_CHANGES_PER_DAY_MAX, || {
        format!("`{name}` remembers mode changes at {:?}", settings.mode_changes)
    })?;
    must(rising(&stream.scalings), || format!("`{name}` remembers scalings at {:?}", stream.scalings))?;
    must(stream.consumers.len() <= CONSUMERS_COMMITTED_MAX, || format!("`{name}` has too many consumers"))?;
    let none = stream.serves() || stream.consumers.is_empty();
    must(none, || format!("`{name}` is {} and has consumers", stream.status.as_str()))?;
    for (key, consumer) in &stream.consumers {
        let rules = check_name(key).and_then(|()| tags::check(&consumer.tags));
        let rules = rules.and_then(|()| check_policy(consumer.policy.as_deref()));
        must(*key == consumer.name && rules.is_ok(), || format!("consumer `{key}` of `{name}`: {rules:?}"))?;
    }
    Ok(())
}

fn check_status(stream: &Stream) -> Check {
    let busy = !stream.reshards.is_empty() || stream.scaling.is_some();
    let fits = match stream.status {
        StreamStatus::Updating => busy,
        StreamStatus::Creating | StreamStatus::Active | StreamStatus::Deleting => !busy,
    };
    must(fits, || {
        format!("`{}` is {} while its reshards are {:?}", stream.name, stream.status.as_str(), stream.reshards)
    })
}
