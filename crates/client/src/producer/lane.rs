//! A producer's lane to one shard: its queue, its batches and the rules of retrying. Pure.
//!
//! ```text
//!   queue ──pack──► unacked: │ oldest … │ … newest │ ──answers──► tickets
//!                            └ sequence k, k+1, k+2 … ┘
//!   Open ──SHARD_CLOSED──► Sealed ──image says closed──► Retired ──settled──► records move to
//!                                                                             the children
//! ```
//! Holds: batches are sent in order, and a batch is sent again only when no later one is in
//! flight; after a failure and at the start of a busy time the first batch travels alone, so that
//! a shard which does not know this producer cannot take the second without the first. A batch
//! that may have been applied (*tainted*) is only ever sent to its own shard with its own tag,
//! until an answer settles it.
//!
//! Ends without an answer (deadlines, deleted streams): [`ends`].

mod ends;

use std::collections::VecDeque;
use std::time::Duration;

use thalweg_types::planted::{Planted, planted};
use thalweg_types::{HashRange, ProducerId, RecordBatch, SequenceNumber, ShardId};
use tokio::time::Instant;

use super::ProduceError;
use super::batch::{Batch, Flight, pack};
use super::limits::{Limits, SEALED_RETRY};
use super::meaning::Meaning;
use super::ticket::Pending;
use crate::backoff::Backoff;

/// Where a lane is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Takes records.
    Open,
    /// Refused as closed, but the image does not say so yet.
    Sealed(Instant),
    /// The image says closed: records only leave.
    Retired,
}

/// An attempt to be made.
pub(super) struct Attempt {
    pub(super) batch: RecordBatch,
    pub(super) tag: Option<(ProducerId, u64)>,
}

/// The lane to one shard.
pub(super) struct Lane {
    pub(super) shard: ShardId,
    pub(super) range: HashRange,
    /// Whom it asks: proven or named as leader.
    pub(super) address: Option<String>,
    /// Failures that sent it elsewhere since it last worked.
    pub(super) turn: usize,
    identity: ProducerId,
    next_sequence: u64,
    unacked: VecDeque<Batch>,
    queue: VecDeque<Pending>,
    queued_bytes: usize,
    phase: Phase,
    pipelining: bool,
    failing: bool,
    backoff: Backoff,
    resume_at: Instant,
    last_error: String,
}

impl Lane {
    pub(super) fn new(shard: ShardId, range: HashRange, identity: ProducerId, seed: u64, now: Instant) -> Lane {
        Lane {
            shard,
            range,
            address: None,
            turn: 0,
            identity,
            next_sequence: 1,
            unacked: VecDeque::new(),
            queue: VecDeque::new(),
            queued_bytes: 0,
            phase: Phase::Open,
            pipelining: false,
            failing: false,
            backoff: Backoff::seeded(seed),
            resume_at: now,
            last_error: "none".to_owned(),
        }
    }

    pub(super) fn push(&mut self, pending: Pending) {
        self.queued_bytes += pending.record.counted_bytes();
        self.queue.push_back(pending);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.unacked.is_empty() && self.queue.is_empty()
    }

    fn in_flight(&self) -> usize {
        self.unacked.iter().filter(|batch| !batch.is_waiting()).count()
    }

    /// Chooses the batch to send now, packing a new one where that is due.
    pub(super) fn next_batch(&mut self, now: Instant, limits: &Limits) -> Option<usize> {
        let many = self.pipelining || planted(Planted::FirstBatchNotAlone);
        let limit = if many { limits.in_flight } else { 1 };
        if now < self.resume_at || self.in_flight() >= limit {
            return None;
        }
        if let Phase::Sealed(since) = self.phase
            && now >= since + SEALED_RETRY
        {
            self.phase = Phase::Open;
        }
        let open = self.phase == Phase::Open;
        let next = self.unacked.iter().position(|batch| batch.is_waiting() && (open || batch.tainted));
        match next {
            Some(at) => self.unacked.range(at..).all(Batch::is_waiting).then_some(at),
            None if open && self.may_pack(limits) => self.pack(limits),
            None => None,
        }
    }

    /// A partial batch waits for the one before it, which costs no more than that one takes and
    /// lets batches grow with the load.
    fn may_pack(&self, limits: &Limits) -> bool {
        let idle = self.unacked.is_empty();
        let full = self.queued_bytes >= limits.batch_bytes || self.queue.len() >= limits.batch_records;
        idle || full
    }

    fn pack(&mut self, limits: &Limits) -> Option<usize> {
        let mut batch = pack(&mut self.queue, &mut self.queued_bytes, limits)?;
        batch.sequence = self.next_sequence;
        self.next_sequence += 1;
        self.unacked.push_back(batch);
        Some(self.unacked.len() - 1)
    }

    /// Notes that the batch is on its way.
    pub(super) fn send(&mut self, at: usize, request: u64, now: Instant, limits: &Limits) -> Attempt {
        let alone = at == 0 && self.in_flight() == 0;
        let batch = &mut self.unacked[at];
        batch.flight = Flight::Sent { request, at: now, alone };
        self.failing = false;
        let untagged = planted(Planted::RetryWithoutTag) && batch.tainted;
        let tag = (limits.idempotent && !untagged).then_some((self.identity, batch.sequence));
        Attempt { batch: batch.bytes.clone(), tag }
    }

