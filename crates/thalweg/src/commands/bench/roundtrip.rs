//! `thalweg bench roundtrip`: from the moment a put was to be made to a reader that has the record.
//!
//! Each record carries the moment at which it was to be sent, so readers need nothing else to know
//! how late it came.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use clap::Args;
use rand::SeedableRng;
use rand::rngs::StdRng;
use thalweg_client::{Client, Consumer, RawAppender, Record, ShardId, StreamName};
use thalweg_types::{BatchBuilder, RecordBatch};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::Common;
use super::load::{Payloads, key};
use super::meter::Meter;
use super::pace;
use super::report::Report;
use super::session::Session;
use crate::exit::Failure;
use crate::human::Rate;
use crate::progress;

const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// How long readers may take for what was written last.
const DRAIN: Duration = Duration::from_secs(1);
/// Bytes at the start of each record that say when it was to be sent.
const STAMP_BYTES: usize = 8;

/// Arguments of `thalweg bench roundtrip`.
#[derive(Args, Debug)]
pub(crate) struct RoundtripArgs {
    /// Records (1000) or bytes (1MB/s) a second
    #[arg(long, value_name = "RATE", default_value = "1000")]
    rate: Rate,
    /// Records in each call
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    batch_records: u32,
    #[command(flatten)]
    pub(super) common: Common,
}

/// What is written and who reads it.
#[derive(Clone, Copy)]
pub(super) struct Traffic {
    pub(super) rate: Rate,
    pub(super) readers: u32,
    pub(super) batch_records: u32,
}

/// Measures one reader.
pub(super) async fn run(session: &Session, args: &RoundtripArgs) -> anyhow::Result<Report> {
    let traffic = Traffic { rate: args.rate, readers: 1, batch_records: args.batch_records };
    measure("roundtrip", session, &args.common, traffic).await
}

/// Starts the readers, writes at the rate, reports on both.
pub(super) async fn measure(
    what: &'static str,
    session: &Session,
    common: &Common,
    traffic: Traffic,
) -> anyhow::Result<Report> {
    let size = common.record_size as usize;
    if size < STAMP_BYTES {
        return Err(Failure::usage(format!("records need at least {STAMP_BYTES} bytes here")).into());
    }
    let records_per_second = traffic.rate.records_per_second(size as u64);
    let records_per_second = records_per_second.ok_or_else(|| Failure::usage("a fixed rate is needed here"))?;
    let epoch = Instant::now();
    let mut consumers = Vec::new();
    for _ in 0..traffic.readers {
        consumers.push(start_reader(&session.client, session.name()).await?);
    }
    let spinner = progress::spinner(format!("writing and reading `{}`", session.name()));
    let before = session.servers.usage();
    let written = Arc::new(Meter::new(common.warm_up, common.duration));
    let read = Arc::new(Meter::new(common.warm_up, common.duration));
    let mut readers = JoinSet::new();
    for consumer in consumers {
        readers.spawn(follow(consumer, epoch, read.clone()));
    }
    let writer = Writer {
        appender: session.client.raw_appender(session.name()),
        image: session.image.clone(),
        payloads: Payloads::new(size, &mut StdRng::from_os_rng()),
        epoch,
        records: traffic.batch_records as usize,
        meter: written.clone(),
    };
    let per_second = records_per_second / f64::from(traffic.batch_records);
    write_at(Arc::new(writer), per_second).await;
    sleep(DRAIN).await;
    readers.abort_all();
    sleep(common.settle).await;
    let usage = session.servers.usage().zip(before).map(|(after, before)| after.since(before));
    spinner.finish_and_clear();
    let (written, received) = (written.snapshot(), read.snapshot());
    let mut report = Report::new(what, session, common);
    report.set("readers", traffic.readers);
    report.set("records_per_call", traffic.batch_records);
    report.throughput(&written, read.duration());
    report.latencies("ack", &written.latencies);
    report.latencies("end_to_end", &received.latencies);
    report.reading(received.records, received.bytes, read.duration());
    report.outcomes(&written);
    report.servers(session, usage, written.total_bytes);
    Ok(report)
}

async fn start_reader(client: &Client, stream: &StreamName) -> anyhow::Result<Consumer> {
    Ok(client.consumer(stream).start().await?)
}

/// Notes for each record how long after its moment it came.
async fn follow(mut consumer: Consumer, epoch: Instant, meter: Arc<Meter>) {
    while let Some(Ok(batch)) = consumer.next().await {
        for record in &batch.records {
            let Some(stamp) = record.data.first_chunk::<STAMP_BYTES>() else { continue };
            let intended = epoch + Duration::from_nanos(u64::from_le_bytes(*stamp));
            meter.done(intended, 1, record.data.len() as u64);
        }
    }
}

/// Packs and sends batches that carry their moment.
struct Writer {
    appender: RawAppender,
    image: Arc<thalweg_client::Image>,
    payloads: Payloads,
    epoch: Instant,
    records: usize,
    meter: Arc<Meter>,
}

async fn write_at(writer: Arc<Writer>, per_second: f64) {
    let shards: Vec<ShardId> = writer.image.open_shards().map(|shard| shard.id).collect();
    let mut random = StdRng::from_os_rng();
    let mut moments = pace::moments(per_second, writer.meter.until());
    let mut calls = JoinSet::new();
    let mut nth = 0;
    while let Some(intended) = moments.recv().await {
        let shard = shards[nth % shards.len()];
        nth += 1;
        let batch = writer.pack(shard, intended, &mut random);
        let writer = writer.clone();
        calls.spawn(async move {
            match writer.appender.append(shard, &batch, CALL_TIMEOUT).await {
                Ok(_) => {
                    let bytes = batch.records().map(|record| record.data.len() as u64).sum();
                    writer.meter.done(intended, batch.record_count() as u64, bytes);
                }
                Err(error) => writer.meter.failed(&error),
            }
        });
        while calls.try_join_next().is_some() {}
    }
    calls.join_all().await;
}

impl Writer {
    fn pack(&self, shard: ShardId, intended: Instant, random: &mut StdRng) -> RecordBatch {
        let range = self.image.shard(shard).expect("the shard is from this image").range;
        let stamp = (intended - self.epoch).as_nanos() as u64;
        let mut builder = BatchBuilder::with_capacity(1024);
        for _ in 0..self.records {
            let mut data = BytesMut::from(&self.payloads.next(random)[..]);
            data[..STAMP_BYTES].copy_from_slice(&stamp.to_le_bytes());
            let record =
                Record { partition_key: key(random), explicit_hash_key: Some(range.start()), data: data.freeze() };
            builder.push(&record).expect("sizes are far below the limits");
        }
        builder.finish().expect("a batch has at least one record")
    }
}
