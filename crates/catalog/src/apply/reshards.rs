//! Splits and merges, one step a command.
//!
//! Holds: until [`Command::FlipReshard`](crate::Command::FlipReshard) the children are
//! invisible and the parents are open; after it the parents are closed and the children open.
//! There is nothing in between, so ranges tile at every revision.

use std::sync::Arc;

use thalweg_types::limits::SHARDS_PER_STREAM_MAX;
use thalweg_types::planted::{Planted, planted};
use thalweg_types::{GroupId, HashKey, HashRange, NodeId, SequenceNumber, ShardId, StreamName, UnixMillis};

use super::streams::whole_second;
use super::{known_shard, wrong_status};
use crate::{
    Applied, Catalog, Outcome, Refusal, Reshard, ReshardCause, ReshardId, ReshardKind, ReshardPhase, Scaling, Shard,
    ShardState, Stream,
};

impl Catalog {
    pub(super) fn plan_reshard(
        &mut self,
        name: &StreamName,
        kind: &ReshardKind,
        cause: ReshardCause,
        placement: &[Vec<NodeId>],
        now: UnixMillis,
    ) -> Outcome {
        let stream = self.reshardable_stream(name, kind, cause)?;
        let ranges = self.child_ranges(stream, kind, cause)?;
        self.check_placement(placement, ranges.len(), stream.replication)?;
        let id = self.next_reshard;
        let children = children(stream, kind, &ranges, placement, self.next_group, now);
        let ids: Vec<ShardId> = children.iter().map(|child| child.id).collect();
        let reshard = Reshard {
            id,
            stream: name.clone(),
            kind: *kind,
            cause,
            parents: kind.parents(),
            children: ids.clone(),
            phase: ReshardPhase::Opening,
            planned_at: now,
        };
        self.next_reshard = ReshardId(id.0 + 1);
        self.next_group = GroupId(self.next_group.0 + children.len() as u64);
        self.reshards.insert(id, reshard);
        let stream = self.stream_mut(name)?;
        stream.next_shard = ShardId(stream.next_shard.0 + children.len() as u32);
        stream.shards.edit(|by_id| by_id.extend(children.into_iter().map(|child| (child.id, Arc::new(child)))));
        stream.reshards.push(id);
        stream.refresh_status();
        Ok(Applied::ReshardPlanned { reshard: id, children: ids })
    }

    /// The stream, if its status and the limits allow this reshard to begin.
    fn reshardable_stream(
        &self,
        name: &StreamName,
        kind: &ReshardKind,
        cause: ReshardCause,
    ) -> Result<&Arc<Stream>, Refusal> {
        if let ReshardCause::OnDemand(_) = cause {
            return self.on_demand_stream(name, kind);
        }
        if cause == ReshardCause::Scaling {
            let stream = self.serving_stream(name)?;
            // Its limits were checked when the scaling began.
            return if stream.scaling.is_some() {
                Ok(stream)
            } else {
                Err(Refusal::NoScaling { stream: name.clone() })
            };
        }
        let stream = self.active_stream(name)?;
        self.check_room_to_split(stream, kind)?;
        Ok(stream)
    }

    /// The stream, if the cluster itself may reshard it: not while a scaling decides on its shards.
    fn on_demand_stream(&self, name: &StreamName, kind: &ReshardKind) -> Result<&Arc<Stream>, Refusal> {
        let stream = self.serving_stream(name)?;
        if !stream.is_on_demand() {
            return Err(wrong_status(stream, "on-demand"));
        }
        if let Some(Scaling { target, .. }) = stream.scaling {
            return Err(Refusal::ScalingRuns { stream: name.clone(), target });
        }
        self.check_room_to_split(stream, kind)?;
        Ok(stream)
    }