    fn find(&self, request: u64) -> Option<usize> {
        self.unacked.iter().position(|batch| batch.is_request(request))
    }

    /// The shard took a batch.
    pub(super) fn appended(&mut self, request: u64, first: SequenceNumber) {
        let Some(batch) = self.find(request).and_then(|at| self.unacked.remove(at)) else { return };
        batch.resolve_at(self.shard, first);
        self.pipelining = !self.is_empty();
        self.backoff.reset();
        self.turn = 0;
    }

    /// An attempt failed. `fresh` draws a new producer id, should one be needed.
    pub(super) fn failed(
        &mut self,
        request: u64,
        meaning: &Meaning,
        error: ProduceError,
        now: Instant,
        limits: &Limits,
        fresh: impl FnOnce() -> ProducerId,
    ) {
        let Some(at) = self.find(request) else { return };
        self.last_error = reason_text(&error);
        self.pipelining = false;
        let batch = &mut self.unacked[at];
        let alone = matches!(batch.flight, Flight::Sent { alone: true, .. });
        batch.flight = Flight::Waiting;
        match meaning {
            Meaning::Elsewhere(hint) => self.go_elsewhere(hint.as_deref(), now),
            Meaning::Later => self.pause(now),
            Meaning::Closed => self.seal(at, now),
            Meaning::Gap if alone => self.forgotten_by_shard(at, now, fresh),
            Meaning::Gap => {}
            Meaning::Unknown if limits.idempotent => {
                batch.tainted = true;
                self.pause(now);
            }
            Meaning::Unknown | Meaning::Forgotten => self.give_up(at, &unknown(&self.last_error)),
            Meaning::Refused => self.give_up(at, &error),
        }
    }

    /// An attempt's connection is gone; `sent` when the request may have arrived.
    pub(super) fn lost(&mut self, request: u64, sent: bool, why: &str, now: Instant, limits: &Limits) {
        let Some(at) = self.find(request) else { return };
        why.clone_into(&mut self.last_error);
        self.pipelining = false;
        let batch = &mut self.unacked[at];
        batch.flight = Flight::Waiting;
        if sent && !limits.idempotent {
            self.give_up(at, &unknown(why));
        } else {
            batch.tainted |= sent && !planted(Planted::UnknownIsFailure);
        }
        self.go_elsewhere(None, now);
    }

    fn go_elsewhere(&mut self, hint: Option<&str>, now: Instant) {
        if hint.is_some() || !self.failing {
            self.address = hint.map(str::to_owned);
        }
        if !self.failing {
            self.turn += 1;
            let delay = self.backoff.next_elsewhere();
            self.delay(delay, now);
        }
    }

    fn pause(&mut self, now: Instant) {
        if !self.failing {
            let delay = self.backoff.next();
            self.delay(delay, now);
        }
    }

    /// Of the failures of batches that were in flight together only the first counts.
    fn delay(&mut self, delay: Duration, now: Instant) {
        self.failing = true;
        self.resume_at = now + delay;
    }

    /// The shard is closed and does not know this batch: no attempt of it was or will be applied.
    fn seal(&mut self, at: usize, now: Instant) {
        self.unacked[at].tainted = false;
        if self.phase == Phase::Open {
            self.phase = Phase::Sealed(now);
        }
    }

    /// The first batch, sent alone, is told that one before it is missing: the shard no longer
    /// knows this producer, or the one before was given up. Without an attempt in doubt everything
    /// is sent again under a new id; otherwise that could write the batch twice.
    fn forgotten_by_shard(&mut self, at: usize, now: Instant, fresh: impl FnOnce() -> ProducerId) {
        if self.unacked[at].tainted {
            return self.give_up(at, &unknown("the shard no longer remembers this producer"));
        }
        self.identity = fresh();
        for (sequence, batch) in (1..).zip(&mut self.unacked) {
            batch.sequence = sequence;
            batch.tainted = false;
        }
        self.next_sequence = self.unacked.len() as u64 + 1;
        self.pause(now);
    }

    /// Should the shard never have seen it, the next one leaves a gap: see `forgotten_by_shard`.
    fn give_up(&mut self, at: usize, error: &ProduceError) {
        if let Some(batch) = self.unacked.remove(at) {
            batch.fail(error);
        }
    }

    fn any_tainted(&self) -> bool {
        self.unacked.iter().any(|batch| batch.tainted)
    }

    /// The image says that the shard is closed.
    pub(super) fn retire(&mut self) {
        self.phase = Phase::Retired;
    }

    /// Whether a retired lane's records may move: every batch is certainly not applied.
    pub(super) fn is_settled(&self) -> bool {
        let decided = !self.any_tainted() || planted(Planted::MovedInDoubt);
        self.phase == Phase::Retired && self.in_flight() == 0 && decided
    }

    /// All records that are left, oldest first.
    pub(super) fn into_records(self) -> impl Iterator<Item = Pending> {
        self.unacked.into_iter().flat_map(Batch::unpack).chain(self.queue)
    }
}

fn unknown(last: &str) -> ProduceError {
    ProduceError::OutcomeUnknown { last: last.to_owned() }
}

fn reason_text(error: &ProduceError) -> String {
    match error {
        ProduceError::Refused(error) => format!("{}: {}", error.reason, error.message),
        other => other.to_string(),
    }
}
