//! Who descends from whom, and which shards a client is told of.
//!
//! A shard was open in the half-open interval `[opened_at, closed_at)`, and children open at the
//! very instant their parents close. So the shards open at any one instant tile the hash space,
//! back to the trim horizon.

use thalweg_types::planted::{Planted, planted};
use thalweg_types::{ShardId, UnixMillis};

use crate::{Shard, Stream};

/// Which shards a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShardFilter {
    /// Open shards.
    AtLatest,
    /// Shards that were open when the oldest readable record was written.
    AtTrimHorizon,
    /// Every shard that may hold readable records.
    FromTrimHorizon,
    /// Shards that were open at an instant; the trim horizon if that is later.
    AtTimestamp(UnixMillis),
    /// Shards that were open at an instant or after it.
    FromTimestamp(UnixMillis),
    /// Shards with a higher id.
    AfterShardId(ShardId),
}

impl Stream {
    /// The shards that a client is told of, by rising id. `now` sets the trim horizon.
    pub fn list_shards(&self, filter: ShardFilter, now: UnixMillis) -> Vec<&Shard> {
        let horizon = self.trim_horizon(now);
        let open_since = |shard: &Shard, time| shard.closed_at().is_none_or(|closed| closed >= time);
        let wanted = |shard: &&Shard| match filter {
            ShardFilter::AtLatest => shard.is_open(),
            ShardFilter::AtTrimHorizon => shard.was_open_at(horizon),
            ShardFilter::AtTimestamp(time) => shard.was_open_at(time.max(horizon)),
            ShardFilter::FromTrimHorizon => open_since(shard, horizon),
            ShardFilter::FromTimestamp(time) => open_since(shard, time.max(horizon)),
            ShardFilter::AfterShardId(id) => shard.id > id && open_since(shard, horizon),
        };
        self.shards.iter().filter(|shard| shard.is_visible()).filter(wanted).collect()
    }

    /// The visible shards that took over from `parent`, by rising range: none while it is open,
    /// two after a split, one after a merge.
    pub fn children_of(&self, parent: ShardId) -> Vec<&Shard> {
        let is_child = |shard: &&Shard| shard.is_visible() && shard.parents.contains(&parent);
        self.shards.after(parent).filter(is_child).collect()
    }

    /// Closed shards whose records are all out of reach at `now`.
    pub fn expired_shards(&self, now: UnixMillis) -> Vec<ShardId> {
        let horizon = self.trim_horizon(now);
        let early = planted(Planted::ShardsForgottenEarly);
        let expired = |shard: &&Shard| shard.closed_at().is_some_and(|closed| closed <= horizon || early);
        self.shards.iter().filter(expired).map(|shard| shard.id).collect()
    }
}
