//! What a node's log can be told. Data only; disk and store are constructor arguments.

use std::path::PathBuf;

const MIB: u64 = 1024 * 1024;

/// Settings of a [`crate::NodeLog`]. All have defaults but the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Where the write-ahead log lives.
    pub dir: PathBuf,
    /// Tells this data directory's bytes from any other's: drawn at random when it is made, kept
    /// by the owner, and the same at every start. Default 0.
    pub identity: u64,
    /// A number that is higher at every start, for those who must know of which start bytes were lost.
    /// Kept if this start finds that they were; see [`crate::GroupLog::damage_mark`]. Default 0.
    pub damage_mark: u64,
    /// Bytes of a write-ahead log segment. Default 64 MiB; more than four times the batch limit.
    pub segment_bytes: u64,
    /// Bytes of recent entries kept in memory, for all groups together. Default 128 MiB.
    pub cache_bytes: u64,
    /// Applied bytes that wait before the mover carries them over. Default 64 MiB.
    pub move_bytes: u64,
    /// Bytes of write-ahead log above which the mover works at once. Default 256 MiB. At four
    /// times as many movable bytes the writer waits for the mover.
    pub hot_tail_bytes: u64,
    /// Bytes of write-ahead log above which appends are refused. Default 2 GiB.
    pub wal_bytes_max: u64,
    /// Bytes of disk that appends leave free, for votes and for moving. Default 256 MiB.
    pub reserve_bytes: u64,
    /// Bytes that may wait for the writer. Default 512 MiB.
    pub queue_bytes_max: u64,
    /// Bytes of one write and sync. Default 4 MiB.
    pub batch_bytes_max: u64,
    /// Records of one write and sync. Default 4096.
    pub batch_records_max: usize,
}

impl Options {
    /// The defaults, with the write-ahead log in `dir`.
    pub fn new(dir: impl Into<PathBuf>) -> Options {
        Options {
            dir: dir.into(),
            identity: 0,
            damage_mark: 0,
            segment_bytes: 64 * MIB,
            cache_bytes: 128 * MIB,
            move_bytes: 64 * MIB,
            hot_tail_bytes: 256 * MIB,
            wal_bytes_max: 2048 * MIB,
            reserve_bytes: 256 * MIB,
            queue_bytes_max: 512 * MIB,
            batch_bytes_max: 4 * MIB,
            batch_records_max: 4096,
        }
    }
}

/// Who brings the threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// One writer thread and one mover thread are started.
    Threads,
    /// Nothing is started: the owner calls [`crate::NodeLog::run_writer_once`] and
    /// [`crate::NodeLog::run_mover_once`]. For simulation and deterministic tests.
    Manual,
}