    fn check_room_to_split(&self, stream: &Stream, kind: &ReshardKind) -> Result<(), Refusal> {
        if !matches!(kind, ReshardKind::Split { .. }) {
            return Ok(());
        }
        let open = stream.shards.open_count() as u32;
        if open >= SHARDS_PER_STREAM_MAX {
            return Err(Refusal::ShardCount { given: open + 1 });
        }
        self.check_shard_limit(1)
    }

    pub(super) fn seal_parents(&mut self, id: ReshardId) -> Outcome {
        let reshard = self.running_reshard(id)?;
        if reshard.phase == ReshardPhase::Sealing {
            return Ok(Applied::Unchanged);
        }
        let reshard = Reshard { phase: ReshardPhase::Sealing, ..reshard.clone() };
        let stream = self.stream_mut(&reshard.stream)?;
        stream.shards.edit(|by_id| {
            for parent in &reshard.parents {
                by_id.entry(*parent).and_modify(|shard| Arc::make_mut(shard).state = ShardState::Sealing);
            }
        });
        self.reshards.insert(id, reshard);
        Ok(Applied::Changed)
    }

    pub(super) fn flip_reshard(
        &mut self,
        id: ReshardId,
        endings: &[(ShardId, SequenceNumber)],
        now: UnixMillis,
    ) -> Outcome {
        let reshard = self.running_reshard(id)?.clone();
        if reshard.phase != ReshardPhase::Sealing {
            return Err(Refusal::ReshardNotSealing { reshard: id });
        }
        let stream = self.known_stream(&reshard.stream)?;
        let closed = closed_parents(stream, &reshard, endings, now)?;
        let opened_at = closed.iter().filter_map(Shard::closed_at).max().unwrap_or(now);
        let stream = self.stream_mut(&reshard.stream)?;
        stream.shards.edit(|by_id| {
            by_id.extend(closed.into_iter().map(|shard| (shard.id, Arc::new(shard))));
            for child in &reshard.children {
                by_id.entry(*child).and_modify(|shard| {
                    let shard = Arc::make_mut(shard);
                    (shard.state, shard.opened_at) = (ShardState::Open, opened_at);
                });
            }
        });
        self.end_reshard(&reshard)
    }

    pub(super) fn abort_reshard(&mut self, id: ReshardId) -> Outcome {
        let reshard = self.running_reshard(id)?.clone();
        if reshard.phase == ReshardPhase::Sealing {
            return Err(Refusal::ReshardSealing { reshard: id });
        }
        let stream = self.stream_mut(&reshard.stream)?;
        stream.shards.edit(|by_id| by_id.retain(|shard, _| !reshard.children.contains(shard)));
        self.end_reshard(&reshard)
    }

    fn running_reshard(&self, id: ReshardId) -> Result<&Reshard, Refusal> {
        self.reshards.get(&id).ok_or(Refusal::ReshardUnknown { reshard: id })
    }

    fn end_reshard(&mut self, reshard: &Reshard) -> Outcome {
        self.reshards.remove(&reshard.id);
        let stream = self.stream_mut(&reshard.stream)?;
        stream.reshards.retain(|running| *running != reshard.id);
        stream.end_scaling_if_complete();
        stream.refresh_status();
        Ok(Applied::Changed)
    }
}

