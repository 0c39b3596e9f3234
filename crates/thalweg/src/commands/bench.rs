//! `thalweg bench`: measures a cluster, and the limits of this host beside it.
//!
//! ```text
//!   setup (stream) ─► load (what is sent) ─► produce / consume / roundtrip ─► report
//!                        pace (when)           meter (what came of it)
//!   kinesis: the same through the HTTP API, and what the front alone costs
//!   usage: CPU, disk and memory of local servers over the whole run, settling included
//! ```
//! Holds: latency counts from the moment at which a call was to be made, not from the one at which
//! there was room to make it; what the generator costs is paid before the clock runs.

mod consume;
mod device;
mod kinesis;
mod load;
mod meter;
mod pace;
mod produce;
mod report;
mod roundtrip;
mod session;
mod usage;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use thalweg_client::StreamName;

use super::signals;
use crate::cli::{ConnectArgs, Format, OutputArgs};
use crate::exit::{Exit, Failure};
use crate::human::parse_size_u32;

/// What to measure.
#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// Writing: throughput, latency, and what it costs the servers
    Produce(produce::ProduceArgs),
    /// Reading: how fast a backlog is read, or what many readers of the tail get
    Consume(consume::ConsumeArgs),
    /// From a put to a waiting reader, at a fixed rate
    Roundtrip(roundtrip::RoundtripArgs),
}

/// Options of every measurement.
#[derive(Args, Clone, Debug)]
pub(crate) struct Common {
    /// Use this stream and keep it; default: a new one that is deleted afterwards
    #[arg(long, value_name = "NAME")]
    stream: Option<StreamName>,
    /// Shards of the new stream
    #[arg(long, default_value_t = 16, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    shards: u32,
    /// Replicas of the new stream; default 3, or as many as there are nodes
    #[arg(long, value_name = "N")]
    replication: Option<u32>,
    /// Create the new stream with durability `os`: acknowledged from the page cache
    #[arg(long)]
    durability_os: bool,
    /// Keep the new stream
    #[arg(long)]
    keep: bool,
    /// Bytes of data in a record
    #[arg(long, value_name = "SIZE", default_value = "1KiB", value_parser = parse_size_u32)]
    record_size: u32,
    /// How long to measure
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = humantime::parse_duration)]
    duration: Duration,
    /// How long to run before that
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = humantime::parse_duration)]
    warm_up: Duration,
    /// How long to wait afterwards, so that what servers still have to do is counted
    #[arg(long, value_name = "DURATION", default_value = "3s", value_parser = humantime::parse_duration)]
    settle: Duration,
    /// Server processes to watch; default: those on this machine that the cluster's addresses lead to
    #[arg(long, value_name = "PID", value_delimiter = ',')]
    server_pid: Vec<u32>,
    /// A folder on the servers' disk: where to measure how fast this host syncs, and how much is
    /// written; default: the temporary folder
    #[arg(long, value_name = "DIR")]
    host_dir: Option<PathBuf>,
    /// Do not measure the host
    #[arg(long)]
    no_host: bool,
    /// One JSON object with everything, the same as `-o json`
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: ConnectArgs,
    #[command(flatten)]
    output: OutputArgs,
}

impl Common {
    fn host_dir(&self) -> PathBuf {
        self.host_dir.clone().unwrap_or_else(std::env::temp_dir)
    }

    fn format(&self) -> Format {
        if self.json { Format::Json } else { self.output.format() }
    }
}

/// Runs the measurement. The stream that was made for it goes also when it is interrupted.
pub(crate) async fn run(command: BenchCommand) -> anyhow::Result<()> {
    let common = match &command {
        BenchCommand::Produce(args) => &args.common,
        BenchCommand::Consume(args) => &args.common,
        BenchCommand::Roundtrip(args) => &args.common,
    }
    .clone();
    let session = session::Session::begin(&common).await?;
    let measured = tokio::select! {
        measured = measure(&session, &command) => measured,
        () = signals::asked_to_end() => Err(Failure::new(Exit::Interrupted, "interrupted").into()),
    };
    session.end().await?;
    report::print(common.format(), &measured?)
}

async fn measure(session: &session::Session, command: &BenchCommand) -> anyhow::Result<report::Report> {
    match command {
        BenchCommand::Produce(args) => produce::run(session, args).await,
        BenchCommand::Consume(args) => consume::run(session, args).await,
        BenchCommand::Roundtrip(args) => roundtrip::run(session, args).await,
    }
}
