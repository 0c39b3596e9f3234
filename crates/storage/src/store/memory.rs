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
    log: BTreeMap<(GroupId, u64), Bytes>,
    meta: BTreeMap<GroupId, Bytes>,
    node: Option<Bytes>,
    /// How to get back to the last commit, newest change last.
    undo: Vec<Undo>,
    failing: Option<String>,
    /// Commits that succeed before writes fail.
    commits_left: Option<u64>,
}

/// What was there before a change.
#[derive(Debug)]
enum Undo {
    Log((GroupId, u64), Option<Bytes>),
    Meta(GroupId, Option<Bytes>),
    Node(Option<Bytes>),
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> MemoryStore {
        MemoryStore::default()
    }

    /// What a power cut does: everything since the last commit is gone.
    pub fn crash(&self) {
        let mut inner = self.0.lock();
        while let Some(undo) = inner.undo.pop() {
            match undo {
                Undo::Log(key, Some(value)) => drop(inner.log.insert(key, value)),
                Undo::Log(key, None) => drop(inner.log.remove(&key)),
                Undo::Meta(group, Some(meta)) => drop(inner.meta.insert(group, meta)),
                Undo::Meta(group, None) => drop(inner.meta.remove(&group)),
                Undo::Node(before) => inner.node = before,
            }
        }
        (inner.failing, inner.commits_left) = (None, None);
    }

    /// Another store that holds the same: what happens to one does not happen to the other.
    pub fn fork(&self) -> MemoryStore {
        let inner = self.0.lock();
        let (log, meta, node) = (inner.log.clone(), inner.meta.clone(), inner.node.clone());
        MemoryStore(Arc::new(Mutex::new(Inner { log, meta, node, ..Inner::default() })))
    }

    /// Lets every later write fail, until [`MemoryStore::crash`].
    pub fn fail_writes(&self, reason: &str) {
        self.0.lock().failing = Some(reason.to_owned());
    }

    /// Lets `commits` more commits succeed and every later write fail, until [`MemoryStore::crash`].
    pub fn fail_after_commits(&self, commits: u64) {
        self.0.lock().commits_left = Some(commits);
    }

    /// Flips one bit of a stored entry. False if there is no such entry.
    pub fn corrupt(&self, group: GroupId, index: u64) -> bool {
        let mut inner = self.0.lock();
        let Some(value) = inner.log.get_mut(&(group, index)) else { return false };
        let mut bytes = value.to_vec();
        let at = bytes.len() / 2;
        bytes[at] ^= 1;
        *value = Bytes::from(bytes);
        true
    }
}

impl Inner {
    fn check(&self) -> Result<(), StoreError> {
        let ended = || (self.commits_left == Some(0)).then(|| "simulated failure after a commit".to_owned());
        self.failing.clone().or_else(ended).map_or(Ok(()), |reason| Err(StoreError::Failed(reason)))
    }

    fn apply(&mut self, change: &Change) {
        match change {
            Change::Meta { group, meta } => {
                let before = self.meta.insert(*group, meta.clone());
                self.undo.push(Undo::Meta(*group, before));
            }
            Change::DropBelow { group, first } => self.drop_range(*group, *first),
            Change::DropGroup { group } => {
                self.drop_range(*group, u64::MAX);
                let before = self.meta.remove(group);
                self.undo.push(Undo::Meta(*group, before));
            }
            Change::Node { meta } => {
                let before = self.node.replace(meta.clone());
                self.undo.push(Undo::Node(before));
            }
        }
    }

    fn drop_range(&mut self, group: GroupId, end: u64) {
        let dropped: Vec<u64> = self.log.range((group, 0)..(group, end)).map(|((_, index), _)| *index).collect();
        for index in dropped {
            let before = self.log.remove(&(group, index));
            self.undo.push(Undo::Log((group, index), before));
        }
    }
}

impl RecordStore for MemoryStore {
    fn metas(&self) -> Result<Vec<(GroupId, Bytes)>, StoreError> {
        Ok(self.0.lock().meta.iter().map(|(group, meta)| (*group, meta.clone())).collect())
    }

    fn node(&self) -> Result<Option<Bytes>, StoreError> {
        Ok(self.0.lock().node.clone())
    }

    fn put(&self, group: GroupId, entries: &[LogEntry]) -> Result<(), StoreError> {
        let mut inner = self.0.lock();
        inner.check()?;
        for entry in entries {
            let mut bytes = Vec::new();
            value::encode(group, entry, &mut bytes);
            let before = inner.log.insert((group, entry.index), bytes.into());
            inner.undo.push(Undo::Log((group, entry.index), before));
        }
        Ok(())
    }

    fn commit(&self, changes: &[Change]) -> Result<(), StoreError> {
        let mut inner = self.0.lock();
        inner.check()?;
        changes.iter().for_each(|change| inner.apply(change));
        inner.undo.clear();
        inner.commits_left = inner.commits_left.map(|left| left - 1);
        Ok(())
    }

    fn read(&self, group: GroupId, from: u64, to: u64, max_bytes: usize) -> Result<Vec<LogEntry>, StoreError> {
        let inner = self.0.lock();
        let mut budget = Budget::new(max_bytes);
        let mut entries = Vec::new();
        for ((_, index), bytes) in inner.log.range((group, from)..(group, to.max(from))) {
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
        self.0.lock().log.values().map(|value| value.len() as u64).sum()
    }
}
