//! Settings of a producer.

use std::sync::Arc;
use std::time::Duration;

use thalweg_types::StreamName;
use thalweg_types::limits::{BATCH_BYTES_MAX, BATCH_RECORDS_MAX};
use tokio::sync::{Semaphore, mpsc};

use super::limits::{IN_FLIGHT_MAX, Limits};
use super::ticket::Counters;
use super::{Producer, worker};
use crate::Client;

/// Builds a [`Producer`]. Every setting has a default.
#[derive(Clone, Debug)]
pub struct ProducerBuilder {
    client: Client,
    stream: StreamName,
    limits: Limits,
    max_buffered_bytes: usize,
}

impl ProducerBuilder {
    pub(crate) fn new(client: Client, stream: StreamName) -> ProducerBuilder {
        let limits = Limits {
            batch_bytes: 256 * 1024,
            batch_records: 1_000,
            in_flight: 4,
            idempotent: true,
            attempt_timeout: client.options().request_timeout,
            delivery_deadline: Duration::from_secs(120),
        };
        ProducerBuilder { client, stream, limits, max_buffered_bytes: 32 * 1024 * 1024 }
    }

    /// Bytes of one batch at most; default 256 KiB. A larger record travels alone.
    #[must_use]
    pub fn batch_bytes(mut self, bytes: usize) -> Self {
        self.limits.batch_bytes = bytes.clamp(1, BATCH_BYTES_MAX);
        self
    }

    /// Records of one batch at most; default 1,000.
    #[must_use]
    pub fn batch_records(mut self, records: usize) -> Self {
        self.limits.batch_records = records.clamp(1, BATCH_RECORDS_MAX);
        self
    }

    /// Unanswered batches of one shard at most; default 4, at most 8.
    #[must_use]
    pub fn in_flight_per_shard(mut self, batches: usize) -> Self {
        self.limits.in_flight = batches.clamp(1, IN_FLIGHT_MAX);
        self
    }

    /// Bytes of unacknowledged records at most; default 32 MiB. Beyond it `send` waits.
    #[must_use]
    pub fn max_buffered_bytes(mut self, bytes: usize) -> Self {
        self.max_buffered_bytes = bytes.clamp(1, u32::MAX as usize / 8);
        self
    }

    /// How long a record is tried; default 120 s.
    #[must_use]
    pub fn delivery_deadline(mut self, deadline: Duration) -> Self {
        self.limits.delivery_deadline = deadline;
        self
    }

    /// Whether a retry may never write a record twice; default true. Without it, an unknown
    /// outcome is reported instead of retried, and one batch of a shard is in flight at a time.
    #[must_use]
    pub fn idempotent(mut self, idempotent: bool) -> Self {
        self.limits.idempotent = idempotent;
        self
    }

    /// Starts the producer. Must be called within a tokio runtime.
    pub fn build(mut self) -> Producer {
        if !self.limits.idempotent {
            self.limits.in_flight = 1;
        }
        let room = Arc::new(Semaphore::new(self.max_buffered_bytes));
        let (commands, queue) = mpsc::unbounded_channel();
        let delivery_deadline = self.limits.delivery_deadline;
        worker::start(&self.client, &self.stream, self.limits, queue, room.clone());
        let room_bytes = self.max_buffered_bytes as u32;
        Producer { room, room_bytes, delivery_deadline, commands, counters: Arc::new(Counters::default()) }
    }
}
