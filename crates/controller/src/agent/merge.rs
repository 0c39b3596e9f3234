//! Taking an update from the controller into the image.

use std::collections::BTreeSet;
use std::sync::Arc;

use thalweg_catalog::{Catalog, DecodeError};
use thalweg_proto::peer::CatalogUpdate;
use thalweg_types::{GroupId, NodeId};

use crate::Image;

/// The image after `update`, which came from the leader at `leader_address`.
///
/// Leaders that the update does not name stay: a new controller hears of them bit by bit.
pub(super) fn merge(image: &Image, update: &CatalogUpdate, leader_address: &str) -> Result<Image, DecodeError> {
    let mut next = image.clone();
    if !update.catalog.is_empty() {
        let catalog = Catalog::decode(&update.catalog)?;
        if catalog.revision() >= image.catalog.revision() {
            next.catalog = Arc::new(catalog);
        }
    }
    for line in &update.leaders {
        match (GroupId(line.group), line.leader) {
            (group, 0) => drop(next.leaders.remove(&group)),
            (group, leader) => drop(next.leaders.insert(group, NodeId(leader))),
        }
    }
    if !Arc::ptr_eq(&next.catalog, &image.catalog) {
        let groups: BTreeSet<GroupId> = next.catalog.shards().map(|(_, shard)| shard.group).collect();
        next.leaders.retain(|group, _| groups.contains(group));
    }
    next.connected = update.connected_nodes.iter().copied().map(NodeId).collect();
    let leads = next.catalog.nodes().find(|node| node.peer_address == leader_address);
    next.controller_leader = leads.map(|node| node.id);
    Ok(next)
}
