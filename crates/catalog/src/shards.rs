//! The shards of one stream, and which of them takes a hash key.
//!
//! Holds: `route` lists exactly the open shards by rising start key. It is derived, never stored:
//! every way to change a shard's state goes through [`Shards::edit`], which rebuilds it once.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thalweg_types::{HashKey, ShardId};

use crate::Shard;

type ById = BTreeMap<ShardId, Arc<Shard>>;

/// Shards by id, with a routing table for those that are open.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "ById", into = "ById")]
pub struct Shards {
    by_id: ById,
    route: Vec<(HashKey, ShardId)>,
}

impl From<ById> for Shards {
    fn from(by_id: ById) -> Shards {
        let mut shards = Shards { by_id, route: Vec::new() };
        shards.rebuild_route();
        shards
    }
}

impl From<Shards> for ById {
    fn from(shards: Shards) -> ById {
        shards.by_id
    }
}

impl Shards {
    /// The shard of that id, visible or not.
    pub fn get(&self, id: ShardId) -> Option<&Shard> {
        self.by_id.get(&id).map(Arc::as_ref)
    }

    /// All shards by rising id, those still opening included.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Shard> {
        self.by_id.values().map(Arc::as_ref)
    }

    /// The shards with an id above `id`, rising.
    pub fn after(&self, id: ShardId) -> impl Iterator<Item = &Shard> {
        use std::ops::Bound::{Excluded, Unbounded};
        self.by_id.range((Excluded(id), Unbounded)).map(|(_, shard)| shard.as_ref())
    }

    /// Number of shards, those still opening included.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// What clients may write to, by rising start key: ranges that tile the hash space.
    pub fn open(&self) -> impl DoubleEndedIterator<Item = &Shard> {
        self.route.iter().map(|(_, id)| &*self.by_id[id])
    }

    /// Number of open shards.
    pub fn open_count(&self) -> usize {
        self.route.len()
    }

    /// The open shard that takes `key`; nothing while the stream is being created.
    pub fn for_key(&self, key: HashKey) -> Option<&Shard> {
        let above = self.route.partition_point(|(start, _)| *start <= key);
        let (_, id) = self.route.get(above.checked_sub(1)?)?;
        self.get(*id)
    }

    /// Changes any number of shards as one step.
    pub(crate) fn edit<T>(&mut self, change: impl FnOnce(&mut ById) -> T) -> T {
        let result = change(&mut self.by_id);
        self.rebuild_route();
        result
    }

    /// Changes one shard in ways that do not touch its state or range.
    pub(crate) fn replace_hosts(&mut self, id: ShardId, change: impl FnOnce(&mut Shard)) {
        if let Some(shard) = self.by_id.get_mut(&id) {
            change(Arc::make_mut(shard));
        }
    }

    fn rebuild_route(&mut self) {
        let open = self.by_id.values().filter(|shard| shard.is_open());
        self.route = open.map(|shard| (shard.range.start(), shard.id)).collect();
        self.route.sort_unstable();
    }
}
