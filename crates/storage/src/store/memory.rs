//! The record store in memory: the twin of [`super::RocksStore`] for simulation and tests.
//!
//! Holds: [`MemoryStore::crash`] leaves exactly what the last commit made durable.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use thalweg_types::GroupId;

use super::{Change, RecordStore, value};
use crate::entry::Budget;
use crate::{LogEntry, StoreError};

/// A record store that forgets with its last clone. Clones share the contents.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    now: Contents,
    durable: Contents,
    failing: Option<String>,
}

#[derive(Clone, Debug, Default)]
struct Contents {
    log: BTreeMap<(GroupId, u64), Bytes>,
    meta: BTreeMap<GroupId, Bytes>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> MemoryStore {
        MemoryStore::default()
    }

    /// What a power cut does: everything since the last commit is gone.
    pub fn crash(&self) {
        let mut inner = self.0.lock();
        inner.now = inner.durable.clone();
        inner.failing = None;
    }

    /// Lets every later write fail, until [`MemoryStore::crash`].
    pub fn fail_writes(&self, reason: &str) {
        self.0.lock().failing = Some(reason.to_owned());
    }

    /// Flips one bit of a stored entry. False if there is no such entry.
    pub fn corrupt(&self, group: GroupId, index: u64) -> bool {
        let mut inner = self.0.lock();
        let flipped = inner.now.log.get(&(group, index)).map(|value| {
            let mut bytes = value.to_vec();
            let at = bytes.len() / 2;
            bytes[at] ^= 1;
            Bytes::from(bytes)
        });
        let Some(flipped) = flipped else { return false };
        inner.durable.log.insert((group, index), flipped.clone());
        inner.now.log.insert((group, index), flipped);
        true
    }
}

impl Inner {
    fn check(&self) -> Result<(), StoreError> {
        self.failing.clone().map_or(Ok(()), |reason| Err(StoreError::Failed(reason)))
    }
}

impl Contents {
    fn apply(&mut self, change: &Change) {
        match change {
            Change::Meta { group, meta } => {
                self.meta.insert(*group, meta.clone());
            }
            Change::DropBelow { group, first } => self.log.retain(|(g, index), _| g != group || index >= first),
            Change::DropGroup { group } => {
                self.log.retain(|(g, _), _| g != group);
                self.meta.remove(group);
            }
        }
    }
}

impl RecordStore for MemoryStore {
    fn metas(&self) -> Result<Vec<(GroupId, Bytes)>, StoreError> {
        Ok(self.0.lock().now.meta.iter().map(|(group, meta)| (*group, meta.clone())).collect())
    }

    fn put(&self, group: GroupId, entries: &[LogEntry]) -> Result<(), StoreError> {
        let mut inner = self.0.lock();
        inner.check()?;
        for entry in entries {
            let mut bytes = Vec::new();
            value::encode(group, entry, &mut bytes);
            inner.now.log.insert((group, entry.index), bytes.into());
        }
        Ok(())
    }

    fn commit(&self, changes: &[Change]) -> Result<(), StoreError> {
        let mut inner = self.0.lock();
        inner.check()?;
        changes.iter().for_each(|change| inner.now.apply(change));
        inner.durable = inner.now.clone();
        Ok(())
    }

    fn read(&self, group: GroupId, from: u64, to: u64, max_bytes: usize) -> Result<Vec<LogEntry>, StoreError> {
        let inner = self.0.lock();
        let mut budget = Budget::new(max_bytes);
        let mut entries = Vec::new();
        for ((_, index), bytes) in inner.now.log.range((group, from)..(group, to.max(from))) {
            if *index != from + entries.len() as u64 {
                break;
            }
            match value::decode(group, *index, bytes.clone()) {
                Some(entry) if budget.take(entry.byte_count()) => entries.push(entry),
                Some(_) => break,
                None if entries.is_empty() => return Err(StoreError::Corrupt { group, index: *index }),
                None => break,
            }
        }
        Ok(entries)
    }

    fn reclaim(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn bytes_on_disk(&self) -> u64 {
        self.0.lock().now.log.values().map(|value| value.len() as u64).sum()
    }
}
