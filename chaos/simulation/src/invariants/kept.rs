//! What was synced is there after every start; and what damage took, the start knows that it took it.

use thalweg_storage::NodeLog;
use thalweg_types::GroupId;

use crate::machine::{Durable, Machine};
use crate::world::World;

/// A node has opened its log and nothing has been done with it yet.
pub(crate) fn started(world: &World, machine: &Machine, log: &NodeLog) {
    let taken_back = machine.taken_back.lock();
    for (group, before) in machine.durable.lock().iter().filter(|(group, _)| !taken_back.contains(group)) {
        if *before != Durable::default() && !before.is_on(log, *group) {
            let found = describe(log, *group);
            world.violated("kept", format!("{}, group {group}: {before:?} was synced, {found}", machine.name));
        }
    }
    for (group, before) in machine.owed.lock().iter() {
        // A group of which nothing is left is fenced when it is opened.
        let Some(known) = log.known_group(*group).filter(|log| log.state().last.is_some()) else { continue };
        if !known.state().fenced && !before.is_in(&known) {
            let found = describe(log, *group);
            let detail = format!("{}, group {group}: {before:?} was lost, {found}, and no fence", machine.name);
            world.violated("kept", detail);
        }
    }
}

fn describe(log: &NodeLog, group: GroupId) -> String {
    let state = log.known_group(group).map(|log| log.state());
    state.map_or("the group is gone".to_owned(), |state| format!("found are {:?} of it", state.last))
}
