//! Producers at a steady pace.
//!
//! Holds: a record whose outcome did not come by the end is recorded as indefinite.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use thalweg_checker::{Hash, Outcome, Place, Position, Producer as Promise, Write};
use thalweg_client::{Delivery, ProduceError, Producer, Record, RecordPosition};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use super::payload::{Mark, size};
use super::{Context, LAST_OUTCOMES, LoadPlan};

/// Between two bursts.
const TICK: Duration = Duration::from_millis(10);
/// How long one record is tried.
const DELIVERY_DEADLINE: Duration = Duration::from_secs(60);
/// How long one attempt of a plain producer may take.
const PLAIN_DEADLINE: Duration = Duration::from_secs(15);
/// Unacknowledged bytes of a writer.
const BUFFER_BYTES: usize = 4 * 1024 * 1024;
/// How often a record of unknown outcome is sent, at most.
const ATTEMPTS_MAX: u32 = 4;

/// How a writer goes about unknown outcomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// Its retries write nothing twice.
    Idempotent,
    /// It reports them.
    Plain,
    /// It sends the record again, which may write it twice.
    Retrying,
}

/// One producer.
pub(super) struct Writer {
    id: u32,
    manner: Manner,
    keys: u32,
    hot_key: f64,
    bytes: (usize, usize),
    per_tick: f64,
    random: StdRng,
    serials: HashMap<u32, u64>,
}

/// A record on its way.
struct Sent {
    mark: Mark,
    record: Record,
    call: u64,
    attempts: u32,
    /// Whether an earlier attempt may have been applied.
    doubtful: bool,
}

type Answer = Result<RecordPosition, ProduceError>;
type Pending = FuturesUnordered<BoxFuture<'static, (u64, Answer)>>;

impl Writer {
    pub(super) fn new(id: u32, manner: Manner, plan: &LoadPlan, writers: u32, seed: u64) -> Writer {
        let per_second = f64::from(plan.records_per_second) / f64::from(writers.max(1));
        Writer {
            id,
            manner,
            keys: plan.keys.max(1),
            hot_key: plan.hot_key,
            bytes: plan.record_bytes,
            per_tick: per_second * TICK.as_secs_f64(),
            random: StdRng::seed_from_u64(seed),
            serials: HashMap::new(),
        }
    }

    pub(super) async fn run(mut self, context: Context, mut stop: watch::Receiver<bool>) {
        let idempotent = self.manner == Manner::Idempotent;
        let deadline = if idempotent { DELIVERY_DEADLINE } else { PLAIN_DEADLINE };
        let producer = (context.client.producer(&context.stream))
            .idempotent(idempotent)
            .delivery_deadline(deadline)
            .max_buffered_bytes(BUFFER_BYTES)
            .build();
        let mut flight =
            Flight { writer: self.id, manner: self.manner, context, producer, next: 0, sent: HashMap::new() };
        let mut pending = Pending::new();
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut due = 0.0;
        loop {
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => break,
                Some((id, answer)) = pending.next(), if !pending.is_empty() => flight.note(id, answer, &pending),
                _ = ticks.tick() => {
                    due += self.per_tick;
                    while due >= 1.0 {
                        due -= 1.0;
                        let (mark, record) = self.next_record();
                        flight.send(mark, record, &pending);
                    }
                }
            }
        }
        let until = Instant::now() + LAST_OUTCOMES;
        while let Ok(Some((id, answer))) = tokio::time::timeout_at(until, pending.next()).await {
            flight.note(id, answer, &pending);
        }
        flight.abandon();
    }

    fn next_record(&mut self) -> (Mark, Record) {
        let hot = self.hot_key > 0.0 && self.random.random_bool(self.hot_key.min(1.0));
        let key = if hot { 0 } else { self.random.random_range(0..self.keys) };
        let serial = self.serials.entry(key).or_default();
        let mark = Mark { client: self.id, key, serial: *serial };
        *serial += 1;
        let bytes = size(self.bytes, &mut self.random);
        (mark, mark.record(bytes, &mut self.random))
    }
}

/// Records on their way, and where their outcomes go.
struct Flight {
    writer: u32,
    manner: Manner,
    context: Context,
    producer: Producer,
    next: u64,
    sent: HashMap<u64, Sent>,
}

impl Flight {
    fn send(&mut self, mark: Mark, record: Record, pending: &Pending) {
        let call = self.context.recorder.now();
        self.offer(Sent { mark, record, call, attempts: 1, doubtful: false }, pending);
    }

    /// Gives a record to the producer. One for which there is no room was not sent.
    fn offer(&mut self, sent: Sent, pending: &Pending) {
        let id = self.next;
        self.next += 1;
        match self.producer.try_send(sent.record.clone()) {
            Ok(delivery) => {
                self.sent.insert(id, sent);
                pending.push(answer(id, delivery));
            }
            Err(ProduceError::Full { .. }) if sent.attempts == 1 => {}
            Err(error) => self.finish(sent, Err(error)),
        }
    }

    fn note(&mut self, id: u64, answer: Answer, pending: &Pending) {
        let Some(mut sent) = self.sent.remove(&id) else { return };
        let unknown = answer.as_ref().is_err_and(ProduceError::perhaps_applied);
        if unknown && self.manner == Manner::Retrying && sent.attempts < ATTEMPTS_MAX {
            sent.attempts += 1;
            sent.doubtful = true;
            self.offer(sent, pending);
        } else {
            self.finish(sent, answer);
        }
    }

    fn finish(&self, sent: Sent, answer: Answer) {
        let outcome = match answer {
            Ok(position) => Outcome::Ok(Place {
                shard: position.shard,
                position: Position::from(position.sequence_number),
                arrived_ms: 0,
            }),
            Err(error) if error.perhaps_applied() || sent.doubtful => Outcome::Indefinite,
            Err(_) => Outcome::Definite,
        };
        let bytes = sent.record.counted_bytes();
        let recorder: &Arc<_> = &self.context.recorder;
        let write = Write {
            client: self.writer,
            key: u64::from(sent.mark.key),
            serial: sent.mark.serial,
            hash: Hash::of(&sent.record.partition_key, &sent.record.data),
            hash_key: Some(sent.record.hash_key()),
            producer: if self.manner == Manner::Idempotent { Promise::Idempotent } else { Promise::Plain },
            attempts: sent.attempts,
            call: sent.call,
            done: recorder.now(),
            outcome,
        };
        recorder.write(write, bytes);
    }

    /// What has no outcome by now never gets one.
    fn abandon(mut self) {
        let left: Vec<Sent> = self.sent.drain().map(|(_, sent)| sent).collect();
        for sent in left {
            self.finish(sent, Err(ProduceError::OutcomeUnknown { last: "the run ended".to_owned() }));
        }
    }
}

fn answer(id: u64, delivery: Delivery) -> BoxFuture<'static, (u64, Answer)> {
    delivery.map(move |answer| (id, answer)).boxed()
}
