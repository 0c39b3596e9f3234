//! The native side of a comparison: what a request of the front becomes, sent to the shards at once.
//!
//! Holds: as many batches at a time, as large and as many a second as the front made, so that what
//! the cluster does for them is the same.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use thalweg_client::RawAppender;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

use super::compare::Phase;
use crate::commands::bench::load::Batches;
use crate::commands::bench::meter::Meter;
use crate::commands::bench::pace;
use crate::commands::bench::produce::ProduceArgs;
use crate::commands::bench::session::Session;

/// For one batch.
const APPEND_TIMEOUT: Duration = Duration::from_secs(10);

/// Callers that each send some batches and wait for them all.
pub(super) struct Native {
    appender: RawAppender,
    batches: Arc<Batches>,
    callers: usize,
    batches_at_once: usize,
    calls_per_second: f64,
}

impl Native {
    /// Does with `batches` what `front` did with its requests.
    pub(super) fn like(session: &Session, args: &ProduceArgs, front: &Phase, batches: Arc<Batches>) -> Arc<Native> {
        let records_per_call = u64::from(args.put.batch_records);
        let batches_at_once = (records_per_call as f64 / batches.records as f64).round().max(1.0) as usize;
        let records_at_once = batches_at_once as u64 * batches.records;
        Arc::new(Native {
            appender: session.client.raw_appender(session.name()),
            batches,
            callers: args.concurrency as usize,
            batches_at_once,
            calls_per_second: front.records_per_second(&args.common) / records_at_once as f64,
        })
    }

    /// Runs the callers until the measured time is over and everything is answered.
    pub(super) async fn run(self: Arc<Self>, meter: Arc<Meter>) {
        let moments = Arc::new(Mutex::new(pace::moments(self.calls_per_second, meter.until())));
        let mut callers = JoinSet::new();
        for nth in 0..self.callers {
            callers.spawn(self.clone().call(nth, moments.clone(), meter.clone()));
        }
        callers.join_all().await;
    }

    async fn call(
        self: Arc<Self>,
        mut nth: usize,
        moments: Arc<Mutex<mpsc::UnboundedReceiver<Instant>>>,
        meter: Arc<Meter>,
    ) {
        loop {
            let Some(intended) = moments.lock().await.recv().await else { return };
            let appends = (nth..nth + self.batches_at_once).map(|at| {
                let (shard, batch) = self.batches.get(at % self.batches.shard_count(), at);
                self.appender.append(shard, batch, APPEND_TIMEOUT)
            });
            for outcome in join_all(appends).await {
                match outcome {
                    Ok(_) => meter.done(intended, self.batches.records, self.batches.data_bytes),
                    Err(error) => meter.failed(&error),
                }
            }
            nth += self.batches_at_once;
        }
    }
}
