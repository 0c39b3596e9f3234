//! A shard's voters are those nodes that the catalog asked, each of them while it has the log.

use std::collections::{BTreeMap, BTreeSet};

use thalweg_catalog::Shard;
use thalweg_raft::{Group, GroupStatus};
use thalweg_types::{GroupId, NodeId};

use super::Seen;
use crate::world::World;

/// A replica votes once it lacks no more than this, and a little for what came since.
const LACKS_MAX: u64 = 64 + 64;

/// The voters of each group when it was looked at last.
#[derive(Default)]
pub struct Members(BTreeMap<GroupId, BTreeSet<NodeId>>);

impl Members {
    pub(crate) fn check(&mut self, world: &World, seen: &[Seen<'_>]) {
        let Some(image) = world.newest_image() else { return };
        for (_, shard) in image.catalog.shards() {
            let Some((group, status)) = leader(seen, shard.group) else { continue };
            hosted(world, shard, &status);
            let before = self.0.insert(shard.group, status.voters.clone());
            if let Some(before) = before {
                status.voters.difference(&before).for_each(|new| has_the_log(world, &group, *new));
            }
        }
    }
}

/// The replica that leads in the newest term, with what it knows.
fn leader(seen: &[Seen<'_>], id: GroupId) -> Option<(Group, GroupStatus)> {
    let replicas = seen.iter().flat_map(|node| &node.groups).filter(|group| group.id() == id);
    let all: Vec<(Group, GroupStatus)> =
        replicas.map(|group| (group.clone(), group.status().borrow().clone())).collect();
    let newest = all.iter().map(|(_, status)| status.term).max()?;
    all.into_iter().find(|(_, status)| status.leading && status.term == newest)
}

/// A node that still votes and is not asked to any more would throw its log away too early.
fn hosted(world: &World, shard: &Shard, status: &GroupStatus) {
    let hosts: BTreeSet<NodeId> = shard.hosts().collect();
    if let Some(voter) = status.voters.iter().find(|voter| !hosts.contains(voter)) {
        let detail = format!("group {}: node {voter} votes, and the catalog knows only {hosts:?}", shard.group);
        world.violated("members", detail);
    }
}

fn has_the_log(world: &World, leader: &Group, voter: NodeId) {
    let machine = world.machine(voter.0);
    let last = leader.log().state().last.map_or(0, |(index, _)| index);
    let has = machine.durable.lock().get(&leader.id()).and_then(|durable| durable.last).map_or(0, |(index, _)| index);
    let damaged = machine.owed.lock().contains_key(&leader.id());
    if !damaged && has + LACKS_MAX < last {
        let detail = format!("group {}: node {voter} votes and has {has} of {last} entries", leader.id());
        world.violated("members", detail);
    }
}
