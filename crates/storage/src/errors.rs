//! Why an operation on a node's log failed: one enum an operation.
//!
//! Holds: the variants of [`StorageError`] tell *nothing was written* from *perhaps written*.

use thalweg_types::GroupId;

/// Why an append, vote, truncation, trim or repair is not durable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StorageError {
    // Nothing was written: the log is as it was before the call.
    /// The disk has less free space than the reserve.
    #[error("disk is full: {free_bytes} bytes free, {need_bytes} are kept in reserve")]
    Full {
        /// Free bytes when last looked at.
        free_bytes: u64,
        /// Bytes that must stay free.
        need_bytes: u64,
    },
    /// The write-ahead log is pinned by entries that were never applied.
    #[error("write-ahead log holds {wal_bytes} bytes, limit {limit_bytes}")]
    LogFull {
        /// Bytes in the write-ahead log.
        wal_bytes: u64,
        /// Its limit.
        limit_bytes: u64,
    },
    /// More bytes wait for the writer than its queue may hold.
    #[error("write queue holds {queued_bytes} bytes, limit {limit_bytes}")]
    Overloaded {
        /// Bytes in the queue.
        queued_bytes: u64,
        /// Its limit.
        limit_bytes: u64,
    },
    /// An entry does not fit into a segment of the write-ahead log.
    #[error("an entry has {bytes} bytes, limit {limit_bytes}")]
    TooLarge {
        /// Bytes of the entry.
        bytes: u64,
        /// The limit.
        limit_bytes: u64,
    },
    /// The entries do not continue the log; also what follows a refused append.
    #[error("append to {group} starts at index {found}, expected {expected}")]
    NotContiguous {
        /// The group.
        group: GroupId,
        /// The index that had to come next.
        expected: u64,
        /// The index that came.
        found: u64,
    },
    /// Applied entries are never truncated.
    #[error("truncation of {group} after {index} would cut applied entries up to {applied}")]
    Applied {
        /// The group.
        group: GroupId,
        /// Last index that was to be kept.
        index: u64,
        /// Last applied index.
        applied: u64,
    },
    /// The entry to repair is trimmed, unknown, or of another term.
    #[error("nothing to repair at index {index} of {group}")]
    NotRepairable {
        /// The group.
        group: GroupId,
        /// The index of the entry.
        index: u64,
    },
    /// The log was closed.
    #[error("the log is closed")]
    Closed,
    // Perhaps written: what is on disk is unknown until the node restarts.
    /// A write or sync failed earlier; nothing is accepted until restart.
    #[error("storage failed: {reason}")]
    Failed {
        /// The first failure.
        reason: String,
    },
}

/// Why entries could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Retention passed the index.
    #[error("entries below {first} are trimmed")]
    Trimmed {
        /// The first index that can be read.
        first: u64,
    },
    /// The log ends before the index.
    #[error("no entry at this index")]
    Missing,
    /// The entry's bytes are not those that were written. A peer has an intact copy.
    #[error("entry {index} of {group} is corrupt")]
    Corrupt {
        /// The group.
        group: GroupId,
        /// The entry.
        index: u64,
    },
    /// The disk or the store answered with an error.
    #[error("read failed: {0}")]
    Io(String),
}

/// Why a node's log did not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The write-ahead log did not open.
    #[error("write-ahead log: {0}")]
    Wal(String),
    /// The record store did not open or answer.
    #[error("record store: {0}")]
    Store(#[from] StoreError),
    /// A group's metadata cannot be understood.
    #[error("metadata of {group}: {reason}")]
    Meta {
        /// The group.
        group: GroupId,
        /// What is wrong.
        reason: &'static str,
    },
    /// The node's metadata cannot be understood.
    #[error("metadata of the node: {0}")]
    NodeMeta(&'static str),
    /// A thread could not be started.
    #[error("starting the storage threads: {0}")]
    Threads(std::io::Error),
}

/// Why a record store did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The bytes of this entry are damaged.
    #[error("entry {index} of {group} is corrupt")]
    Corrupt {
        /// The group.
        group: GroupId,
        /// The entry.
        index: u64,
    },
    /// The store failed.
    #[error("{0}")]
    Failed(String),
}
