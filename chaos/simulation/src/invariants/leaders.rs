//! A term of a group has one leader.

use std::collections::BTreeMap;

use thalweg_types::{GroupId, NodeId};

use super::Seen;
use crate::world::World;

/// Who led which term.
#[derive(Default)]
pub struct Leaders(BTreeMap<(GroupId, u64), NodeId>);

impl Leaders {
    pub(crate) fn check(&mut self, world: &World, seen: &[Seen<'_>]) {
        for node in seen {
            for group in &node.groups {
                let status = group.status().borrow().clone();
                if status.leader != Some(node.machine.id) {
                    continue;
                }
                let (id, term) = (group.id(), status.term);
                let first = *self.0.entry((id, term)).or_insert_with(|| {
                    world.trace(format_args!("{} leads group {id} in term {term}", node.machine.name));
                    node.machine.id
                });
                if first != node.machine.id {
                    let detail = format!("group {id}, term {term}: nodes {first} and {}", node.machine.id);
                    world.violated("leaders", detail);
                }
            }
        }
    }
}
