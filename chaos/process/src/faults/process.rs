//! Processes die, stop, halt and starve.

use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use rustix::process::Signal;

use super::Kind;
use super::arena::{Arena, Happening, Hold, named};

/// A pause that no election notices lasts at most this.
const SHORT_PAUSE: (u64, u64) = (20, 200);
/// A starving node runs for so long, then halts for up to so long.
const STARVED_RUN: Duration = Duration::from_millis(8);
const STARVED_HALT_MS: (u64, u64) = (20, 120);
/// Lives of a node in a crash loop.
const LIVES: usize = 5;
/// Between two nodes of a rolling restart.
const SETTLE: Duration = Duration::from_secs(1);

/// A fault of a process.
pub(super) async fn happen(
    kind: Kind,
    arena: &Arena,
    lasts: Duration,
    random: &mut StdRng,
) -> anyhow::Result<Happening> {
    match kind {
        Kind::KillAll => kill_all(arena, lasts).await,
        Kind::Stop => stop(arena, lasts, random).await,
        Kind::PauseShort | Kind::PauseLeader => pause(kind, arena, lasts, random).await,
        Kind::StarveCpu => starve(arena, lasts, random).await,
        Kind::CrashLoop | Kind::KillInRecovery => crash_loop(kind, arena, lasts, random).await,
        Kind::RollingRestart => rolling_restart(arena, lasts).await,
        _ => kill(kind, arena, lasts, random).await,
    }
}

async fn kill(kind: Kind, arena: &Arena, lasts: Duration, random: &mut StdRng) -> anyhow::Result<Happening> {
    let (leading, controller) = (arena.leading(), arena.view().controller);
    let wanted = |id| match kind {
        Kind::KillLeader => leading.contains(&id),
        Kind::KillController => controller == Some(id),
        _ => true,
    };
    let Some(mut node) = arena.any_node(random, wanted) else { return Ok(Happening::NotNow("no such node is free")) };
    node.kill().await?;
    tokio::time::sleep(lasts).await;
    arena.restart(&mut node).await?;
    Ok(Happening::Happened(named(&[node.id()])))
}

async fn kill_all(arena: &Arena, lasts: Duration) -> anyhow::Result<Happening> {
    let Some(mut nodes) = arena.all_nodes() else { return Ok(Happening::NotNow("not all nodes are free")) };
    // Halted first, so that none sees another end.
    nodes.iter().try_for_each(|node| node.signal(Signal::STOP))?;
    nodes.iter().try_for_each(|node| node.signal(Signal::KILL))?;
    for node in &mut nodes {
        node.wait_ended().await?;
    }
    tokio::time::sleep(lasts).await;
    arena.restart_all(&mut nodes).await?;
    Ok(Happening::Happened("all nodes".to_owned()))
}

async fn stop(arena: &Arena, lasts: Duration, random: &mut StdRng) -> anyhow::Result<Happening> {
    let Some(mut node) = arena.any_node(random, |_| true) else { return Ok(Happening::NotNow("no node is free")) };
    let status = node.stop().await?;
    if !status.success() {
        arena.recorder.violation(format!("node {} was asked to end and ended with {status}", node.id()));
    }
    tokio::time::sleep(lasts).await;
    arena.restart(&mut node).await?;
    Ok(Happening::Happened(named(&[node.id()])))
}

async fn pause(kind: Kind, arena: &Arena, lasts: Duration, random: &mut StdRng) -> anyhow::Result<Happening> {
    let (short, leading) = (kind == Kind::PauseShort, arena.leading());
    let wanted = |id| short || leading.contains(&id);
    let Some(node) = arena.any_node(random, wanted) else { return Ok(Happening::NotNow("no such node is free")) };
    let lasts = match short {
        true => Duration::from_millis(random.random_range(SHORT_PAUSE.0..=SHORT_PAUSE.1)),
        false => lasts,
    };
    node.signal(Signal::STOP)?;
    tokio::time::sleep(lasts).await;
    node.signal(Signal::CONT)?;
    Ok(Happening::Happened(named(&[node.id()])))
}

async fn starve(arena: &Arena, lasts: Duration, random: &mut StdRng) -> anyhow::Result<Happening> {
    let Some(node) = arena.any_node(random, |_| true) else { return Ok(Happening::NotNow("no node is free")) };
    let until = tokio::time::Instant::now() + lasts;
    while tokio::time::Instant::now() < until {
        node.signal(Signal::STOP)?;
        tokio::time::sleep(Duration::from_millis(random.random_range(STARVED_HALT_MS.0..=STARVED_HALT_MS.1))).await;
        node.signal(Signal::CONT)?;
        tokio::time::sleep(STARVED_RUN).await;
    }
    Ok(Happening::Happened(named(&[node.id()])))
}

async fn crash_loop(kind: Kind, arena: &Arena, lasts: Duration, random: &mut StdRng) -> anyhow::Result<Happening> {
    let Some(mut node) = arena.any_node(random, |_| true) else { return Ok(Happening::NotNow("no node is free")) };
    // It reads its log back in the first moments of its life.
    let longest_ms = if kind == Kind::KillInRecovery { 150 } else { lasts.as_millis() as u64 / LIVES as u64 };
    node.kill().await?;
    for _ in 0..LIVES {
        node.start()?;
        tokio::time::sleep(Duration::from_millis(random.random_range(5..=longest_ms.max(6)))).await;
        node.kill().await?;
    }
    arena.restart(&mut node).await?;
    Ok(Happening::Happened(named(&[node.id()])))
}

async fn rolling_restart(arena: &Arena, lasts: Duration) -> anyhow::Result<Happening> {
    let Some(_catalog) = arena.try_hold(Hold::Catalog) else { return Ok(Happening::NotNow("nodes are being changed")) };
    for id in arena.cluster.active() {
        let node = arena.cluster.node(id);
        let mut node = node.lock_owned().await;
        if !node.has_process() {
            continue;
        }
        let status = node.stop().await?;
        if !status.success() {
            arena.recorder.violation(format!("node {id} was asked to end and ended with {status}"));
        }
        arena.restart(&mut node).await?;
        tokio::time::sleep(SETTLE.max(lasts / 10)).await;
    }
    Ok(Happening::Happened("all nodes in turn".to_owned()))
}
