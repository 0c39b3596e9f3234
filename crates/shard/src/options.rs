//! Bounds and intervals of the shards on a node, as data.

use std::time::Duration;

/// How this node runs its shard replicas.
#[derive(Clone, Debug)]
pub struct Options {
    /// Bytes of batches on their way to commit in one shard. Default 16 MiB.
    pub shard_in_flight_bytes_max: usize,
    /// The same over all shards of the node. Default 256 MiB.
    pub node_in_flight_bytes_max: usize,
    /// Batches on their way in one `AppendStream` call. Default 64.
    pub call_in_flight_batches_max: usize,
    /// Bytes on their way in one `AppendStream` call; at least a largest batch. Default 16 MiB.
    pub call_in_flight_bytes_max: usize,
    /// How long an append waits when the caller does not say. Default 10 s.
    pub append_timeout: Duration,
    /// How long any append may wait. Default 60 s.
    pub append_timeout_max: Duration,
    /// How long an append waits for a shard that the catalog is about to open. Default 2 s.
    pub opening_wait_max: Duration,
    /// Bytes of a page when the caller does not say. Default 1 MiB.
    pub read_bytes_default: usize,
    /// Bytes of a tail's page when the caller does not say. Default 256 KiB.
    pub tail_bytes_default: usize,
    /// Bytes of any page. Default 10 MiB.
    pub read_bytes_max: usize,
    /// How long a read may wait for a first record. Default 30 s.
    pub read_wait_max: Duration,
    /// A tail that has nothing to say sends an empty page this often. Default 5 s.
    pub tail_heartbeat: Duration,
    /// Named tails of one shard. Default 1,000.
    pub subscriptions_max: usize,
    /// A named tail cannot be taken over by another of its name for this long. Default 5 s.
    pub subscription_hold: Duration,
    /// Replicas that open or close at the same time. Default 32.
    pub opens_max: usize,
    /// Changes of voters and leaders that this node drives at the same time. Default 8.
    pub changes_max: usize,
    /// How often failed duties are tried again. Default 1 s.
    pub sweep_interval: Duration,
    /// How often leaders look for records past retention. Default 60 s.
    pub retention_interval: Duration,
    /// How often a leader measures what is written to its shards. Default 5 s.
    pub rate_interval: Duration,
    /// Over how long that is averaged. Default 60 s.
    pub rate_window: Duration,
    /// A wall clock that gains more than this on the monotonic clock is not believed by
    /// retention. Default 1 h.
    pub clock_jump_max: Duration,
}

impl Default for Options {
    fn default() -> Self {
        const MIB: usize = 1024 * 1024;
        Options {
            shard_in_flight_bytes_max: 16 * MIB,
            node_in_flight_bytes_max: 256 * MIB,
            call_in_flight_batches_max: 64,
            call_in_flight_bytes_max: 16 * MIB,
            append_timeout: Duration::from_secs(10),
            append_timeout_max: Duration::from_secs(60),
            opening_wait_max: Duration::from_secs(2),
            read_bytes_default: MIB,
            tail_bytes_default: 256 * 1024,
            read_bytes_max: 10 * MIB,
            read_wait_max: Duration::from_secs(30),
            tail_heartbeat: Duration::from_secs(5),
            subscriptions_max: 1_000,
            subscription_hold: Duration::from_secs(5),
            opens_max: 32,
            changes_max: 8,
            sweep_interval: Duration::from_secs(1),
            retention_interval: Duration::from_secs(60),
            rate_interval: Duration::from_secs(5),
            rate_window: Duration::from_secs(60),
            clock_jump_max: Duration::from_secs(3_600),
        }
    }
}
