//! The front beside the native API: phases in turns, summed, and their difference.
//!
//! The native side sends what the front made of its requests ([`super::native`]), so that what is
//! left of the difference is the front.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::sleep;

use crate::commands::bench::Common;
use crate::commands::bench::meter::{Counts, Meter};
use crate::commands::bench::report::{Report, rounded};
use crate::commands::bench::session::Session;
use crate::commands::bench::usage::Usage;

/// One measurement of one side, or several summed.
pub(super) struct Phase {
    counts: Counts,
    usage: Option<Usage>,
    duration: Duration,
    total_records: u64,
    batches: u64,
}

impl Phase {
    /// Warms up, measures what `load` does, lets the servers settle.
    pub(super) async fn measure<F: Future<Output = ()>>(
        session: &Session,
        common: &Common,
        load: impl FnOnce(Arc<Meter>) -> F,
    ) -> Phase {
        let before = session.servers.usage();
        let meter = Arc::new(Meter::new(common.warm_up, common.duration));
        load(meter.clone()).await;
        Phase::settle(session, common, before, meter.snapshot()).await
    }

    /// As [`Phase::measure`], of a load that counts by itself, batches too.
    pub(super) async fn counted(
        session: &Session,
        common: &Common,
        load: impl Future<Output = anyhow::Result<(Counts, u64)>>,
    ) -> anyhow::Result<Phase> {
        let before = session.servers.usage();
        let (counts, batches) = load.await?;
        Ok(Phase { batches, ..Phase::settle(session, common, before, counts).await })
    }

    async fn settle(session: &Session, common: &Common, before: Option<Usage>, counts: Counts) -> Phase {
        sleep(common.settle).await;
        let usage = session.servers.usage().zip(before).map(|(after, before)| after.since(before));
        let total_records = counts.total_bytes / u64::from(common.record_size);
        Phase { counts, usage, duration: common.duration, total_records, batches: 0 }
    }

    /// Notes how many batches the records came to lie in.
    pub(super) fn with_batches(self, batches: &AtomicU64) -> Phase {
        Phase { batches: batches.load(Ordering::Relaxed), ..self }
    }

    /// The mean, at least 1.
    pub(super) fn records_per_batch(&self) -> usize {
        (self.total_records as f64 / self.batches.max(1) as f64).round().max(1.0) as usize
    }

    /// As measured, never 0.
    pub(super) fn records_per_second(&self, common: &Common) -> f64 {
        (self.counts.records as f64 / common.duration.as_secs_f64()).max(1.0)
    }

    fn cpu_seconds_per_gb(&self) -> Option<f64> {
        Some(self.usage?.cpu_seconds / (self.counts.total_bytes.max(1) as f64 / 1e9))
    }

    fn add(&mut self, other: Phase) {
        self.counts.add(&other.counts);
        self.usage = self.usage.zip(other.usage).map(|(sum, more)| sum.plus(more));
        self.duration += other.duration;
        self.total_records += other.total_records;
        self.batches += other.batches;
    }
}

/// Both sides, each the sum of its phases.
#[derive(Default)]
pub(super) struct Sides {
    front: Option<Phase>,
    native: Option<Phase>,
}

impl Sides {
    pub(super) fn front(&mut self, phase: Phase) {
        add(&mut self.front, phase);
    }

    pub(super) fn native(&mut self, phase: Phase) {
        add(&mut self.native, phase);
    }
}

fn add(side: &mut Option<Phase>, phase: Phase) {
    match side {
        Some(sum) => sum.add(phase),
        None => *side = Some(phase),
    }
}

/// The front's figures, then the native API's and the difference.
pub(super) fn report(report: &mut Report, session: &Session, sides: &Sides, records_per_call: u64) {
    let Some(front) = &sides.front else { return };
    report.throughput(&front.counts, front.duration);
    report.latencies("ack", &front.counts.latencies);
    report.outcomes(&front.counts);
    report.servers(session, front.usage, front.counts.total_bytes);
    let records_per_batch = front.total_records as f64 / front.batches.max(1) as f64;
    report.set("records_per_batch", rounded(records_per_batch));
    report.fact("records a batch", format!("{records_per_batch:.1}"));
    let Some(native) = &sides.native else { return };
    let (Some(with), Some(without)) = (front.cpu_seconds_per_gb(), native.cpu_seconds_per_gb()) else { return };
    let native_rate = native.counts.bytes as f64 / native.duration.as_secs_f64() / 1e6;
    let alone = report.beside_native(with, without, native_rate);
    let bytes_per_record = front.counts.total_bytes as f64 / front.total_records.max(1) as f64;
    let us_per_call = alone * 1e-3 * bytes_per_record * records_per_call as f64;
    report.set("front_alone_cpu_us_per_call", rounded(us_per_call));
    report.set("native_failed_calls", native.counts.failed);
    report.set("native_ack_p50_us", native.counts.latencies.value_at_quantile(0.5));
    report.set("native_ack_p99_us", native.counts.latencies.value_at_quantile(0.99));
    report.fact("front a call", format!("{us_per_call:.0} µs of CPU"));
}
