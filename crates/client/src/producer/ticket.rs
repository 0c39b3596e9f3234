//! A record on its way, and the promise to say what became of it.
//!
//! Holds: a ticket is resolved once; resolving it gives back the room its record took.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use thalweg_types::{HashKey, Record};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::Instant;

use super::{CloseReport, ProduceError, RecordPosition};

/// A record that is in no batch yet.
pub(super) struct Pending {
    pub(super) record: Record,
    pub(super) hash_key: HashKey,
    pub(super) ticket: Ticket,
}

/// Who waits for a record, and until when.
pub(super) struct Ticket {
    reply: oneshot::Sender<Result<RecordPosition, ProduceError>>,
    pub(super) deadline: Instant,
    _room: Option<OwnedSemaphorePermit>,
    counters: Arc<Counters>,
}

impl Ticket {
    pub(super) fn new(
        reply: oneshot::Sender<Result<RecordPosition, ProduceError>>,
        deadline: Instant,
        room: Option<OwnedSemaphorePermit>,
        counters: Arc<Counters>,
    ) -> Ticket {
        Ticket { reply, deadline, _room: room, counters }
    }

    pub(super) fn resolve(self, outcome: Result<RecordPosition, ProduceError>) {
        self.counters.count(&outcome);
        // Nobody waits for a delivery that was dropped.
        let _ = self.reply.send(outcome);
    }
}

/// What became of all records.
#[derive(Debug, Default)]
pub(super) struct Counters {
    delivered: AtomicU64,
    failed: AtomicU64,
    unknown: AtomicU64,
}

impl Counters {
    fn count(&self, outcome: &Result<RecordPosition, ProduceError>) {
        let counter = match outcome {
            Ok(_) => &self.delivered,
            Err(error) if error.perhaps_applied() => &self.unknown,
            Err(_) => &self.failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn report(&self) -> CloseReport {
        CloseReport {
            delivered: self.delivered.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            unknown: self.unknown.load(Ordering::Relaxed),
        }
    }
}
