//! Sending batches that are packed already, with a bounded number in flight.

use std::sync::Arc;
use std::time::{Duration, Instant};

use thalweg_client::RawAppender;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::commands::bench::load::Batches;
use crate::commands::bench::meter::Meter;
use crate::commands::bench::pace;
use crate::commands::bench::session::Session;

/// For one call.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// A call that certainly had no effect is made again after this, for so long.
const RETRY_AFTER: Duration = Duration::from_millis(5);
const RETRY_FOR: Duration = Duration::from_secs(30);
/// Calls in flight at a fixed rate, at least: a slow moment is to show as latency, not as a lower rate.
const OPEN_LOOP_IN_FLIGHT_MIN: usize = 512;

/// What every caller needs.
#[derive(Clone)]
struct Sender {
    appender: Arc<RawAppender>,
    batches: Arc<Batches>,
    meter: Arc<Meter>,
}

/// Sends until the measured time is over and everything is answered: at `per_second` calls, or with
/// `concurrency` in flight for each shard as fast as they are answered.
pub(super) async fn run(
    session: &Session,
    concurrency: usize,
    per_second: Option<f64>,
    batches: Arc<Batches>,
    meter: Arc<Meter>,
) {
    let appender = Arc::new(session.client.raw_appender(session.name()));
    let sender = Sender { appender, batches, meter };
    match per_second {
        None => closed_loop(sender, concurrency).await,
        Some(per_second) => open_loop(sender, concurrency, per_second).await,
    }
}

/// Each caller sends as soon as its last batch was answered.
async fn closed_loop(sender: Sender, concurrency: usize) {
    let mut callers = JoinSet::new();
    for place in 0..sender.batches.shard_count() {
        for caller in 0..concurrency {
            let sender = sender.clone();
            callers.spawn(async move {
                let mut nth = caller;
                while !sender.meter.is_over() {
                    sender.send(place, nth, Instant::now()).await;
                    nth += concurrency;
                }
            });
        }
    }
    callers.join_all().await;
}

/// Calls are made when they are due, to one shard after another.
async fn open_loop(sender: Sender, concurrency: usize, per_second: f64) {
    let shards = sender.batches.shard_count();
    let room = Arc::new(Semaphore::new((concurrency * shards).max(OPEN_LOOP_IN_FLIGHT_MIN)));
    let mut moments = pace::moments(per_second, sender.meter.until());
    let mut calls = JoinSet::new();
    let mut nth = 0;
    while let Some(intended) = moments.recv().await {
        let permit = room.clone().acquire_owned().await.expect("the semaphore is never closed");
        let sender = sender.clone();
        calls.spawn(async move {
            sender.send(nth % shards, nth / shards, intended).await;
            drop(permit);
        });
        nth += 1;
        while calls.try_join_next().is_some() {}
    }
    calls.join_all().await;
}

impl Sender {
    /// Sends one batch, again as long as it certainly was not applied.
    async fn send(&self, place: usize, nth: usize, intended: Instant) {
        let (shard, batch) = self.batches.get(place, nth);
        let begun = Instant::now();
        loop {
            match self.appender.append(shard, batch, CALL_TIMEOUT).await {
                Ok(_) => return self.meter.done(intended, self.batches.records, self.batches.data_bytes),
                Err(error) if error.perhaps_applied() || begun.elapsed() > RETRY_FOR => {
                    return self.meter.failed(&error);
                }
                Err(_) => self.meter.retried(),
            }
            sleep(RETRY_AFTER).await;
        }
    }
}
