//! The bounds that a producer keeps, as its pure parts see them.

use std::time::Duration;

/// Bounds of one producer.
#[derive(Clone, Debug)]
pub(super) struct Limits {
    /// A batch is closed before it would pass this many bytes (a larger record travels alone).
    pub(super) batch_bytes: usize,
    /// Records in a batch at most.
    pub(super) batch_records: usize,
    /// Unanswered batches of one shard at most.
    pub(super) in_flight: usize,
    /// Whether batches carry a producer tag.
    pub(super) idempotent: bool,
    /// How long the server may take for one attempt; the client waits a little longer.
    pub(super) attempt_timeout: Duration,
    /// From `send` to the outcome.
    pub(super) delivery_deadline: Duration,
}

/// Batches in flight for one shard at most: the server remembers the last 16 of each producer.
pub(super) const IN_FLIGHT_MAX: usize = 8;
/// How much longer than the server the client waits for an attempt.
pub(super) const ATTEMPT_GRACE: Duration = Duration::from_secs(2);
/// A node whose connection failed is avoided for this long, while there are others.
pub(super) const SUSPECT_FOR: Duration = Duration::from_secs(1);
/// A shard that refused as closed, but is open in every image since, is tried again after this.
pub(super) const SEALED_RETRY: Duration = Duration::from_secs(1);
