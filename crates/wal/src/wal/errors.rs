//! What can go wrong while writing, one enum an operation.
//!
//! `Failed` is the same everywhere: the log is dead and a new start must find out what is on disk.

use std::io;

/// Why a block was not appended.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    // Not applied: nothing of the block will ever be read back.
    /// The records do not fit into one segment.
    #[error("block of {bytes} bytes is larger than a segment of the log takes ({limit})")]
    BlockTooLarge {
        /// Bytes of the block.
        bytes: u64,
        /// Bytes that fit.
        limit: u64,
    },
    /// There is no space for it now; the log goes on when there is.
    #[error("no space left for the log")]
    DiskFull {
        /// What the disk said.
        source: io::Error,
    },
    // Perhaps applied: whether any of it is read back is known after a restart.
    /// A write or sync failed, now or earlier; this log accepts nothing any more.
    #[error("the log has failed and must be opened anew: {reason}")]
    Failed {
        /// The first failure.
        reason: String,
    },
}

/// Why blocks are not known to be durable.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// A write or sync failed, now or earlier; this log accepts nothing any more.
    #[error("the log has failed and must be opened anew: {reason}")]
    Failed {
        /// The first failure.
        reason: String,
    },
}

/// Why the fence could not be written.
#[derive(Debug, thiserror::Error)]
pub enum FenceError {
    /// A write or sync failed, now or earlier; this log accepts nothing any more.
    #[error("the log has failed and must be opened anew: {reason}")]
    Failed {
        /// The first failure.
        reason: String,
    },
}

/// Why segments could not be released.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// A write or sync failed, now or earlier; this log accepts nothing any more.
    #[error("the log has failed and must be opened anew: {reason}")]
    Failed {
        /// The first failure.
        reason: String,
    },
    /// Released, but the file of a segment could not be recycled or removed. It is at the next start.
    #[error("the file of a released segment could not be put aside")]
    Tidy {
        /// What the disk said.
        source: io::Error,
    },
}
