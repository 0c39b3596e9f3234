//! `thalweg bench consume`: reading a backlog from its oldest record, by one or many readers.
//!
//! Without `--stream` a backlog is written first. `--tail` measures readers of the tail instead,
//! which is [`super::roundtrip`] with many readers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use rand::SeedableRng;
use rand::rngs::StdRng;
use thalweg_client::{SequenceNumber, ShardId, StartPosition};
use tokio::task::JoinSet;

use super::Common;
use super::kinesis::{self, ApiArgs};
use super::load::{Batches, Payloads};
use super::report::Report;
use super::roundtrip::{self, Traffic};
use super::session::Session;
use super::usage::Usage;
use crate::exit::Failure;
use crate::human::{Rate, Size};
use crate::progress;

/// Bytes of data in a batch of the backlog.
const BACKLOG_BATCH_BYTES: u32 = 256 * 1024;
/// For one append of the backlog.
const APPEND_TIMEOUT: Duration = Duration::from_secs(30);

/// Arguments of `thalweg bench consume`.
#[derive(Args, Debug)]
pub(crate) struct ConsumeArgs {
    /// Readers, each of the whole stream
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    readers: u32,
    /// Bytes of data to write first into a new stream
    #[arg(long, value_name = "SIZE", default_value = "256MiB")]
    backlog: Size,
    /// Read what is being written instead of a backlog
    #[arg(long)]
    tail: bool,
    /// With --tail: records (5000) or bytes (10MB/s) a second to write
    #[arg(long, value_name = "RATE", default_value = "10MB/s", requires = "tail")]
    rate: Rate,
    #[command(flatten)]
    api: ApiArgs,
    #[command(flatten)]
    pub(super) common: Common,
}

/// Reads, and reports how fast.
pub(super) async fn run(session: &Session, args: &ConsumeArgs) -> anyhow::Result<Report> {
    if args.tail && args.api.is_kinesis() {
        return Err(Failure::usage("--api kinesis reads a backlog; it has no --tail").into());
    }
    if args.tail {
        let traffic = Traffic { rate: args.rate, readers: args.readers, batch_records: 16 };
        return roundtrip::measure("consume tail", session, &args.common, traffic).await;
    }
    if args.common.stream.is_none() {
        write_backlog(session, args).await?;
    }
    match args.api.is_kinesis() {
        true => through_kinesis(session, args).await,
        false => catch_up(session, args).await,
    }
}

async fn write_backlog(session: &Session, args: &ConsumeArgs) -> anyhow::Result<()> {
    let mut random = StdRng::from_os_rng();
    let record_size = args.common.record_size;
    let payloads = Payloads::new(record_size as usize, &mut random);
    let records = BACKLOG_BATCH_BYTES.div_ceil(record_size) as usize;
    let batches = Batches::pack(&session.image, &payloads, records, &mut random);
    let count = args.backlog.0.div_ceil(batches.data_bytes) as usize;
    let bar = progress::bar(count as u64, "writing the backlog");
    let appender = Arc::new(session.client.raw_appender(session.name()));
    let mut writers = JoinSet::new();
    for place in 0..batches.shard_count() {
        let (batches, appender, bar) = (batches.clone(), appender.clone(), bar.clone());
        writers.spawn(async move {
            for nth in (place..count).step_by(batches.shard_count()) {
                let (shard, batch) = batches.get(place, nth);
                appender.append(shard, batch, APPEND_TIMEOUT).await?;
                bar.inc(1);
            }
            anyhow::Ok(())
        });
    }
    while let Some(written) = writers.join_next().await {
        written??;
    }
    bar.finish_and_clear();
    Ok(())
}

/// What one reader read.
#[derive(Clone, Copy, Default)]
pub(super) struct Read {
    pub(super) records: u64,
    pub(super) bytes: u64,
}

async fn catch_up(session: &Session, args: &ConsumeArgs) -> anyhow::Result<Report> {
    let ends = newest(session).await?;
    let spinner = progress::spinner(format!("{} readers of `{}`", args.readers, session.name()));
    let before = session.servers.usage();
    let (sum, elapsed) = by_consumers(session, args.readers, &ends).await?;
    let usage = session.servers.usage().zip(before).map(|(after, before)| after.since(before));
    spinner.finish_and_clear();
    let mut report = Report::new("consume", session, &args.common);
    report.set("readers", args.readers);
    report.reading(sum.records, sum.bytes, elapsed);
    report.servers_reading(usage, sum.bytes);
    Ok(report)
}

