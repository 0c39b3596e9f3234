//! A batch of one lane: packing it, naming its records' positions, taking it apart again. Pure.
//!
//! Holds: a batch's bytes never change from its first attempt to its last.

use std::collections::VecDeque;

use thalweg_types::{BatchBuilder, Record, RecordBatch, SequenceNumber, ShardId, UnixMillis};
use tokio::time::Instant;

use super::limits::Limits;
use super::ticket::{Pending, Ticket};
use super::{ProduceError, RecordPosition};

/// Bytes of a record's frame besides data and key, at most.
const FRAME_BYTES: usize = 23;
/// Bytes of a batch's header.
const HEADER_BYTES: usize = 64;

/// Where a batch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flight {
    /// To be sent.
    Waiting,
    /// Sent and not answered.
    Sent {
        /// Of this attempt.
        request: u64,
        /// When.
        at: Instant,
        /// Whether it was the lane's first batch and the only one in flight.
        alone: bool,
    },
}

/// Records that travel together.
pub(super) struct Batch {
    /// Its place in the producer's sequence of this shard.
    pub(super) sequence: u64,
    pub(super) bytes: RecordBatch,
    tickets: Vec<Ticket>,
    pub(super) flight: Flight,
    /// Whether an earlier attempt may have been applied.
    pub(super) tainted: bool,
    /// When the first of its records is due.
    pub(super) deadline: Instant,
}

/// Packs a batch from the front of a queue; nothing when the queue is empty.
pub(super) fn pack(queue: &mut VecDeque<Pending>, queued_bytes: &mut usize, limits: &Limits) -> Option<Batch> {
    let capacity = limits.batch_bytes.min(*queued_bytes + queue.len() * FRAME_BYTES + HEADER_BYTES);
    let mut builder = BatchBuilder::with_capacity(capacity);
    let mut tickets = Vec::new();
    while let Some(next) = queue.front() {
        let bytes = next.record.counted_bytes();
        let room = tickets.is_empty() || builder.byte_count() + bytes + FRAME_BYTES <= limits.batch_bytes;
        if !room || tickets.len() >= limits.batch_records {
            break;
        }
        let pushed = builder.push_hashed(&next.record, next.hash_key);
        let Some(taken) = queue.pop_front() else { break };
        *queued_bytes -= bytes;
        match pushed {
            Ok(()) => tickets.push(taken.ticket),
            // Checked when it was sent; refusing it here keeps the lane going all the same.
            Err(_) => taken.ticket.resolve(Err(ProduceError::TooLarge { bytes, limit: limits.batch_bytes })),
        }
    }
    let deadline = tickets.iter().map(|ticket| ticket.deadline).min()?;
    let bytes = builder.finish()?;
    Some(Batch { sequence: 0, bytes, tickets, flight: Flight::Waiting, tainted: false, deadline })
}

impl Batch {
    pub(super) fn is_waiting(&self) -> bool {
        self.flight == Flight::Waiting
    }

    pub(super) fn is_request(&self, id: u64) -> bool {
        matches!(self.flight, Flight::Sent { request, .. } if request == id)
    }

    /// Tells every record its position.
    pub(super) fn resolve_at(self, shard: ShardId, first: SequenceNumber) {
        for (place, ticket) in (0u32..).zip(self.tickets) {
            let sequence_number = nth_after(first, place);
            ticket.resolve(Ok(RecordPosition { shard, sequence_number }));
        }
    }

    pub(super) fn fail(self, error: &ProduceError) {
        self.tickets.into_iter().for_each(|ticket| ticket.resolve(Err(error.clone())));
    }

    /// The records again, in order, to be packed for other shards.
    pub(super) fn unpack(self) -> impl Iterator<Item = Pending> {
        let records: Vec<Record> = self.bytes.records().collect();
        records.into_iter().zip(self.tickets).map(|(record, ticket)| {
            let hash_key = record.hash_key();
            Pending { record, hash_key, ticket }
        })
    }
}

/// The number of the record `place` records after `first` in the same batch.
fn nth_after(first: SequenceNumber, place: u32) -> SequenceNumber {
    let seconds = |secs: u64| UnixMillis(secs * 1000);
    let (created, arrived) = (seconds(first.created_secs()), seconds(first.record_secs()));
    SequenceNumber::new(created, first.shard(), first.raft_index(), first.record() + place, arrived)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_in_a_batch_follow_the_first() {
        let at = |record| SequenceNumber::new(UnixMillis(5_000), ShardId(9), 77, record, UnixMillis(9_999));
        assert_eq!(nth_after(at(0), 3), at(3));
        assert_eq!(nth_after(at(10), 0), at(10));
    }
}
