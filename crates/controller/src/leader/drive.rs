//! Runs the control loops for as long as this node leads, and not a moment longer.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use thalweg_catalog::on_demand::{self, Loads, NextStep};
use thalweg_catalog::{Catalog, Command};
use thalweg_raft::Group;
use thalweg_types::NodeId;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::hub::Sight;
use super::propose::propose;
use super::round::{self, Ground};
use crate::node::Node;

/// A connection on which nothing is heard for this long counts as broken.
const SILENCE: Duration = Duration::from_secs(3);
/// Longest time between two rounds: absences grow without anything else changing.
const TICK: Duration = Duration::from_millis(500);
/// Between two looks at the traffic of on-demand streams; rounds may follow each other much faster.
const LOOK_INTERVAL: Duration = Duration::from_millis(400);
/// Between two roundings-out of preferred leaders.
const BALANCE_INTERVAL: Duration = Duration::from_secs(60);
/// Between two attempts to change the controller's own voters.
const VOTERS_RETRY: Duration = Duration::from_secs(1);

/// Leads whenever this node is elected.
pub(crate) async fn run(node: Arc<Node>) {
    let mut seat = node.seat.subscribe();
    let Ok(group) = seat.wait_for(Option::is_some).await.map(|seat| seat.clone().expect("waited for it")) else {
        return;
    };
    let mut status = group.status();
    while status.wait_for(|status| status.leading).await.is_ok() {
        info!(node = %node.id(), "leads the controller");
        node.hub.begin();
        tokio::select! {
            _ = status.wait_for(|status| !status.leading) => info!(node = %node.id(), "leads the controller no more"),
            _ = rounds(&node) => {}
            _ = follow_voters(&node, &group) => {}
        }
    }
}

/// One round after the other, each as soon as anything has changed.
async fn rounds(node: &Node) {
    let (mut changes, mut applied) = (node.hub.changes(), node.applied.subscribe());
    let (mut balanced_at, mut traffic) = (Instant::now(), Traffic::new());
    loop {
        changes.mark_unchanged();
        applied.mark_unchanged();
        node.hub.drop_silent(SILENCE);
        let balance = balanced_at.elapsed() >= BALANCE_INTERVAL;
        if balance {
            balanced_at = Instant::now();
        }
        let before = node.applied.borrow().revision();
        carry_out(node, due(node, balance, &mut traffic)).await;
        if node.applied.borrow().revision() != before {
            continue;
        }
        tokio::select! {
            _ = changes.changed() => {}
            _ = applied.changed() => {}
            _ = tokio::time::sleep(TICK) => {}
        }
    }
}

/// The commands of one round.
fn due(node: &Node, balance: bool, traffic: &mut Traffic) -> Vec<Command> {
    let catalog = node.applied.borrow().clone();
    if catalog.cluster().is_none() {
        return found(node).into_iter().collect();
    }
    let sight = node.hub.sight();
    let options = &node.options;
    let on_demand = traffic.due(node, &catalog, &sight);
    round::plan(&Ground {
        catalog: &catalog,
        sight: &sight,
        now: node.now(),
        sure_now: node.steady_clock.now().ok(),
        seed: node.random.seed(),
        node_dead_after: options.node_dead_after,
        moves_max: options.moves_max,
        balance,
        on_demand: &on_demand,
    })
}

/// What this leader has seen of the traffic of on-demand streams.
struct Traffic {
    began: Instant,
    looked: Option<Instant>,
    loads: Loads,
}

impl Traffic {
    fn new() -> Traffic {
        Traffic { began: Instant::now(), looked: None, loads: Loads::default() }
    }

    /// What the traffic asks for, if it is time for a look; it counts as begun.
    fn due(&mut self, node: &Node, catalog: &Catalog, sight: &Sight) -> Vec<NextStep> {
        if self.looked.is_some_and(|looked| looked.elapsed() < LOOK_INTERVAL) {
            return Vec::new();
        }
        self.looked = Some(Instant::now());
        let (at, policy) = (self.began.elapsed(), &node.options.on_demand);
        self.loads.look(catalog, &sight.observed, at, policy);
        let steps = on_demand::due(catalog, &self.loads, at, policy);
        for step in &steps {
            info!(stream = %step.stream, step = ?step.kind, why = %step.why, "reshards an on-demand stream");
            self.loads.begin(catalog, step, at);
        }
        steps
    }
}

/// The first command of all: gives the cluster its identity.
fn found(node: &Node) -> Option<Command> {
    let belonging = node.keeper.get().cluster?;
    let voters = belonging.founders.iter().map(|founder| founder.node).collect();
    Some(Command::FormCluster {
        cluster_id: belonging.cluster_id,
        token_secret: node.random.secret(),
        voters,
        now: node.now(),
    })
}

async fn carry_out(node: &Node, commands: Vec<Command>) {
    let proposals = commands.iter().map(|command| async move { (command, propose(node, command).await) });
    for (command, answer) in join_all(proposals).await {
        let command = loggable(command);
        match answer.map(|answer| answer.outcome) {
            Ok(Ok(_)) => debug!(command, "applied"),
            Ok(Err(refusal)) => debug!(command, %refusal, "refused"),
            Err(error) => warn!(command, %error, "no answer"),
        }
    }
}

/// The command for the log, without the cluster's secret.
fn loggable(command: &Command) -> String {
    match command {
        Command::FormCluster { cluster_id, voters, .. } => format!("FormCluster {cluster_id} on {voters:?}"),
        other => format!("{other:?}"),
    }
}

/// Brings the voters of group 0 to what the catalog wants.
async fn follow_voters(node: &Node, group: &Group) {
    let (mut applied, mut status) = (node.applied.subscribe(), group.status());
    loop {
        let (term, present) = {
            let status = status.borrow_and_update();
            (status.term, status.voters.clone())
        };
        // Read after the term: an older wish is never taken for one of a newer term.
        let wanted: BTreeSet<NodeId> = applied.borrow_and_update().controller_voters().iter().copied().collect();
        if !wanted.is_empty() && wanted != present {
            info!(?present, ?wanted, "changes the controller's voters");
            if let Err(error) = group.change_voters_in(term, wanted).await {
                warn!(%error, "cannot change the controller's voters yet");
            }
            tokio::time::sleep(VOTERS_RETRY).await;
            continue;
        }
        tokio::select! {
            changed = applied.changed() => if changed.is_err() { return },
            changed = status.changed() => if changed.is_err() { return },
        }
    }
}
