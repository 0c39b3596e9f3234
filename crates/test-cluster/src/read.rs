//! Reading back: page by page, and as a consumer that follows while records are written.
//!
//! Both go on until they have seen every acknowledged record, or until nothing comes any more:
//! then [`crate::history::check`] says what is missing.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::bail;
use thalweg_client::{
    Client, ConsumedBatch, ConsumedRecord, Consumer, ListShards, Position, ReadOptions, ShardId, ShardProgress,
    StartPosition, StreamName,
};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::history::{Mark, Page, ReadBack, Written, now, slim};

/// A record that was acknowledged becomes readable at every replica within this.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// How long one page may wait for a first record.
const PAGE_WAIT: Duration = Duration::from_secs(1);

/// Every record of a stream, read page by page, parents before children.
pub async fn read_all(client: &Client, stream: &StreamName, written: &Written) -> anyhow::Result<ReadBack> {
    let mut pages = Vec::new();
    let mut missing: HashSet<Mark> = written.acked.keys().copied().collect();
    let shards = client.streams().list_shards(stream, ListShards::default()).await?;
    // Ids rise from parents to children.
    for shard in &shards {
        let wanted: HashSet<Mark> =
            missing.iter().filter(|mark| written.acked[mark].shard == shard.id).copied().collect();
        let found = read_shard(client, stream, shard.id, wanted).await?;
        found.iter().for_each(|page| strike(&mut missing, &page.records));
        pages.extend(found);
    }
    Ok(ReadBack::new(pages, &shards))
}

/// Reads a shard until its end, or until it is silent and all that is wanted was found.
async fn read_shard(
    client: &Client,
    stream: &StreamName,
    shard: ShardId,
    mut wanted: HashSet<Mark>,
) -> anyhow::Result<Vec<Page>> {
    let mut position = Position::TrimHorizon;
    let mut pages = Vec::new();
    let mut patience = SILENCE_MAX.as_secs() / PAGE_WAIT.as_secs();
    loop {
        let wait = if wanted.is_empty() { Duration::ZERO } else { PAGE_WAIT };
        let call = now();
        let page = client.read_page(stream, shard, position, ReadOptions { wait, ..ReadOptions::default() }).await?;
        position = Position::Index(page.next_index);
        strike(&mut wanted, &page.records);
        let (silent, end) = (page.records.is_empty(), page.end.is_some());
        let records = page.records.into_iter().map(slim).collect();
        pages.push(Page { shard, call, done: now(), records, end });
        if end || (silent && page.millis_behind_latest == 0 && (wanted.is_empty() || patience == 0)) {
            return Ok(pages);
        }
        patience = patience.saturating_sub(u64::from(silent));
    }
}

/// Takes what was found off the list of what is looked for.
fn strike(missing: &mut HashSet<Mark>, found: &[ConsumedRecord]) {
    for mark in found.iter().filter_map(Mark::of) {
        missing.remove(&mark);
    }
}

/// A consumer that runs beside a load and keeps all it sees.
#[derive(Debug)]
pub struct Tail {
    client: Client,
    stream: StreamName,
    stop: watch::Sender<bool>,
    task: JoinHandle<anyhow::Result<Follower>>,
}

impl Tail {
    /// Begins to read what the stream has kept, and what comes.
    pub async fn start(client: &Client, stream: &StreamName) -> anyhow::Result<Tail> {
        let begun = now();
        let consumer = client.consumer(stream).from(StartPosition::TrimHorizon).start().await?;
        let stop = watch::Sender::new(false);
        let follower = Follower { consumer, pages: Vec::new(), asked: begun };
        let task = tokio::spawn(follower.run(stop.subscribe()));
        Ok(Tail { client: client.clone(), stream: stream.clone(), stop, task })
    }

    /// Reads on until every acknowledged record was seen or nothing comes any more; all that was
    /// read, in its order.
    pub async fn finish(self, written: &Written) -> anyhow::Result<ReadBack> {
        self.stop.send_replace(true);
        let mut follower = self.task.await??;
        let mut missing: HashSet<Mark> = written.acked.keys().copied().collect();
        follower.pages.iter().for_each(|page| strike(&mut missing, &page.records));
        while !missing.is_empty() {
            let Ok(page) = tokio::time::timeout(SILENCE_MAX, follower.next()).await else { break };
            strike(&mut missing, &page?.records);
        }
        let shards = self.client.streams().list_shards(&self.stream, ListShards::default()).await?;
        Ok(ReadBack::new(follower.pages, &shards))
    }
}

#[derive(Debug)]
struct Follower {
    consumer: Consumer,
    pages: Vec<Page>,
    /// When the last batch came.
    asked: u64,
}

impl Follower {
    async fn run(mut self, mut stop: watch::Receiver<bool>) -> anyhow::Result<Follower> {
        loop {
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => return Ok(self),
                page = self.next() => drop(page?),
            }
        }
    }

    /// Keeps the next batch. Nothing is lost when it is dropped before that.
    async fn next(&mut self) -> anyhow::Result<&Page> {
        let Some(batch) = self.consumer.next().await else { bail!("the consumer ended") };
        let ConsumedBatch { shard, records, progress, .. } = batch?;
        let (call, done, end) = (self.asked, now(), progress == ShardProgress::Finished);
        self.asked = done;
        self.pages.push(Page { shard, call, done, records: records.into_iter().map(slim).collect(), end });
        Ok(self.pages.last().expect("one was just added"))
    }
}
