//! The record store: where committed entries live once they have left the write-ahead log.
//!
//! Two implementations keep the same promises: [`RocksStore`] on disk, [`MemoryStore`] for
//! simulation. One suite (`store/suite.rs`) runs on both.
//!
//! # To ensure correctness
//! - What [`RecordStore::put`] staged may be lost by a crash until the next
//!   [`RecordStore::commit`] returned; then all of it and all changes of that commit are durable.
//! - A commit is atomic: after a crash either all its changes are there or none.
//! - A value that is not byte for byte what was put is never returned, but reported as
//!   [`StoreError::Corrupt`].
//!
//! Layout on disk: `store/keys.rs` and `store/value.rs`.

mod keys;
mod memory;
mod rocks;
#[cfg(test)]
mod suite;
mod value;

use bytes::Bytes;
use thalweg_types::GroupId;

pub use memory::MemoryStore;
pub use rocks::RocksStore;

use crate::{LogEntry, StoreError};

/// One change of metadata or retention; see [`RecordStore::commit`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Replaces the metadata of a group.
    Meta {
        /// The group.
        group: GroupId,
        /// Its metadata, opaque to the store.
        meta: Bytes,
    },
    /// Drops a group's entries below an index.
    DropBelow {
        /// The group.
        group: GroupId,
        /// First index that stays.
        first: u64,
    },
    /// Drops all entries and the metadata of a group.
    DropGroup {
        /// The group.
        group: GroupId,
    },
    /// Replaces the metadata of the node.
    Node {
        /// Its metadata, opaque to the store.
        meta: Bytes,
    },
}

/// Committed entries and metadata of all groups of a node. Only the mover writes.
pub trait RecordStore: Send + Sync + 'static {
    /// The metadata of every group that has any.
    fn metas(&self) -> Result<Vec<(GroupId, Bytes)>, StoreError>;

    /// The metadata of the node, if it has any.
    fn node(&self) -> Result<Option<Bytes>, StoreError>;

    /// Stages committed entries of a group, in rising order; an entry already there is replaced.
    fn put(&self, group: GroupId, entries: &[LogEntry]) -> Result<(), StoreError>;

    /// Applies changes in order and makes them, and everything staged before, durable.
    fn commit(&self, changes: &[Change]) -> Result<(), StoreError>;

    /// Reads contiguous entries from `from` on, up to `to` (exclusive) and about `max_bytes`, but
    /// at least one. Empty when there is no entry at `from`; stops before a gap.
    fn read(&self, group: GroupId, from: u64, to: u64, max_bytes: usize) -> Result<Vec<LogEntry>, StoreError>;

    /// Returns the space of dropped entries to the disk. May take long.
    fn reclaim(&self) -> Result<(), StoreError>;

    /// Bytes on disk.
    fn bytes_on_disk(&self) -> u64;
}
