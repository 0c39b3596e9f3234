//! Networks that are cut, lossy, slow, and reset.

use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use thalweg_client::NodeId;

use super::Kind;
use super::arena::{Arena, Happening, Hold, named};
use crate::net::{CLIENTS, Link, Switch};
use crate::node::port;

/// Between two resets of all connections of a node.
const RESET_INTERVAL: Duration = Duration::from_millis(700);

/// A fault of the network.
pub(super) async fn happen(
    kind: Kind,
    arena: &Arena,
    lasts: Duration,
    random: &mut StdRng,
) -> anyhow::Result<Happening> {
    match kind {
        Kind::Loss | Kind::Delay | Kind::Jitter | Kind::Duplicate | Kind::RateLimit => {
            disturb(kind, arena, lasts, random).await
        }
        Kind::Reset => reset(arena, lasts, random).await,
        _ => cut(kind, arena, lasts, random).await,
    }
}

async fn cut(kind: Kind, arena: &Arena, lasts: Duration, random: &mut StdRng) -> anyhow::Result<Happening> {
    let Some(_network) = arena.try_hold(Hold::Network) else { return Ok(Happening::NotNow("the network is taken")) };
    let mut nodes = arena.cluster.active();
    nodes.shuffle(random);
    let switch = arena.cluster.network().switch();
    let Some(whom) = apply_cut(kind, arena, switch, &nodes, random) else {
        return Ok(Happening::NotNow("no such node is known"));
    };
    last(switch, lasts, whom).await
}

/// Waits, heals, and says whether any frame met a rule.
async fn last(switch: &Switch, lasts: Duration, whom: String) -> anyhow::Result<Happening> {
    let before = switch.touched();
    tokio::time::sleep(lasts).await;
    let touched = switch.touched() - before;
    switch.heal();
    Ok(if touched > 0 { Happening::Happened(whom) } else { Happening::NotNow("no frame came that way") })
}

fn apply_cut(kind: Kind, arena: &Arena, switch: &Switch, nodes: &[NodeId], random: &mut StdRng) -> Option<String> {
    let apart = |a: &[NodeId], b: &[NodeId]| {
        a.iter().for_each(|a| b.iter().for_each(|b| switch.set_both(port(*a), port(*b), Link::cut())));
    };
    let others = |one: NodeId| nodes.iter().copied().filter(move |id| *id != one).collect::<Vec<_>>();
    match kind {
        Kind::Partition => {
            let (one, other) = nodes.split_at(random.random_range(1..nodes.len()));
            apart(one, other);
            Some(format!("{} | {}", list(one), list(other)))
        }
        Kind::OneWay => {
            let (one, hears) = (nodes[0], random.random::<bool>());
            for other in others(one) {
                let (from, to) = if hears { (one, other) } else { (other, one) };
                switch.set(port(from), port(to), Link::cut());
            }
            Some(format!("node {one} {}", if hears { "is not heard" } else { "hears nothing" }))
        }
        Kind::IsolateLeader | Kind::IsolateController => {
            let one = match kind {
                Kind::IsolateController => arena.view().controller?,
                _ => nodes.iter().copied().find(|id| arena.leading().contains(id))?,
            };
            apart(&[one], &others(one));
            Some(named(&[one]))
        }
        Kind::Bridge => {
            let (bridge, rest) = nodes.split_first()?;
            let (one, other) = rest.split_at(rest.len() / 2);
            apart(one, other);
            Some(format!("{} | {bridge} | {}", list(one), list(other)))
        }
        Kind::HalfOpen => {
            apart(&[nodes[0]], &others(nodes[0]));
            Some(cut_clients(switch, &nodes[..1]))
        }
        _ => Some(cut_clients(switch, &nodes[..random.random_range(1..nodes.len())])),
    }
}

fn cut_clients(switch: &Switch, nodes: &[NodeId]) -> String {
    nodes.iter().for_each(|id| switch.set_both(port(*id), CLIENTS, Link::cut()));
    format!("clients | {}", list(nodes))
}

fn list(ids: &[NodeId]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

async fn disturb(kind: Kind, arena: &Arena, lasts: Duration, random: &mut StdRng) -> anyhow::Result<Happening> {
    let Some(_network) = arena.try_hold(Hold::Network) else { return Ok(Happening::NotNow("the network is taken")) };
    let (link, what) = disturbance(kind, random);
    let switch = arena.cluster.network().switch();
    let nodes = arena.cluster.active();
    let slow = nodes[random.random_range(0..nodes.len())];
    let mut ports: Vec<_> = nodes.iter().map(|id| port(*id)).collect();
    ports.push(CLIENTS);
    for (at, one) in ports.iter().enumerate() {
        for other in &ports[at + 1..] {
            if kind != Kind::RateLimit || [*one, *other].contains(&port(slow)) {
                switch.set_both(*one, *other, link);
            }
        }
    }
    let whom = if kind == Kind::RateLimit { named(&[slow]) } else { "all links".to_owned() };
    last(switch, lasts, format!("{whom}: {what}")).await
}

fn disturbance(kind: Kind, random: &mut StdRng) -> (Link, String) {
    let plain = Link::default();
    let ms = Duration::from_millis;
    match kind {
        Kind::Loss => {
            let percent = random.random_range(1..=30u32);
            (Link { loss: f64::from(percent) / 100.0, ..plain }, format!("{percent} % lost"))
        }
        Kind::Delay => {
            let delay = random.random_range(5..=150);
            (Link { delay: ms(delay), ..plain }, format!("{delay} ms"))
        }
        Kind::Jitter => {
            let jitter = random.random_range(5..=80);
            (Link { delay: ms(2), jitter: ms(jitter), ..plain }, format!("up to {jitter} ms"))
        }
        Kind::Duplicate => (Link { duplicated: 0.1, ..plain }, "10 % twice".to_owned()),
        _ => {
            let kilobytes = random.random_range(50..=500u64);
            (Link { rate: Some(kilobytes * 1_000), ..plain }, format!("{kilobytes} KB/s"))
        }
    }
}

async fn reset(arena: &Arena, lasts: Duration, random: &mut StdRng) -> anyhow::Result<Happening> {
    let nodes = arena.cluster.active();
    let one = nodes[random.random_range(0..nodes.len())];
    let until = tokio::time::Instant::now() + lasts;
    while tokio::time::Instant::now() < until {
        for other in nodes.iter().map(|id| port(*id)).filter(|other| *other != port(one)).chain([CLIENTS]) {
            arena.cluster.network().reset(port(one), other).await?;
        }
        tokio::time::sleep(RESET_INTERVAL).await;
    }
    Ok(Happening::Happened(named(&[one])))
}
