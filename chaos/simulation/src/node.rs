//! One start of a node: the core of the real server, on this machine's disk, clock and network.

use std::future::pending;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use thalweg_controller::Advertised;
use thalweg_server::core::{Core, CoreOptions, CoreParts};
use thalweg_server::{Data, serve};
use thalweg_storage::{Driver, RecordStore};
use thalweg_types::{Clock, Incarnation};

use crate::invariants;
use crate::machine::{Machine, View};
use crate::network::{Dialler, PEER_PORT, PUBLIC_PORT, listen};
use crate::plan::Tuning;
use crate::storage;
use crate::world::World;

/// Where a node keeps its data.
pub const DATA_DIR: &str = "/data";

/// Runs until the machine's runtime is dropped: a process that ends by itself says so and waits for
/// the director to sweep it away.
pub async fn run(world: Arc<World>, machine: Arc<Machine>) -> turmoil::Result {
    let boot = machine.boots.fetch_add(1, Ordering::Relaxed) + 1;
    world.trace(format_args!("{} starts, time {boot}", machine.name));
    let reason = match start(&world, &machine).await {
        Ok(core) => live(&world, &machine, core).await,
        Err(reason) => format!("did not start: {reason}"),
    };
    world.trace(format_args!("{} ended: {reason}", machine.name));
    *machine.view.lock() = None;
    *machine.ended.lock() = Some(reason);
    pending().await
}

async fn live(world: &World, machine: &Machine, core: Core) -> String {
    tokio::select! {
        reason = core.failed() => return reason,
        () = machine.stop.notified() => {}
    }
    world.trace(format_args!("{} is asked to end", machine.name));
    core.shutdown().await;
    "asked to".to_owned()
}

async fn start(world: &Arc<World>, machine: &Arc<Machine>) -> Result<Core, String> {
    let entropy = machine.entropy();
    let incarnation = Incarnation(u64::from_le_bytes(entropy[..8].try_into().expect("eight bytes")));
    let store: Arc<dyn RecordStore> = Arc::new(machine.store());
    let data = Data::open(
        (machine.id, incarnation),
        Path::new(DATA_DIR),
        thalweg_storage::Options { damage_mark: machine.clock.now().0, ..storage_options(&world.plan.tuning) },
        Arc::new(machine.disk.clone()),
        || Ok(store),
        Driver::Manual,
    );
    let data = data.map_err(|error| error.to_string())?;
    if data.damaged {
        world.cover("fence raised");
        world.trace(format_args!("{} found its log damaged", machine.name));
    }
    let log = data.log.clone();
    invariants::kept::started(world, machine, &log);
    // What a start finds it makes durable before anything else.
    machine.synced(machine.queued(&log));
    let parts = CoreParts {
        id: machine.id,
        data,
        clock: Arc::new(machine.clock.clone()),
        seed: entropy[8..].try_into().expect("32 bytes"),
        connector: Arc::new(Dialler::new(&machine.name, world.connections.clone())),
    };
    tokio::spawn(storage::drive(machine.clone(), log.clone()));
    let mut core = Core::start(core_options(world, machine), parts).map_err(|error| error.to_string())?;
    let public = listen(PUBLIC_PORT).await.map_err(|error| error.to_string())?;
    let peer = listen(PEER_PORT).await.map_err(|error| error.to_string())?;
    let (public_routes, peer_routes) = (core.public_routes().await, core.peer_routes());
    core.serve_clients(tokio::spawn(serve(public, public_routes, core.stopping())));
    core.attend(tokio::spawn(serve(peer, peer_routes, core.ending())));
    let view = View { groups: core.groups().clone(), log, host: core.host().clone(), image: core.image() };
    *machine.view.lock() = Some(view);
    Ok(core)
}

/// Small limits, so that short runs reach them.
fn storage_options(tuning: &Tuning) -> thalweg_storage::Options {
    thalweg_storage::Options {
        segment_bytes: tuning.segment_bytes,
        cache_bytes: tuning.cache_bytes,
        move_bytes: tuning.move_bytes,
        hot_tail_bytes: 4 * tuning.move_bytes,
        reserve_bytes: tuning.reserve_bytes,
        batch_bytes_max: tuning.segment_bytes / 8,
        ..thalweg_storage::Options::new("")
    }
}

fn core_options(world: &World, machine: &Machine) -> CoreOptions {
    let tuning = &world.plan.tuning;
    let advertised = Advertised {
        peer_address: format!("{}:{PEER_PORT}", machine.name),
        public_address: format!("{}:{PUBLIC_PORT}", machine.name),
        admin_address: String::new(),
        zone: format!("zone-{}", machine.id.0 % 3),
    };
    let seeds = (1..=world.plan.nodes).map(|id| format!("node-{id}:{PEER_PORT}")).collect();
    let mut controller = thalweg_controller::Options::new(advertised, seeds);
    controller.node_dead_after = tuning.node_dead_after;
    // Beside the catalog, a snapshot has up to a thousand events.
    controller.catalog_bytes_max = tuning.segment_bytes / 8;
    CoreOptions {
        raft: thalweg_raft::Options::default(),
        shard: thalweg_shard::Options {
            retention_interval: tuning.retention_interval,
            ..thalweg_shard::Options::default()
        },
        controller,
    }
}
