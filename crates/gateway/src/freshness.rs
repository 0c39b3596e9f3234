//! Before something is said not to exist, this node's image is brought up to date.
//!
//! A change is answered by the node that carried it out as soon as that node shows it; others hear of
//! it moments later. A client that talks to several nodes (a load balancer is enough) must not be told
//! that what it has just made is not there: programs end for good on such answers.
//!
//! ```text
//!   request names what the image lacks ──► a round: ask the controller for its revision, wait for it
//!   others meanwhile ────────────────────► share the next round        (one at a time, ten a second)
//! ```
//! Holds: a round that a request goes by began after the request came, so all that was agreed on
//! before is in it; requests that name what never was cost the cluster a bounded number of rounds,
//! however many they are, and those whose refusal no round can change cost none. When the controller
//! cannot say, neither can this node: clients try again.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use thalweg_kinesis::{ApiError, ErrorKind, Struct};
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, sleep_until, timeout};

use crate::Gateway;
use crate::auth::{self, Denial};
use crate::call::Call;
use crate::subject::Names;

/// Between the beginnings of two rounds.
const ROUND_SPACING: Duration = Duration::from_millis(100);
/// A request waits no longer.
const WAIT_MAX: Duration = Duration::from_secs(2);

/// The rounds of a node. They are counted from 1.
pub(crate) struct Freshness {
    started: AtomicU64,
    ended: watch::Sender<u64>,
    /// When the last one began. Who holds it runs the next one.
    turn: Mutex<Option<Instant>>,
}

impl Freshness {
    pub(crate) fn new() -> Freshness {
        Freshness { started: AtomicU64::new(0), ended: watch::channel(0).0, turn: Mutex::new(None) }
    }

    /// Returns after a round that began after this call: one of its own, or another request's.
    async fn confirm<E>(&self, round: impl Future<Output = Result<(), E>>) -> Result<(), E> {
        let wanted = self.started.load(Ordering::SeqCst) + 1;
        let mut ended = self.ended.subscribe();
        let mut last = tokio::select! {
            biased;
            _ = ended.wait_for(|ended| *ended >= wanted) => return Ok(()),
            turn = self.turn.lock() => turn,
        };
        if *self.ended.borrow() >= wanted {
            return Ok(());
        }
        if let Some(last) = *last {
            sleep_until(last + ROUND_SPACING).await;
        }
        *last = Some(Instant::now());
        let number = self.started.fetch_add(1, Ordering::SeqCst) + 1;
        round.await?;
        self.ended.send_replace(number);
        Ok(())
    }
}

/// Lets a request in whose caller may make it, once the image is new enough to say that something which
/// it names is not there.
pub(crate) async fn admit(gateway: &Gateway, call: &Call, input: &Struct) -> Result<(), ApiError> {
    let names = Names::of(gateway, call, input);
    let known = names.in_catalog(call, &gateway.catalog());
    match auth::authorize(gateway, call, &known) {
        Ok(()) if known.is_complete => return Ok(()),
        // What is not here yet may have a policy that allows it.
        Err(Denial::ByNone(_)) if known.lacks_a_policy() => {}
        Err(denial) => return Err(denial.into()),
        Ok(()) => {}
    }
    match timeout(WAIT_MAX, gateway.freshness().confirm(round(gateway))).await {
        Ok(Ok(())) => Ok(auth::authorize(gateway, call, &names.in_catalog(call, &gateway.catalog()))?),
        Ok(Err(())) | Err(_) => Err(unsure()),
    }
}

async fn round(gateway: &Gateway) -> Result<(), ()> {
    let agreed = gateway.client().cluster().confirmed_revision().await.map_err(drop)?;
    let mut catalogs = gateway.catalogs();
    let shown = catalogs.wait_for(|catalog| catalog.revision() >= agreed).await;
    shown.map(drop).map_err(drop)
}

