//! What this node's front saw of each shard, under the names that people alert on.
//!
//! Counts only what this node fronted: sums over nodes are a stream's. Holds: at most
//! [`SHARDS_MAX`] shards and [`FOLLOWERS_MAX`] pairs of consumer and shard are remembered.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use thalweg_types::{ShardId, StreamName};

const SHARDS_MAX: usize = 20_000;
const FOLLOWERS_MAX: usize = 20_000;

/// One shard's counts, all but the last rising from the start of the node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShardCounts {
    /// Bytes of data and partition keys written.
    pub incoming_bytes: u64,
    /// Records written.
    pub incoming_records: u64,
    /// Bytes of data and partition keys read.
    pub outgoing_bytes: u64,
    /// Records read.
    pub outgoing_records: u64,
    /// Records refused because of the shard's write limits.
    pub write_throttled: u64,
    /// Calls refused because of the shard's read limits.
    pub read_throttled: u64,
    /// How far behind the newest record the last GetRecords was, in milliseconds.
    pub iterator_age_ms: u64,
}

/// How far a fan-out consumer is in a shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FollowerState {
    /// How far behind the newest record it is, in milliseconds.
    pub lag_ms: u64,
    /// How long until the next record that it has not read expires, in milliseconds: what is left
    /// before it loses data if it does not move.
    pub expires_in_ms: u64,
}

/// A stream's shard.
pub type ShardKey = (StreamName, ShardId);

/// The counts of a node.
#[derive(Default)]
pub struct Metrics {
    shards: Mutex<BTreeMap<ShardKey, ShardCounts>>,
    followers: Mutex<BTreeMap<(ShardKey, String), FollowerState>>,
}

impl Metrics {
    /// All shards of which anything was seen.
    pub fn shards(&self) -> Vec<(ShardKey, ShardCounts)> {
        self.shards.lock().iter().map(|(key, counts)| (key.clone(), *counts)).collect()
    }

    /// All consumers that follow a shard through this node.
    pub fn followers(&self) -> Vec<((ShardKey, String), FollowerState)> {
        self.followers.lock().iter().map(|(key, state)| (key.clone(), *state)).collect()
    }

    pub(crate) fn count(&self, stream: &StreamName, shard: ShardId, change: impl FnOnce(&mut ShardCounts)) {
        let mut shards = self.shards.lock();
        let key = (stream.clone(), shard);
        if shards.len() < SHARDS_MAX || shards.contains_key(&key) {
            change(shards.entry(key).or_default());
        }
    }

    pub(crate) fn note_follower(&self, stream: &StreamName, shard: ShardId, consumer: &str, state: FollowerState) {
        let mut followers = self.followers.lock();
        let key = ((stream.clone(), shard), consumer.to_owned());
        if followers.len() < FOLLOWERS_MAX || followers.contains_key(&key) {
            followers.insert(key, state);
        }
    }

    /// A consumer no longer follows a shard through this node: its last lag says nothing any more.
    pub(crate) fn forget_follower(&self, stream: &StreamName, shard: ShardId, consumer: &str) {
        self.followers.lock().remove(&((stream.clone(), shard), consumer.to_owned()));
    }

    /// Forgets what is no longer there.
    pub(crate) fn retain(&self, is_there: impl Fn(&ShardKey) -> bool) {
        self.shards.lock().retain(|key, _| is_there(key));
        self.followers.lock().retain(|(key, _), _| is_there(key));
    }
}
