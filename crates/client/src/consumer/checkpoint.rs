//! Where a consumer begins, and how far it has come.

use std::collections::BTreeMap;

use thalweg_types::{ShardId, UnixMillis};

/// Where in a stream to begin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum StartPosition {
    /// With the oldest records still retained.
    TrimHorizon,
    /// With records written after the consumer was started.
    #[default]
    Latest,
    /// With records that arrived then or later.
    At(UnixMillis),
    /// Where another consumer stopped.
    Resume(Checkpoint),
}

/// How far one shard has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShardProgress {
    /// Up to this index of its log, not included.
    ReadTo(u64),
    /// To its end; its children are next.
    Finished,
}

/// How far each shard of a stream has been read. A shard that is not named has not been begun.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    shards: BTreeMap<ShardId, ShardProgress>,
}

impl Checkpoint {
    /// Progress by shard.
    pub fn shards(&self) -> impl Iterator<Item = (ShardId, ShardProgress)> {
        self.shards.iter().map(|(shard, progress)| (*shard, *progress))
    }

    /// How far a shard has been read, if it was begun.
    pub fn progress(&self, shard: ShardId) -> Option<ShardProgress> {
        self.shards.get(&shard).copied()
    }

    /// Notes progress.
    pub fn note(&mut self, shard: ShardId, progress: ShardProgress) {
        self.shards.insert(shard, progress);
    }
}

impl FromIterator<(ShardId, ShardProgress)> for Checkpoint {
    fn from_iter<I: IntoIterator<Item = (ShardId, ShardProgress)>>(shards: I) -> Self {
        Checkpoint { shards: shards.into_iter().collect() }
    }
}
