//! What a node's log says about itself: whether it takes writes, and its figures.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Whether the log takes writes. Watch it with [`crate::NodeLog::health`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// All is well.
    Ok,
    /// Appends are refused until there is room; votes, truncations, trims and reads go on.
    DiskFull {
        /// Free bytes when last looked at.
        free_bytes: u64,
        /// Bytes that must stay free.
        need_bytes: u64,
    },
    /// A write or sync failed: nothing is accepted until the node restarts.
    Failed(String),
}

/// Upper bounds of [`Stats::sync_micros`]: bucket `i` counts syncs below `2^i` microseconds.
pub const SYNC_BUCKETS: usize = 24;

/// Figures for metrics. Counters run from the start of the process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Payload bytes written to the write-ahead log.
    pub appended_bytes: u64,
    /// Blocks (group commits) written to it.
    pub blocks: u64,
    /// Syncs of it.
    pub syncs: u64,
    /// Syncs by duration: bucket `i` counts those below `2^i` microseconds that no lower one has.
    pub sync_micros: [u64; SYNC_BUCKETS],
    /// Payload bytes moved to the record store.
    pub moved_bytes: u64,
    /// Rounds of the mover that committed something.
    pub moves: u64,
    /// Bytes that wait for the writer now.
    pub queued_bytes: u64,
    /// Payload bytes of entries that are not in the record store yet, now.
    pub hot_tail_bytes: u64,
    /// Those of them that are applied, so may be moved, now.
    pub movable_bytes: u64,
    /// Bytes of recent entries in memory, now.
    pub cache_bytes: u64,
    /// Bytes of write-ahead log on disk, now.
    pub wal_bytes: u64,
    /// Bytes of the record store on disk, now.
    pub store_bytes: u64,
    /// Entries found corrupt by reads or by the mover.
    pub corrupt_entries: u64,
}

/// The counters behind [`Stats`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) appended_bytes: AtomicU64,
    pub(crate) blocks: AtomicU64,
    pub(crate) syncs: AtomicU64,
    pub(crate) sync_micros: [AtomicU64; SYNC_BUCKETS],
    pub(crate) moved_bytes: AtomicU64,
    pub(crate) moves: AtomicU64,
    pub(crate) wal_bytes: AtomicU64,
    pub(crate) corrupt_entries: AtomicU64,
}

impl Counters {
    pub(crate) fn synced(&self, took: Duration) {
        let micros = took.as_micros() as u64;
        let bucket = (u64::BITS - micros.leading_zeros()) as usize;
        self.sync_micros[bucket.min(SYNC_BUCKETS - 1)].fetch_add(1, Relaxed);
        self.syncs.fetch_add(1, Relaxed);
    }

    /// The counters as a [`Stats`] whose gauges are still zero.
    pub(crate) fn stats(&self) -> Stats {
        Stats {
            appended_bytes: self.appended_bytes.load(Relaxed),
            blocks: self.blocks.load(Relaxed),
            syncs: self.syncs.load(Relaxed),
            sync_micros: std::array::from_fn(|i| self.sync_micros[i].load(Relaxed)),
            moved_bytes: self.moved_bytes.load(Relaxed),
            moves: self.moves.load(Relaxed),
            wal_bytes: self.wal_bytes.load(Relaxed),
            corrupt_entries: self.corrupt_entries.load(Relaxed),
            ..Stats::default()
        }
    }
}