async fn by_consumers(session: &Session, readers: u32, ends: &[(ShardId, u64)]) -> anyhow::Result<(Read, Duration)> {
    let begun = Instant::now();
    let mut all = JoinSet::new();
    for _ in 0..readers {
        all.spawn(read_all(session.client.clone(), session.name().clone(), ends.to_vec()));
    }
    let mut sum = Read::default();
    while let Some(read) = all.join_next().await {
        let read = read??;
        sum = Read { records: sum.records + read.records, bytes: sum.bytes + read.bytes };
    }
    Ok((sum, begun.elapsed()))
}

/// GetRecords, in turns with the native API where that is asked for.
async fn through_kinesis(session: &Session, args: &ConsumeArgs) -> anyhow::Result<Report> {
    let ends = newest(session).await?;
    let spinner = progress::spinner(format!("reading `{}`", session.name()));
    let (mut front, mut native) = (Reading::default(), Reading::default());
    for _ in 0..args.api.turns() {
        let before = session.servers.usage();
        let read = kinesis::catch_up(session, &args.api, args.readers, &ends).await?;
        front.add(session, before, read);
        if args.api.compares() {
            let before = session.servers.usage();
            let read = by_consumers(session, args.readers, &ends).await?;
            native.add(session, before, read);
        }
    }
    spinner.finish_and_clear();
    let mut report = Report::new("consume", session, &args.common);
    report.set("readers", args.readers);
    args.api.tell(&mut report, "GetRecords", None);
    report.reading(front.read.records, front.read.bytes, front.elapsed);
    report.servers_reading(front.usage, front.read.bytes);
    if let (Some(with), Some(without)) = (front.cpu_seconds_per_gb(), native.cpu_seconds_per_gb()) {
        let rate = native.read.bytes as f64 / native.elapsed.as_secs_f64() / 1e6;
        report.beside_native(with, without, rate);
    }
    Ok(report)
}

/// What was read in one turn, or several.
#[derive(Default)]
struct Reading {
    read: Read,
    elapsed: Duration,
    usage: Option<Usage>,
}

impl Reading {
    fn add(&mut self, session: &Session, before: Option<Usage>, (read, elapsed): (Read, Duration)) {
        let usage = session.servers.usage().zip(before).map(|(after, before)| after.since(before));
        self.usage = self.usage.map_or(usage, |sum| usage.map(|more| sum.plus(more)));
        self.read = Read { records: self.read.records + read.records, bytes: self.read.bytes + read.bytes };
        self.elapsed += elapsed;
    }

    fn cpu_seconds_per_gb(&self) -> Option<f64> {
        Some(self.usage?.cpu_seconds / (self.read.bytes.max(1) as f64 / 1e9))
    }
}

/// The place of the newest record of each shard that has records.
async fn newest(session: &Session) -> anyhow::Result<Vec<(thalweg_client::ShardId, u64)>> {
    use thalweg_client::{ListShards, Position, ReadOptions};
    let shards = session.client.streams().list_shards(session.name(), ListShards::default()).await?;
    let mut ends = Vec::new();
    for shard in shards {
        let end = session.client.read_page(session.name(), shard.id, Position::Latest, ReadOptions::default()).await?;
        let first = ReadOptions { max_bytes: 1, ..ReadOptions::default() };
        let oldest = session.client.read_page(session.name(), shard.id, Position::TrimHorizon, first).await?;
        if !oldest.records.is_empty() {
            ends.push((shard.id, end.next_index));
        }
    }
    Ok(ends)
}

async fn read_all(
    client: thalweg_client::Client,
    stream: thalweg_client::StreamName,
    mut left: Vec<(thalweg_client::ShardId, u64)>,
) -> anyhow::Result<Read> {
    let mut consumer =
        client.consumer(&stream).from(StartPosition::TrimHorizon).page_bytes(1024 * 1024).start().await?;
    let mut read = Read::default();
    while !left.is_empty() {
        let Some(batch) = consumer.next().await else { break };
        let batch = batch?;
        read.records += batch.records.len() as u64;
        read.bytes += batch.records.iter().map(|record| record.data.len() as u64).sum::<u64>();
        let at = batch.records.last().map(|record| record.sequence_number).map(SequenceNumber::raft_index);
        let finished = batch.progress == thalweg_client::ShardProgress::Finished;
        left.retain(|(shard, end)| *shard != batch.shard || !(finished || at.is_some_and(|at| at + 1 >= *end)));
    }
    Ok(read)
}
