//! Closing the gap between the replicas that should run and those that do.
//!
//! Holds: one action a group at a time; a slow or failing group holds up no other, nor does it take
//! a slot while it rests.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use thalweg_raft::GroupOptions;
use thalweg_types::GroupId;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::{Desired, Host, warden};
use crate::machine::{ShardMachine, SharedState};
use crate::replica::Replica;
use crate::spec::ReplicaSpec;

/// After a failure the group rests this long, and twice as long after each further one, at most the
/// latter. A node that comes or goes ends the rest: what was missing may be there.
const RETRY_PAUSE: Duration = Duration::from_millis(100);
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(15);

pub(super) async fn run(host: Arc<Host>) {
    let mut desired = host.desired.subscribe();
    let slots = Arc::new(Semaphore::new(host.node.options.opens_max));
    let mut actions: JoinSet<(GroupId, Result<(), String>)> = JoinSet::new();
    let mut busy: BTreeSet<GroupId> = BTreeSet::new();
    let mut failures: BTreeMap<GroupId, u32> = BTreeMap::new();
    loop {
        let wanted = desired.borrow_and_update().clone();
        for action in due(&host, &wanted, &busy) {
            busy.insert(action.group());
            let failures = failures.get(&action.group()).copied().unwrap_or(0);
            actions.spawn(act(host.clone(), action, slots.clone(), failures));
        }
        tokio::select! {
            changed = desired.changed() => if changed.is_err() { return },
            Some(done) = actions.join_next() => match done {
                Ok((group, done)) => {
                    busy.remove(&group);
                    match done {
                        Ok(()) => drop(failures.remove(&group)),
                        Err(_) => *failures.entry(group).or_default() += 1,
                    }
                }
                Err(error) => tracing::error!(%error, "a reconcile action panicked"),
            },
        }
    }
}

enum Action {
    Open(Arc<ReplicaSpec>),
    Remove(Arc<Replica>),
}

impl Action {
    fn group(&self) -> GroupId {
        match self {
            Action::Open(spec) => spec.group,
            Action::Remove(replica) => replica.group().id(),
        }
    }
}

fn due(host: &Host, wanted: &Desired, busy: &BTreeSet<GroupId>) -> Vec<Action> {
    let running = host.running.read();
    let runs = |spec: &ReplicaSpec| running.by_group.get(&spec.group).is_some_and(|replica| !replica.is_gone());
    let missing = wanted.values().filter(|spec| !runs(spec));
    let extra = running.by_group.iter().filter(|(group, _)| !wanted.contains_key(group));
    let opens = missing.map(|spec| Action::Open(spec.clone()));
    let removals = extra.map(|(_, replica)| Action::Remove(replica.clone()));
    opens.chain(removals).filter(|action| !busy.contains(&action.group())).collect()
}

/// Does it, or rests; `failures` came before.
async fn act(host: Arc<Host>, action: Action, slots: Arc<Semaphore>, failures: u32) -> (GroupId, Result<(), String>) {
    let group = action.group();
    let mut peers_up = host.groups.peers_up();
    peers_up.mark_unchanged();
    let slot = slots.acquire_owned().await;
    let done = match action {
        Action::Open(spec) => open(&host, spec).await,
        // It may have been waiting for a slot while the catalog took it back, and the group lets it vote.
        Action::Remove(_) if host.desired.borrow().contains_key(&group) => Ok(()),
        Action::Remove(replica) => remove(&host, &replica).await,
    };
    drop(slot);
    if let Err(why) = &done {
        if (failures + 1).is_power_of_two() {
            tracing::error!(%group, why, failures, "cannot open or remove a replica; trying again");
        }
        let pause = (RETRY_PAUSE * (1 << failures.min(16))).min(RETRY_PAUSE_MAX);
        let _ = tokio::time::timeout(pause, peers_up.changed()).await.is_ok();
    }
    (group, done)
}

async fn open(host: &Arc<Host>, spec: Arc<ReplicaSpec>) -> Result<(), String> {
    let state = SharedState::new();
    // A replica that returns to a group has lost its votes; only a group that never was may begin.
    let initial_members = if spec.bootstrap { spec.initial_members.clone() } else { Vec::new() };
    let options = GroupOptions { initial_members, sync: spec.durability_fsync };
    let machine = Box::new(ShardMachine(state.clone()));
    let group = host.groups.open(spec.group, options, machine).await.map_err(|error| error.to_string())?;
    let replica = Replica::new(host.groups.clone(), group, spec.clone(), state, host.node.clone());
    host.enlist(&replica);
    // The spec may have changed while the group was opening.
    if let Some(newest) = host.desired.borrow().get(&spec.group) {
        replica.set_spec(newest);
    }
    tokio::spawn(warden::run(host.clone(), replica));
    Ok(())
}

async fn remove(host: &Arc<Host>, replica: &Arc<Replica>) -> Result<(), String> {
    let group = replica.group().id();
    replica.leave();
    host.groups.destroy(group).await.map_err(|error| error.to_string())?;
    host.forget(replica);
    Ok(())
}
