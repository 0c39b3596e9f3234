//! A steady load: unique records at a fixed rate, every acknowledgement remembered.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use futures::stream::{FuturesUnordered, StreamExt};
use thalweg_client::{Client, ProduceError, Producer, RecordPosition, ShardId, StreamName};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};

use crate::history::{Mark, Written, now};

/// Between two bursts of records.
const TICK: Duration = Duration::from_millis(5);
/// How long a test waits for progress of a load before it gives up.
const PROGRESS_TIMEOUT: Duration = Duration::from_secs(60);

/// What a load writes.
#[derive(Clone, Copy, Debug)]
pub struct LoadOptions {
    /// Partition keys, written in turn.
    pub keys: u32,
    /// Records a tick of 5 ms.
    pub records_per_tick: u32,
    /// Bytes of a record.
    pub record_bytes: usize,
    /// How long one record is tried.
    pub delivery_deadline: Duration,
}

impl Default for LoadOptions {
    fn default() -> Self {
        let delivery_deadline = Duration::from_secs(90);
        LoadOptions { keys: 64, records_per_tick: 4, record_bytes: 128, delivery_deadline }
    }
}

/// How far a load has come.
#[derive(Clone, Debug, Default)]
struct Progress {
    acked: u64,
    /// When each acknowledgement came, by shard.
    acked_at: HashMap<ShardId, Vec<Instant>>,
}

impl Progress {
    fn acked_by(&self, shard: ShardId) -> &[Instant] {
        self.acked_at.get(&shard).map_or(&[], Vec::as_slice)
    }
}

/// A running load.
#[derive(Debug)]
pub struct Load {
    stop: watch::Sender<bool>,
    progress: Arc<watch::Sender<Progress>>,
    task: JoinHandle<Written>,
}

type Outcome = (Mark, u64, Result<RecordPosition, ProduceError>);

impl Load {
    /// Begins to write to a stream with an idempotent producer.
    pub fn start(client: &Client, stream: &StreamName, options: LoadOptions) -> Load {
        let producer = client.producer(stream).delivery_deadline(options.delivery_deadline).build();
        let stop = watch::Sender::new(false);
        let progress = Arc::new(watch::Sender::new(Progress::default()));
        let task = tokio::spawn(run(producer, options, stop.subscribe(), progress.clone()));
        Load { stop, progress, task }
    }

    /// Records acknowledged so far.
    pub fn acked(&self) -> u64 {
        self.progress.borrow().acked
    }

    /// Waits until `more` records have been acknowledged from now on.
    pub async fn wait_acked(&self, more: u64) -> anyhow::Result<()> {
        let mut progress = self.progress.subscribe();
        let goal = progress.borrow().acked + more;
        let reached = tokio::time::timeout(PROGRESS_TIMEOUT, progress.wait_for(|now| now.acked >= goal)).await;
        reached.with_context(|| format!("the load did not reach {goal} acknowledged records"))??;
        Ok(())
    }

    /// Waits until each of `shards` has acknowledged `more` records from now on.
    pub async fn wait_acked_by_each(&self, shards: &[ShardId], more: usize) -> anyhow::Result<()> {
        let mut progress = self.progress.subscribe();
        let goals: Vec<_> = {
            let now = progress.borrow();
            shards.iter().map(|shard| (*shard, now.acked_by(*shard).len() + more)).collect()
        };
        let all = |now: &Progress| goals.iter().all(|(shard, goal)| now.acked_by(*shard).len() >= *goal);
        let reached = tokio::time::timeout(PROGRESS_TIMEOUT, progress.wait_for(all)).await;
        reached.with_context(|| format!("not every shard acknowledged {more} more records"))??;
        Ok(())
    }

    /// The longest time that any shard went without an acknowledgement and that ended after `since`.
    pub fn longest_gap(&self, since: Instant) -> Duration {
        let progress = self.progress.borrow();
        let gaps = progress.acked_at.values().filter_map(|acked_at| {
            let from = acked_at.partition_point(|at| *at < since).saturating_sub(1);
            acked_at[from..].windows(2).map(|pair| pair[1] - pair[0]).max()
        });
        gaps.max().unwrap_or_default()
    }

    /// Ends the load once every record has its outcome.
    pub async fn stop(self) -> anyhow::Result<Written> {
        self.stop.send_replace(true);
        Ok(self.task.await?)
    }
}

async fn run(
    producer: Producer,
    options: LoadOptions,
    mut stop: watch::Receiver<bool>,
    progress: Arc<watch::Sender<Progress>>,
) -> Written {
    let mut written = Written::default();
    let mut outcomes = FuturesUnordered::new();
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut next = 0u64;
    loop {
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => break,
            Some(outcome) = outcomes.next(), if !outcomes.is_empty() => note(&mut written, &progress, outcome),
            _ = ticks.tick() => for _ in 0..options.records_per_tick {
                let keys = u64::from(options.keys);
                let mark = Mark { key: (next % keys) as u32, serial: next / keys };
                // A full buffer is the producer's back-pressure: the next tick tries again.
                let call = now();
                match producer.try_send(mark.record(options.record_bytes)) {
                    Ok(delivery) => outcomes.push(async move { (mark, call, delivery.await) }),
                    Err(ProduceError::Full { .. }) => break,
                    Err(error) => note(&mut written, &progress, (mark, call, Err(error))),
                }
                next += 1;
            },
        }
    }
    while let Some(outcome) = outcomes.next().await {
        note(&mut written, &progress, outcome);
    }
    written
}

fn note(written: &mut Written, progress: &watch::Sender<Progress>, (mark, call, outcome): Outcome) {
    if let Ok(position) = &outcome {
        progress.send_modify(|progress| {
            progress.acked += 1;
            progress.acked_at.entry(position.shard).or_default().push(Instant::now());
        });
    }
    written.note(mark, call, outcome);
}
