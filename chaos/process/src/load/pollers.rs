//! Readers that ask for one page after another, from any replica, and say when they are up to date.
//!
//! A page that says "0 ms behind" claims to be up to date, as far as its node can tell: a follower
//! hears of a commit a little later, a node that is cut off notices after a while, and one that was
//! halted and goes on does not know it yet. The claim is recorded for a moment that lies by
//! [`SLACK`] before the call, so that lies are found and latencies are not.
//!
//! Holds: every pass over a shard is a reader of its own: it remembers nothing of the one before, and
//! does not wait for the parents' ends as those do who read whole streams.

use std::time::Duration;

use thalweg_checker::{Read, Start};
use thalweg_client::{ListShards, Position, ReadOptions, ShardId};
use tokio::sync::watch;

use super::{Context, seen};

/// Between two pages once up to date, and after an error.
const PAUSE: Duration = Duration::from_millis(100);
/// Records a second that a reader from the horizon asks for: it reads everything again and again.
const CATCH_UP_PER_SECOND: f64 = 4_000.0;
/// How long a reader that began at the latest follows a shard.
const PAGES_FROM_LATEST: usize = 20;
/// Longer than any halt and any time-out of a node.
const SLACK: Duration = Duration::from_secs(15);
/// Passes of one poller are numbered behind its own number times this.
const PASSES_MAX: u32 = 1_000_000;
/// Errors in a row after which a shard is left for the next round.
const FAILURES_MAX: usize = 20;

/// Reads everything from the horizon, again and again.
pub(super) async fn from_horizon(context: Context, reader: u32, mut stop: watch::Receiver<bool>) {
    let mut passes = reader * PASSES_MAX..;
    let rounds = async {
        loop {
            for shard in shards(&context).await {
                let pass = passes.next().unwrap_or(reader);
                let mut poll = Poll::new(&context, pass, shard, Position::TrimHorizon, Start::Horizon);
                while poll.page().await {}
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    tokio::select! {
        _ = stop.wait_for(|stop| *stop) => {}
        () = rounds => {}
    }
}

/// Begins behind the newest record of each shard, follows it for a while, and begins again.
pub(super) async fn from_latest(context: Context, reader: u32, mut stop: watch::Receiver<bool>) {
    let mut passes = reader * PASSES_MAX..;
    let rounds = async {
        loop {
            for shard in shards(&context).await {
                let pass = passes.next().unwrap_or(reader);
                let mut poll = Poll::new(&context, pass, shard, Position::Latest, Start::Latest);
                for _ in 0..PAGES_FROM_LATEST {
                    if !poll.page().await {
                        tokio::time::sleep(PAUSE).await;
                    }
                    if poll.ended {
                        break;
                    }
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    tokio::select! {
        _ = stop.wait_for(|stop| *stop) => {}
        () = rounds => {}
    }
}

async fn shards(context: &Context) -> Vec<ShardId> {
    let listed = context.client.streams().list_shards(&context.stream, ListShards::default()).await;
    listed.map_or_else(|_| Vec::new(), |shards| shards.iter().map(|shard| shard.id).collect())
}

/// One pass over one shard.
struct Poll<'a> {
    context: &'a Context,
    reader: u32,
    shard: ShardId,
    position: Position,
    start: Start,
    failures: usize,
    ended: bool,
    /// The call of the page before, as it was recorded.
    before: u64,
}

impl<'a> Poll<'a> {
    fn new(context: &'a Context, reader: u32, shard: ShardId, position: Position, start: Start) -> Poll<'a> {
        Poll { context, reader, shard, position, start, failures: 0, ended: false, before: 0 }
    }

    /// Reads a page; whether there is more at once.
    async fn page(&mut self) -> bool {
        let (client, recorder) = (&self.context.client, &self.context.recorder);
        let call = recorder.now();
        let read = client.read_page(&self.context.stream, self.shard, self.position, ReadOptions::default()).await;
        let Ok(page) = read else {
            self.failures += 1;
            tokio::time::sleep(PAUSE).await;
            return self.failures < FAILURES_MAX && self.start != Start::Latest;
        };
        let fresh = page.millis_behind_latest == 0;
        self.position = Position::Index(page.next_index);
        self.ended = page.end.is_some();
        // For every page: one that claims nothing would hold the next one's claim to its own moment.
        let slack = if self.start == Start::Latest { 0 } else { SLACK.as_nanos() as u64 };
        self.before = call.saturating_sub(slack).max(self.before);
        recorder.read(Read {
            reader: self.reader,
            shard: self.shard,
            call: self.before,
            done: recorder.now(),
            start: self.start,
            records: page.records.iter().map(seen).collect(),
            end: self.ended,
            fresh,
            last: false,
        });
        self.start = Start::Continue;
        tokio::time::sleep(Duration::from_secs_f64(page.records.len() as f64 / CATCH_UP_PER_SECOND)).await;
        !(fresh || self.ended)
    }
}
