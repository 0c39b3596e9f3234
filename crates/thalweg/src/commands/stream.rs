//! `thalweg stream`: creating, describing, resharding and deleting streams.
//!
//! Arguments and dispatch; what is printed is in [`show`], asking before harm in [`confirm`],
//! waiting for many splits and merges in [`scale`], settings in [`set`].

pub(crate) mod confirm;
mod scale;
mod set;
mod show;

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use thalweg_client::{CreateStream, Durability, HashKey, ListShards, ShardFilter, ShardId, StreamName, Streams};
use thalweg_types::limits::SHARDS_PER_STREAM_MAX;

use crate::cli::{ConnectArgs, OutputArgs};
use crate::human::{parse_hours, parse_size_u32};
use crate::progress;

/// What to do with streams.
#[derive(Debug, Subcommand)]
pub(crate) enum StreamCommand {
    /// Create a stream, and return when it can be written to
    Create(CreateArgs),
    /// Delete a stream and its data
    Delete(DeleteArgs),
    /// List streams
    #[command(visible_alias = "list")]
    Ls(LsArgs),
    /// Show a stream and its settings
    Describe(NameArgs),
    /// List a stream's shards: ranges, parents, leaders
    Shards(ShardsArgs),
    /// Divide an open shard in two; writers and readers notice nothing
    Split(SplitArgs),
    /// Join two open shards whose ranges touch
    Merge(MergeArgs),
    /// Split and merge until the stream has so many shards of equal range
    Scale(ScaleArgs),
    /// Change how long records stay readable
    Retention(RetentionArgs),
    /// Change mode, limits, tags and other settings
    Set(set::SetArgs),
    /// List the fan-out consumers that are registered with a stream
    Consumers(NameArgs),
}

/// Arguments of commands that only name a stream.
#[derive(Args, Debug)]
pub(crate) struct NameArgs {
    /// The stream
    stream: StreamName,
    #[command(flatten)]
    common: Common,
}

/// Options of every stream command.
#[derive(Args, Clone, Debug)]
pub(crate) struct Common {
    #[command(flatten)]
    connect: ConnectArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Arguments of `thalweg stream ls`.
#[derive(Args, Debug)]
pub(crate) struct LsArgs {
    #[command(flatten)]
    common: Common,
}

/// Arguments of `thalweg stream create`.
#[derive(Args, Debug)]
pub(crate) struct CreateArgs {
    /// Its name: letters, digits, `_`, `-` and `.`
    stream: StreamName,
    /// Shards that tile the hash space evenly
    #[arg(long, default_value_t = 1, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=i64::from(SHARDS_PER_STREAM_MAX)))]
    shards: u32,
    /// Replicas of each shard; default 3, or as many as there are nodes
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=7))]
    replication: Option<u32>,
    /// How long records stay readable: 24h to 365d
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = parse_hours)]
    retention: u32,
    /// What an acknowledged write has reached
    #[arg(long, value_enum, default_value_t = DurabilityArg::Fsync)]
    durability: DurabilityArg,
    /// Largest record, data and key together; at most 10MiB
    #[arg(long, value_name = "SIZE", default_value = "1MiB", value_parser = parse_size_u32)]
    max_record_size: u32,
    #[command(flatten)]
    settings: set::SettingArgs,
    #[command(flatten)]
    common: Common,
}

/// What must have happened before a write is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum DurabilityArg {
    /// Stable storage of a majority of the replicas
    Fsync,
    /// The page cache of a majority: a power cut of all may lose the last moments
    Os,
}

impl From<DurabilityArg> for Durability {
    fn from(durability: DurabilityArg) -> Durability {
        match durability {
            DurabilityArg::Fsync => Durability::Fsync,
            DurabilityArg::Os => Durability::Os,
        }
    }
}

/// Arguments of `thalweg stream delete`.
#[derive(Args, Debug)]
pub(crate) struct DeleteArgs {
    /// The stream
    stream: StreamName,
    /// Delete its fan-out consumers with it
    #[arg(long)]
    with_consumers: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    connect: ConnectArgs,
}

/// Arguments of `thalweg stream shards`.
#[derive(Args, Debug)]
pub(crate) struct ShardsArgs {
    /// The stream
    stream: StreamName,
    /// Only shards that take records
    #[arg(long)]
    open: bool,
    #[command(flatten)]
    common: Common,
}

/// Arguments of `thalweg stream split`.
#[derive(Args, Debug)]
pub(crate) struct SplitArgs {
    /// The stream
    stream: StreamName,
    /// The shard
    shard: ShardId,
    /// First hash key of the upper child; default: the middle
    #[arg(long, value_name = "HASH_KEY")]
    at: Option<HashKey>,
    #[command(flatten)]
    common: Common,
}

