//! A record store that obeys the same faults as its node's disk.

use std::sync::Arc;

use bytes::Bytes;
use thalweg_storage::store::Change;
use thalweg_storage::{LogEntry, RecordStore, StoreError};
use thalweg_types::GroupId;

use crate::fault_disk::{Faults, Step};

/// A record store with faults.
pub struct FaultStore {
    inner: Arc<dyn RecordStore>,
    faults: Faults,
}

impl FaultStore {
    /// The same store, obeying `faults`.
    pub fn new(inner: Arc<dyn RecordStore>, faults: &Faults) -> FaultStore {
        FaultStore { inner, faults: faults.clone() }
    }

    fn around(&self, step: Step, run: impl FnOnce() -> Result<(), StoreError>) -> Result<(), StoreError> {
        let run = || run().map_err(std::io::Error::other);
        self.faults.around(step, run).map_err(|error| StoreError::Failed(error.to_string()))
    }
}

impl RecordStore for FaultStore {
    fn metas(&self) -> Result<Vec<(GroupId, Bytes)>, StoreError> {
        self.inner.metas()
    }

    fn node(&self) -> Result<Option<Bytes>, StoreError> {
        self.inner.node()
    }

    fn put(&self, group: GroupId, entries: &[LogEntry]) -> Result<(), StoreError> {
        self.around(Step::Put, || self.inner.put(group, entries))
    }

    fn commit(&self, changes: &[Change]) -> Result<(), StoreError> {
        self.around(Step::Commit, || self.inner.commit(changes))
    }

    fn read(&self, group: GroupId, from: u64, to: u64, max_bytes: usize) -> Result<Vec<LogEntry>, StoreError> {
        self.inner.read(group, from, to, max_bytes)
    }

    fn reclaim(&self) -> Result<(), StoreError> {
        self.around(Step::Reclaim, || self.inner.reclaim())
    }

    fn bytes_on_disk(&self) -> u64 {
        self.inner.bytes_on_disk()
    }
}
