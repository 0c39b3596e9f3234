//! Writing many records: batches for each shard, pipelined to its leader, retried until a deadline.
//!
//! ```text
//!   send() ─ room? ─► worker ──► State ──► Lane per shard ──► link per node ══► AppendStream
//!     ▲                 (io)     (pure)      (pure)             (io)                 │
//!     └── Delivery ◄──────────── answers, losses, routing images, time ◄─────────────┘
//! ```
//! Holds: acknowledged records of one partition key lie in the order in which they were sent,
//! through failures, failovers and reshards; with idempotence (the default) no record is written twice;
//! a failure says whether its record may have been written all the same. Decisions are made by
//! [`state`] and [`lane`], which do no I/O; a broken rule is found there.

mod batch;
mod builder;
mod lane;
mod limits;
mod link;
mod meaning;
mod state;
mod ticket;
mod worker;

#[cfg(test)]
mod model_test;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use thalweg_proto::errors::WireError;
use thalweg_types::limits::{PARTITION_KEY_CHARS_MAX, RECORD_BYTES_MAX};
use thalweg_types::{Record, SequenceNumber, ShardId, StreamName};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError, mpsc, oneshot};
use tokio::time::Instant;

pub use builder::ProducerBuilder;
use ticket::{Counters, Group, Outcome, Pending, Ticket};

/// Where a record came to lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordPosition {
    /// The shard that took it.
    pub shard: ShardId,
    /// Its position there.
    pub sequence_number: SequenceNumber,
}

/// Why a record got no sequence number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProduceError {
    // Certainly not written.
    /// The record's partition key is empty or too long.
    #[error("partition key has {chars} characters; allowed are 1 to 256")]
    PartitionKey {
        /// Characters in the key.
        chars: usize,
    },
    /// The record is larger than its stream allows.
    #[error("record has {bytes} bytes of data and partition key, limit {limit}")]
    TooLarge {
        /// Data and key bytes.
        bytes: usize,
        /// The stream's limit.
        limit: usize,
    },
    /// `try_send` found no room.
    #[error("the producer's buffer of {limit_bytes} bytes is full")]
    Full {
        /// The buffer's size.
        limit_bytes: usize,
    },
    /// No such stream, or it was deleted.
    #[error("stream `{stream}` does not exist")]
    StreamNotFound {
        /// Its name.
        stream: StreamName,
    },
    /// The cluster refused the batch that held the record.
    #[error("refused: {0}")]
    Refused(WireError),
    /// The deadline passed first.
    #[error("not written within {waited:?}; the last error: {last}")]
    DeadlineExceeded {
        /// The delivery deadline.
        waited: Duration,
        /// Why the last attempt failed.
        last: String,
    },
    /// The producer has stopped.
    #[error("the producer is closed")]
    Closed,
    // Perhaps written: writing it again may write it twice.
    /// What became of the record did not become known.
    #[error("the outcome is unknown: {last}")]
    OutcomeUnknown {
        /// What is known about the last attempt.
        last: String,
    },
}

impl ProduceError {
    /// Whether the record may have been written although this says it failed.
    pub fn perhaps_applied(&self) -> bool {
        matches!(self, ProduceError::OutcomeUnknown { .. })
    }

    fn task_ended() -> ProduceError {
        ProduceError::OutcomeUnknown { last: "the producer's task ended".to_owned() }
    }
}

/// What a closed producer did in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CloseReport {
    /// Records that were written.
    pub delivered: u64,
    /// Records that certainly were not written.
    pub failed: u64,
    /// Records of which that is not known.
    pub unknown: u64,
}

/// Writes records to one stream. Share it by reference or `Arc`; made by [`crate::Client::producer`].
pub struct Producer {
    room: Arc<Semaphore>,
    room_bytes: u32,
    delivery_deadline: Duration,
    commands: mpsc::UnboundedSender<Offer>,
    counters: Arc<Counters>,
}

/// What is handed to the worker at once.
enum Offer {
    One(Pending),
    Many(Vec<Pending>),
}

/// Bytes that a buffered record takes besides its own.
const RECORD_OVERHEAD_BYTES: usize = 128;

impl Producer {
    /// Begins to build a producer.
    pub fn builder(client: crate::Client, stream: StreamName) -> ProducerBuilder {
        ProducerBuilder::new(client, stream)
    }

    /// Waits for room in the buffer, then takes the record; the returned [`Delivery`] waits for
    /// its sequence number. Records are written in the order in which this returns.
    pub async fn send(&self, record: Record) -> Result<Delivery, ProduceError> {
        check(&record)?;
        let room = self.room.clone().acquire_many_owned(self.room_for(&record)).await;
        self.enqueue(record, room.map_err(|_| ProduceError::Closed)?)
    }

