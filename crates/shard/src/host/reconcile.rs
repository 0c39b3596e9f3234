//! Closing the gap between the replicas that should run and those that do.
//!
//! Holds: one action a group at a time; a slow or failing group holds up no other.

use std::collections::BTreeSet;
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

/// After a failure the group rests this long.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

pub(super) async fn run(host: Arc<Host>) {
    let mut desired = host.desired.subscribe();
    let slots = Arc::new(Semaphore::new(host.node.options.opens_max));
    let mut actions: JoinSet<GroupId> = JoinSet::new();
    let mut busy: BTreeSet<GroupId> = BTreeSet::new();
    loop {
        let wanted = desired.borrow_and_update().clone();
        for action in due(&host, &wanted, &busy) {
            busy.insert(action.group());
            actions.spawn(act(host.clone(), action, slots.clone()));
        }
        tokio::select! {
            changed = desired.changed() => if changed.is_err() { return },
            Some(done) = actions.join_next() => match done {
                Ok(group) => { busy.remove(&group); }
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
    let missing = wanted.values().filter(|spec| !running.by_group.contains_key(&spec.group));
    let extra = running.by_group.iter().filter(|(group, _)| !wanted.contains_key(group));
    let opens = missing.map(|spec| Action::Open(spec.clone()));
    let removals = extra.map(|(_, replica)| Action::Remove(replica.clone()));
    opens.chain(removals).filter(|action| !busy.contains(&action.group())).collect()
}

async fn act(host: Arc<Host>, action: Action, slots: Arc<Semaphore>) -> GroupId {
    let group = action.group();
    let slot = slots.acquire_owned().await;
    let done = match action {
        Action::Open(spec) => open(&host, spec).await,
        Action::Remove(replica) => remove(&host, &replica).await,
    };
    drop(slot);
    if let Err(why) = done {
        tracing::error!(%group, why, "cannot open or remove a replica; trying again");
        tokio::time::sleep(RETRY_PAUSE).await;
    }
    group
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
