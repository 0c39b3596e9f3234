//! Which records are past retention, and giving them up.
//!
//! The leader decides and logs a trim; replicas obey the log, never their own clocks. Age counts
//! by arrival stamps against a clock that cannot leap: see [`SteadyClock`](thalweg_raft::SteadyClock).
//!
//! Holds: nothing younger than the retention is trimmed because one node's wall clock jumped, or was
//! wrong when the node started: where there are other nodes, nothing is trimmed before a majority of
//! the cluster is of one mind about the time.

use thalweg_types::UnixMillis;
use thalweg_types::planted::{Planted, planted};

use crate::read::{ReadError, last_before};
use crate::replica::Replica;
use crate::spec::ReplicaSpec;

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
