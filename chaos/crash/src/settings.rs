//! Limits so small that segments are recycled, moved and pinned many times in a second.

use std::path::Path;

use thalweg_storage::Options;

/// Name of the write-ahead log's directory in a data directory.
pub const WAL: &str = "wal";
/// Name of the record store's directory in a data directory.
pub const STORE: &str = "store";
/// Bytes of a segment.
pub const SEGMENT_BYTES: u64 = 256 * 1024;

/// The settings of every log in this suite.
pub fn options(dir: &Path) -> Options {
    Options {
        identity: 0x7a1_3e6,
        segment_bytes: SEGMENT_BYTES,
        cache_bytes: 64 * 1024,
        move_bytes: 128 * 1024,
        hot_tail_bytes: 512 * 1024,
        wal_bytes_max: 4 * 1024 * 1024,
        reserve_bytes: 1024 * 1024,
        queue_bytes_max: 4 * 1024 * 1024,
        batch_bytes_max: 60 * 1024,
        ..Options::new(dir.join(WAL))
    }
}
