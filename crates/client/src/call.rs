//! One call to any node: which failures are tried again, where, and for how long.
//!
//! Holds: a call that changes something is never repeated after an unknown outcome, unless doing
//! it twice is the same as doing it once. Deciding is pure ([`verdict`]); acting is [`Client::call`].

use std::future::Future;
use std::time::Duration;

use thalweg_catalog::Refusal;
use thalweg_proto::errors::{META_LEADER_ADDRESS, META_REFUSAL, Reason, WireError};
use thalweg_proto::v1::record_service_client::RecordServiceClient;
use tokio::time::Instant;
use tokio::time::error::Elapsed;
use tonic::transport::Channel;
use tonic::{Code, Response, Status};

use crate::backoff::Backoff;
use crate::client::{Client, stub};
use crate::pool::Connection;

/// Why a call got no answer that it could use.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CallError {
    /// The cluster refused, or its outcome is unknown: see [`CallError::perhaps_applied`].
    #[error("{0}")]
    Refused(WireError),
    /// No node could be reached; nothing was sent.
    #[error("no node could be reached within {waited:.1?}; the last error: {last}")]
    Unreachable {
        /// How long it was tried.
        waited: Duration,
        /// The last attempt's error.
        last: String,
    },
    /// A node answered what no node should.
    #[error("a node's answer makes no sense: {0}")]
    BadAnswer(String),
}

impl CallError {
    /// Whether the call may have had its effect although it failed.
    pub fn perhaps_applied(&self) -> bool {
        match self {
            CallError::Refused(error) => error.perhaps_applied(),
            CallError::Unreachable { .. } => false,
            CallError::BadAnswer(_) => true,
        }
    }

    /// The cluster's reason, where it gave one.
    pub fn reason(&self) -> Option<Reason> {
        match self {
            CallError::Refused(error) => Some(error.reason),
            _ => None,
        }
    }

    /// The catalog's refusal, whole, where it was the catalog that refused.
    pub fn refusal(&self) -> Option<Refusal> {
        match self {
            // A later version's refusal may be unknown here; reason and message still tell.
            CallError::Refused(error) => serde_json::from_str(error.metadata.get(META_REFUSAL)?).ok(),
            _ => None,
        }
    }
}

impl From<WireError> for CallError {
    /// For conversions of answers: what arrived did not pass the checks.
    fn from(error: WireError) -> CallError {
        CallError::BadAnswer(error.message)
    }
}

/// What doing a call twice means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// The same as once: also repeated after an unknown outcome.
    Harmless,
    /// Something else: only repeated when it certainly had no effect.
    Harmful,
}

/// What to do after a failed attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// At this address, which leads.
    TryAt(String),
    /// At another node, after a moment.
    TryElsewhere,
    /// The answer is final.
    GiveUp,
}

/// Decides about a failed attempt.
pub(crate) fn verdict(error: &WireError, repeat: Repeat) -> Verdict {
    match error.reason {
        Reason::NotLeader => leader_hint(error).map_or(Verdict::TryElsewhere, Verdict::TryAt),
        Reason::Unavailable | Reason::Throttled => Verdict::TryElsewhere,
        Reason::Timeout | Reason::OutcomeUnknown if repeat == Repeat::Harmless => Verdict::TryElsewhere,
        _ => Verdict::GiveUp,
    }
}

/// Whether what one node said about a shard may be otherwise at another, or in a moment: a node may
/// not have heard yet of what was just made, and another replica's copy may be intact.
pub(crate) fn may_pass(reason: Reason) -> bool {
    matches!(reason, Reason::ShardNotFound | Reason::StreamNotFound | Reason::CorruptData)
}

/// For so long [`may_pass`] is believed.
pub(crate) const MISSING_GRACE: Duration = Duration::from_secs(1);

/// The leader's address, where a refusal names it.
pub(crate) fn leader_hint(error: &WireError) -> Option<String> {
    error.metadata.get(META_LEADER_ADDRESS).filter(|address| !address.is_empty()).cloned()
}

/// Whether a status comes from the transport and not from a node: the connection is to be replaced.
pub(crate) fn is_broken_connection(status: &Status) -> bool {
    let transport = matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Cancelled | Code::Internal);
    transport && status.details().is_empty()
}

/// What came of a call on a connection, which is to be replaced if that is what failed; `late` says
/// so when there was no answer in time.
pub(crate) fn settle<T>(
    client: &Client,
    connection: &Connection,
    outcome: Result<Result<Response<T>, Status>, Elapsed>,
    late: impl FnOnce() -> String,
) -> Result<T, WireError> {
    match outcome {
        Ok(Ok(answer)) => Ok(answer.into_inner()),
        Ok(Err(status)) => {
            if is_broken_connection(&status) {
                client.pool().forget(connection);
            }
            Err(WireError::from_status(&status))
        }
        Err(_) => Err(WireError::new(Reason::Timeout, late())),
    }
}

