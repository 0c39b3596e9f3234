//! After all faults have ended: the cluster must serve again, soon, and still have everything.

use std::sync::Arc;
use std::time::Duration;

use thalweg_checker::Hash;
use thalweg_client::{Client, ListShards, Record, ShardDescription};
use tokio::time::{Instant, sleep, timeout_at};

use super::recorder::Sent;
use super::{now_ns, open_shards, producers, readers, stream};
use crate::world::World;

/// Every open shard takes and gives a fresh record this soon after the last fault has ended.
pub const SERVES_WITHIN: Duration = Duration::from_secs(30);
/// Readers that read everything.
const READERS: u32 = 2;
/// One reader may need so long.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// What clients have given up may still be on its way, or wait at a node, and be written so long after:
/// who reads before that does not read everything.
const LATE: Duration = Duration::from_secs(5);
/// The clients that write the fresh records.
const FRESH_CLIENT: u32 = 1_000_000;

/// Writes a fresh record into every open shard, then reads all shards whole.
pub async fn run(world: &Arc<World>, client: &Client) {
    let deadline = Instant::now() + SERVES_WITHIN;
    let served = timeout_at(deadline, write_fresh(world, client)).await.is_ok();
    if !served {
        world.violated("liveness", format!("not every open shard took a record within {SERVES_WITHIN:?} of peace"));
    }
    world.trace(format_args!("app: fresh records are in"));
    take_drains_back(world, client).await;
    sleep(LATE).await;
    let deadline = Instant::now() + READ_TIMEOUT;
    for round in 1..=READERS {
        let Ok(shards) = timeout_at(deadline, read_all(world, client)).await else {
            return world.violated("liveness", format!("not every shard could be read within {READ_TIMEOUT:?}"));
        };
        if round == READERS {
            world.recorder.lineage(&shards, now_ns());
        }
    }
}

/// One record into each shard that is open; those that a reshard opens meanwhile as well.
async fn write_fresh(world: &Arc<World>, client: &Client) {
    let producer = client.producer(&stream()).delivery_deadline(SERVES_WITHIN).build();
    let mut round = 0;
    loop {
        let Some(open) = open_shards(client).await.ok().filter(|open| !open.is_empty()) else {
            sleep(Duration::from_millis(500)).await;
            continue;
        };
        let mut all = true;
        for shard in &open {
            let (record, sent) = fresh(shard, round);
            let outcome = match producer.send(record).await {
                Ok(delivery) => delivery.await,
                Err(error) => Err(error),
            };
            all &= outcome.is_ok();
            producers::note(world, sent, outcome);
            round += 1;
        }
        if all {
            return;
        }
    }
}

fn fresh(shard: &ShardDescription, round: u64) -> (Record, Sent) {
    let key = shard.range.start();
    let partition_key = format!("fresh-{round}");
    let data = format!("fresh {} {round}", shard.id).into_bytes();
    let hash = Hash::of(&partition_key, &data);
    let record = Record { explicit_hash_key: Some(key), ..Record::new(partition_key, data) };
    (record, Sent { client: FRESH_CLIENT, key: 1_000_000 + round, serial: 0, hash, hash_key: key, call: now_ns() })
}

/// Whatever was drained takes part again: an operation may have been done after the one that took it back.
async fn take_drains_back(world: &World, client: &Client) {
    for machine in &world.machines {
        let _ = client.cluster().cancel_drain(machine.id).await;
    }
}

async fn read_all(world: &Arc<World>, client: &Client) -> Vec<ShardDescription> {
    let reader = world.recorder.reader();
    let shards = loop {
        match client.streams().list_shards(&stream(), ListShards::default()).await {
            Ok(shards) => break shards,
            Err(error) => world.trace(format_args!("app: shards are not listed: {error}")),
        }
        sleep(Duration::from_millis(500)).await;
    };
    for shard in &shards {
        let mut reader = reader;
        while let Err(error) = readers::read_shard(world, client, reader, shard.id, true, !shard.is_open()).await {
            world.trace(format_args!("app: {} is not read: {error}", shard.id));
            // What was read so far stands; the next attempt is another reader.
            reader = world.recorder.reader();
            sleep(Duration::from_millis(500)).await;
        }
    }
    shards
}
