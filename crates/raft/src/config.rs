//! Settings of the Raft layer: time-outs and bounds, as data.

use std::sync::Arc;
use std::time::Duration;

use openraft::{SnapshotPolicy, StepDownPolicy};
use thalweg_types::Clock;

/// How this node takes part in Raft.
#[derive(Clone, Debug)]
pub struct Options {
    /// Time-outs.
    pub timing: Timing,
    /// Bytes of one AppendEntries message at most; at least one entry goes anyway. Default 1 MiB.
    pub append_bytes_max: usize,
    /// AppendEntries on their way to one follower of one group at most. Default 8.
    pub append_window: usize,
    /// Bytes on their way to one node at most, over all groups. Default 64 MiB.
    pub peer_bytes_max: usize,
    /// The time that other nodes are told when they ask whether this one is there.
    pub clock: ToldClock,
}

/// A node's wall clock, if it tells others the time. Default: it does not.
#[derive(Clone, Default)]
pub struct ToldClock(pub Option<Arc<dyn Clock>>);

impl std::fmt::Debug for ToldClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "a clock" } else { "none" })
    }
}

impl Default for Options {
    fn default() -> Self {
        Options {
            timing: Timing::default(),
            append_bytes_max: 1024 * 1024,
            append_window: 8,
            peer_bytes_max: 64 * 1024 * 1024,
            clock: ToldClock::default(),
        }
    }
}

/// Time-outs. Node-level liveness detects most failures; the groups' own timers are the safety
/// net below it and may therefore be slow.
#[derive(Clone, Debug)]
pub struct Timing {
    /// Between pings of two nodes. Default 200 ms.
    pub ping_interval: Duration,
    /// A peer that answers no ping for this long is down. Default 1.5 s: a starved process is slow to
    /// answer, and a dead one is noticed at once by its broken stream.
    pub ping_timeout: Duration,
    /// Between heartbeats of an awake group; replication counts as one. Default 1 s.
    pub heartbeat_interval: Duration,
    /// Shortest election time-out of an awake group. Default 4 s; the longest is half as much more.
    pub election_timeout: Duration,
    /// News of a commit waits this long for entries that carry it to the followers. Default 20 ms.
    pub commit_wait: Duration,
    /// A group without writes for this long falls asleep. Default 2 s.
    pub hibernate_after: Duration,
    /// One vote, heartbeat or append may take this long. Default 1.5 s, below the election time-out.
    pub rpc_timeout: Duration,
    /// A replica that stands behind the first in line waits this long for it to win an election.
    /// Default 250 ms.
    pub takeover_stagger: Duration,
}

/// How much longer than a heartbeat takes to come a replica that was opened waits for one.
const GREETING_GRACE: Duration = Duration::from_millis(200);

impl Timing {
    /// A leader that lives has spoken to a replica this long after that was opened.
    pub(crate) fn greeting(&self) -> Duration {
        self.heartbeat_interval + GREETING_GRACE
    }
}

impl Default for Timing {
    fn default() -> Self {
        Timing {
            ping_interval: Duration::from_millis(200),
            ping_timeout: Duration::from_millis(1_500),
            heartbeat_interval: Duration::from_millis(1_000),
            election_timeout: Duration::from_millis(4_000),
            commit_wait: Duration::from_millis(20),
            hibernate_after: Duration::from_millis(2_000),
            rpc_timeout: Duration::from_millis(1_500),
            takeover_stagger: Duration::from_millis(250),
        }
    }
}

/// The settings of one group as openraft takes them.
pub(crate) fn raft_config(options: &Options) -> Arc<openraft::Config> {
    let election_timeout_min = options.timing.election_timeout.as_millis() as u64;
    let election_timeout_max = election_timeout_min + election_timeout_min / 2;
    let config = openraft::Config {
        cluster_name: "thalweg".to_owned(),
        heartbeat_interval: options.timing.heartbeat_interval.as_millis() as u64,
        heartbeat_min_interval: Some(options.timing.heartbeat_interval.as_millis() as u64),
        election_timeout_min,
        election_timeout_max,
        // Snapshots sit at the trim point and are asked for when it moves; see `Applier`.
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: 0,
        replication_lag_threshold: u64::MAX,
        purge_batch_size: 1,
        max_payload_entries: 1024,
        removed_leader_step_down: StepDownPolicy::After(200),
        // A group starts asleep; `failover` wakes it.
        enable_tick: false,
        enable_pre_vote: Some(true),
        // Would hold back the heartbeats of a leader that wakes; node-level liveness stands in.
        quorum_loss_probe_interval: None,
        // A restarted leader must win an election again: what it remembers may be stale.
        enable_leader_restore: Some(false),
        // A fenced replica comes back with less than it once acknowledged. The fence keeps it
        // from voting until it has caught up; the leader must be able to feed it from there.
        allow_log_reversion: Some(true),
        backoff: "20ms 50ms 100ms ..500ms".to_owned(),
        install_snapshot_timeout: 10_000,
        ..Default::default()
    };
    Arc::new(config.validate().expect("the time-outs derive from each other in the right order"))
}
