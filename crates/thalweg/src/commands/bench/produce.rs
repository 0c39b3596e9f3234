//! `thalweg bench produce`: writing at the maximum or at a fixed rate.
//!
//! By default batches are packed before the clock runs and sent to their shards as they are, so
//! that what is seen is the servers; `--producer` sends records through the client's producer, and
//! `--api kinesis` puts them through the front: [`super::kinesis`].

mod packed;
mod records;

use std::sync::Arc;

use clap::Args;
use rand::SeedableRng;
use rand::rngs::StdRng;
use thalweg_types::limits::{BATCH_BYTES_MAX, BATCH_RECORDS_MAX};
use tokio::time::sleep;

use super::Common;
use super::kinesis::{self, ApiArgs, PutArgs};
use super::load::{Batches, Payloads};
use super::meter::Meter;
use super::report::Report;
use super::session::Session;
use crate::exit::Failure;
use crate::human::{Rate, parse_size_u32};
use crate::progress;

/// Bytes of a record besides its data: key and framing.
const RECORD_FRAME_BYTES: usize = 64;

/// Arguments of `thalweg bench produce`.
#[derive(Args, Debug)]
pub(crate) struct ProduceArgs {
    /// Bytes of data in a batch, at least; rounded up to whole records
    #[arg(long, value_name = "SIZE", default_value = "64KiB", value_parser = parse_size_u32)]
    batch_size: u32,
    /// One record in each call
    #[arg(long, conflicts_with_all = ["batch_size", "producer"])]
    one_record_per_call: bool,
    /// max, records a second (5000) or bytes a second (50MB/s); at a fixed rate calls are made on
    /// time, whether or not earlier ones have returned
    #[arg(long, value_name = "RATE", default_value = "max")]
    pub(super) rate: Rate,
    /// Batches of one shard in flight; with --api kinesis callers, each with one request in flight
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(super) concurrency: u32,
    /// Send records through the batching, idempotent producer of the client
    #[arg(long)]
    producer: bool,
    #[command(flatten)]
    pub(super) put: PutArgs,
    #[command(flatten)]
    pub(super) api: ApiArgs,
    #[command(flatten)]
    pub(super) common: Common,
}

impl ProduceArgs {
    fn records_per_batch(&self) -> Result<usize, Failure> {
        let record = self.common.record_size as usize;
        let records = if self.one_record_per_call { 1 } else { (self.batch_size as usize).div_ceil(record) };
        let bytes = records * (record + RECORD_FRAME_BYTES);
        if bytes > BATCH_BYTES_MAX || records > BATCH_RECORDS_MAX {
            return Err(Failure::usage(format!("a batch of {bytes} bytes is too large, limit {BATCH_BYTES_MAX}")));
        }
        Ok(records)
    }

    fn calls_per_second(&self, records_per_call: u64) -> Option<f64> {
        let records = self.rate.records_per_second(u64::from(self.common.record_size))?;
        Some(records / records_per_call as f64)
    }
}

/// Warms up, measures, lets the servers settle.
pub(super) async fn run(session: &Session, args: &ProduceArgs) -> anyhow::Result<Report> {
    if args.api.is_kinesis() {
        if args.producer || args.one_record_per_call {
            let hint = "--batch-records N says how many records a request of --api kinesis has";
            return Err(Failure::usage(hint).into());
        }
        return kinesis::produce(session, args).await;
    }
    let common = &args.common;
    let mut random = StdRng::from_os_rng();
    let payloads = Payloads::new(common.record_size as usize, &mut random);
    let records_per_batch = args.records_per_batch()?;
    let batches = (!args.producer).then(|| Batches::pack(&session.image, &payloads, records_per_batch, &mut random));
    let spinner = progress::spinner(format!("writing to `{}`", session.name()));
    let before = session.servers.usage();
    let meter = Arc::new(Meter::new(common.warm_up, common.duration));
    match batches {
        Some(batches) => {
            let per_second = args.calls_per_second(batches.records);
            packed::run(session, args.concurrency as usize, per_second, batches, meter.clone()).await;
        }
        None => records::run(session, args, payloads, meter.clone(), random).await?,
    }
    sleep(common.settle).await;
    let usage = session.servers.usage().zip(before).map(|(after, before)| after.since(before));
    spinner.finish_and_clear();
    let counts = meter.snapshot();
    let mut report = Report::new("produce", session, common);
    report.set("mode", if args.producer { "producer" } else { "packed batches" });
    report.set("records_per_call", if args.producer { 0 } else { records_per_batch });
    report.set("in_flight_per_shard", args.concurrency);
    report.set("rate", said(args.rate));
    report.throughput(&counts, meter.duration());
    report.latencies("ack", &counts.latencies);
    report.outcomes(&counts);
    report.servers(session, usage, counts.total_bytes);
    Ok(report)
}

/// A rate as reports name it.
pub(super) fn said(rate: Rate) -> String {
    match rate {
        Rate::Max => "max".to_owned(),
        Rate::Records(records) => format!("{records} records/s"),
        Rate::Bytes(bytes) => format!("{:.1} MB/s", bytes / 1e6),
    }
}
