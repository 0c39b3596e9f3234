//! Changing the shard count, and watching it happen.

use thalweg_client::{ScaleProgress, StreamStatus, Streams};
use tokio::time::{Duration, Instant, sleep};

use super::{ScaleArgs, show};
use crate::exit::{Exit, Failure};
use crate::progress;

/// How often the cluster is asked how far it is.
const POLL: Duration = Duration::from_millis(250);

/// Begins, and waits until the stream has its shards.
pub(super) async fn run(args: ScaleArgs) -> anyhow::Result<()> {
    let streams = args.common.streams()?;
    let begun = streams.scale(&args.stream, args.shards).await?;
    if !args.no_wait {
        wait(&streams, &args, begun).await?;
    }
    let stream = streams.describe(&args.stream).await?;
    show::stream(&stream, args.common.output.format())
}

async fn wait(streams: &Streams, args: &ScaleArgs, begun: ScaleProgress) -> anyhow::Result<()> {
    let deadline = Instant::now() + args.wait;
    let spinner = progress::spinner(said(begun.current, begun.target));
    loop {
        let stream = streams.describe(&args.stream).await?;
        if stream.open_shard_count == begun.target && stream.status == StreamStatus::Active {
            spinner.finish_and_clear();
            return Ok(());
        }
        if Instant::now() >= deadline {
            spinner.finish_and_clear();
            let text = format!(
                "`{}` has {} of {} shards after {}; it goes on by itself, `thalweg stream describe` shows how far",
                args.stream,
                stream.open_shard_count,
                begun.target,
                humantime::format_duration(args.wait)
            );
            return Err(Failure::new(Exit::Unavailable, text).into());
        }
        spinner.set_message(said(stream.open_shard_count, begun.target));
        sleep(POLL).await;
    }
}

fn said(current: u32, target: u32) -> String {
    format!("scaling: {current} shards, {target} wanted")
}