    /// As [`Producer::send`] for many records, which cost one wait for room and one hand-over in
    /// all and reach each shard together. A record that cannot be written fails by itself.
    pub async fn send_all(&self, records: Vec<Record>) -> Result<Deliveries, ProduceError> {
        let bytes: usize = records.iter().map(|record| self.room_for(record) as usize).sum();
        let room = u32::try_from(bytes).unwrap_or(u32::MAX).min(self.room_bytes);
        let room = self.room.clone().acquire_many_owned(room).await.map_err(|_| ProduceError::Closed)?;
        let (reply, outcomes) = oneshot::channel();
        let group = Arc::new(Group::new(records.len(), reply, Some(room), self.counters.clone()));
        let deadline = Instant::now() + self.delivery_deadline;
        let mut sent = Vec::with_capacity(records.len());
        for (place, record) in records.into_iter().enumerate() {
            match check(&record) {
                Ok(()) => {
                    let (hash_key, ticket) = (record.hash_key(), Ticket::of(group.clone(), place, deadline));
                    sent.push(Pending { record, hash_key, ticket });
                }
                Err(error) => group.note(place, Err(error)),
            }
        }
        self.commands.send(Offer::Many(sent)).map_err(|_| ProduceError::Closed)?;
        Ok(Deliveries { outcomes })
    }

    /// As [`Producer::send`], but fails at once when there is no room.
    pub fn try_send(&self, record: Record) -> Result<Delivery, ProduceError> {
        check(&record)?;
        let room = self.room.clone().try_acquire_many_owned(self.room_for(&record)).map_err(|error| match error {
            TryAcquireError::NoPermits => ProduceError::Full { limit_bytes: self.room_bytes as usize },
            TryAcquireError::Closed => ProduceError::Closed,
        })?;
        self.enqueue(record, room)
    }

    fn room_for(&self, record: &Record) -> u32 {
        let bytes = u32::try_from(record.counted_bytes() + RECORD_OVERHEAD_BYTES).unwrap_or(u32::MAX);
        bytes.min(self.room_bytes)
    }

    fn enqueue(&self, record: Record, room: OwnedSemaphorePermit) -> Result<Delivery, ProduceError> {
        let (reply, outcome) = oneshot::channel();
        let deadline = Instant::now() + self.delivery_deadline;
        let hash_key = record.hash_key();
        let ticket = Ticket::new(reply, deadline, Some(room), self.counters.clone());
        self.commands.send(Offer::One(Pending { record, hash_key, ticket })).map_err(|_| ProduceError::Closed)?;
        Ok(Delivery { outcome })
    }

    /// Returns when every record sent before has its outcome. Records sent meanwhile wait.
    pub async fn flush(&self) {
        // All room is free only when nothing is buffered, and waiting for room is first come,
        // first served.
        let _all = self.room.acquire_many(self.room_bytes).await;
    }

    /// Whether records are still taken; false after the stream was deleted.
    pub fn is_running(&self) -> bool {
        !self.commands.is_closed()
    }

    /// What has happened so far.
    pub fn report(&self) -> CloseReport {
        self.counters.report()
    }

    /// Waits for everything that was sent and says what became of it.
    pub async fn close(self) -> CloseReport {
        self.flush().await;
        self.report()
    }
}

fn check(record: &Record) -> Result<(), ProduceError> {
    let chars = record.partition_key.chars().take(PARTITION_KEY_CHARS_MAX + 1).count();
    if chars == 0 || chars > PARTITION_KEY_CHARS_MAX {
        return Err(ProduceError::PartitionKey { chars });
    }
    let bytes = record.counted_bytes();
    if bytes > RECORD_BYTES_MAX {
        return Err(ProduceError::TooLarge { bytes, limit: RECORD_BYTES_MAX });
    }
    Ok(())
}

impl std::fmt::Debug for Producer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Producer").field("report", &self.report()).finish_non_exhaustive()
    }
}

/// Waits for the sequence number of a record that was taken. Dropping it does not take it back.
#[derive(Debug)]
pub struct Delivery {
    outcome: oneshot::Receiver<Outcome>,
}

impl Future for Delivery {
    type Output = Result<RecordPosition, ProduceError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = ready!(Pin::new(&mut self.outcome).poll(cx));
        Poll::Ready(outcome.unwrap_or_else(|_| Err(ProduceError::task_ended())))
    }
}

/// Waits for the outcomes of records that were sent together, in their order. Dropping it does not
/// take them back.
#[derive(Debug)]
pub struct Deliveries {
    outcomes: oneshot::Receiver<Vec<Outcome>>,
}

impl Future for Deliveries {
    type Output = Vec<Result<RecordPosition, ProduceError>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let outcomes = ready!(Pin::new(&mut self.outcomes).poll(cx));
        Poll::Ready(outcomes.expect("a group tells its outcomes when it is dropped"))
    }
}
