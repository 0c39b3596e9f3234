//! A record on its way, and the promise to say what became of it.
//!
//! Holds: a ticket is resolved once; resolving it gives back the room its record took.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use thalweg_types::{HashKey, Record};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::Instant;

use super::{CloseReport, ProduceError, RecordPosition};

/// What became of one record.
pub(super) type Outcome = Result<RecordPosition, ProduceError>;

/// A record that is in no batch yet.
pub(super) struct Pending {
    pub(super) record: Record,
    pub(super) hash_key: HashKey,
    pub(super) ticket: Ticket,
}

/// Who waits for a record, and until when.
pub(super) struct Ticket {
    reply: Reply,
    pub(super) deadline: Instant,
}

enum Reply {
    One { reply: oneshot::Sender<Outcome>, _room: Option<OwnedSemaphorePermit>, counters: Arc<Counters> },
    Part { group: Arc<Group>, place: usize },
}

impl Ticket {
    /// For a record that was sent by itself.
    pub(super) fn new(
        reply: oneshot::Sender<Outcome>,
        deadline: Instant,
        room: Option<OwnedSemaphorePermit>,
        counters: Arc<Counters>,
    ) -> Ticket {
        Ticket { reply: Reply::One { reply, _room: room, counters }, deadline }
    }

    /// For the record in that place of a group.
    pub(super) fn of(group: Arc<Group>, place: usize, deadline: Instant) -> Ticket {
        Ticket { reply: Reply::Part { group, place }, deadline }
    }

    pub(super) fn resolve(self, outcome: Outcome) {
        match self.reply {
            Reply::One { reply, counters, .. } => {
                counters.count(&outcome);
                // Nobody waits for a delivery that was dropped.
                let _ = reply.send(outcome);
            }
            Reply::Part { group, place } => group.note(place, outcome),
        }
    }
}

/// Records that were sent together, in one request for room. Each ticket shares it; when the last
/// one is gone, resolved or not, the sender is told all outcomes at once.
pub(super) struct Group {
    outcomes: Mutex<Vec<Option<Outcome>>>,
    reply: Option<oneshot::Sender<Vec<Outcome>>>,
    _room: Option<OwnedSemaphorePermit>,
    counters: Arc<Counters>,
}

impl Group {
    pub(super) fn new(
        records: usize,
        reply: oneshot::Sender<Vec<Outcome>>,
        room: Option<OwnedSemaphorePermit>,
        counters: Arc<Counters>,
    ) -> Group {
        let outcomes = Mutex::new((0..records).map(|_| None).collect());
        Group { outcomes, reply: Some(reply), _room: room, counters }
    }

    /// Notes what became of the record in that place.
    pub(super) fn note(&self, place: usize, outcome: Outcome) {
        self.counters.count(&outcome);
        self.outcomes.lock()[place] = Some(outcome);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let outcomes = std::mem::take(self.outcomes.get_mut());
        let outcomes = outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(|| Err(ProduceError::task_ended())));
        // Nobody waits for deliveries that were dropped.
        let _ = self.reply.take().map(|reply| reply.send(outcomes.collect()));
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
    fn count(&self, outcome: &Outcome) {
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

#[cfg(test)]
mod tests {
    use thalweg_types::{SequenceNumber, ShardId, UnixMillis};

    use super::*;

    fn group(records: usize) -> (Vec<Ticket>, oneshot::Receiver<Vec<Outcome>>, Arc<Counters>) {
        let (reply, outcomes) = oneshot::channel();
        let counters = Arc::new(Counters::default());
        let group = Arc::new(Group::new(records, reply, None, counters.clone()));
        let tickets = (0..records).map(|place| Ticket::of(group.clone(), place, Instant::now())).collect();
        (tickets, outcomes, counters)
    }

    fn at(index: u64) -> Outcome {
        let (shard, then) = (ShardId(1), UnixMillis(1_000));
        Ok(RecordPosition { shard, sequence_number: SequenceNumber::new(then, shard, index, 0, then) })
    }

    #[test]
    fn a_group_is_told_in_its_own_order_when_its_last_record_has_an_outcome() {
        let (mut tickets, mut outcomes, counters) = group(3);
        tickets.remove(2).resolve(at(2));
        tickets.remove(0).resolve(Err(ProduceError::Closed));
        assert!(outcomes.try_recv().is_err(), "one record has no outcome yet");
        tickets.remove(0).resolve(at(1));
        assert_eq!(outcomes.try_recv().unwrap(), [Err(ProduceError::Closed), at(1), at(2)]);
        assert_eq!(counters.report(), CloseReport { delivered: 2, failed: 1, unknown: 0 });
    }

    #[test]
    fn a_record_whose_ticket_is_lost_is_told_as_unknown() {
        let (mut tickets, mut outcomes, _) = group(2);
        tickets.remove(0).resolve(at(5));
        drop(tickets);
        let outcomes = outcomes.try_recv().unwrap();
        assert_eq!(outcomes[0], at(5));
        assert!(outcomes[1].as_ref().is_err_and(ProduceError::perhaps_applied));
    }
}
