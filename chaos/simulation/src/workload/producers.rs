//! Producers: unique records, at a steady pace, each outcome written down.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use thalweg_checker::{Hash, Outcome, Place};
use thalweg_client::{ProduceError, Record, RecordPosition};
use thalweg_types::HashKey;
use tokio::time::{MissedTickBehavior, interval};

use super::recorder::Sent;
use super::{client, now_ns, stream};
use crate::plan::Load;
use crate::world::{Phase, World};

/// Records of one producer whose outcome is open, at most.
const OPEN_MAX: usize = 256;
/// Batches of producers that are left as they are.
const BATCH_BYTES: usize = 256 * 1024;

/// A producer, until the load ends and every record has its outcome.
pub async fn produce(world: Arc<World>, number: u32) {
    let load = world.plan.load;
    // Segments are smaller here than any that a server takes; what it takes holds several of the largest batches.
    let batch_bytes = (world.plan.tuning.segment_bytes as usize / 2).min(BATCH_BYTES);
    let client = client(&world, 100 + u64::from(number));
    let builder = client.producer(&stream()).delivery_deadline(load.delivery_deadline);
    let producer = builder.batch_bytes(batch_bytes).build();
    let mut phase = world.phase.subscribe();
    let mut ticks = interval(Duration::from_secs(1) / load.records_per_second);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut records = Records::new(&world, number);
    let mut open = FuturesUnordered::new();
    loop {
        tokio::select! {
            biased;
            _ = phase.wait_for(|phase| *phase != Phase::Load) => break,
            Some((sent, outcome)) = open.next(), if !open.is_empty() => note(&world, sent, outcome),
            _ = ticks.tick(), if open.len() < OPEN_MAX => {
                let count = world.load_factor.load(Relaxed) as usize;
                for (record, sent) in records.by_ref().take(count.min(OPEN_MAX - open.len())) {
                    match producer.try_send(record) {
                        Ok(delivery) => open.push(async move { (sent, delivery.await) }),
                        Err(error) => note(&world, sent, Err(error)),
                    }
                }
            }
        }
    }
    while let Some((sent, outcome)) = open.next().await {
        note(&world, sent, outcome);
    }
}

/// What one producer sends, without end.
struct Records {
    random: StdRng,
    producer: u32,
    load: Load,
    /// How many there are of each key.
    serials: Vec<u64>,
}

impl Records {
    fn new(world: &World, producer: u32) -> Records {
        let random = StdRng::seed_from_u64(world.plan.seed.wrapping_add(1_000 + u64::from(producer)));
        let load = world.plan.load;
        Records { random, producer, load, serials: vec![0; load.keys as usize] }
    }
}

impl Iterator for Records {
    type Item = (Record, Sent);

    fn next(&mut self) -> Option<(Record, Sent)> {
        let hot = self.random.random_range(0..100) < self.load.hot_percent;
        let key = if hot { 0 } else { self.random.random_range(0..self.load.keys) };
        let serial = self.serials[key as usize];
        self.serials[key as usize] += 1;
        let bytes = self.random.random_range(0..=self.load.record_bytes_max);
        Some(record(self.producer, key, serial, bytes))
    }
}

/// A record that no other is equal to.
pub fn record(client: u32, key: u64, serial: u64, bytes: usize) -> (Record, Sent) {
    let mut data = format!("{client}:{key}:{serial}:").into_bytes();
    data.resize(data.len() + bytes, b'.');
    let partition_key = format!("key-{key}");
    let hash = Hash::of(&partition_key, &data);
    let hash_key = HashKey::of_partition_key(&partition_key);
    (Record::new(partition_key, data), Sent { client, key, serial, hash, hash_key, call: now_ns() })
}

/// Writes an outcome down, and holds an acknowledgement against what is on disks.
pub fn note(world: &World, sent: Sent, outcome: Result<RecordPosition, ProduceError>) {
    let Sent { client, key, serial, .. } = sent;
    let outcome = match outcome {
        Ok(at) => {
            world.trace(format_args!("ack {client}:{key}:{serial} {} {}", at.shard, at.sequence_number));
            crate::invariants::durable::acknowledged(world, at.shard, at.sequence_number);
            world.recorder.acknowledged(at.shard, at.sequence_number.raft_index(), now_ns());
            let arrived_ms = 0;
            Outcome::Ok(Place { shard: at.shard, position: at.sequence_number.into(), arrived_ms })
        }
        Err(error) => {
            world.trace(format_args!("fail {client}:{key}:{serial} {error}"));
            if error.perhaps_applied() { Outcome::Indefinite } else { Outcome::Definite }
        }
    };
    world.recorder.wrote(sent, now_ns(), outcome);
}
