//! What an append came to.

use std::time::Duration;

use thalweg_types::{BatchError, HashRange, NodeId, SequenceNumber, UnixMillis};

/// A batch that is durable on a majority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The number of its first record.
    pub first: SequenceNumber,
    /// Records in it.
    pub record_count: u32,
    /// When the shard's leader took it.
    pub arrived: UnixMillis,
    /// Whether an earlier attempt wrote it.
    pub duplicate: bool,
}

/// Why an append got no sequence number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    // Not applied: nothing of the batch is or will be in the shard.
    /// The bytes are no intact batch.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// A record exceeds the stream's limit.
    #[error("record has {bytes} bytes of data and partition key, the stream allows {limit}")]
    RecordTooLarge {
        /// Size of the largest record.
        bytes: usize,
        /// The stream's limit.
        limit: usize,
    },
    /// A hash key lies outside the shard's range.
    #[error("hash keys {keys} lie outside the shard's range {range}: refresh the routing")]
    WrongShard {
        /// The keys of the batch, or the one that is outside.
        keys: HashRange,
        /// What the shard takes.
        range: HashRange,
    },
    /// Another replica leads.
    #[error("this node does not lead the shard")]
    NotLeader {
        /// Who does, if known.
        leader: Option<NodeId>,
    },
    /// The shard was sealed; its children take what it took.
    #[error("the shard is closed for writes: refresh the routing")]
    Closed,
    /// An earlier batch of the producer has not arrived.
    #[error("the producer's batch {sequence} leaves a gap: {expected} comes next")]
    OutOfOrder {
        /// The sequence given.
        sequence: u64,
        /// The sequence that has to come.
        expected: u64,
    },
    /// Too much is on its way.
    #[error("{scope} has {limit_bytes} bytes on their way to commit, its limit: try again after a moment")]
    Throttled {
        /// The shard or the node.
        scope: &'static str,
        /// The limit.
        limit_bytes: usize,
    },
    /// The disk has no room.
    #[error("the disk has no room for writes")]
    DiskFull,
    /// The replica cannot take writes now.
    #[error("the shard cannot take writes now: {reason}")]
    Unavailable {
        /// Why.
        reason: String,
    },
    // Perhaps applied: a retry may write the batch twice unless it has a producer tag.
    /// An old batch whose fate is forgotten.
    #[error("the producer's batch {sequence} is too old: whether it was taken is no longer known")]
    TooOld {
        /// The sequence given.
        sequence: u64,
    },
    /// The caller's patience ended first.
    #[error("no commit within {waited:?}")]
    Timeout {
        /// How long it waited.
        waited: Duration,
    },
    /// Leadership was lost on the way.
    #[error("the outcome is unknown: {reason}")]
    OutcomeUnknown {
        /// Why.
        reason: String,
    },
}
