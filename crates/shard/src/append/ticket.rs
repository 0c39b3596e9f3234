//! Batches on their way: how an outcome reaches whoever waits for it.
//!
//! Holds: a batch is followed to its outcome whether or not its caller still waits, and everybody
//! who attached to it is told the same.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use thalweg_raft::{Proposal, ProposeError};
use tokio::sync::watch;
use tokio::time::Instant;

use super::appender::Permits;
use super::in_flight::{InFlight, Receipt};
use super::leaderless::Guide;
use super::{AppendError, Appended};
use crate::command::{EntryFacts, ProducerTag};
use crate::metrics::Metrics;
use crate::spec::ReplicaSpec;
use crate::state::Outcome;
use crate::traffic::Written;

/// A batch that is on its way, or waits for the shard's end, or whose outcome was known at once.
#[derive(Debug)]
pub struct Ticket {
    pub(super) receipt: Receipt,
    pub(super) duplicate: bool,
    /// Names the leader to whoever is refused for want of one.
    pub(super) guide: Option<Arc<Guide>>,
}

impl Ticket {
    /// A batch that was written before.
    pub(super) fn known(appended: Appended) -> Ticket {
        Ticket { receipt: watch::channel(Some(Ok(appended))).1, duplicate: true, guide: None }
    }

    /// A batch that was refused: it is nowhere, whoever leads.
    pub(super) fn refused(refused: AppendError, guide: Arc<Guide>) -> Ticket {
        Ticket { receipt: watch::channel(Some(Err(refused))).1, duplicate: false, guide: Some(guide) }
    }

    /// A batch whose answer has to be waited for, outside of the shard's queue.
    pub(super) fn later(answer: impl Future<Output = Result<Appended, AppendError>> + Send + 'static) -> Ticket {
        let (sender, receipt) = watch::channel(None);
        tokio::spawn(async move { sender.send_replace(Some(answer.await)) });
        Ticket { receipt, duplicate: false, guide: None }
    }

    /// Waits until the batch is durable, or refused, or `patience` ends.
    pub async fn outcome(mut self, patience: Duration) -> Result<Appended, AppendError> {
        let began = Instant::now();
        let known = tokio::time::timeout(patience, self.receipt.wait_for(Option::is_some)).await;
        let outcome = known.map_err(|_| AppendError::Timeout { waited: patience })?;
        let lost = || AppendError::OutcomeUnknown { reason: "the replica stopped".to_owned() };
        let outcome = outcome.map_err(|_| lost())?.clone().ok_or_else(lost)?;
        match (outcome, self.guide) {
            (Ok(appended), _) => Ok(Appended { duplicate: appended.duplicate || self.duplicate, ..appended }),
            (Err(refused), Some(guide)) => Err(guide.direct(refused, patience.saturating_sub(began.elapsed())).await),
            (Err(error), None) => Err(error),
        }
    }
}

/// A batch between proposal and outcome. Whoever waits is told when this goes away, however it does.
pub(super) struct OnItsWay {
    pub(super) term: u64,
    pub(super) tag: Option<ProducerTag>,
    pub(super) facts: EntryFacts,
    pub(super) bytes: usize,
    pub(super) since: Instant,
    pub(super) applied: watch::Receiver<u64>,
    pub(super) in_flight: Arc<Mutex<InFlight>>,
    pub(super) written: Arc<Written>,
    pub(super) sender: watch::Sender<Option<Result<Appended, AppendError>>>,
    pub(super) _permits: Permits,
}

impl OnItsWay {
    /// Waits for the outcome and tells it.
    pub(super) async fn follow(mut self, proposal: Proposal, spec: Arc<ReplicaSpec>, metrics: Arc<Metrics>) {
        let outcome = match proposal.outcome().await {
            Ok(applied) => {
                self.facts.index = applied.index;
                // Readers go by the applied index: who was told of a write must be able to read it.
                let _ = self.applied.wait_for(|index| *index >= applied.index).await;
                settle(Outcome::decode(&applied.response), Some(self.facts), self.tag, &spec)
            }
            Err(error) => Err(unproposed(error)),
        };
        if outcome.is_ok() {
            self.written.add(self.bytes as u64, u64::from(self.facts.record_count));
            metrics.append_records.add(u64::from(self.facts.record_count));
            metrics.append_bytes.add(self.bytes as u64);
            metrics.commit_latency.record(self.since.elapsed());
        }
        self.sender.send_replace(Some(outcome));
    }
}

impl Drop for OnItsWay {
    fn drop(&mut self) {
        if let Some(tag) = self.tag {
            self.in_flight.lock().remove(self.term, tag);
        }
    }
}

/// What applying an append means to its caller. `facts` are the entry's own, if it was proposed.
pub(super) fn settle(
    outcome: Outcome,
    facts: Option<EntryFacts>,
    tag: Option<ProducerTag>,
    spec: &ReplicaSpec,
) -> Result<Appended, AppendError> {
    let sequence = tag.map_or(0, |tag| tag.sequence);
    let appended = |facts: EntryFacts, duplicate| Appended {
        first: spec.sequence_number(facts, 0),
        record_count: facts.record_count,
        arrived: facts.arrived,
        duplicate,
    };
    let unavailable = |reason: &str| Err(AppendError::Unavailable { reason: reason.to_owned() });
    match (outcome, facts) {
        (Outcome::Done, Some(facts)) => Ok(appended(facts, false)),
        (Outcome::Done, None) => unavailable("it gave no answer"),
        (Outcome::Duplicate(original), _) => Ok(appended(original, true)),
        (Outcome::Closed, _) => Err(AppendError::Closed),
        (Outcome::Gap { expected }, _) => Err(AppendError::OutOfOrder { sequence, expected }),
        (Outcome::Forgotten, _) => Err(AppendError::TooOld { sequence }),
        (Outcome::Stale, _) => unavailable("its leader was just being replaced"),
        // The answer to another kind of command.
        (Outcome::Superseded, _) => unavailable("it gave no answer"),
        (Outcome::NotUnderstood, _) => unavailable("a replica did not understand the command"),
    }
}

/// Why a command was not applied, or perhaps was.
pub(super) fn unproposed(error: ProposeError) -> AppendError {
    match error {
        ProposeError::NotLeader { leader } => AppendError::NotLeader { leader },
        ProposeError::Unavailable { reason } => AppendError::Unavailable { reason },
        ProposeError::DiskFull => AppendError::DiskFull,
        ProposeError::OutcomeUnknown { reason } => AppendError::OutcomeUnknown { reason },
    }
}
