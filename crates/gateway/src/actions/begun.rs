//! Changes that go on by themselves once they have begun.
//!
//! All that CreateStream, SplitShard and MergeShards promise is that: clients then watch the stream's
//! status. Most changes end within a moment, so their end is waited for, but never so long that an
//! SDK would take the call for lost, repeat it, and be told that the stream is busy.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use thalweg_catalog::Stream;
use thalweg_client::CallError;
use thalweg_types::ShardId;
use tokio::time::timeout;

use crate::Gateway;

/// Well below the 10 s after which some SDKs give a call up.
const WAIT: Duration = Duration::from_secs(5);

/// Waits for a change to end, or, if that takes long, to have begun.
pub(super) async fn settled<T>(
    change: impl Future<Output = Result<T, CallError>>,
    has_begun: impl Fn() -> bool,
) -> Result<(), CallError> {
    let mut change = pin!(change);
    let ended = match timeout(WAIT, &mut change).await {
        Ok(ended) => ended,
        Err(_) if has_begun() => return Ok(()),
        Err(_) => change.await,
    };
    match ended {
        Err(error) if error.perhaps_applied() && has_begun() => Ok(()),
        ended => ended.map(drop),
    }
}

/// Whether a split or merge of a shard runs, as far as this node knows.
pub(super) fn is_resharding(gateway: &Gateway, stream: &Stream, shard: ShardId) -> bool {
    let catalog = gateway.catalog();
    let same = catalog.stream(&stream.name).filter(|known| known.id == stream.id);
    same.is_some_and(|stream| catalog.reshard_of(stream, shard).is_some())
}

#[cfg(test)]
mod tests {
    use thalweg_client::{Reason, WireError};
    use tokio::time::{Instant, sleep};

    use super::*;

    async fn takes(seconds: u64, ended: Result<(), CallError>) -> Result<(), CallError> {
        sleep(Duration::from_secs(seconds)).await;
        ended
    }

    fn refused(reason: Reason) -> Result<(), CallError> {
        Err(CallError::Refused(WireError::new(reason, "no")))
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_that_takes_long_is_answered_once_it_has_begun() {
        let begun = Instant::now();
        assert!(settled(takes(60, Ok(())), || true).await.is_ok());
        assert_eq!(begun.elapsed(), WAIT);
        assert!(settled(takes(60, Ok(())), || false).await.is_ok());
        assert!(begun.elapsed() > Duration::from_secs(60), "else its end is waited for");
    }

    #[tokio::test(start_paused = true)]
    async fn only_an_unknown_outcome_is_made_good_by_a_change_that_has_begun() {
        for reason in [Reason::Timeout, Reason::OutcomeUnknown] {
            assert!(settled(takes(1, refused(reason)), || true).await.is_ok(), "{reason:?}");
            assert!(settled(takes(1, refused(reason)), || false).await.is_err(), "{reason:?}");
        }
        assert!(settled(takes(1, refused(Reason::InUse)), || true).await.is_err(), "somebody else's change");
    }
}
