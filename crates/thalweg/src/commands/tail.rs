//! `thalweg tail`: the records of a stream, printed as they come.
//!
//! Following uses the client's consumer: all shards, through reshards, parents before children.
//! `--no-follow` reads what is there now, shard by shard in the same order ([`page_through`]).

mod page_through;
mod print;

use clap::Args;
use thalweg_client::{ConsumedRecord, ShardId, StreamName};
use thalweg_types::{Clock, SystemClock, UnixMillis};

use crate::cli::ConnectArgs;
use crate::start::Start;
use print::{Form, Printer};

/// Arguments of `thalweg tail`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  thalweg tail orders                           what is written from now on
  thalweg tail orders --from trim-horizon -n 5  the oldest five records
  thalweg tail orders --from -1h --no-follow    the last hour, then end
  thalweg tail orders -o json | jq .data")]
pub(crate) struct TailArgs {
    /// The stream
    stream: StreamName,
    /// Where to begin: latest, trim-horizon, -1h (so long ago), a time, or a record's sequence number
    #[arg(long, value_name = "PLACE", default_value = "latest", allow_hyphen_values = true)]
    from: Start,
    /// End after so many records
    #[arg(short = 'n', long, value_name = "N")]
    limit: Option<u64>,
    /// Go on with what is written later (the default)
    #[arg(long, overrides_with = "no_follow")]
    follow: bool,
    /// End when everything that is there now has been read
    #[arg(long)]
    no_follow: bool,
    /// Only this shard's records
    #[arg(long)]
    shard: Option<ShardId>,
    /// Default: text on a terminal, JSON lines otherwise
    #[arg(short, long, value_enum)]
    output: Option<Form>,
    #[command(flatten)]
    connect: ConnectArgs,
}

/// Which records to print, and how many more.
struct Sieve {
    start: Start,
    shard: Option<ShardId>,
    left: u64,
}

impl Sieve {
    /// The records of a batch that are to be printed.
    fn pass<'a>(&mut self, records: &'a [ConsumedRecord]) -> Vec<&'a ConsumedRecord> {
        let wanted = |record: &&ConsumedRecord| {
            self.start.includes(record) && self.shard.is_none_or(|shard| shard == record.shard)
        };
        let left = usize::try_from(self.left).unwrap_or(usize::MAX);
        let passed: Vec<_> = records.iter().filter(wanted).take(left).collect();
        self.left -= passed.len() as u64;
        passed
    }

    fn is_done(&self) -> bool {
        self.left == 0
    }
}

/// Prints records until there are enough, none are left, or nobody reads any more.
pub(crate) async fn run(args: TailArgs) -> anyhow::Result<()> {
    let now = SystemClock.now();
    let sieve = Sieve { start: args.from, shard: args.shard, left: args.limit.unwrap_or(u64::MAX) };
    let printer = Printer::new(args.output);
    if sieve.is_done() {
        return Ok(());
    }
    if args.no_follow {
        page_through::run(&args, sieve, printer, now).await
    } else {
        follow(&args, sieve, printer, now).await
    }
}

async fn follow(args: &TailArgs, mut sieve: Sieve, mut printer: Printer, now: UnixMillis) -> anyhow::Result<()> {
    let client = args.connect.client()?;
    let mut consumer = client.consumer(&args.stream).from(args.from.of_stream(now)).start().await?;
    while let Some(batch) = consumer.next().await {
        printer.print(&sieve.pass(&batch?.records))?;
        if sieve.is_done() {
            break;
        }
    }
    Ok(())
}
