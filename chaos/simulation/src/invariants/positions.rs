//! `trimmed ≤ moved ≤ applied ≤ last`, on every replica.

use thalweg_raft::Group;

use super::Seen;
use crate::world::World;

pub(crate) fn check(world: &World, seen: &[Seen<'_>]) {
    for node in seen {
        for group in &node.groups {
            if let Some(broken) = broken(group) {
                world.violated("positions", format!("{}, group {}: {broken}", node.machine.name, group.id()));
            }
        }
    }
}

fn broken(group: &Group) -> Option<String> {
    let state = group.log().state();
    // What was moved before a restart is applied again after it.
    let applied = state.applied_hint.unwrap_or(0).max(*group.applied().borrow());
    let first = state.trimmed.map_or(0, |(index, _)| index + 1);
    let last = state.last.map_or(0, |(index, _)| index);
    let holds = first <= state.moved_end && state.moved_end <= applied + 1 && applied <= last;
    (!holds).then(|| format!("first {first}, moved end {}, applied {applied}, last {last}", state.moved_end))
}
