//! What clients do: everything that runs on the machine called `app`.
//!
//! ```text
//!   Forming: create the stream ─► Load: producers, readers, operations ─► Healing: no new records,
//!   every outcome awaited; each open shard takes and gives a fresh record; everything is read ─► Done
//! ```

pub mod finale;
pub mod operations;
pub mod probes;
pub mod producers;
pub mod readers;
pub mod recorder;

use std::sync::Arc;
use std::time::Duration;

use thalweg_client::{CallError, Client, CreateStream, ListShards, Options, ShardDescription, StreamName};
use tokio::time::sleep;

use crate::network::{Dialler, PUBLIC_PORT};
use crate::world::{Phase, World};

/// The name of the clients' machine.
pub const APP: &str = "app";

/// Replicas of a shard.
pub const REPLICATION: u32 = 3;

/// The stream under load.
pub fn stream() -> StreamName {
    "load".parse().expect("a valid name")
}

/// The machine's time in nanoseconds.
pub fn now_ns() -> u64 {
    turmoil::sim_elapsed().map_or(0, |elapsed| elapsed.as_nanos() as u64)
}

/// A client of the cluster; each has its own connections.
pub fn client(world: &World, number: u64) -> Client {
    let endpoints = (1..=world.plan.nodes).map(|id| format!("node-{id}:{PUBLIC_PORT}"));
    let mut options = Options::new(endpoints);
    options.connector = Arc::new(Dialler::new(APP, world.connections.clone()));
    options.seed = Some(world.plan.seed.wrapping_mul(31) ^ number);
    Client::connect(options).expect("the endpoints are well formed")
}

/// The open shards of the stream under load.
pub(crate) async fn open_shards(client: &Client) -> Result<Vec<ShardDescription>, CallError> {
    let shards = client.streams().list_shards(&stream(), ListShards::default()).await?;
    Ok(shards.into_iter().filter(ShardDescription::is_open).collect())
}

/// The clients' machine, from beginning to end.
pub async fn run(world: Arc<World>) -> turmoil::Result {
    let ops = client(&world, 0);
    create(&world, &ops).await;
    world.phase.send_replace(Phase::Load);
    let mut producing = Vec::new();
    for number in 0..world.plan.load.producers {
        producing.push(tokio::spawn(producers::produce(world.clone(), number)));
    }
    for number in 0..world.plan.load.tails {
        tokio::spawn(readers::follow(world.clone(), number));
    }
    for number in 0..world.plan.load.catch_ups {
        tokio::spawn(readers::catch_up(world.clone(), number));
    }
    if world.plan.extras.probes_latest {
        tokio::spawn(probes::probe_latest(world.clone()));
    }
    if world.plan.extras.misdirects {
        tokio::spawn(probes::misdirect(world.clone()));
    }
    tokio::spawn(readers::observe(world.clone()));
    tokio::spawn(operations::operate(world.clone(), ops.clone()));
    let mut phase = world.phase.subscribe();
    let _ = phase.wait_for(|phase| *phase >= Phase::Healing).await.is_ok();
    for task in producing {
        let _ = task.await;
    }
    finale::run(&world, &ops).await;
    world.phase.send_replace(Phase::Done);
    Ok(())
}

async fn create(world: &World, ops: &Client) {
    let settings = || CreateStream {
        shard_count: Some(world.plan.shards),
        replication: Some(REPLICATION),
        ..CreateStream::default()
    };
    loop {
        match ops.streams().create(&stream(), settings()).await {
            Ok(_) => break,
            Err(error) => world.trace(format_args!("app: not created yet: {error}")),
        }
        if ops.streams().describe(&stream()).await.is_ok() {
            break;
        }
        sleep(Duration::from_millis(500)).await;
    }
    world.recorder.retention(0, now_ns(), 24);
    world.trace(format_args!("app: the stream is there"));
}
