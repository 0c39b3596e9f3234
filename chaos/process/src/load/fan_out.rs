//! A subscriber to every shard under one registered name, parents before children.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use thalweg_checker::{Read, Start};
use thalweg_client::{Image, Position, ShardId, Subscriber, TailError, TailOptions};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{Context, seen};

/// How often new shards are looked for, and how long after an error it goes on.
const PAUSE: Duration = Duration::from_millis(300);

/// Follows all shards from their horizons.
pub(super) async fn follow(context: Context, reader: u32, mut stop: watch::Receiver<bool>) {
    tokio::select! {
        _ = stop.wait_for(|stop| *stop) => {}
        () = subscribe_to_all(context, reader) => {}
    }
}

async fn subscribe_to_all(context: Context, reader: u32) {
    let name = format!("chaos-{reader}");
    while let Err(error) = context.client.streams().register_consumer(&context.stream, &name, Default::default()).await
    {
        if context.client.streams().consumers(&context.stream).await.is_ok_and(|all| all.iter().any(|c| c.name == name))
        {
            break;
        }
        eprintln!("fan-out consumer {name} is not registered yet: {error}");
        tokio::time::sleep(PAUSE).await;
    }
    let routing = context.client.routing(&context.stream);
    let (mut begun, mut ended) = (HashSet::new(), HashSet::new());
    let mut tails: JoinSet<ShardId> = JoinSet::new();
    loop {
        if let Ok(image) = routing.known(Duration::from_secs(5)).await {
            for shard in readable(&image, &begun, &ended) {
                begun.insert(shard);
                tails.spawn(subscribe(context.clone(), reader, shard, name.clone()));
            }
        }
        tokio::select! {
            Some(Ok(shard)) = tails.join_next(), if !tails.is_empty() => { ended.insert(shard); }
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

/// Shards that were not begun and whose parents have been read to their ends.
fn readable(image: &Image, begun: &HashSet<ShardId>, ended: &HashSet<ShardId>) -> Vec<ShardId> {
    let known: HashMap<ShardId, _> = image.shards().map(|shard| (shard.id, shard)).collect();
    let ready =
        |shard: &ShardId| known[shard].parents().all(|parent| ended.contains(&parent) || !known.contains_key(&parent));
    known.keys().copied().filter(|shard| !begun.contains(shard) && ready(shard)).collect()
}

/// Follows one shard to its end.
async fn subscribe(context: Context, reader: u32, shard: ShardId, name: String) -> ShardId {
    let mut random = StdRng::seed_from_u64(u64::from(reader) << 32 | u64::from(shard.0));
    let (mut position, mut start) = (Position::TrimHorizon, Start::Horizon);
    loop {
        let subscriber = Some(Subscriber { name: name.clone(), id: random.random() });
        let options = TailOptions { subscriber, ..TailOptions::default() };
        let mut tail = context.client.tail(&context.stream, shard, position, options);
        let mut asked = context.recorder.now();
        while let Some(page) = tail.next().await {
            let page = match page {
                Ok(page) => page,
                // Removed by retention with all that it held.
                Err(TailError::ShardNotFound { .. }) => return shard,
                Err(_) => break,
            };
            position = Position::Index(page.next_index);
            let done = context.recorder.now();
            let (records, end) = (page.records.iter().map(seen).collect(), page.end.is_some());
            context.recorder.read(Read {
                reader,
                shard,
                call: asked,
                done,
                start,
                records,
                end,
                fresh: false,
                last: false,
            });
            (asked, start) = (done, Start::Continue);
            if end {
                return shard;
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}
