//! Clients that later seeds have: one asks where the newest record is, one sends what no shard may take.

use std::sync::Arc;
use std::time::Duration;

use thalweg_checker::{Hash, Outcome, Place};
use thalweg_client::{Position, RawAppender, ReadOptions, Record, ShardDescription, ShardId};
use thalweg_types::BatchBuilder;
use tokio::time::sleep;

use super::recorder::Sent;
use super::{client, now_ns, open_shards, stream};
use crate::world::{Phase, World};

/// Between two questions.
const PAUSE: Duration = Duration::from_millis(700);
/// For one batch.
const APPEND_TIMEOUT: Duration = Duration::from_secs(2);
/// The client that sends batches where they do not belong.
const STRAY_CLIENT: u32 = 2_000_000;

/// Asks every open shard in turn for what comes after its newest record: that lies behind everything
/// acknowledged before the question.
pub async fn probe_latest(world: Arc<World>) {
    let client = client(&world, 500);
    let options = ReadOptions { max_bytes: 1, ..ReadOptions::default() };
    while *world.phase.borrow() == Phase::Load {
        for shard in open_shards(&client).await.unwrap_or_default() {
            let call = now_ns();
            if let Ok(page) = client.read_page(&stream(), shard.id, Position::Latest, options).await {
                let begins = page.records.first().map_or(page.next_index, |first| first.sequence_number.raft_index());
                let known = world.recorder.known_before(shard.id, call).filter(|known| *known >= begins);
                if let Some(known) = known {
                    let detail = format!("{}: the newest is said to be below {begins}, and is {known}", shard.id);
                    world.violated("latest", detail);
                }
            }
            sleep(PAUSE).await;
        }
        sleep(PAUSE).await;
    }
}

/// Sends records to shards that do not own their keys. None may be stored.
pub async fn misdirect(world: Arc<World>) {
    let client = client(&world, 501);
    let appender = client.raw_appender(&stream());
    let mut serial = 0;
    while *world.phase.borrow() == Phase::Load {
        let open = open_shards(&client).await.unwrap_or_default();
        if let Some((to, owner)) = open.first().zip(open.last()).filter(|(to, owner)| to.id != owner.id) {
            let (record, sent) = stray(owner, serial);
            serial += 1;
            let outcome = send(&appender, to.id, &record).await;
            world.cover(format!("stray batch {}", if outcome == Outcome::Definite { "refused" } else { "unknown" }));
            world.recorder.wrote(sent, now_ns(), outcome);
        }
        sleep(PAUSE).await;
    }
}

async fn send(appender: &RawAppender, to: ShardId, record: &Record) -> Outcome<Place> {
    let mut batch = BatchBuilder::with_capacity(0);
    batch.push(record).expect("a small record fits");
    let batch = batch.finish().expect("it has a record");
    match appender.append(to, &batch, APPEND_TIMEOUT).await {
        Ok(appended) => {
            let position = appended.first_sequence_number.into();
            Outcome::Ok(Place { shard: to, position, arrived_ms: 0 })
        }
        Err(error) if error.perhaps_applied() => Outcome::Indefinite,
        Err(_) => Outcome::Definite,
    }
}

fn stray(owner: &ShardDescription, serial: u64) -> (Record, Sent) {
    let hash_key = owner.range.start();
    let partition_key = format!("stray-{serial}");
    let data = format!("stray {serial}").into_bytes();
    let hash = Hash::of(&partition_key, &data);
    let record = Record { explicit_hash_key: Some(hash_key), ..Record::new(partition_key, data) };
    let key = 2_000_000 + serial;
    (record, Sent { client: STRAY_CLIENT, key, serial: 0, hash, hash_key, call: now_ns() })
}
