//! Clients of a run: who writes and who reads, until told to stop.
//!
//! ```text
//!   writers ── producers: idempotent, plain, plain that send again what they know nothing of
//!   readers ── pollers from the horizon and from the latest, tails, fan-out, slow readers
//!                 │
//!                 └──► Recorder: every operation, its interval, its outcome
//! ```
//! Holds: every payload is unique, and says who sent it; no operation goes unrecorded.

mod fan_out;
mod payload;
mod pollers;
mod tails;
mod writers;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde::Deserialize;
use thalweg_checker::{Position, Seen};
use thalweg_client::{Client, ConsumedRecord, StreamName};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::record::Recorder;
use writers::{Manner, Writer};

/// How long outcomes may still come after the end; longer than any writer tries.
const LAST_OUTCOMES: Duration = Duration::from_secs(150);

/// Records a second that a burst offers.
const BURST_PER_SECOND: u32 = 8_000;

/// Who writes and reads, and how much: the table `[load]` of a scenario.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LoadPlan {
    /// Records a second, of all writers together.
    pub(crate) records_per_second: u32,
    /// Smallest and largest record in bytes.
    pub(crate) record_bytes: (usize, usize),
    /// Partition keys of each writer.
    pub(crate) keys: u32,
    /// Producers whose retries write nothing twice.
    pub(crate) idempotent: u32,
    /// Producers that report what they know nothing of.
    pub(crate) plain: u32,
    /// Producers without idempotence that send such records again.
    pub(crate) retrying: u32,
    /// Share of records that go to one key, 0 to 1.
    pub(crate) hot_key: f64,
    /// Consumers of the whole stream.
    pub(crate) tails: u32,
    /// Consumers that dawdle, and start again from their checkpoint.
    pub(crate) slow: u32,
    /// Subscribers to every shard under a registered name.
    pub(crate) fan_out: u32,
    /// Readers that begin at the horizon again and again.
    pub(crate) catch_up: u32,
    /// Readers that begin behind the newest record again and again.
    pub(crate) latest: u32,
}

impl Default for LoadPlan {
    fn default() -> LoadPlan {
        LoadPlan {
            records_per_second: 400,
            record_bytes: (64, 2_048),
            keys: 64,
            idempotent: 2,
            plain: 1,
            retrying: 1,
            hot_key: 0.0,
            tails: 1,
            slow: 1,
            fan_out: 1,
            catch_up: 1,
            latest: 1,
        }
    }
}

/// What every client needs.
#[derive(Clone)]
struct Context {
    client: Client,
    stream: StreamName,
    recorder: Arc<Recorder>,
}

/// The running clients.
pub(crate) struct Load {
    stop_writing: watch::Sender<bool>,
    stop_reading: watch::Sender<bool>,
    writers: JoinSet<()>,
    readers: JoinSet<()>,
}

impl Load {
    /// Starts all clients. Each has connections of its own.
    pub(crate) fn start(
        plan: &LoadPlan,
        stream: &StreamName,
        recorder: &Arc<Recorder>,
        seed: u64,
        client: impl Fn() -> Client,
    ) -> Load {
        let mut load = Load {
            stop_writing: watch::Sender::new(false),
            stop_reading: watch::Sender::new(false),
            writers: JoinSet::new(),
            readers: JoinSet::new(),
        };
        let context = || Context { client: client(), stream: stream.clone(), recorder: recorder.clone() };
        let mut random = StdRng::seed_from_u64(seed);
        let manners = [
            vec![Manner::Idempotent; plan.idempotent as usize],
            vec![Manner::Plain; plan.plain as usize],
            vec![Manner::Retrying; plan.retrying as usize],
        ]
        .concat();
        for (id, manner) in (1..).zip(manners.iter().copied()) {
            let writer = Writer::new(id, manner, plan, manners.len() as u32, random.random());
            load.writers.spawn(writer.run(context(), load.stop_writing.subscribe()));
        }
        load.start_readers(plan, context);
        load
    }

    fn start_readers(&mut self, plan: &LoadPlan, context: impl Fn() -> Context) {
        let mut ids = 1u32..;
        let mut next = || ids.next().expect("numbers do not run out");
        for _ in 0..plan.tails {
            self.readers.spawn(tails::follow(context(), next(), None, self.stop_reading.subscribe()));
        }
        for _ in 0..plan.slow {
            let pace = Some(Duration::from_millis(250));
            self.readers.spawn(tails::follow(context(), next(), pace, self.stop_reading.subscribe()));
        }
        for _ in 0..plan.fan_out {
            self.readers.spawn(fan_out::follow(context(), next(), self.stop_reading.subscribe()));
        }
        for _ in 0..plan.catch_up {
            self.readers.spawn(pollers::from_horizon(context(), next(), self.stop_reading.subscribe()));
        }
        for _ in 0..plan.latest {
            self.readers.spawn(pollers::from_latest(context(), next(), self.stop_reading.subscribe()));
        }
    }

    /// Ends the writers, once every record has its outcome.
    pub(crate) async fn stop_writing(&mut self) -> anyhow::Result<()> {
        self.stop_writing.send_replace(true);
        finish(&mut self.writers).await
    }

    /// Ends the readers where they are.
    pub(crate) async fn stop_reading(&mut self) -> anyhow::Result<()> {
        self.stop_reading.send_replace(true);
        finish(&mut self.readers).await
    }
}

/// Writers of bursts are numbered from here.
static NEXT_BURST: AtomicU32 = AtomicU32::new(10_000);

/// Writes to one key as much as is taken, for so long, and waits for the outcomes.
pub(crate) async fn burst(
    client: Client,
    stream: &StreamName,
    recorder: &Arc<Recorder>,
    seed: u64,
    lasts: Duration,
) -> anyhow::Result<()> {
    let id = NEXT_BURST.fetch_add(1, Ordering::Relaxed);
    let plan = LoadPlan {
        records_per_second: BURST_PER_SECOND,
        record_bytes: (200, 4_096),
        hot_key: 1.0,
        ..LoadPlan::default()
    };
    let context = Context { client, stream: stream.clone(), recorder: recorder.clone() };
    let stop = watch::Sender::new(false);
    let writer = tokio::spawn(Writer::new(id, Manner::Idempotent, &plan, 1, seed).run(context, stop.subscribe()));
    tokio::time::sleep(lasts).await;
    stop.send_replace(true);
    Ok(writer.await?)
}

async fn finish(tasks: &mut JoinSet<()>) -> anyhow::Result<()> {
    while let Some(ended) = tasks.join_next().await {
        ended?;
    }
    Ok(())
}

/// A record as the checker wants it.
fn seen(record: &ConsumedRecord) -> Seen {
    Seen {
        position: Position::from(record.sequence_number),
        hash: thalweg_checker::Hash::of(&record.partition_key, &record.data),
        arrived_ms: record.arrived.0,
    }
}
