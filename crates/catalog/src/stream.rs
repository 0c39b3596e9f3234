//! One stream: its settings, its shards and where it stands in its life.
//!
//! ```text
//!   Creating ──► Active ◄──► Updating          a reshard or a scaling runs: reads and writes
//!       │           │           │              go on, other structural changes wait
//!       └───────────┴───────────┴──► Deleting ──► forgotten (the name is free again)
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thalweg_types::{HashKey, ShardId, StreamId, StreamName, UnixMillis};

use crate::{ConsumerRef, FanOutConsumer, ReshardId, Shard, Shards, StreamMode, StreamSettings};

/// Milliseconds in an hour.
const HOUR_MS: u64 = 3_600_000;

/// A stream as the catalog holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stream {
    /// This incarnation of the name.
    pub id: StreamId,
    /// What clients call it.
    pub name: StreamName,
    /// Where it stands in its life.
    pub status: StreamStatus,
    /// All its shards that are not yet forgotten.
    pub shards: Shards,
    /// The id that the next shard gets.
    pub next_shard: ShardId,
    /// How long records stay readable, 24 to 8,760.
    pub retention_hours: u32,
    /// Replicas a shard should have; fewer while the cluster has fewer nodes.
    pub replication: u32,
    /// What must have happened before a write is acknowledged.
    pub durability: Durability,
    /// Largest record, data and partition key together.
    pub record_bytes_max: u32,
    /// When it was created; never changes.
    pub created_at: UnixMillis,
    /// Records older than this are gone whatever the retention says now; only moves forward.
    pub trimmed_until: UnixMillis,
    /// Reshards that run now.
    pub reshards: Vec<ReshardId>,
    /// A change of the shard count that runs now.
    pub scaling: Option<Scaling>,
    /// What else is set about it.
    #[serde(default)]
    pub settings: StreamSettings,
    /// Its fan-out consumers by name.
    #[serde(default)]
    pub consumers: BTreeMap<String, FanOutConsumer>,
    /// When changes of the shard count began, rising; at most as many as the service counts in a day.
    #[serde(default)]
    pub scalings: Vec<UnixMillis>,
}

/// Where a stream stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StreamStatus {
    /// Its first shards' groups are being formed.
    Creating,
    /// Everything is allowed.
    Active,
    /// Its shards change; reads and writes go on.
    Updating,
    /// Its data is being removed.
    Deleting,
}

impl StreamStatus {
    /// The name that clients of the Kinesis API see.
    pub fn as_str(self) -> &'static str {
        match self {
            StreamStatus::Creating => "CREATING",
            StreamStatus::Active => "ACTIVE",
            StreamStatus::Updating => "UPDATING",
            StreamStatus::Deleting => "DELETING",
        }
    }
}

/// What must have happened on a majority before a write is acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// The record is on stable storage.
    #[default]
    Fsync,
    /// The record is with the operating system; a power failure on a majority may lose it.
    Os,
}

/// A running change of the shard count to equal ranges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scaling {
    /// Open shards when it is done.
    pub target: u32,
    /// Open shards when it began.
    pub from: u32,
    /// When it began.
    pub started_at: UnixMillis,
}

impl Stream {
    /// The open shard that takes `key`; nothing while the stream is being created.
    pub fn shard_for(&self, key: HashKey) -> Option<&Shard> {
        self.shards.for_key(key)
    }

    /// What clients may write to, by rising start key: ranges that tile the hash space.
    pub fn open_shards(&self) -> impl DoubleEndedIterator<Item = &Shard> {
        self.shards.open()
    }

    /// A shard by id, unless it is unknown or still opening.
    pub fn visible_shard(&self, id: ShardId) -> Option<&Shard> {
        self.shards.get(id).filter(|shard| shard.is_visible())
    }

    /// Whether reads and writes are served.
    pub fn serves(&self) -> bool {
        matches!(self.status, StreamStatus::Active | StreamStatus::Updating)
    }

    /// Whether the cluster decides on its number of shards.
    pub fn is_on_demand(&self) -> bool {
        self.settings.mode == StreamMode::OnDemand
    }

    /// A fan-out consumer, if it is still the registration that is meant.
    pub fn consumer(&self, wanted: &ConsumerRef) -> Option<&FanOutConsumer> {
        self.consumers.get(&wanted.name).filter(|consumer| wanted.names(consumer))
    }

    /// Retention in milliseconds.
    pub fn retention_ms(&self) -> u64 {
        u64::from(self.retention_hours) * HOUR_MS
    }

    /// The oldest arrival time that may still be read at `now`; as far as clients are told, none lies
    /// before the stream's creation.
    pub fn trim_horizon(&self, now: UnixMillis) -> UnixMillis {
        self.expired_until(now).max(self.created_at)
    }

    /// Records that arrived before are past retention at `now`. The creation does not count: arrivals
    /// are stamped by clocks that may be behind the one that saw it.
    pub(crate) fn expired_until(&self, now: UnixMillis) -> UnixMillis {
        now.minus_ms(self.retention_ms()).max(self.trimmed_until)
    }

    /// Shards that count towards limits: open ones, and those of a stream being created.
    pub(crate) fn counted_shards(&self) -> usize {
        match self.status {
            StreamStatus::Creating => self.shards.len(),
            StreamStatus::Active | StreamStatus::Updating => self.shards.open_count(),
            StreamStatus::Deleting => 0,
        }
    }

    /// Active when nothing changes its shards, else Updating.
    pub(crate) fn refresh_status(&mut self) {
        if self.serves() {
            let idle = self.reshards.is_empty() && self.scaling.is_none();
            self.status = if idle { StreamStatus::Active } else { StreamStatus::Updating };
        }
    }
}
