//! How records leave a lane without an answer: overdue, hung, or their shard gone. Pure.
//!
//! Holds: a record whose batch may have been applied is reported as unknown, never as failed.

use tokio::time::Instant;

use super::super::ProduceError;
use super::super::batch::{Batch, Flight};
use super::super::limits::{ATTEMPT_GRACE, Limits, SEALED_RETRY};
use super::{Lane, Phase, unknown};

impl Lane {
    /// Gives up what is overdue, and counts attempts without an answer as lost.
    pub(in crate::producer) fn expire(&mut self, now: Instant, limits: &Limits) {
        let patience = limits.attempt_timeout + ATTEMPT_GRACE;
        let hung = |batch: &Batch| match batch.flight {
            Flight::Sent { request, at, .. } if now >= at + patience => Some(request),
            _ => None,
        };
        let hung: Vec<u64> = self.unacked.iter().filter_map(hung).collect();
        hung.into_iter().for_each(|request| self.lost(request, true, "no answer in time", now, limits));
        while let Some(at) = self.unacked.iter().position(|batch| batch.deadline <= now) {
            let batch = &self.unacked[at];
            let doubtful = batch.tainted || !batch.is_waiting();
            let error = if doubtful { unknown(&self.last_error) } else { self.overdue(limits) };
            self.give_up(at, &error);
        }
        while self.queue.front().is_some_and(|pending| pending.ticket.deadline <= now) {
            let error = self.overdue(limits);
            let Some(pending) = self.queue.pop_front() else { break };
            self.queued_bytes -= pending.record.counted_bytes();
            pending.ticket.resolve(Err(error));
        }
    }

    fn overdue(&self, limits: &Limits) -> ProduceError {
        ProduceError::DeadlineExceeded { waited: limits.delivery_deadline, last: self.last_error.clone() }
    }

    /// When there may be something to do without an event.
    pub(in crate::producer) fn wake_at(&self, limits: &Limits) -> Option<Instant> {
        let patience = limits.attempt_timeout + ATTEMPT_GRACE;
        let flight = |batch: &Batch| match batch.flight {
            Flight::Sent { at, .. } => batch.deadline.min(at + patience),
            Flight::Waiting => batch.deadline,
        };
        let queued = self.queue.front().map(|pending| pending.ticket.deadline);
        let due = self.unacked.iter().map(flight).chain(queued).min()?;
        let retry = match self.phase {
            Phase::Sealed(since) if !self.any_tainted() => Some(since + SEALED_RETRY),
            _ => (self.in_flight() == 0).then_some(self.resume_at),
        };
        Some(retry.map_or(due, |retry| retry.min(due)))
    }

    /// Ends the lane: its stream or shard is gone.
    pub(in crate::producer) fn abandon(self, error: &ProduceError) {
        for batch in self.unacked {
            let doubtful = batch.tainted || !batch.is_waiting();
            batch.fail(&if doubtful { unknown(&self.last_error) } else { error.clone() });
        }
        self.queue.into_iter().for_each(|pending| pending.ticket.resolve(Err(error.clone())));
    }

    /// Gives up the batches in doubt, whose shard can no longer be asked.
    pub(in crate::producer) fn give_up_doubtful(&mut self) {
        while let Some(at) = self.unacked.iter().position(|batch| batch.tainted) {
            self.give_up(at, &unknown("the shard is gone"));
        }
    }
}
