//! All streams of a catalog, by name and by id.
//!
//! Holds: the ids' index names each stream exactly once. It is derived, never stored.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thalweg_types::{StreamId, StreamName};

use crate::Stream;

type ByName = BTreeMap<StreamName, Arc<Stream>>;

/// Streams by name, with an index by id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "ByName", into = "ByName")]
pub(crate) struct Streams {
    by_name: ByName,
    names: BTreeMap<StreamId, StreamName>,
}

impl From<ByName> for Streams {
    fn from(by_name: ByName) -> Streams {
        let names = by_name.values().map(|stream| (stream.id, stream.name.clone())).collect();
        Streams { by_name, names }
    }
}

impl From<Streams> for ByName {
    fn from(streams: Streams) -> ByName {
        streams.by_name
    }
}

impl Streams {
    pub(crate) fn get(&self, name: &StreamName) -> Option<&Arc<Stream>> {
        self.by_name.get(name)
    }

    pub(crate) fn by_id(&self, id: StreamId) -> Option<&Arc<Stream>> {
        self.by_name.get(self.names.get(&id)?)
    }

    /// All of them, by name.
    pub(crate) fn values(&self) -> impl Iterator<Item = &Arc<Stream>> {
        self.by_name.values()
    }

    /// Those whose names come after `name`, in order.
    pub(crate) fn after(&self, name: &StreamName) -> impl Iterator<Item = &Arc<Stream>> {
        self.by_name.range::<StreamName, _>((Excluded(name), Unbounded)).map(|(_, stream)| stream)
    }

    /// For changing anything but name and id.
    pub(crate) fn get_mut(&mut self, name: &StreamName) -> Option<&mut Stream> {
        self.by_name.get_mut(name).map(Arc::make_mut)
    }

    pub(crate) fn insert(&mut self, stream: Stream) {
        self.remove(&stream.name.clone());
        self.names.insert(stream.id, stream.name.clone());
        self.by_name.insert(stream.name.clone(), Arc::new(stream));
    }

    pub(crate) fn remove(&mut self, name: &StreamName) {
        if let Some(stream) = self.by_name.remove(name) {
            self.names.remove(&stream.id);
        }
    }
}
