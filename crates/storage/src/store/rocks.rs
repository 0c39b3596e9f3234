//! The record store on disk: RocksDB, used as a bulk store and never as a log.
//!
//! Its own write-ahead log is off: `commit` flushes both column families atomically, and until
//! then the node's log still has everything. Bodies go to blob files, so the tree holds keys and
//! references, compactions rewrite next to nothing, and a blob file without references is dropped
//! whole.
//!
//! Options: `rocks/options.rs`. Why blobs and not ingested files: ARCHITECTURE.md.

mod manifest;
mod options;

use std::path::Path;

use bytes::Bytes;
use rocksdb::{BoundColumnFamily, ColumnFamilyDescriptor, DB, DBRawIterator, ErrorKind, FlushOptions, WriteBatch};
use thalweg_types::GroupId;
use thalweg_types::planted::{Planted, planted};

use super::keys::{NODE_KEY, log_key, meta_key, parse_log_key, parse_meta_key};
use super::{Change, RecordStore, value};
use crate::entry::Budget;
use crate::{LogEntry, StoreError};

const LOG: &str = "log";
const META: &str = "meta";
/// Bytes of one write batch, give or take an entry: so small that it stays in the CPU's cache and
/// below the size at which the allocator asks the kernel each time.
const BATCH_BYTES: usize = 64 * 1024;

/// The record store of a node, on disk.
pub struct RocksStore {
    db: DB,
}

impl RocksStore {
    /// Opens the store in `dir`, making it when missing.
    pub fn open(dir: &Path) -> Result<RocksStore, StoreError> {
        std::fs::create_dir_all(dir).map_err(|error| StoreError::Failed(error.to_string()))?;
        let column_families = [
            ColumnFamilyDescriptor::new("default", options::meta()),
            ColumnFamilyDescriptor::new(LOG, options::log()),
            ColumnFamilyDescriptor::new(META, options::meta()),
        ];
        manifest::check(dir)?;
        let db = DB::open_cf_descriptors(&options::database(dir), dir, column_families).map_err(failed)?;
        let store = RocksStore { db };
        store.drop_orphans()?;
        Ok(store)
    }

    fn family(&self, name: &str) -> std::sync::Arc<BoundColumnFamily<'_>> {
        self.db.cf_handle(name).expect("the column family was opened with the database")
    }

    /// Drops entries of groups without metadata: what a crash between `put` and `commit` left.
    fn drop_orphans(&self) -> Result<(), StoreError> {
        let known: std::collections::BTreeSet<GroupId> = self.metas()?.into_iter().map(|(group, _)| group).collect();
        let orphans: Vec<Change> = self
            .groups_with_entries()?
            .into_iter()
            .filter(|group| !known.contains(group))
            .map(|group| Change::DropGroup { group })
            .collect();
        if orphans.is_empty() { Ok(()) } else { self.commit(&orphans) }
    }

    /// Every group that has an entry: one seek a group.
    fn groups_with_entries(&self) -> Result<Vec<GroupId>, StoreError> {
        let log = self.family(LOG);
        let mut iterator = self.db.raw_iterator_cf_opt(&log, options::read());
        let mut groups = Vec::new();
        iterator.seek_to_first();
        while let Some((group, _)) = iterator.key().and_then(parse_log_key) {
            groups.push(group);
            iterator.seek(log_key(group, u64::MAX));
        }
        iterator.status().map_err(failed)?;
        Ok(groups)
    }

    fn apply(&self, change: &Change, batch: &mut WriteBatch) {
        let (log, meta) = (self.family(LOG), self.family(META));
        match change {
            Change::Meta { group, meta: bytes } => batch.put_cf(&meta, meta_key(*group), bytes),
            Change::DropBelow { group, first } => {
                batch.delete_range_cf(&log, log_key(*group, 0), log_key(*group, *first));
            }
            Change::DropGroup { group } => {
                batch.delete_range_cf(&log, log_key(*group, 0), log_key(*group, u64::MAX));
                batch.delete_cf(&meta, meta_key(*group));
            }
            Change::Node { meta: bytes } => batch.put_cf(&meta, NODE_KEY, bytes),
        }
    }

    fn write(&self, batch: WriteBatch) -> Result<(), StoreError> {
        self.db.write_opt(batch, &options::write()).map_err(failed)
    }

    /// Takes contiguous, intact entries. An entry that cannot be read ends the result, and is the
    /// result when it is the first.
    fn collect(
        &self,
        iterator: &mut DBRawIterator<'_>,
        group: GroupId,
        from: u64,
        max_bytes: usize,
    ) -> Result<Vec<LogEntry>, StoreError> {
        let mut budget = Budget::new(max_bytes);
        let mut entries = Vec::new();
        loop {
            let index = from + entries.len() as u64;
            let mut read = read_one(iterator, group, index);
            let met_damage = matches!(read, Err(StoreError::Corrupt { .. }));
            if met_damage && let Some(copy) = self.read_copy(group, index) {
                read = Ok(Some(copy));
            }
            let entry = match read {
                Ok(Some(entry)) => entry,
                Err(error) if entries.is_empty() => return Err(error),
                Ok(None) | Err(_) => return Ok(entries),
            };
            if !budget.take(entry.byte_count()) {
                return Ok(entries);
            }
            entries.push(entry);
            if met_damage {
                iterator.seek(log_key(group, index + 1));
            } else {
                iterator.next();
            }
        }
    }

    /// A copy from a peer of an entry that lies in a damaged block, if there is one. An iterator meets
    /// the damage although the copy is newer, because it stands in all tables at once; a look-up of the
    /// key ends at the newest table that has it.
    fn read_copy(&self, group: GroupId, index: u64) -> Option<LogEntry> {
        let found = self.db.get_pinned_cf_opt(&self.family(LOG), log_key(group, index), &options::read());
        let bytes = found.ok().flatten()?;
        value::decode(group, index, Bytes::copy_from_slice(&bytes))
    }

    fn number(&self, family: &str, property: &str) -> u64 {
        let family = self.family(family);
        self.db.property_int_value_cf(&family, property).ok().flatten().unwrap_or(0)
    }
}

