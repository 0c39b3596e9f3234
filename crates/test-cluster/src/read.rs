//! Reading back: page by page, and as a consumer that follows while records are written.
//!
//! Both go on until they have seen every acknowledged record, or until nothing comes any more:
//! then [`crate::history::check`] says what is missing.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::bail;
use thalweg_client::{
    Client, ConsumedBatch, ConsumedRecord, Consumer, ListShards, Position, ReadOptions, ShardId, StartPosition,
    StreamName,
};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::history::{Mark, Written, slim};

/// A record that was acknowledged becomes readable at every replica within this.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// How long one page may wait for a first record.
const PAGE_WAIT: Duration = Duration::from_secs(1);

/// Every record of a stream, read page by page, parents before children.
pub async fn read_all(client: &Client, stream: &StreamName, written: &Written) -> anyhow::Result<Vec<ConsumedRecord>> {
    let mut records = Vec::new();
    let mut missing: HashSet<Mark> = written.acked.keys().copied().collect();
    // Ids rise from parents to children.
    for shard in client.streams().list_shards(stream, ListShards::default()).await? {
        let wanted: HashSet<Mark> =
            missing.iter().filter(|mark| written.acked[mark].shard == shard.id).copied().collect();
        let found = read_shard(client, stream, shard.id, wanted).await?;
        strike(&mut missing, &found);
        records.extend(found);
    }
    Ok(records)
}

/// Reads a shard until its end, or until it is silent and all that is wanted was found.
async fn read_shard(
    client: &Client,
    stream: &StreamName,
    shard: ShardId,
    mut wanted: HashSet<Mark>,
) -> anyhow::Result<Vec<ConsumedRecord>> {
    let mut position = Position::TrimHorizon;
    let mut records = Vec::new();
    let mut patience = SILENCE_MAX.as_secs() / PAGE_WAIT.as_secs();
    loop {
        let wait = if wanted.is_empty() { Duration::ZERO } else { PAGE_WAIT };
        let page = client.read_page(stream, shard, position, ReadOptions { wait, ..ReadOptions::default() }).await?;
        position = Position::Index(page.next_index);
        strike(&mut wanted, &page.records);
        let silent = page.records.is_empty();
        records.extend(page.records.into_iter().map(slim));
        if page.end.is_some() || (silent && page.millis_behind_latest == 0 && (wanted.is_empty() || patience == 0)) {
            return Ok(records);
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
    stop: watch::Sender<bool>,
    task: JoinHandle<anyhow::Result<(Consumer, Vec<ConsumedRecord>)>>,
}

impl Tail {
    /// Begins to read.
    pub async fn start(client: &Client, stream: &StreamName, from: StartPosition) -> anyhow::Result<Tail> {
        let consumer = client.consumer(stream).from(from).start().await?;
        let stop = watch::Sender::new(false);
        let task = tokio::spawn(collect(consumer, stop.subscribe()));
        Ok(Tail { stop, task })
    }

    /// Reads on until every acknowledged record was seen or nothing comes any more; all that was
    /// read, in its order.
    pub async fn finish(self, written: &Written) -> anyhow::Result<Vec<ConsumedRecord>> {
        self.stop.send_replace(true);
        let (mut consumer, mut records) = self.task.await??;
        let mut missing: HashSet<Mark> = written.acked.keys().copied().collect();
        strike(&mut missing, &records);
        while !missing.is_empty() {
            let Ok(next) = tokio::time::timeout(SILENCE_MAX, next(&mut consumer)).await else { break };
            let found = next?.records;
            strike(&mut missing, &found);
            records.extend(found.into_iter().map(slim));
        }
        Ok(records)
    }
}

async fn collect(
    mut consumer: Consumer,
    mut stop: watch::Receiver<bool>,
) -> anyhow::Result<(Consumer, Vec<ConsumedRecord>)> {
    let mut records = Vec::new();
    loop {
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return Ok((consumer, records)),
            batch = next(&mut consumer) => records.extend(batch?.records.into_iter().map(slim)),
        }
    }
}

async fn next(consumer: &mut Consumer) -> anyhow::Result<ConsumedBatch> {
    match consumer.next().await {
        Some(batch) => Ok(batch?),
        None => bail!("the consumer ended"),
    }
}
