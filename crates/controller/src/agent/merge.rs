//! Taking an update from the controller into the image.

use std::collections::BTreeSet;
use std::sync::Arc;

use thalweg_catalog::{Catalog, DecodeError};
use thalweg_proto::peer::CatalogUpdate;
use thalweg_types::{GroupId, NodeId};

use crate::Image;

/// An update, read.
pub(super) struct News {
    catalog: Option<Arc<Catalog>>,
    leaders: Vec<(GroupId, Option<NodeId>)>,
    connected: BTreeSet<NodeId>,
}

impl News {
    /// The catalog that the update brings, if it brings one.
    pub(super) fn catalog(&self) -> Option<&Arc<Catalog>> {
        self.catalog.as_ref()
    }
}

/// Reads an update. Costs as much as the catalog is long, so it is done outside of any lock.
pub(super) fn read(update: &CatalogUpdate) -> Result<News, DecodeError> {
    let catalog = match update.catalog.is_empty() {
        true => None,
        false => Some(Arc::new(Catalog::decode(&update.catalog)?)),
    };
    let leader = |leader: u64| (leader != 0).then_some(NodeId(leader));
    let leaders = update.leaders.iter().map(|line| (GroupId(line.group), leader(line.leader))).collect();
    let connected = update.connected_nodes.iter().copied().map(NodeId).collect();
    Ok(News { catalog, leaders, connected })
}

/// The image after `news` from the leader at `leader_address`.
///
/// Leaders that the update does not name stay: a new controller hears of them bit by bit. A
/// catalog older than the one that is there is ignored.
pub(super) fn merge(image: &Image, news: News, leader_address: &str) -> Image {
    let mut next = image.clone();
    for (group, leader) in news.leaders {
        match leader {
            Some(leader) => drop(next.leaders.insert(group, leader)),
            None => drop(next.leaders.remove(&group)),
        }
    }
    if let Some(catalog) = news.catalog.filter(|catalog| catalog.revision() >= image.catalog.revision()) {
        let groups: BTreeSet<GroupId> = catalog.shards().map(|(_, shard)| shard.group).collect();
        next.leaders.retain(|group, _| groups.contains(group));
        next.catalog = catalog;
    }
    next.connected = news.connected;
    let leads = next.catalog.nodes().find(|node| node.peer_address == leader_address);
    next.controller_leader = leads.map(|node| node.id);
    next
}

#[cfg(test)]
mod tests {
    use thalweg_catalog::Command;
    use thalweg_proto::peer::LeaderUpdate;
    use thalweg_types::UnixMillis;

    use super::*;

    fn formed() -> Catalog {
        let mut catalog = Catalog::new();
        let (cluster_id, token_secret) = ("c".to_owned(), "s".to_owned());
        let voters = vec![NodeId(1)];
        catalog.apply(&Command::FormCluster { cluster_id, token_secret, voters, now: UnixMillis(1) }).unwrap();
        catalog
    }

    fn update(catalog: Option<&Catalog>, leaders: &[(u64, u64)]) -> CatalogUpdate {
        CatalogUpdate {
            revision: catalog.map_or(0, Catalog::revision),
            catalog: catalog.map(|catalog| catalog.encode().into()).unwrap_or_default(),
            leaders: leaders.iter().map(|&(group, leader)| LeaderUpdate { group, leader }).collect(),
            connected_nodes: vec![1],
        }
    }

    fn merged(image: &Image, update: &CatalogUpdate) -> Image {
        merge(image, read(update).unwrap(), "nowhere:1")
    }

    #[test]
    fn an_update_without_a_catalog_changes_leaders_only() {
        let before = merged(&Image::default(), &update(Some(&formed()), &[]));
        let after = merged(&before, &update(None, &[(7, 1), (8, 2)]));
        assert!(Arc::ptr_eq(&before.catalog, &after.catalog));
        assert_eq!(after.leaders, [(GroupId(7), NodeId(1)), (GroupId(8), NodeId(2))].into());
        let later = merged(&after, &update(None, &[(7, 0)]));
        assert_eq!(later.leaders, [(GroupId(8), NodeId(2))].into());
    }

    #[test]
    fn the_catalog_never_falls_back() {
        let newest = merged(&Image::default(), &update(Some(&formed()), &[]));
        let after = merged(&newest, &update(Some(&Catalog::new()), &[]));
        assert_eq!(after.catalog.revision(), 1);
    }

    #[test]
    fn leaders_of_groups_that_are_gone_are_forgotten() {
        let led = merged(&Image::default(), &update(None, &[(7, 1)]));
        assert!(merged(&led, &update(Some(&formed()), &[])).leaders.is_empty());
    }
}