impl RecordStore for RocksStore {
    fn metas(&self) -> Result<Vec<(GroupId, Bytes)>, StoreError> {
        let meta = self.family(META);
        let mut iterator = self.db.raw_iterator_cf(&meta);
        let mut metas = Vec::new();
        iterator.seek_to_first();
        while let Some((key, value)) = iterator.item() {
            if key != NODE_KEY {
                let group = parse_meta_key(key).ok_or_else(|| StoreError::Failed("strange key in `meta`".into()))?;
                metas.push((group, Bytes::copy_from_slice(value)));
            }
            iterator.next();
        }
        iterator.status().map_err(failed)?;
        Ok(metas)
    }

    fn node(&self) -> Result<Option<Bytes>, StoreError> {
        let node = self.db.get_cf(&self.family(META), NODE_KEY).map_err(failed)?;
        Ok(node.map(Bytes::from))
    }

    fn put(&self, group: GroupId, entries: &[LogEntry]) -> Result<(), StoreError> {
        let log = self.family(LOG);
        let mut batch = WriteBatch::default();
        let mut value = Vec::new();
        for entry in entries {
            value::encode(group, entry, &mut value);
            batch.put_cf(&log, log_key(group, entry.index), &value);
            if batch.size_in_bytes() >= BATCH_BYTES {
                self.write(std::mem::take(&mut batch))?;
            }
        }
        if batch.is_empty() { Ok(()) } else { self.write(batch) }
    }

    fn commit(&self, changes: &[Change]) -> Result<(), StoreError> {
        let mut batch = WriteBatch::default();
        changes.iter().for_each(|change| self.apply(change, &mut batch));
        if !batch.is_empty() {
            self.write(batch)?;
        }
        let mut wait = FlushOptions::default();
        wait.set_wait(true);
        self.db.flush_cfs_opt(&[&self.family(LOG), &self.family(META)], &wait).map_err(failed)
    }

    fn read(&self, group: GroupId, from: u64, to: u64, max_bytes: usize) -> Result<Vec<LogEntry>, StoreError> {
        if from >= to {
            return Ok(Vec::new());
        }
        let log = self.family(LOG);
        let mut read = options::read();
        read.set_iterate_upper_bound(log_key(group, to).to_vec());
        let mut iterator = self.db.raw_iterator_cf_opt(&log, read);
        iterator.seek(log_key(group, from));
        self.collect(&mut iterator, group, from, max_bytes)
    }

    fn reclaim(&self) -> Result<(), StoreError> {
        // The tree is small (keys and references), so a full compaction costs little. It drops the
        // last references into blob files, and with them the files.
        self.db.compact_range_cf_opt(&self.family(LOG), None::<&[u8]>, None::<&[u8]>, &options::reclaim());
        Ok(())
    }

    fn bytes_on_disk(&self) -> u64 {
        let tree = |family| self.number(family, "rocksdb.total-sst-files-size");
        tree(LOG) + tree(META) + self.number(LOG, "rocksdb.total-blob-file-size")
    }
}

/// The entry the iterator stands on, if it is the one at `index`.
fn read_one(iterator: &DBRawIterator<'_>, group: GroupId, index: u64) -> Result<Option<LogEntry>, StoreError> {
    // An invalid iterator may have ended or may have met a damaged block: only its status tells.
    let Some((key, bytes)) = iterator.item() else {
        return match iterator.status() {
            _ if planted(Planted::IteratorStatusIgnored) => Ok(None),
            Ok(()) => Ok(None),
            Err(error) if error.kind() == ErrorKind::Corruption => Err(StoreError::Corrupt { group, index }),
            Err(error) => Err(failed(error)),
        };
    };
    if parse_log_key(key) != Some((group, index)) {
        return Ok(None);
    }
    value::decode(group, index, Bytes::copy_from_slice(bytes)).map(Some).ok_or(StoreError::Corrupt { group, index })
}

fn failed(error: rocksdb::Error) -> StoreError {
    StoreError::Failed(error.into_string())
}
