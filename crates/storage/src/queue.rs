//! What waits for the writer.
//!
//! Holds: first in, first out; a closed queue takes nothing more.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use thalweg_types::planted::{Planted, planted};
use thalweg_wal::{Kind, Record};
use tokio::sync::Notify;

use crate::group::Group;
use crate::{Done, Driver, LogEntry, StorageError};

/// One thing for the writer to do.
pub(crate) enum Work {
    /// Entries to log.
    Append { group: Arc<Group>, entries: Vec<LogEntry>, stamp: u64, sync: bool },
    /// Entries logged before, to be logged again with their stamps, so that their old segment is freed.
    Rewrite { group: Arc<Group>, entries: Vec<(LogEntry, u64)> },
    /// A vote, truncation, trim or destruction.
    Mark(Record),
    /// Only an answer, which keeps its place among the others.
    Answer(Result<(), StorageError>),
}

impl Work {
    pub(crate) fn byte_count(&self) -> u64 {
        match self {
            Work::Append { entries, .. } => entries.iter().map(|entry| entry.byte_count() as u64).sum(),
            Work::Rewrite { entries, .. } => entries.iter().map(|(entry, _)| entry.byte_count() as u64).sum(),
            Work::Mark(record) => record.head.len() as u64,
            Work::Answer(_) => 0,
        }
    }

    pub(crate) fn record_count(&self) -> usize {
        match self {
            Work::Append { entries, .. } => entries.len(),
            Work::Rewrite { entries, .. } => entries.len(),
            Work::Mark(_) => 1,
            Work::Answer(_) => 0,
        }
    }

    /// Whether whoever waits for it waits for a sync.
    pub(crate) fn needs_sync(&self) -> bool {
        match self {
            Work::Append { sync, .. } => *sync,
            Work::Mark(record) if record.kind == Kind::Vote => !planted(Planted::VoteNotSynced),
            Work::Rewrite { .. } | Work::Mark(_) => true,
            Work::Answer(_) => false,
        }
    }
}

/// Work and whom to tell.
pub(crate) struct Item {
    pub(crate) work: Work,
    pub(crate) done: Done,
}

#[derive(Default)]
pub(crate) struct Queue {
    inner: Mutex<Inner>,
    filled: Condvar,
    /// As `filled`, for a writer that is a task.
    called: Option<Notify>,
}

#[derive(Default)]
struct Inner {
    items: VecDeque<Item>,
    bytes: u64,
    closed: bool,
}

impl Queue {
    /// A queue whose writer is a thread, or with `Driver::Manual` whatever calls it.
    pub(crate) fn new(driver: Driver) -> Queue {
        Queue { called: (driver == Driver::Manual).then(Notify::new), ..Queue::default() }
    }

    /// Queues an item; gives it back when the queue is closed.
    pub(crate) fn push(&self, work: Work, done: Done) -> Result<(), Item> {
        let mut inner = self.inner.lock();
        let item = Item { work, done };
        if inner.closed {
            return Err(item);
        }
        inner.bytes += item.work.byte_count();
        inner.items.push_back(item);
        self.filled.notify_one();
        if let Some(called) = &self.called {
            called.notify_one();
        }
        Ok(())
    }

    /// Waits until something is queued. With [`Driver::Threads`] it never is, for anybody but the
    /// writer's thread.
    pub(crate) async fn filled(&self) {
        match &self.called {
            Some(called) => {
                while self.inner.lock().items.is_empty() {
                    called.notified().await;
                }
            }
            None => std::future::pending().await,
        }
    }

    /// Takes items up to the limits, at least one if there is any, waiting up to `wait` for it.
    pub(crate) fn take(&self, bytes_max: u64, records_max: usize, wait: Duration) -> Vec<Item> {
        let mut inner = self.inner.lock();
        if inner.items.is_empty() && !inner.closed && !wait.is_zero() {
            self.filled.wait_for(&mut inner, wait);
        }
        let (mut bytes, mut records, mut taken) = (0, 0, Vec::new());
        while let Some(item) = inner.items.front() {
            bytes += item.work.byte_count();
            records += item.work.record_count();
            if !taken.is_empty() && (bytes > bytes_max || records > records_max) {
                break;
            }
            taken.extend(inner.items.pop_front());
        }
        inner.bytes -= taken.iter().map(|item: &Item| item.work.byte_count()).sum::<u64>();
        taken
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.inner.lock().items.is_empty()
    }

    /// Payload bytes that wait.
    pub(crate) fn bytes(&self) -> u64 {
        self.inner.lock().bytes
    }

    /// Refuses everything from now on; what is queued stays.
    pub(crate) fn close(&self) {
        self.inner.lock().closed = true;
        self.filled.notify_all();
    }

    /// Drops what is queued, with its callbacks.
    pub(crate) fn clear(&self) {
        let items = std::mem::take(&mut self.inner.lock().items);
        drop(items);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.inner.lock().closed
    }
}