/// Arguments of `thalweg stream merge`.
#[derive(Args, Debug)]
pub(crate) struct MergeArgs {
    /// The stream
    stream: StreamName,
    /// One of the two shards
    shard: ShardId,
    /// The other one
    adjacent: ShardId,
    #[command(flatten)]
    common: Common,
}

/// Arguments of `thalweg stream scale`.
#[derive(Args, Debug)]
pub(crate) struct ScaleArgs {
    /// The stream
    stream: StreamName,
    /// Open shards when it is done
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(SHARDS_PER_STREAM_MAX)))]
    shards: u32,
    /// Return at once instead of waiting until it is done
    #[arg(long)]
    no_wait: bool,
    /// How long to wait until it is done
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = humantime::parse_duration)]
    wait: Duration,
    #[command(flatten)]
    common: Common,
}

/// Arguments of `thalweg stream retention`.
#[derive(Args, Debug)]
pub(crate) struct RetentionArgs {
    /// The stream
    stream: StreamName,
    /// How long records stay readable: 24h to 365d
    #[arg(value_name = "DURATION", value_parser = parse_hours)]
    retention: u32,
    #[command(flatten)]
    common: Common,
}

impl Common {
    fn streams(&self) -> anyhow::Result<Streams> {
        Ok(self.connect.client()?.streams())
    }
}

/// Runs the command.
pub(crate) async fn run(command: StreamCommand) -> anyhow::Result<()> {
    match command {
        StreamCommand::Create(args) => create(args).await,
        StreamCommand::Delete(args) => delete(args).await,
        StreamCommand::Ls(args) => {
            let streams = args.common.streams()?.list().await?;
            show::streams(&streams, args.common.output.format())
        }
        StreamCommand::Describe(args) => {
            let stream = args.common.streams()?.describe(&args.stream).await?;
            show::stream(&stream, args.common.output.format())
        }
        StreamCommand::Shards(args) => shards(args).await,
        StreamCommand::Split(args) => {
            let children = args.common.streams()?.split(&args.stream, args.shard, args.at).await?;
            show::shards(&children, args.common.output.format())
        }
        StreamCommand::Merge(args) => merge(args).await,
        StreamCommand::Scale(args) => scale::run(args).await,
        StreamCommand::Retention(args) => {
            let stream = args.common.streams()?.set_retention(&args.stream, args.retention).await?;
            show::stream(&stream, args.common.output.format())
        }
        StreamCommand::Set(args) => set::run(args).await,
        StreamCommand::Consumers(args) => {
            let consumers = args.common.streams()?.consumers(&args.stream).await?;
            show::consumers(&consumers, args.common.output.format())
        }
    }
}

async fn create(args: CreateArgs) -> anyhow::Result<()> {
    let settings = CreateStream {
        shard_count: Some(args.shards),
        replication: args.replication,
        retention_hours: Some(args.retention),
        durability: Some(args.durability.into()),
        record_bytes_max: Some(args.max_record_size),
        settings: args.settings.settings(),
    };
    let streams = args.common.streams()?;
    let spinner = progress::spinner(format!("creating `{}` with {} shards", args.stream, args.shards));
    let stream = streams.create(&args.stream, settings).await;
    spinner.finish_and_clear();
    show::stream(&stream?, args.common.output.format())
}

async fn delete(args: DeleteArgs) -> anyhow::Result<()> {
    confirm::by_name("delete stream", args.stream.as_str(), args.yes)?;
    let streams = args.connect.client()?.streams();
    match args.with_consumers {
        true => streams.delete_with_consumers(&args.stream).await?,
        false => streams.delete(&args.stream).await?,
    }
    eprintln!("`{}` is deleted", args.stream);
    Ok(())
}

async fn shards(args: ShardsArgs) -> anyhow::Result<()> {
    let filter = if args.open { ShardFilter::AtLatest } else { ShardFilter::FromTrimHorizon };
    let which = ListShards { filter, ..ListShards::default() };
    let shards = args.common.streams()?.list_shards(&args.stream, which).await?;
    show::shards(&shards, args.common.output.format())
}

/// Joins two shards, named in either order.
async fn merge(args: MergeArgs) -> anyhow::Result<()> {
    let streams = args.common.streams()?;
    let shards = streams.list_shards(&args.stream, ListShards::default()).await?;
    let start = |id: ShardId| shards.iter().find(|shard| shard.id == id).map(|shard| shard.range.start());
    let (lower, upper) = match (start(args.shard), start(args.adjacent)) {
        (Some(a), Some(b)) if a > b => (args.adjacent, args.shard),
        _ => (args.shard, args.adjacent),
    };
    let child = streams.merge(&args.stream, lower, upper).await?;
    show::shards(&[child], args.common.output.format())
}
