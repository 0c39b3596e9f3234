//! One round of the control loops: everything observed against everything agreed, and the
//! commands that bring the two closer. Pure, so any leader decides alike.
//!
//! Where several things want doing, what clients wait for comes first: liveness, streams being
//! created, reshards; then placement.

use std::collections::BTreeSet;
use std::time::Duration;

use thalweg_catalog::on_demand::NextStep;
use thalweg_catalog::{
    Catalog, Command, NodeChange, NodeState, Shard, Step, Stream, StreamStatus, create, placement, repair, reshard,
    scale,
};
use thalweg_types::planted::{Planted, planted};
use thalweg_types::{NodeId, UnixMillis};

use super::hub::Sight;
use super::living;

/// Commands of one round at most; the rest follows in the next.
const COMMANDS_MAX: usize = 256;
/// Reshards of one scaling that run at the same time.
const SCALING_STEPS_MAX: usize = 8;
/// Shards whose preferred leader changes in one round for balance.
const HANDOVERS_MAX: usize = 16;
/// A new leader rearranges nothing before all nodes had time to report.
const SETTLING: Duration = Duration::from_secs(5);
/// Voters of the controller: three, five in clusters of at least this many nodes.
const LARGE_CLUSTER: usize = 7;

/// What one round goes by.
pub(crate) struct Ground<'a> {
    pub(crate) catalog: &'a Catalog,
    pub(crate) sight: &'a Sight,
    pub(crate) now: UnixMillis,
    /// The time by which shards are forgotten, and with them what is older in the whole stream; nothing
    /// as long as that is not sure.
    pub(crate) sure_now: Option<UnixMillis>,
    pub(crate) seed: u64,
    pub(crate) node_dead_after: Duration,
    pub(crate) moves_max: usize,
    /// Whether preferred leaders are to be evened out in this round.
    pub(crate) balance: bool,
    /// Splits and merges of on-demand streams that are due.
    pub(crate) on_demand: &'a [NextStep],
}

/// The commands that are due.
pub(crate) fn plan(ground: &Ground<'_>) -> Vec<Command> {
    let mut commands = liveness(ground);
    commands.extend(ground.catalog.streams().flat_map(|stream| stream_steps(ground, stream)));
    commands.extend(reshard_steps(ground));
    commands.extend(on_demand_steps(ground));
    commands.extend(settled(ground));
    commands.extend(placement_steps(ground));
    commands.extend(controller_voters(ground.catalog));
    commands.truncate(COMMANDS_MAX);
    commands
}

/// Gives up nodes that are away for too long and takes back those that returned.
fn liveness(ground: &Ground<'_>) -> Vec<Command> {
    let change = |node: &thalweg_catalog::Node| {
        let mut away = ground.sight.absence(node.id);
        if planted(Planted::DeadAtOnce) && !away.is_zero() {
            away = Duration::MAX;
        }
        match node.state {
            NodeState::Active | NodeState::Draining => (away >= ground.node_dead_after).then_some(NodeChange::MarkDead),
            NodeState::Dead { .. } => away.is_zero().then_some(NodeChange::MarkAlive),
            NodeState::Removed => None,
        }
    };
    let now = ground.now;
    let command =
        |node: &thalweg_catalog::Node| Some(Command::ChangeNode { node: node.id, change: change(node)?, now });
    ground.catalog.nodes().filter_map(command).collect()
}

/// What one stream needs: opening, forgetting its expired shards, its end, or its scaling's next steps.
fn stream_steps(ground: &Ground<'_>, stream: &Stream) -> Vec<Command> {
    match stream.status {
        StreamStatus::Creating => match create::next_step(stream, &ground.sight.observed) {
            Some(Step::Propose(command)) => vec![command],
            Some(Step::Wait(_)) | None => Vec::new(),
        },
        StreamStatus::Deleting => finish_delete(ground, stream).into_iter().collect(),
        StreamStatus::Active | StreamStatus::Updating => {
            let mut commands: Vec<Command> = expire(ground, stream).into_iter().collect();
            commands.extend(scaling_steps(ground, stream));
            commands
        }
    }
}

fn scaling_steps(ground: &Ground<'_>, stream: &Stream) -> Vec<Command> {
    if stream.scaling.is_none() {
        return Vec::new();
    }
    let plan = |on: &Catalog| scale::next_commands(on, &stream.name, SCALING_STEPS_MAX, ground.seed, ground.now);
    living::place(ground.catalog, &ground.sight.connected, plan)
}

/// Forgets a stream once every node that might hold its data has said that it does not.
fn finish_delete(ground: &Ground<'_>, stream: &Stream) -> Option<Command> {
    let heard = |id: NodeId| {
        let alive = ground.catalog.node(id).is_some_and(|node| node.is_alive());
        !alive || ground.sight.connected.contains(&id)
    };
    let empty = |shard: &Shard| !ground.sight.holders.contains_key(&shard.group) && shard.hosts().all(heard);
    let done = stream.shards.iter().all(empty);
    done.then(|| Command::FinishDelete { stream: stream.name.clone(), id: stream.id })
}

