//! Settings of a log: data only.

use std::path::PathBuf;

use crate::format::{PAGE_BYTES, block_bytes_max};

/// How a log is laid out.
#[derive(Clone, Debug)]
pub struct Options {
    /// Directory of the log's files; made when missing. Nothing else may live in it.
    pub dir: PathBuf,
    /// Bytes of a segment file, default 64 MiB, from 8 KiB to 2 GiB, rounded down to whole pages.
    /// A block larger than a segment is refused, see [`Options::block_bytes_max`].
    pub segment_bytes: u64,
    /// Released segment files kept for reuse, default 8. Overwriting them is two to three times
    /// faster than growing new ones.
    pub recycled_max: usize,
    /// Tells this log's bytes from those of any other, so that neither a foreign file nor a
    /// client's payload is ever taken for a block. The owner draws it at random when the data
    /// directory is made, keeps it, and passes the same value at every start. Default 0.
    pub identity: u64,
}

impl Options {
    /// Bytes of a segment by default.
    pub const SEGMENT_BYTES_DEFAULT: u64 = 64 * 1024 * 1024;
    /// Released files kept by default.
    pub const RECYCLED_MAX_DEFAULT: usize = 8;

    /// The defaults, in `dir`.
    pub fn new(dir: impl Into<PathBuf>) -> Options {
        Options {
            dir: dir.into(),
            segment_bytes: Self::SEGMENT_BYTES_DEFAULT,
            recycled_max: Self::RECYCLED_MAX_DEFAULT,
            identity: 0,
        }
    }

    /// The largest block an append may form (see [`crate::Wal::block_bytes`]).
    pub fn block_bytes_max(&self) -> u64 {
        block_bytes_max(self.segment_bytes)
    }

    /// The same settings with every value inside its bounds.
    pub(crate) fn bounded(mut self) -> Options {
        let pages = self.segment_bytes.clamp(2 * PAGE_BYTES, 2 << 30) / PAGE_BYTES;
        self.segment_bytes = pages * PAGE_BYTES;
        self
    }
}