impl Catalog {
    /// A shard that may become a parent now.
    fn open_parent<'s>(&self, stream: &'s Stream, id: ShardId) -> Result<&'s Shard, Refusal> {
        let shard = known_shard(stream, id)?;
        let name = || stream.name.clone();
        match shard.state {
            ShardState::Opening => return Err(Refusal::ShardOpening { stream: name(), shard: id }),
            ShardState::Closed { .. } => return Err(Refusal::ShardClosed { stream: name(), shard: id }),
            ShardState::Open | ShardState::Sealing => {}
        }
        match self.reshard_of(stream, id) {
            Some(reshard) if !planted(Planted::BusyParentTaken) => {
                Err(Refusal::ShardBusy { stream: name(), shard: id, reshard })
            }
            _ => Ok(shard),
        }
    }

    /// The ranges of the children, or why these parents cannot have them.
    fn child_ranges(
        &self,
        stream: &Stream,
        kind: &ReshardKind,
        cause: ReshardCause,
    ) -> Result<Vec<HashRange>, Refusal> {
        match *kind {
            ReshardKind::Split { shard, at } => {
                let range = self.open_parent(stream, shard)?.range;
                let at = at.unwrap_or_else(|| range.middle());
                let (low, high) = (range.start(), range.end());
                // Users get the service's own rule, which keeps two keys in the lower child and in
                // the upper; equal ranges of a scaling may fall on the very edge.
                let within = at.0 > low.0.saturating_add(1) && at < high;
                let halves = range.split_at(at).filter(|_| within || cause == ReshardCause::Scaling);
                let (lower, upper) = halves.ok_or(Refusal::SplitPoint { shard, at, low, high })?;
                Ok(vec![if planted(Planted::SplitOverlaps) { range } else { lower }, upper])
            }
            ReshardKind::Merge { shard, adjacent } => {
                let (lower, upper) =
                    (self.open_parent(stream, shard)?.range, self.open_parent(stream, adjacent)?.range);
                let wanted = HashKey(lower.end().0.wrapping_add(1));
                let merged = lower.merged_with(&upper);
                Ok(vec![merged.ok_or(Refusal::NotAdjacent { shard, adjacent, wanted })?])
            }
        }
    }
}

/// The new shards, created a second after every parent at the least.
fn children(
    stream: &Stream,
    kind: &ReshardKind,
    ranges: &[HashRange],
    placement: &[Vec<NodeId>],
    first_group: GroupId,
    now: UnixMillis,
) -> Vec<Shard> {
    let parents = kind.parents();
    let after = |id: &ShardId| stream.shards.get(*id).map(|parent| parent.created_at.0.saturating_add(1000));
    let earliest =
        parents.iter().filter_map(after).max().filter(|_| !planted(Planted::ChildrenNotYounger)).unwrap_or(0);
    let created_at = whole_second(UnixMillis(now.0.max(earliest)));
    let child = |(i, (range, members)): (usize, (&HashRange, &Vec<NodeId>))| Shard {
        id: ShardId(stream.next_shard.0 + i as u32),
        group: GroupId(first_group.0 + i as u64),
        range: *range,
        parents: parents.clone(),
        state: if planted(Planted::ChildrenOpenEarly) { ShardState::Open } else { ShardState::Opening },
        replicas: members.clone(),
        previous: Vec::new(),
        settled: true,
        placement: 0,
        initial_members: members.clone(),
        created_at,
        opened_at: now,
    };
    ranges.iter().zip(placement).enumerate().map(child).collect()
}

/// The parents as they are once closed, if every ending lies between parent and children.
fn closed_parents(
    stream: &Stream,
    reshard: &Reshard,
    endings: &[(ShardId, SequenceNumber)],
    now: UnixMillis,
) -> Result<Vec<Shard>, Refusal> {
    let parents: Vec<&Shard> = reshard.parents.iter().filter_map(|id| stream.shards.get(*id)).collect();
    let at = parents.iter().map(|parent| parent.opened_at).fold(now, UnixMillis::max);
    let above = reshard.children.iter().filter_map(|id| stream.shards.get(*id)).map(Shard::starting).min();
    let close = |parent: &Shard| {
        let given = endings.iter().find(|(id, _)| *id == parent.id).map(|(_, ending)| *ending);
        let fits = |ending: &SequenceNumber| *ending >= parent.starting() && above.is_none_or(|child| *ending < child);
        let refusal = Refusal::ReshardEnding { reshard: reshard.id, shard: parent.id };
        let ending = given.filter(fits).ok_or(refusal)?;
        Ok(Shard { state: ShardState::Closed { ending, at }, ..parent.clone() })
    };
    parents.into_iter().map(close).collect()
}
