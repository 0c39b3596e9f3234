//! What must hold at every moment, over all nodes at once; one file a property.
//!
//! Holds: looking changes nothing on any node.

pub mod admitted;
pub mod committed;
pub mod durable;
pub mod fence;
pub mod kept;
pub mod leaders;
pub mod lineage;
pub mod members;
pub mod nodes;
pub mod positions;
pub mod tiling;
pub mod trims;
pub mod votes;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use thalweg_raft::Group;

use crate::machine::{Machine, View};
use crate::world::World;

/// All of them, with what they remember.
#[derive(Default)]
pub struct Invariants {
    leaders: leaders::Leaders,
    committed: committed::Committed,
    votes: votes::Votes,
    tiling: tiling::Tiling,
    fences: fence::Fences,
    members: members::Members,
    nodes: nodes::Nodes,
    trims: trims::Trims,
}

/// A node that runs, as invariants look at it.
pub(crate) struct Seen<'a> {
    pub(crate) machine: &'a Arc<Machine>,
    pub(crate) view: View,
    pub(crate) boot: u64,
    /// Its open groups.
    pub(crate) groups: Vec<Group>,
}

impl Invariants {
    /// Looks at every node; `faults` tells whether any is in force.
    pub fn check(&mut self, world: &World, faults: bool) {
        let seen: Vec<Seen<'_>> = world.machines.iter().filter_map(see).collect();
        self.trims.check(world);
        self.leaders.check(world, &seen);
        self.committed.check(world, &seen);
        self.votes.check(world);
        self.tiling.check(world, &seen);
        positions::check(world, &seen);
        self.fences.check(world, &seen);
        self.members.check(world, &seen);
        self.nodes.check(world, &seen, faults);
    }
}

fn see(machine: &Arc<Machine>) -> Option<Seen<'_>> {
    let view = machine.view()?;
    let groups = view.log.groups().into_iter().filter_map(|group| view.groups.get(group)).collect();
    Some(Seen { machine, boot: machine.boots.load(Ordering::Relaxed), groups, view })
}
