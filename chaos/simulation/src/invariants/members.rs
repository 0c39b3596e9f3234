//! A shard's voters are those nodes that the catalog asked, each of them while it has the log.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use thalweg_catalog::Shard;
use thalweg_controller::Image;
use thalweg_raft::{Group, GroupStatus};
use thalweg_types::{GroupId, NodeId};

use super::Seen;
use crate::world::World;

/// A replica votes once it lacks no more than this, and a little for what came since.
const LACKS_MAX: u64 = 64 + 64;

/// What was known when it was looked at last. Nothing of it is forgotten when all who know it are off:
/// those who are left know only what was before.
#[derive(Default)]
pub struct Members {
    newest: Option<Arc<Image>>,
    groups: BTreeMap<GroupId, Before>,
}

#[derive(Default)]
struct Before {
    voters: BTreeSet<NodeId>,
    /// The newest term that any replica knew.
    term: u64,
}

impl Members {
    pub(crate) fn check(&mut self, world: &World, seen: &[Seen<'_>]) {
        let images = world.newest_image().into_iter().chain(self.newest.take());
        let Some(image) = images.max_by_key(|image| image.catalog.revision()) else { return };
        self.newest = Some(image.clone());
        for (_, shard) in image.catalog.shards() {
            let before = self.groups.entry(shard.group).or_default();
            let Some((group, status)) = leader(seen, shard.group, &mut before.term) else { continue };
            hosted(world, shard, &status);
            if !before.voters.is_empty() {
                status.voters.difference(&before.voters).for_each(|new| has_the_log(world, &group, *new));
            }
            before.voters = status.voters;
        }
    }
}

/// The replica that leads in the newest term that there ever was, with what it knows.
fn leader(seen: &[Seen<'_>], id: GroupId, newest: &mut u64) -> Option<(Group, GroupStatus)> {
    let replicas = seen.iter().flat_map(|node| &node.groups).filter(|group| group.id() == id);
    let all: Vec<(Group, GroupStatus)> =
        replicas.map(|group| (group.clone(), group.status().borrow().clone())).collect();
    *newest = all.iter().map(|(_, status)| status.term).fold(*newest, u64::max);
    all.into_iter().find(|(_, status)| status.leading && status.term == *newest)
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
