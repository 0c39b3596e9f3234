//! A replica that lost what it acknowledged never leads, until it has it back.

use super::Seen;
use crate::world::World;

pub(crate) fn check(world: &World, seen: &[Seen<'_>]) {
    for node in seen {
        for group in node.groups.iter().filter(|group| group.log().state().fenced) {
            if group.status().borrow().leader == Some(node.machine.id) {
                world.violated("fence", format!("{} leads group {} behind its fence", node.machine.name, group.id()));
            }
        }
    }
}
