//! What operators do to a cluster that is in use: reshards, drains, joins, replacements, settings.
//!
//! Holds: whatever the answer was, the cluster is brought back to where nodes are neither draining
//! nor superfluous. An operation that the cluster refuses because of another fault did not happen.

use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use thalweg_checker::{Outcome, RetentionChange};
use thalweg_client::{CallError, Cluster, NodeId, ShardDescription};
use tokio::time::Instant;

use super::Kind;
use super::arena::{Arena, Happening, Hold, named};
use crate::cluster::READY_TIMEOUT;

/// Shards that a stream has at most and at least: more are merged, fewer are split.
const SHARDS_MAX: usize = 20;
const SHARDS_MIN: usize = 3;
/// Within this an operation that was accepted is done, whatever else happens.
const DONE_TIMEOUT: Duration = Duration::from_secs(120);
/// A node that is refused learns it within this, if anybody can be reached.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(20);
/// Between two looks, and two attempts.
const PAUSE: Duration = Duration::from_millis(250);
const HOUR_MS: u64 = 3_600_000;
/// The retention that streams begin with, and another.
const RETENTIONS: [u32; 2] = [48, 24];

const TAKEN: Happening = Happening::NotNow("the catalog is being changed");

/// An operation.
pub(super) async fn happen(
    kind: Kind,
    arena: &Arena,
    lasts: Duration,
    random: &mut StdRng,
) -> anyhow::Result<Happening> {
    match kind {
        Kind::Transfer => transfer(arena, random).await,
        Kind::Drain => drain(arena, lasts, random).await,
        Kind::AddNode => add_node(arena, lasts).await,
        Kind::Retention => retention(arena, lasts).await,
        _ => reshard(kind, arena, random).await,
    }
}

async fn reshard(kind: Kind, arena: &Arena, random: &mut StdRng) -> anyhow::Result<Happening> {
    let Some(_catalog) = arena.try_hold(Hold::Catalog) else { return Ok(TAKEN) };
    let view = arena.view();
    let mut open: Vec<&ShardDescription> = view.open_shards().collect();
    open.sort_by_key(|shard| shard.range);
    let streams = arena.client.streams();
    let done = match kind {
        Kind::Scale => {
            let target = random.random_range(SHARDS_MIN as u32..=SHARDS_MAX as u32 / 2);
            let scaled = streams.scale(&arena.stream, target).await;
            if scaled.is_ok() {
                wait_open(arena, target as usize).await?;
            }
            scaled.map(|_| format!("{} to {target} shards", open.len()))
        }
        Kind::Merge => {
            if open.len() <= SHARDS_MIN {
                return Ok(Happening::NotNow("there are few shards"));
            }
            let at = random.random_range(0..open.len() - 1);
            let (lower, upper) = (open[at].id, open[at + 1].id);
            streams.merge(&arena.stream, lower, upper).await.map(|_| format!("{lower} and {upper}"))
        }
        _ => {
            let Some(shard) = open.choose(random).filter(|_| open.len() < SHARDS_MAX) else {
                return Ok(Happening::NotNow("there are many shards"));
            };
            streams.split(&arena.stream, shard.id, None).await.map(|_| shard.id.to_string())
        }
    };
    happened(done)
}

/// An operation that was refused did not happen; one of unknown outcome may have.
fn happened(done: Result<String, CallError>) -> anyhow::Result<Happening> {
    match done {
        Ok(whom) => Ok(Happening::Happened(whom)),
        Err(_) => Ok(Happening::NotNow("it was refused")),
    }
}

