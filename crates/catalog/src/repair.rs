//! Moving replicas that are placed already: away from dead and draining nodes, onto nodes that
//! joined, and leadership to where it is even.
//!
//! Holds: a plan touches a shard at most once and moves no more than it must; shards whose last
//! move is not settled are left alone unless a wanted node is lost; at most `moving_max` moves
//! are under way at once. Every answer is a [`Command::SetReplicas`].

use thalweg_types::NodeId;

use crate::placement::{Load, best_addition, mix, should_be_left, zone_use};
use crate::{Catalog, Command, Shard, ShardState, Stream, StreamStatus};

/// Replaces replicas on dead and draining nodes and fills up short sets. Shards with dead
/// replicas come first.
pub fn repair(catalog: &Catalog, moving_max: usize) -> Vec<Command> {
    let mut load = Load::of(catalog);
    let mut ailing: Vec<(u8, &Stream, &Shard)> = movable(catalog)
        .filter_map(|(stream, shard)| Some((urgency(catalog, stream, shard)?, stream, shard)))
        .filter(|(urgency, _, shard)| shard.settled || *urgency == 0)
        .collect();
    ailing.sort_by_key(|(urgency, _, shard)| (*urgency, shard.group));
    // A move that lost a node counts as its new plan, or stuck moves would block their own repair.
    let stuck = ailing.iter().filter(|(_, _, shard)| !shard.settled).count();
    let room = (moving_max + stuck).saturating_sub(moving(catalog));
    let moves = ailing.iter().filter_map(|(_, stream, shard)| mend(catalog, stream, shard, &mut load));
    moves.take(room).collect()
}

/// Moves replicas from the fullest nodes to the emptiest, so that nodes which joined get a share.
/// Never leaves a shard in fewer zones.
pub fn spread(catalog: &Catalog, moving_max: usize) -> Vec<Command> {
    let mut load = Load::of(catalog);
    let room = moving_max.saturating_sub(moving(catalog));
    let settled = movable(catalog).filter(|(_, shard)| shard.settled);
    settled.filter_map(|(stream, shard)| lighten(catalog, stream, shard, &mut load)).take(room).collect()
}

/// Evens out preferred leaders: each answer only reorders a shard's replicas.
pub fn balance_leaders(catalog: &Catalog, changes_max: usize) -> Vec<Command> {
    let mut load = Load::of(catalog);
    let led = movable(catalog).filter(|(_, shard)| shard.is_open());
    led.filter_map(|(stream, shard)| hand_over(catalog, stream, shard, &mut load)).take(changes_max).collect()
}

/// Shards whose last move is under way.
pub fn moving(catalog: &Catalog) -> usize {
    movable(catalog).filter(|(_, shard)| !shard.settled).count()
}

/// Shards whose groups are formed and wanted.
fn movable(catalog: &Catalog) -> impl Iterator<Item = (&Stream, &Shard)> {
    let formed = |shard: &Shard| shard.state != ShardState::Opening;
    catalog.shards().filter(move |(stream, shard)| stream.status != StreamStatus::Deleting && formed(shard))
}

/// 0 when a replica is lost, 1 when one should leave, 2 when one is missing, nothing when well.
fn urgency(catalog: &Catalog, stream: &Stream, shard: &Shard) -> Option<u8> {
    if !shard.replicas.iter().all(|id| is_alive(catalog, *id)) {
        Some(0)
    } else if shard.replicas.iter().any(|id| should_be_left(catalog, *id)) {
        Some(1)
    } else if shard.replicas.len() < catalog.replicas_possible(stream.replication) {
        Some(2)
    } else {
        None
    }
}

fn is_alive(catalog: &Catalog, id: NodeId) -> bool {
    catalog.node(id).is_some_and(|node| node.is_alive())
}

/// The shard's set with bad nodes replaced as far as there are replacements. A lost node
/// without one stays in the set: dropping it would not help, and it may return. But one that lives and
/// has a replica still, because a move away from it is not settled, is better.
fn mend(catalog: &Catalog, stream: &Stream, shard: &Shard, load: &mut Load) -> Option<Command> {
    let (mut members, mut bad): (Vec<NodeId>, Vec<NodeId>) =
        shard.replicas.iter().partition(|id| !should_be_left(catalog, **id));
    let size = shard.replicas.len().max(catalog.replicas_possible(stream.replication));
    while let Some(node) = best_addition(catalog, &members, load, shard.group.0).filter(|_| members.len() < size) {
        load.add_replica(node);
        members.push(node);
    }
    let alive = |id: &NodeId| is_alive(catalog, *id);
    bad.extend(shard.previous.iter().filter(|id| !shard.replicas.contains(id) && !members.contains(id) && alive(id)));
    bad.sort_by_key(|id| !alive(id));
    let staying = size.saturating_sub(members.len());
    bad.iter().skip(staying).filter(|id| shard.replicas.contains(id)).for_each(|id| load.remove_replica(*id));
    members.extend(bad.iter().take(staying));
    changed(stream, shard, members)
}

/// Moves one replica of the shard off its fullest host, if some node has two fewer.
fn lighten(catalog: &Catalog, stream: &Stream, shard: &Shard, load: &mut Load) -> Option<Command> {
    let from = shard.replicas.iter().copied().max_by_key(|id| (load.replicas(*id), mix(shard.group.0 ^ id.0)))?;
    let others: Vec<NodeId> = shard.replicas.iter().copied().filter(|id| *id != from).collect();
    let zones = |id: NodeId| catalog.node(id).map_or(usize::MAX, |node| zone_use(catalog, &others, &node.zone));
    let candidates = catalog.active_nodes().map(|node| node.id).filter(|id| !shard.replicas.contains(id));
    let no_worse = candidates.filter(|id| zones(*id) <= zones(from));
    let to = no_worse.min_by_key(|id| (load.replicas(*id), mix(shard.group.0 ^ id.0)))?;
    if load.replicas(to) + 1 >= load.replicas(from) {
        return None;
    }
    load.remove_replica(from);
    load.add_replica(to);
    let members = shard.replicas.iter().map(|id| if *id == from { to } else { *id });
    changed(stream, shard, members.collect())
}

/// Puts another replica first when the present one leads too much or should not lead.
fn hand_over(catalog: &Catalog, stream: &Stream, shard: &Shard, load: &mut Load) -> Option<Command> {
    let from = shard.preferred_leader()?;
    let fit = shard.replicas.iter().copied().filter(|id| !should_be_left(catalog, *id) && *id != from);
    let to = fit.min_by_key(|id| (load.leaders(*id), mix(shard.group.0 ^ id.0)))?;
    if !should_be_left(catalog, from) && load.leaders(to) + 1 >= load.leaders(from) {
        return None;
    }
    load.remove_leader(from);
    load.add_leader(to);
    let rest = shard.replicas.iter().copied().filter(|id| *id != to);
    changed(stream, shard, std::iter::once(to).chain(rest).collect())
}

fn changed(stream: &Stream, shard: &Shard, replicas: Vec<NodeId>) -> Option<Command> {
    (replicas != shard.replicas).then(|| Command::SetReplicas {
        stream: stream.name.clone(),
        shard: shard.id,
        replicas,
    })
}
