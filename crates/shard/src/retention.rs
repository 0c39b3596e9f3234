//! Which records are past retention, and giving them up.
//!
//! The leader decides and logs a trim; replicas obey the log, never their own clocks. Age counts
//! by arrival stamps against a clock that cannot leap: see [`SteadyClock`].
//!
//! Holds: nothing younger than the retention is trimmed because one node's wall clock jumped.

use std::sync::Arc;
use std::time::Duration;

use thalweg_types::planted::{Planted, planted};
use thalweg_types::{Clock, UnixMillis};
use tokio::time::Instant;

use crate::read::{ReadError, last_before};
use crate::replica::Replica;
use crate::spec::ReplicaSpec;

/// A wall clock that is believed only as far as the monotonic clock bears it out.
///
/// A jump forward would make everything look old at once. A jump back only keeps records longer.
pub(crate) struct SteadyClock {
    clock: Arc<dyn Clock>,
    started: (UnixMillis, Instant),
    jump_max: Duration,
}

impl SteadyClock {
    pub(crate) fn new(clock: Arc<dyn Clock>, jump_max: Duration) -> SteadyClock {
        let started = (clock.now(), Instant::now());
        SteadyClock { clock, started, jump_max }
    }

    /// Now; nothing while the wall clock is ahead of what can be.
    pub(crate) fn now(&self) -> Option<UnixMillis> {
        let now = self.clock.now();
        let (wall, monotonic) = self.started;
        let latest = wall.0.saturating_add((monotonic.elapsed() + self.jump_max).as_millis() as u64);
        (now.0 <= latest || planted(Planted::ClockLeapBelieved)).then_some(now)
    }
}

/// The moment before which records are gone.
fn cutoff(spec: &ReplicaSpec, now: UnixMillis) -> UnixMillis {
    let kept_ms = if planted(Planted::TrimmedBeforeRetention) { 0 } else { spec.retention_ms };
    now.minus_ms(kept_ms).max(spec.trimmed_until)
}

/// Why a sweep of one shard did not finish.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SweepError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("proposing the trim: {0}")]
    Propose(#[from] thalweg_raft::ProposeError),
}

/// Trims what is past retention, if this replica leads. True when something went.
pub(crate) async fn sweep(replica: &Replica, now: UnixMillis) -> Result<bool, SweepError> {
    if !replica.status().leading || replica.state().with(|state| state.is_empty()) {
        return Ok(false);
    }
    let cutoff = cutoff(&replica.spec(), now);
    if replica.oldest().await?.is_none_or(|oldest| oldest.arrived >= cutoff) {
        return Ok(false);
    }
    let Some(last) = last_before(replica, cutoff).await? else { return Ok(false) };
    replica.trim(last).await?;
    Ok(true)
}

/// Whether the shard is closed and every record it ever had is past retention.
pub(crate) fn is_expired(replica: &Replica, now: UnixMillis) -> bool {
    let cutoff = cutoff(&replica.spec(), now);
    replica.state().with(|state| state.is_empty() && state.sealed().is_some_and(|sealed| sealed.at < cutoff))
}

#[cfg(test)]
mod tests {
    use thalweg_types::ManualClock;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_leaps_ahead_is_not_believed_until_it_is_back() {
        let wall = ManualClock::at(UnixMillis(1_000_000));
        let steady = SteadyClock::new(Arc::new(wall.clone()), Duration::from_secs(3_600));
        wall.advance_ms(10 * 365 * 86_400_000);
        assert_eq!(steady.now(), None);
        wall.set(UnixMillis(900_000));
        assert_eq!(steady.now(), Some(UnixMillis(900_000)));
        tokio::time::advance(Duration::from_secs(7_200)).await;
        wall.set(UnixMillis(1_000_000 + 7_200_000 + 3_600_000));
        assert!(steady.now().is_some());
    }
}
