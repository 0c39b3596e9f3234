//! A replica that lost what it acknowledged never leads, and is trusted only once it has it back, has
//! an entry of the leader who gave it everything, or nobody has anything that it lacks.

use std::collections::BTreeMap;
use std::sync::Arc;

use thalweg_raft::Group;
use thalweg_types::GroupId;

use super::Seen;
use crate::machine::Machine;
use crate::world::World;

/// The newest term in which each start of a replica was seen behind its fence.
#[derive(Default)]
pub struct Fences(BTreeMap<(u64, u64, GroupId), u64>);

impl Fences {
    pub(crate) fn check(&mut self, world: &World, seen: &[Seen<'_>]) {
        for node in seen {
            for group in &node.groups {
                self.look(world, node, group);
            }
        }
    }

    fn look(&mut self, world: &World, node: &Seen<'_>, group: &Group) {
        let (name, id) = (&node.machine.name, group.id());
        let (status, state) = (group.status().borrow().clone(), group.log().state());
        let at = (node.machine.id.0, node.boot, id);
        if state.fenced && status.leader == Some(node.machine.id) {
            world.violated("fence", format!("{name} leads group {id} behind its fence"));
        }
        if state.fenced || status.fenced {
            self.0.insert(at, status.term);
            return;
        }
        let mut owed = node.machine.owed.lock();
        let Some(before) = owed.get(&id) else { return };
        let last_term = state.last.map_or(0, |(_, term)| term);
        let lowered_early = self.0.get(&at).is_some_and(|term| last_term < *term);
        let lacks =
            |machine: &Arc<Machine>| machine.durable.lock().get(&id).is_some_and(|has| !has.entries_in(group.log()));
        if lowered_early && !before.is_in(group.log()) && world.machines.iter().any(lacks) {
            let detail = format!("{name}, group {id}: trusted at {:?}, having lost {before:?}", state.last);
            world.violated("fence", detail);
        }
        owed.remove(&id);
    }
}
