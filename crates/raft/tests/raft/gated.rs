//! A record store whose commits wait when they are told to, and are lost if the node ends meanwhile.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use thalweg_storage::store::Change;
use thalweg_storage::{LogEntry, MemoryStore, RecordStore, StoreError};
use thalweg_types::GroupId;

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Shut,
    Lost,
}

/// What commits pass.
pub(crate) struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

impl Gate {
    pub(crate) fn open() -> Arc<Gate> {
        Arc::new(Gate { state: Mutex::new(State::Open), changed: Condvar::new() })
    }

    /// From now on commits wait.
    pub(crate) fn shut(&self) {
        *self.state.lock() = State::Shut;
    }

    /// The node ends: what waits is lost. Only what waits for a shut gate is.
    pub(crate) fn lose(&self) {
        let mut state = self.state.lock();
        if *state == State::Shut {
            *state = State::Lost;
        }
        self.changed.notify_all();
    }

    fn pass(&self) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        self.changed.wait_while(&mut state, |state| *state == State::Shut);
        if *state == State::Open { Ok(()) } else { Err(StoreError::Failed("the node ended".to_owned())) }
    }
}

pub(crate) struct Gated {
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) gate: Arc<Gate>,
}

impl RecordStore for Gated {
    fn metas(&self) -> Result<Vec<(GroupId, Bytes)>, StoreError> {
        self.store.metas()
    }

    fn node(&self) -> Result<Option<Bytes>, StoreError> {
        self.store.node()
    }

    fn put(&self, group: GroupId, entries: &[LogEntry]) -> Result<(), StoreError> {
        self.store.put(group, entries)
    }

    fn commit(&self, changes: &[Change]) -> Result<(), StoreError> {
        self.gate.pass()?;
        self.store.commit(changes)
    }

    fn read(&self, group: GroupId, from: u64, to: u64, max_bytes: usize) -> Result<Vec<LogEntry>, StoreError> {
        self.store.read(group, from, to, max_bytes)
    }

    fn reclaim(&self) -> Result<(), StoreError> {
        self.store.reclaim()
    }

    fn bytes_on_disk(&self) -> u64 {
        self.store.bytes_on_disk()
    }
}
