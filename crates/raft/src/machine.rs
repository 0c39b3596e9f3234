//! What a group's owner implements: the replicated state and the rule that moves it.

use bytes::Bytes;

use crate::Payload;

/// A state that all replicas of a group move through in the same steps.
///
/// # To ensure correctness
///
/// - [`apply`](Self::apply) is deterministic and total: it reads no clock, rolls no dice and
///   panics on no input.
/// - [`snapshot`](Self::snapshot) followed by the commands above [`snapshot_index`](Self::snapshot_index)
///   leads to the same state as all commands from the beginning.
/// - [`snapshot_index`](Self::snapshot_index) never falls.
pub trait StateMachine: Send + 'static {
    /// Applies one committed command; returns what its proposer is told.
    fn apply(&mut self, index: u64, payload: &Payload) -> Bytes;

    /// The state as of the last applied command, to be restored after a restart.
    fn checkpoint(&self) -> Bytes;

    /// Takes up the state of a checkpoint; commands above it are applied again.
    fn restore(&mut self, checkpoint: &[u8]) -> Result<(), RestoreError>;

    /// The newest index at which a new replica may start. The group's log up to and including it
    /// is given up. For a shard this is the trim point, and data above it must come by the log.
    fn snapshot_index(&self) -> Option<u64>;

    /// The state as of [`snapshot_index`](Self::snapshot_index); small.
    fn snapshot(&self) -> Bytes;

    /// Takes up a snapshot that was made at `index`.
    fn install(&mut self, index: u64, snapshot: &[u8]) -> Result<(), RestoreError>;
}

/// A checkpoint or snapshot that cannot be read, and why.
#[derive(Debug, Clone, thiserror::Error)]
#[error("saved state cannot be restored: {0}")]
pub struct RestoreError(pub String);
