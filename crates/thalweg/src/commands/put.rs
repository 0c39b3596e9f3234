//! `thalweg put`: records from arguments, files and standard input into a stream.
//!
//! ```text
//!   source (arguments, files, lines) ─► keys ─► Producer ─► deliveries ─► report (in order)
//! ```
//! Holds: the command ends well only when every record is durable; otherwise it says how many
//! certainly were not written and of how many that is not known.

mod keys;
mod report;
mod source;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use rand::SeedableRng;
use rand::rngs::StdRng;
use thalweg_client::{HashKey, StreamName};
use tokio::sync::mpsc;

use crate::cli::{ConnectArgs, Format, OutputArgs};
use keys::{KeyFrom, Keys};
use report::Report;
use source::Source;

/// Deliveries that may wait to be printed.
const UNPRINTED_MAX: usize = 10_000;

/// Arguments of `thalweg put`.
#[derive(Args, Debug)]
#[command(after_help = "\
A record goes to the shard that its key hashes to; records of one key keep their order.
Examples:
  thalweg put orders hello world --key k     two records
  thalweg put orders @picture.png            a file as one record
  thalweg put orders --file events.jsonl     each line of a file is a record
  seq 1000 | thalweg put orders --key n      each line of standard input is a record
  printf 'k1:a\\nk2:b\\n' | thalweg put orders --key-from prefix")]
pub(crate) struct PutArgs {
    /// The stream
    stream: StreamName,
    /// Records, or @PATH for a file as one record; without any, lines of standard input
    #[arg(conflicts_with = "file")]
    data: Vec<String>,
    /// A file whose lines are records; `-` is standard input
    #[arg(long, short, value_name = "PATH")]
    file: Vec<PathBuf>,
    /// The partition key of all records
    #[arg(long, short, value_name = "KEY", conflicts_with = "key_from")]
    key: Option<String>,
    /// Where each record's key comes from
    #[arg(long, value_enum, default_value_t = KeyFrom::Random)]
    key_from: KeyFrom,
    /// What ends the key with `--key-from prefix`
    #[arg(long, value_name = "TEXT", default_value = ":")]
    separator: String,
    /// Place the records by this hash key instead of their keys' hashes
    #[arg(long, value_name = "HASH_KEY")]
    hash_key: Option<HashKey>,
    /// How long each record is tried
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = humantime::parse_duration)]
    deadline: Duration,
    #[command(flatten)]
    connect: ConnectArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Writes the records and reports on each.
pub(crate) async fn run(args: PutArgs) -> anyhow::Result<()> {
    let client = args.connect.client()?;
    let producer = client.producer(&args.stream).delivery_deadline(args.deadline).build();
    let format = args.output.format();
    // A thousand lines of positions help nobody on a terminal.
    let each = format == Format::Json || !args.data.is_empty();
    let (deliveries, queue) = mpsc::channel(UNPRINTED_MAX);
    let printing = tokio::spawn(Report::new(format, each).run(queue));
    let mut keys = Keys::new(args.key, args.key_from, args.separator, args.hash_key, StdRng::from_os_rng());
    let mut source = Source::new(args.data, args.file);
    while let Some(data) = source.next().await? {
        let delivery = producer.send(keys.record(data)?).await?;
        if deliveries.send(delivery).await.is_err() {
            break;
        }
    }
    drop(deliveries);
    printing.await?
}
