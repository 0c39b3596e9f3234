//! Why a read gave no page.

use thalweg_types::{NodeId, SequenceNumber};

use crate::subscriptions::SubscriptionError;

/// Why a read gave no page.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The sequence number belongs to another shard or another incarnation of the stream.
    #[error("sequence number {number} is not of this shard")]
    ForeignNumber {
        /// What was given.
        number: SequenceNumber,
    },
    /// No record has this number yet.
    #[error("sequence number {number} lies beyond the end of the shard")]
    BeyondEnd {
        /// What was given.
        number: SequenceNumber,
    },
    /// Only the leader can tell what is newest.
    #[error("this node does not lead the shard")]
    NotLeader {
        /// Who does, if known.
        leader: Option<NodeId>,
    },
    /// A named tail may not begin, or go on.
    #[error(transparent)]
    Subscription(#[from] SubscriptionError),
    /// The replica could not make sure that it knows everything acknowledged.
    #[error("the replica cannot tell what is newest: {reason}")]
    Unavailable {
        /// Why.
        reason: String,
    },
    /// The replica left this node while the read was waiting.
    #[error("the replica is no longer on this node")]
    Gone,
    /// Stored bytes are damaged, and no peer had an intact copy.
    #[error("entry {index} is corrupt and no replica gave an intact copy: {reason}")]
    Corrupt {
        /// The entry.
        index: u64,
        /// What was tried.
        reason: String,
    },
    /// The log could not be read.
    #[error("cannot read the log: {reason}")]
    Io {
        /// Why.
        reason: String,
    },
}
