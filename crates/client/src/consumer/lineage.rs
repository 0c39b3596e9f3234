//! Which shards may be read when. Pure.
//!
//! Holds: a shard is read once all its parents are finished or forgotten by the cluster; each
//! shard is begun at most once.

use std::collections::BTreeMap;

use thalweg_types::ShardId;
use thalweg_types::planted::{Planted, planted};

use super::checkpoint::{ShardProgress, StartPosition};
use crate::describe::ShardDescription;
use crate::read::Position;
use crate::routing::Image;

/// How far a consumer is with one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// To be read from here, when its parents are finished.
    From(Position),
    Reading,
    Finished,
}

/// The shards of a stream, as one consumer goes through them.
#[derive(Debug)]
pub(super) struct Lineage {
    stages: BTreeMap<ShardId, Stage>,
    /// Where shards begin that appear later.
    otherwise: Position,
}

impl Lineage {
    pub(super) fn new(start: &StartPosition, image: &Image) -> Lineage {
        let stages = image.shards().filter_map(|shard| Some((shard.id, first_stage(start, shard)?))).collect();
        let otherwise = match start {
            StartPosition::At(time) => Position::AtTime(*time),
            _ => Position::TrimHorizon,
        };
        let mut lineage = Lineage { stages, otherwise };
        if let StartPosition::Resume(checkpoint) = start {
            checkpoint.shards().for_each(|(shard, progress)| lineage.pin(shard, progress));
        }
        lineage
    }

    /// Shards whose "latest" is not yet pinned to a place.
    pub(super) fn starting_at_latest(&self) -> Vec<ShardId> {
        let latest = |stage: &Stage| *stage == Stage::From(Position::Latest);
        self.stages.iter().filter(|(_, stage)| latest(stage)).map(|(shard, _)| *shard).collect()
    }

    /// Sets where a shard begins.
    pub(super) fn pin(&mut self, shard: ShardId, progress: ShardProgress) {
        let stage = match progress {
            ShardProgress::ReadTo(index) => Stage::From(Position::Index(index)),
            ShardProgress::Finished => Stage::Finished,
        };
        self.stages.insert(shard, stage);
    }

    /// What a checkpoint says before anything was read.
    pub(super) fn progress(&self) -> impl Iterator<Item = (ShardId, ShardProgress)> {
        self.stages.iter().filter_map(|(shard, stage)| match stage {
            Stage::From(Position::Index(index)) => Some((*shard, ShardProgress::ReadTo(*index))),
            Stage::Finished => Some((*shard, ShardProgress::Finished)),
            _ => None,
        })
    }

    /// The shards whose turn has come, and where each begins. They count as being read from now on.
    pub(super) fn begin_ready(&mut self, image: &Image) -> Vec<(ShardId, Position)> {
        let mut ready = Vec::new();
        for shard in image.shards() {
            let stage = *self.stages.entry(shard.id).or_insert(Stage::From(self.otherwise));
            if let Stage::From(position) = stage
                && (shard.parents().all(|parent| self.is_past(parent, image)) || planted(Planted::ChildReadEarly))
            {
                ready.push((shard.id, position));
            }
        }
        for (shard, _) in &ready {
            self.stages.insert(*shard, Stage::Reading);
        }
        ready
    }

    fn is_past(&self, parent: ShardId, image: &Image) -> bool {
        match self.stages.get(&parent) {
            Some(Stage::Finished) => true,
            Some(Stage::Reading) => false,
            Some(Stage::From(_)) | None => image.shard(parent).is_none(),
        }
    }

    /// A shard was read to its end, or the cluster no longer has it.
    pub(super) fn finish(&mut self, shard: ShardId) {
        self.stages.insert(shard, Stage::Finished);
    }
}

/// How a shard that exists at the start is treated; nothing for what the start does not decide.
fn first_stage(start: &StartPosition, shard: &ShardDescription) -> Option<Stage> {
    let open = shard.is_open();
    match start {
        StartPosition::Latest => Some(if open { Stage::From(Position::Latest) } else { Stage::Finished }),
        StartPosition::At(time) if shard.closed.is_some_and(|closed| closed < *time) => Some(Stage::Finished),
        _ => None,
    }
}

#[cfg(test)]
#[path = "lineage_test.rs"]
mod lineage_test;