fn unsure() -> ApiError {
    let text = "this node does not know what is named, and cannot reach the controller to be sure; try again";
    ApiError::new(ErrorKind::ServiceUnavailable, text)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::{Auth, testing};

    /// What a caller is told of a stream or shard that this node does not know, and for how many rounds
    /// it was. Nobody answers those.
    async fn told(policy: Option<&str>, key: &str, operation: &str, input: Struct) -> (ErrorKind, u64) {
        let gateway = testing::gateway(testing::catalog(policy, None, json!("unlimited")), Auth::Required);
        let call = Call { principal: Some(key.to_owned()), ..testing::call(operation, "us-east-1") };
        let refused = admit(&gateway, &call, &input).await.unwrap_err();
        (refused.kind, gateway.freshness().started.load(Ordering::SeqCst))
    }

    #[tokio::test(start_paused = true)]
    async fn who_may_not_ask_costs_the_cluster_no_round() {
        const DENY: &str = r#"{"Statement":{"Effect":"Deny","Principal":"*","Action":"kinesis:*",
            "Resource":"arn:aws:kinesis:us-east-1:000000000000:stream/orders"}}"#;
        let shard = || Struct::new().with("StreamName", "orders").with("ShardId", "shardId-000000000009");
        let denied = (ErrorKind::AccessDenied, 0);
        assert_eq!(told(Some(DENY), "someone", "GetShardIterator", shard()).await, denied);
        assert_eq!(told(None, "bound", "GetShardIterator", shard()).await, denied, "the stream's policy is known");
        assert_eq!(told(None, "someone", "GetShardIterator", shard()).await, (ErrorKind::ServiceUnavailable, 1));
        let stream = || Struct::new().with("StreamName", "unknown");
        let unsure = (ErrorKind::ServiceUnavailable, 1);
        assert_eq!(told(None, "bound", "DescribeStream", stream()).await, unsure, "its policy may allow that");
    }

    /// Rounds that take 10 ms; how many there were.
    async fn rounds_of(callers: u64, apart: Duration) -> u64 {
        let freshness = Arc::new(Freshness::new());
        let mut running = tokio::task::JoinSet::new();
        for _ in 0..callers {
            let freshness = freshness.clone();
            running.spawn(async move {
                let came = Instant::now();
                let round = async {
                    assert!(Instant::now() >= came, "it began after the request came");
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    Ok::<(), ()>(())
                };
                timeout(WAIT_MAX, freshness.confirm(round)).await.expect("in time").unwrap();
            });
            tokio::time::sleep(apart).await;
        }
        running.join_all().await;
        freshness.started.load(Ordering::SeqCst)
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_shares_its_rounds_and_one_alone_does_not_wait() {
        assert!(rounds_of(10_000, Duration::ZERO).await <= 3, "all at once");
        let begun = Instant::now();
        assert!(rounds_of(10_000, Duration::from_millis(1)).await <= 102, "ten seconds of them");
        assert!(begun.elapsed() < Duration::from_secs(12));
        let begun = Instant::now();
        assert_eq!(rounds_of(1, Duration::ZERO).await, 1);
        assert!(begun.elapsed() < ROUND_SPACING);
    }

    #[tokio::test(start_paused = true)]
    async fn a_round_that_began_before_the_request_is_not_enough() {
        let freshness = Arc::new(Freshness::new());
        let slow = {
            let freshness = freshness.clone();
            let round = async {
                tokio::time::sleep(Duration::from_secs(1)).await;
                Ok::<(), ()>(())
            };
            tokio::spawn(async move { freshness.confirm(round).await })
        };
        tokio::time::sleep(Duration::from_millis(500)).await;
        let own = Arc::new(AtomicU64::new(0));
        let counted = own.clone();
        let round = async {
            counted.fetch_add(1, Ordering::SeqCst);
            Ok::<(), ()>(())
        };
        freshness.confirm(round).await.unwrap();
        assert_eq!(own.load(Ordering::SeqCst), 1);
        slow.await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_round_that_fails_or_is_given_up_frees_the_turn() {
        let freshness = Freshness::new();
        assert_eq!(freshness.confirm(async { Err(()) }).await, Err(()));
        let never = freshness.confirm(std::future::pending::<Result<(), ()>>());
        assert!(timeout(WAIT_MAX, never).await.is_err());
        assert_eq!(freshness.confirm(async { Ok::<(), ()>(()) }).await, Ok(()));
    }
}
