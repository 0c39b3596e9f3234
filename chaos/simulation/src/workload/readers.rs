//! Readers: some follow the stream, some read it all again and again, one watches its shape.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use thalweg_checker::Start;
use thalweg_client::{
    Client, ListShards, Position, ReadError, ReadOptions, ShardDescription, ShardId, ShardProgress, StartPosition,
};
use tokio::time::sleep;

use super::{client, now_ns, stream};
use crate::invariants::durable;
use crate::world::{Phase, World};

/// Bytes of a page.
const PAGE_BYTES: u32 = 16 * 1024;
/// A replica says how far it is behind by its leader's last word. That word may be as old as this.
const BELATED_NS: u64 = 10_000_000_000;
/// How often the end of a closed shard is asked for, and the time between.
const WAITS_FOR_END_MAX: u32 = 100;
const WAIT_FOR_END: Duration = Duration::from_millis(200);
/// Between two rounds of a reader that begins anew.
const ROUND_PAUSE: Duration = Duration::from_secs(5);

/// Follows all shards from their beginnings; goes on where it stopped when it is broken off.
pub async fn follow(world: Arc<World>, number: u32) {
    let client = client(&world, 200 + u64::from(number));
    let reader = world.recorder.reader();
    let mut begun: BTreeSet<ShardId> = BTreeSet::new();
    let mut from = StartPosition::TrimHorizon;
    loop {
        let mut consumer = match client.consumer(&stream()).page_bytes(PAGE_BYTES).from(from.clone()).start().await {
            Ok(consumer) => consumer,
            Err(error) => {
                world.trace(format_args!("tail {number}: cannot start: {error}"));
                sleep(Duration::from_secs(1)).await;
                continue;
            }
        };
        let mut call = now_ns();
        while let Some(next) = consumer.next().await {
            let done = now_ns();
            match next {
                Ok(batch) => {
                    let start = if begun.insert(batch.shard) { Start::Horizon } else { Start::Continue };
                    if let Some(newest) = batch.records.last() {
                        durable::read(&world, batch.shard, newest.sequence_number);
                    }
                    let told = (matches!(batch.progress, ShardProgress::Finished), false, false);
                    world.recorder.read(reader, batch.shard, (call, done), start, &batch.records, told);
                }
                Err(error) => world.trace(format_args!("tail {number}: {error}")),
            }
            call = done;
            if world.plan.load.slow_reader_ms > 0 && number > 0 {
                sleep(Duration::from_millis(world.plan.load.slow_reader_ms)).await;
            }
        }
        from = StartPosition::Resume(consumer.checkpoint().clone());
        world.cover("consumer resumed");
    }
}

/// Reads everything that is there, again and again.
pub async fn catch_up(world: Arc<World>, number: u32) {
    let client = client(&world, 300 + u64::from(number));
    while *world.phase.borrow() == Phase::Load {
        if let Ok(shards) = client.streams().list_shards(&stream(), ListShards::default()).await
            && let Err(error) = catch_up_once(&world, &client, &shards).await
        {
            world.trace(format_args!("catch-up {number}: {error}"));
        }
        sleep(ROUND_PAUSE).await;
    }
}

/// One round. A page's end is all that promises that a parent takes no more records. Its absence says
/// nothing: a replica has every record of a closed shard, and no end to tell, while its node has not
/// heard from the controller that the shard is closed. Consumers wait; this reader goes on to the
/// children, whose records it wants to see, and is another reader there, since it did not keep order.
async fn catch_up_once(world: &World, client: &Client, shards: &[ShardDescription]) -> Result<(), ReadError> {
    let reader = world.recorder.reader();
    let mut unfinished: BTreeSet<ShardId> = BTreeSet::new();
    for shard in shards {
        let early = shard.parents().any(|parent| unfinished.contains(&parent));
        if early {
            world.cover("child read before its parent's end was told");
        }
        let reader = if early { world.recorder.reader() } else { reader };
        if !read_shard(world, client, reader, shard.id, false, false).await? {
            unfinished.insert(shard.id);
        }
    }
    Ok(())
}

/// Reads a shard from its beginning to its end of now, and tells whether it ends there for good. With
/// `last`, nothing is written any more, and of a `closed` shard the end is waited for: its replicas may
/// not have heard yet that it is closed.
pub async fn read_shard(
    world: &World,
    client: &Client,
    reader: u32,
    shard: ShardId,
    last: bool,
    closed: bool,
) -> Result<bool, ReadError> {
    let (mut position, mut start) = (Position::TrimHorizon, Start::Horizon);
    let mut waits = if last && closed { WAITS_FOR_END_MAX } else { 0 };
    loop {
        let call = now_ns();
        let options = ReadOptions { max_bytes: PAGE_BYTES, ..ReadOptions::default() };
        let page = client.read_page(&stream(), shard, position, options).await?;
        if let Some(newest) = page.records.last() {
            durable::read(world, shard, newest.sequence_number);
        }
        let (end, fresh) = (page.end.is_some(), page.millis_behind_latest == 0);
        if fresh && !end {
            caught_up(world, shard, page.next_index, if last { call } else { call.saturating_sub(BELATED_NS) });
        }
        let no_more = page.records.is_empty() && fresh;
        let waits_for_end = no_more && !end && waits > 0;
        let over = end || (no_more && !waits_for_end);
        // That it is not behind is what a replica can tell, not a promise.
        let told = (end, false, last && over);
        world.recorder.read(reader, shard, (call, now_ns()), start, &page.records, told);
        if over {
            return Ok(end);
        }
        (position, start) = (Position::Index(page.next_index), Start::Continue);
        if waits_for_end {
            waits -= 1;
            sleep(WAIT_FOR_END).await;
        }
    }
}

/// A replica said that nothing is unread from `next` on: it had what was acknowledged before `since`.
fn caught_up(world: &World, shard: ShardId, next: u64, since: u64) {
    if let Some(known) = world.recorder.known_before(shard, since).filter(|known| *known >= next) {
        let states = world.group_of(&stream(), shard).map(|(group, _)| world.where_is(group)).unwrap_or_default();
        let said = format!("nothing is said to lie behind {next}, and {known} was acknowledged long ago");
        world.violated("behind", format!("{shard}: {said}; {states}"));
    }
}

/// Writes down every image of the stream that comes by.
pub async fn observe(world: Arc<World>) {
    let client = client(&world, 400);
    let routing = client.routing(&stream());
    let mut watch = routing.watch();
    loop {
        if let Some(image) = routing.image() {
            world.recorder.image(0, image.revision(), now_ns(), image.shards());
        }
        if watch.changed().await.is_err() {
            return;
        }
    }
}
