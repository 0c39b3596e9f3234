//! One producer a stream for all requests that this node fronts: concurrent small puts of one shard
//! ride one batch, and a retry inside the cluster never writes a record twice.
//!
//! Holds: at most [`PRODUCERS_MAX`] producers, each with a bounded buffer; one that nobody used for
//! a while ends.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use thalweg_catalog::Stream;
use thalweg_client::{Client, Producer};
use thalweg_types::StreamId;
use tokio::time::Instant;

/// Producers at the same time.
const PRODUCERS_MAX: usize = 1_000;
/// How long a producer is kept after its last use.
const IDLE_MAX: Duration = Duration::from_secs(300);
/// Below the 10 s after which AWS SDKs give a read up, so that the caller learns the outcome.
const DELIVERY_DEADLINE: Duration = Duration::from_secs(8);
/// Unacknowledged bytes of one stream; beyond it requests wait.
pub(crate) const BUFFER_BYTES: usize = 64 * 1024 * 1024;
/// Records wait only for the previous batch of their shard, so a large batch costs no time.
const BATCH_BYTES: usize = 1024 * 1024;
const BATCH_RECORDS: usize = 4_000;

/// The producers of a node's front.
pub(crate) struct Producers {
    client: Client,
    running: Mutex<HashMap<StreamId, Running>>,
}

struct Running {
    producer: Arc<Producer>,
    used: Instant,
}

impl Producers {
    pub(crate) fn new(client: Client) -> Producers {
        Producers { client, running: Mutex::default() }
    }

    /// The producer of this incarnation of a stream.
    pub(crate) fn of(&self, stream: &Stream) -> Arc<Producer> {
        let now = Instant::now();
        let mut running = self.running.lock();
        if let Some(known) = running.get_mut(&stream.id).filter(|known| known.producer.is_running()) {
            known.used = now;
            return known.producer.clone();
        }
        make_room(&mut running, now);
        let producer = self.client.producer(&stream.name);
        let producer = producer
            .batch_bytes(BATCH_BYTES)
            .batch_records(BATCH_RECORDS)
            .max_buffered_bytes(BUFFER_BYTES)
            .delivery_deadline(DELIVERY_DEADLINE)
            .build();
        let producer = Arc::new(producer);
        running.insert(stream.id, Running { producer: producer.clone(), used: now });
        producer
    }
}

/// Drops what ended or is idle, and the one that was idle longest if there are too many. A producer
/// that is dropped still delivers what it has taken.
fn make_room(running: &mut HashMap<StreamId, Running>, now: Instant) {
    running.retain(|_, known| known.producer.is_running() && now - known.used < IDLE_MAX);
    if running.len() >= PRODUCERS_MAX
        && let Some(oldest) = running.iter().min_by_key(|(_, known)| known.used).map(|(id, _)| *id)
    {
        running.remove(&oldest);
    }
}
