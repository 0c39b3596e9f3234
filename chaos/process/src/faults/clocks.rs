//! Wall clocks that jump, drift, and differ.

use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;

use super::Kind;
use super::arena::{Arena, Happening, Hold, named};

/// How far a clock jumps, in seconds.
const JUMP_SECS_MAX: i64 = 10 * 3_600;
/// Ten years.
const YEARS_SECS: i64 = 10 * 365 * 86_400;
/// A process looks at its clock's file once a second.
const NOTICED: Duration = Duration::from_secs(2);
const CLOCKS_TAKEN: Happening = Happening::NotNow("another clock is wrong by years");
/// How far clocks differ, in seconds.
const SKEW_SECS_MAX: i64 = 30;

/// A fault of a wall clock.
pub(super) async fn happen(
    kind: Kind,
    arena: &Arena,
    lasts: Duration,
    random: &mut StdRng,
) -> anyhow::Result<Happening> {
    match kind {
        Kind::RestartInWrongYear => restart_in_wrong_year(arena, lasts, random).await,
        Kind::ClockSkew => skew(arena, lasts, random).await,
        _ => shift(kind, arena, lasts, random).await,
    }
}

async fn shift(kind: Kind, arena: &Arena, lasts: Duration, random: &mut StdRng) -> anyhow::Result<Happening> {
    let Some(node) = arena.any_node(random, |_| true) else { return Ok(Happening::NotNow("no node is free")) };
    if kind == Kind::ClockFreeze {
        node.stop_clock()?;
        tokio::time::sleep(lasts).await;
        node.set_clock(0, 1.0)?;
        return Ok(Happening::Happened(named(&[node.id()])));
    }
    let years = (kind == Kind::ClockYears).then(|| arena.try_hold(Hold::Clocks));
    if matches!(years, Some(None)) {
        return Ok(CLOCKS_TAKEN);
    }
    let (ahead, speed) = match kind {
        Kind::ClockForward => (random.random_range(60..=JUMP_SECS_MAX), 1.0),
        Kind::ClockBack => (-random.random_range(60..=JUMP_SECS_MAX), 1.0),
        Kind::ClockYears => (if random.random() { YEARS_SECS } else { -YEARS_SECS }, 1.0),
        _ => (0, if random.random() { 2.0 } else { 0.5 }),
    };
    node.set_clock(ahead, speed)?;
    tokio::time::sleep(lasts).await;
    node.set_clock(0, 1.0)?;
    tokio::time::sleep(NOTICED).await;
    let what = if speed == 1.0 { format!("{ahead:+} s") } else { format!("{speed} times as fast") };
    Ok(Happening::Happened(format!("{}: {what}", named(&[node.id()]))))
}

async fn skew(arena: &Arena, lasts: Duration, random: &mut StdRng) -> anyhow::Result<Happening> {
    let Some(nodes) = arena.all_nodes() else { return Ok(Happening::NotNow("not all nodes are free")) };
    for node in &nodes {
        node.set_clock(random.random_range(-SKEW_SECS_MAX..=SKEW_SECS_MAX), 1.0)?;
    }
    tokio::time::sleep(lasts).await;
    nodes.iter().try_for_each(|node| node.set_clock(0, 1.0))?;
    Ok(Happening::Happened("all nodes".to_owned()))
}

/// The node comes back, may lead, and its clock is set right while it runs.
async fn restart_in_wrong_year(arena: &Arena, lasts: Duration, random: &mut StdRng) -> anyhow::Result<Happening> {
    let Some(_clocks) = arena.try_hold(Hold::Clocks) else { return Ok(CLOCKS_TAKEN) };
    let Some(mut node) = arena.any_node(random, |_| true) else { return Ok(Happening::NotNow("no node is free")) };
    let ahead = if random.random() { YEARS_SECS } else { -YEARS_SECS };
    node.kill().await?;
    node.set_clock(ahead, 1.0)?;
    arena.restart(&mut node).await?;
    tokio::time::sleep(lasts).await;
    node.set_clock(0, 1.0)?;
    tokio::time::sleep(NOTICED).await;
    Ok(Happening::Happened(format!("{}: {ahead:+} s", named(&[node.id()]))))
}