async fn wait_open(arena: &Arena, shards: usize) -> anyhow::Result<()> {
    let deadline = Instant::now() + DONE_TIMEOUT;
    while arena.view().open_shards().count() != shards {
        anyhow::ensure!(Instant::now() < deadline, "no {shards} open shards within {DONE_TIMEOUT:?}");
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

async fn transfer(arena: &Arena, random: &mut StdRng) -> anyhow::Result<Happening> {
    let view = arena.view();
    let mut open: Vec<&ShardDescription> = view.open_shards().collect();
    open.shuffle(random);
    let mut moved = 0;
    for shard in open.iter().take(open.len().div_ceil(2)) {
        let others: Vec<NodeId> = shard.replicas.iter().copied().filter(|id| Some(*id) != shard.leader).collect();
        let Some(to) = others.choose(random) else { continue };
        moved += usize::from(arena.client.cluster().transfer_leader(&arena.stream, shard.id, *to).await.is_ok());
    }
    Ok(if moved > 0 { Happening::Happened(format!("{moved} shards")) } else { Happening::NotNow("it was refused") })
}

async fn drain(arena: &Arena, lasts: Duration, random: &mut StdRng) -> anyhow::Result<Happening> {
    let Some(_catalog) = arena.try_hold(Hold::Catalog) else { return Ok(TAKEN) };
    let active = arena.cluster.active();
    let Some(id) = active.choose(random).copied() else { return Ok(TAKEN) };
    let until = Instant::now() + lasts;
    let mut begun = false;
    while Instant::now() < until {
        begun |= arena.client.cluster().drain(id).await.is_ok();
        tokio::time::sleep(PAUSE).await;
    }
    until_ok(arena, "a drain is cancelled", |cluster| async move { cluster.cancel_drain(id).await.map(drop) }).await?;
    Ok(if begun { Happening::Happened(named(&[id])) } else { Happening::NotNow("it was refused") })
}

/// Repeats a call until it is accepted.
async fn until_ok<F>(arena: &Arena, what: &str, call: impl Fn(Cluster) -> F) -> anyhow::Result<()>
where
    F: Future<Output = Result<(), CallError>>,
{
    let deadline = Instant::now() + DONE_TIMEOUT;
    while let Err(error) = call(arena.client.cluster()).await {
        anyhow::ensure!(Instant::now() < deadline, "not within {DONE_TIMEOUT:?}: {what}: {error}");
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

async fn join(arena: &Arena) -> anyhow::Result<NodeId> {
    let id = arena.cluster.free_id();
    arena.cluster.add_node(id).await?;
    arena.observer.add_node(id);
    arena.cluster.node(id).lock().await.wait_ready(READY_TIMEOUT).await?;
    // A client learns from what it asks for, and those that it was told of may all be gone one day.
    let _ = arena.client.cluster().describe().await;
    Ok(id)
}

async fn add_node(arena: &Arena, lasts: Duration) -> anyhow::Result<Happening> {
    let Some(_catalog) = arena.try_hold(Hold::Catalog) else { return Ok(TAKEN) };
    let id = join(arena).await?;
    tokio::time::sleep(lasts).await;
    let deadline = Instant::now() + DONE_TIMEOUT;
    loop {
        let left = arena.client.cluster().drain(id).await;
        if left.as_ref().is_ok_and(|left| left.replicas_left == 0 && left.leaders_left == 0) {
            break;
        }
        anyhow::ensure!(Instant::now() < deadline, "node {id} is not drained within {DONE_TIMEOUT:?}: {left:?}");
        tokio::time::sleep(PAUSE).await;
    }
    arena.cluster.retire(id);
    let node = arena.cluster.node(id);
    let mut node = node.lock_owned().await;
    if node.has_process() {
        node.stop().await?;
    }
    until_ok(arena, "a drained node is removed", |cluster| async move { cluster.remove(id).await }).await?;
    Ok(Happening::Happened(format!("{} came and went", named(&[id]))))
}

pub(super) async fn wipe(arena: &Arena, random: &mut StdRng) -> anyhow::Result<Happening> {
    let Some(_catalog) = arena.try_hold(Hold::Catalog) else { return Ok(TAKEN) };
    let Some(_damage) = arena.try_hold(Hold::Damage) else { return Ok(TAKEN) };
    let Some(mut lost) = arena.any_node(random, |_| true) else { return Ok(Happening::NotNow("no node is free")) };
    let id = lost.id();
    lost.kill().await?;
    lost.disk().wipe().await?;
    lost.start()?;
    if lost.wait_ready(REFUSAL_TIMEOUT).await.is_ok() {
        arena.recorder.violation(format!("node {id} lost its disk and was taken back under its old id"));
    }
    if lost.has_process() {
        // It may wait for others that cannot be reached; it serves nobody.
        lost.kill().await?;
    }
    let new = replace(arena, id).await?;
    Ok(Happening::Happened(format!("node {id}, replaced by {new}")))
}

/// Lets a new node take the place of one that is gone for good, as an operator would.
pub(super) async fn replace(arena: &Arena, id: NodeId) -> anyhow::Result<NodeId> {
    arena.cluster.retire(id);
    let new = join(arena).await?;
    until_ok(arena, "a lost node is removed", |cluster| async move { cluster.remove(id).await }).await?;
    let deadline = Instant::now() + DONE_TIMEOUT;
    while arena.view().open_shards().any(|shard| shard.replicas.contains(&id) || shard.replicas.len() < 3) {
        anyhow::ensure!(Instant::now() < deadline, "the replicas of node {id} are not rebuilt within {DONE_TIMEOUT:?}");
        tokio::time::sleep(PAUSE).await;
    }
    Ok(new)
}

async fn retention(arena: &Arena, lasts: Duration) -> anyhow::Result<Happening> {
    let Some(_catalog) = arena.try_hold(Hold::Catalog) else { return Ok(TAKEN) };
    let mut changed = 0;
    for hours in RETENTIONS {
        let call = arena.recorder.now();
        let set = arena.client.streams().set_retention(&arena.stream, hours).await;
        let outcome = match &set {
            Ok(_) => Outcome::Ok(()),
            Err(CallError::Refused(refusal)) if !refusal.perhaps_applied() => Outcome::Definite,
            Err(_) => Outcome::Indefinite,
        };
        changed += usize::from(set.is_ok());
        let retention_ms = u64::from(hours) * HOUR_MS;
        arena.recorder.retention(RetentionChange { call, done: arena.recorder.now(), retention_ms, outcome });
        tokio::time::sleep(lasts / 2).await;
    }
    Ok(if changed > 0 { Happening::Happened("48 h and back".to_owned()) } else { Happening::NotNow("it was refused") })
}