/// Forgets closed shards of which both the catalog's rules and the shard's leader say that
/// everything is past retention.
fn expire(ground: &Ground<'_>, stream: &Stream) -> Option<Command> {
    let seen = |id: &thalweg_types::ShardId| {
        stream.shards.get(*id).is_some_and(|shard| ground.sight.expired.contains(&shard.group))
    };
    let now = ground.sure_now?;
    let shards: Vec<_> = stream.expired_shards(now).into_iter().filter(seen).collect();
    (!shards.is_empty()).then(|| Command::ExpireShards { stream: stream.name.clone(), shards, now })
}

/// Begins what the traffic of on-demand streams asks for.
fn on_demand_steps(ground: &Ground<'_>) -> Vec<Command> {
    if ground.on_demand.is_empty() {
        return Vec::new();
    }
    let plan = |on: &Catalog| {
        let seeded = ground.on_demand.iter().zip(ground.seed..);
        seeded.map(|(step, seed)| step.command(on, seed, ground.now)).collect()
    };
    living::place(ground.catalog, &ground.sight.connected, plan)
}

fn reshard_steps(ground: &Ground<'_>) -> Vec<Command> {
    let step = |running| reshard::next_step(ground.catalog, running, &ground.sight.observed, ground.now);
    let due = |step| match step {
        Step::Propose(command) => Some(command),
        Step::Wait(_) => None,
    };
    ground.catalog.reshards().map(step).filter_map(due).collect()
}

/// Releases the previous replicas of shards whose groups have the wanted voters. A leader's word counts
/// only if it has this placement in its log: voters that are the same may be of an older one, on the way
/// to others, and any leader's after it knows of no older one that it could go back to.
fn settled(ground: &Ground<'_>) -> Vec<Command> {
    let command = |(stream, shard): (&Stream, &Shard)| {
        let observed = ground.sight.observed.get(&shard.group)?;
        let voters = &observed.voters;
        let (are, wanted): (BTreeSet<_>, BTreeSet<_>) = (voters.iter().collect(), shard.replicas.iter().collect());
        (are == wanted && observed.placed == Some(shard.placement)).then(|| Command::ReplicasSettled {
            stream: stream.name.clone(),
            shard: shard.id,
            voters: voters.clone(),
            placement: observed.placed,
        })
    };
    ground.catalog.shards().filter(|(_, shard)| !shard.settled).filter_map(command).collect()
}

/// Moves replicas off nodes that are lost or to be emptied; when nothing ails, evens out the load.
fn placement_steps(ground: &Ground<'_>) -> Vec<Command> {
    let catalog = ground.catalog;
    if ground.sight.listening < SETTLING.min(ground.node_dead_after) {
        return Vec::new();
    }
    let mut repairs = repair::repair(catalog, ground.moves_max);
    if !repairs.is_empty() {
        repairs.retain(|command| may_receive(ground, command));
        return repairs;
    }
    let all_here = catalog.nodes().filter(|node| node.is_alive()).all(|node| ground.sight.connected.contains(&node.id));
    if !all_here {
        return Vec::new();
    }
    let mut moves = repair::spread(catalog, ground.moves_max);
    moves.retain(|command| may_receive(ground, command));
    if !moves.is_empty() || !ground.balance {
        return moves;
    }
    repair::balance_leaders(catalog, HANDOVERS_MAX)
}

/// Whether all newcomers of a move are there and hold nothing of the shard. One that left and has not
/// heard it yet would be up to date at once, and then throw away what it holds as a voter.
fn may_receive(ground: &Ground<'_>, command: &Command) -> bool {
    let Command::SetReplicas { stream, shard, replicas } = command else { return true };
    let Some(shard) = ground.catalog.shard(stream, *shard) else { return false };
    let holds = |node: &NodeId| ground.sight.holders.get(&shard.group).is_some_and(|holders| holders.contains(node));
    let mut newcomers = replicas.iter().filter(|node| !shard.hosts().any(|host| host == **node));
    newcomers.all(|node| ground.sight.connected.contains(node) && !holds(node))
}

fn controller_voters(catalog: &Catalog) -> Option<Command> {
    catalog.cluster()?;
    let wanted = if catalog.active_nodes().count() >= LARGE_CLUSTER { 5 } else { 3 };
    let voters = placement::controller_voters(catalog, wanted.max(catalog.controller_voters().len()));
    let known = voters.iter().all(|voter| catalog.node(*voter).is_some());
    let differs = voters != catalog.controller_voters();
    (known && differs && !voters.is_empty()).then_some(Command::SetControllerVoters { voters })
}

#[cfg(test)]
mod round_test;
