//! A node that was there a moment ago is not given up, and no other disk takes its place.

use std::collections::{BTreeMap, BTreeSet};

use thalweg_catalog::NodeState;
use thalweg_types::Incarnation;

use super::Seen;
use crate::world::World;

/// After so long without any fault everybody hears from everybody: also over connections that lost a
/// segment in a black hole, which nobody notices before a ping has had its time.
const CALM_MS: u64 = 20_000;

/// Which nodes were in touch when, and who has been given up.
#[derive(Default)]
pub struct Nodes {
    faults_until: u64,
    up_since: BTreeMap<u64, (u64, u64)>,
    in_touch: BTreeMap<u64, u64>,
    dead: BTreeSet<u64>,
    disks: BTreeMap<u64, Incarnation>,
}

impl Nodes {
    pub(crate) fn check(&mut self, world: &World, seen: &[Seen<'_>], faults: bool) {
        let now = world.time.now_ms();
        if faults {
            self.faults_until = now;
        }
        for node in seen {
            let (boot, since) = *self.up_since.entry(node.machine.id.0).or_insert((node.boot, now));
            if boot != node.boot {
                self.up_since.insert(node.machine.id.0, (node.boot, now));
            } else if now >= since.max(self.faults_until) + CALM_MS {
                self.in_touch.insert(node.machine.id.0, now);
            }
        }
        let Some(image) = world.newest_image() else { return };
        for node in image.catalog.nodes() {
            let first = *self.disks.entry(node.id.0).or_insert(node.incarnation);
            if first != node.incarnation {
                world.violated("nodes", format!("node {} is another disk now", node.id));
            }
        }
        let dead = image.catalog.nodes().filter(|node| matches!(node.state, NodeState::Dead { .. }));
        let dead: BTreeSet<u64> = dead.map(|node| node.id.0).collect();
        for node in dead.difference(&self.dead) {
            let patience = world.plan.tuning.node_dead_after.as_millis() as u64 / 2;
            if let Some(at) = self.in_touch.get(node).filter(|at| **at + patience > now) {
                world.violated("nodes", format!("node {node} is given up, and was in touch {} ms ago", now - at));
            }
        }
        self.dead = dead;
    }
}