/// Asks one node about records, once, connecting included until `deadline`. `what` names the answer in the error of a node that gives none.
pub(crate) async fn ask_at<T, Fut>(
    client: &Client,
    address: &str,
    what: &str,
    deadline: Instant,
    call: impl FnOnce(RecordServiceClient<Channel>) -> Fut,
) -> Result<T, WireError>
where
    Fut: Future<Output = Result<Response<T>, Status>>,
{
    let unavailable = |text: String| WireError::new(Reason::Unavailable, text);
    let connection = client.pool().connection_by(address, deadline).await;
    let connection = connection.map_err(|error| unavailable(error.to_string()))?;
    let asking = call(stub::records(connection.channel.clone()));
    let outcome = tokio::time::timeout_at(deadline, asking).await;
    settle(client, &connection, outcome, || format!("{address} gave no {what} in time"))
}

/// An attempt that waits longer than this for a harmless call is tried at another node.
const HARMLESS_ATTEMPT_MAX: Duration = Duration::from_secs(3);

impl Client {
    /// Runs `call` at one node after another until one answers or `request_timeout` has passed.
    pub(crate) async fn call<T, F, Fut>(&self, repeat: Repeat, call: F) -> Result<T, CallError>
    where
        F: Fn(Channel) -> Fut,
        Fut: Future<Output = Result<Response<T>, Status>>,
    {
        let mut attempts = Attempts::begin(self);
        loop {
            let error = match attempts.connect(self).await {
                Ok(connection) => match attempts.attempt(self, &connection, repeat, &call).await {
                    Ok(answer) => return Ok(answer),
                    Err(error) => CallError::Refused(error),
                },
                Err(error) => error,
            };
            attempts.wait_or_give_up(error, repeat).await?;
        }
    }
}

/// The attempts of one call.
struct Attempts {
    started: Instant,
    timeout: Duration,
    backoff: Backoff,
    next_address: usize,
    hint: Option<String>,
    unknown: Option<WireError>,
}

impl Attempts {
    fn begin(client: &Client) -> Attempts {
        Attempts {
            started: Instant::now(),
            timeout: client.options().request_timeout,
            backoff: Backoff::seeded(client.random().seed()),
            next_address: 0,
            hint: None,
            unknown: None,
        }
    }

    fn remaining(&self) -> Duration {
        self.timeout.saturating_sub(self.started.elapsed())
    }

    async fn connect(&mut self, client: &Client) -> Result<Connection, CallError> {
        let address = self.hint.take().unwrap_or_else(|| {
            let addresses = client.pool().addresses();
            addresses[self.next_address % addresses.len()].clone()
        });
        let waited = self.started.elapsed();
        let unreachable = |error: crate::pool::Unreachable| CallError::Unreachable { waited, last: error.to_string() };
        client.pool().connection_by(&address, self.started + self.timeout).await.map_err(unreachable)
    }

    async fn attempt<T, F, Fut>(
        &self,
        client: &Client,
        connection: &Connection,
        repeat: Repeat,
        call: &F,
    ) -> Result<T, WireError>
    where
        F: Fn(Channel) -> Fut,
        Fut: Future<Output = Result<Response<T>, Status>>,
    {
        let limit = match repeat {
            Repeat::Harmless => self.remaining().min(HARMLESS_ATTEMPT_MAX),
            Repeat::Harmful => self.remaining(),
        };
        let outcome = tokio::time::timeout(limit, call(connection.channel.clone())).await;
        let late = || format!("{} gave no answer within {limit:?}", connection.address);
        let answer = settle(client, connection, outcome, late)?;
        client.pool().prefer(&connection.address);
        Ok(answer)
    }

    /// Prepares the next attempt, or returns the error that the caller gets.
    async fn wait_or_give_up(&mut self, error: CallError, repeat: Repeat) -> Result<(), CallError> {
        let verdict = match &error {
            CallError::Refused(refusal) => verdict(refusal, repeat),
            _ => Verdict::TryElsewhere,
        };
        if let CallError::Refused(refusal) = &error
            && refusal.perhaps_applied()
        {
            self.unknown = Some(refusal.clone());
        }
        let delay = match verdict {
            Verdict::GiveUp => return Err(error),
            Verdict::TryAt(address) => {
                self.hint = Some(address);
                self.backoff.next_elsewhere()
            }
            Verdict::TryElsewhere => {
                self.next_address += 1;
                self.backoff.next_elsewhere()
            }
        };
        if delay >= self.remaining() {
            // An earlier attempt of unknown outcome outweighs a later one that had no effect.
            return Err(self.unknown.take().map_or(error, CallError::Refused));
        }
        tokio::time::sleep(delay).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_outcome_is_repeated_only_where_that_is_harmless() {
        for reason in [Reason::Timeout, Reason::OutcomeUnknown] {
            let error = WireError::new(reason, "lost");
            assert_eq!(verdict(&error, Repeat::Harmless), Verdict::TryElsewhere);
            assert_eq!(verdict(&error, Repeat::Harmful), Verdict::GiveUp);
        }
    }

    #[test]
    fn a_leader_hint_is_followed_and_a_refusal_is_final() {
        let hinted = WireError::new(Reason::NotLeader, "").with(META_LEADER_ADDRESS, "b:1");
        assert_eq!(verdict(&hinted, Repeat::Harmful), Verdict::TryAt("b:1".to_owned()));
        let refused = WireError::new(Reason::InvalidArgument, "no");
        assert_eq!(verdict(&refused, Repeat::Harmless), Verdict::GiveUp);
    }
}
