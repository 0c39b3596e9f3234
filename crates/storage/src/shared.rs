//! What the handles, the writer and the mover of one node's log share.
//!
//! Holds: once [`Health::Failed`] is set it stays, and nothing is accepted any more.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use parking_lot::{Condvar, Mutex, RwLock};
use thalweg_types::GroupId;
use thalweg_wal::{Disk, Reader, Wal};
use tokio::sync::watch;

use crate::cache::Cache;
use crate::group::{Gauges, Group, Inner};
use crate::health::Counters;
use crate::mover::Backlog;
use crate::node_meta::NodeMeta;
use crate::queue::{Queue, Work};
use crate::writer::Batch;
use crate::{Done, Driver, Health, Options, RecordStore, StorageError};

/// Room that every entry needs in a block besides its own bytes, generously.
const FRAME_BYTES: u64 = 4096;

pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) driver: Driver,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) store: Arc<dyn RecordStore>,
    /// Nothing once it was closed.
    pub(crate) wal: Mutex<Option<Wal>>,
    pub(crate) reader: Reader,
    pub(crate) entry_bytes_max: u64,
    /// A group with a lower id that was not on disk may have been.
    pub(crate) distrusts_below: AtomicU64,
    /// Of the start that lost bytes last.
    pub(crate) damage_mark: u64,
    pub(crate) groups: RwLock<BTreeMap<GroupId, Arc<Group>>>,
    pub(crate) queue: Queue,
    /// Between the two halves of a write, see [`crate::NodeLog::begin_write`].
    pub(crate) writing: Mutex<Option<Batch>>,
    pub(crate) cache: Cache,
    pub(crate) gauges: Arc<Gauges>,
    pub(crate) counters: Counters,
    pub(crate) health: watch::Sender<Health>,
    pub(crate) mover: MoverSignal,
    stamps: AtomicU64,
}

/// How the mover is called, and how it tells of progress.
#[derive(Default)]
pub(crate) struct MoverSignal {
    /// Held by whoever moves.
    pub(crate) turn: Mutex<Backlog>,
    /// Bytes of write-ahead log that the last round could not release.
    pub(crate) left_bytes: AtomicU64,
    /// Metadata waits to be saved now, whatever the thresholds say.
    pub(crate) urgent: AtomicBool,
    pub(crate) stop: Mutex<bool>,
    pub(crate) called: Condvar,
    pub(crate) progress: Condvar,
}

impl MoverSignal {
    pub(crate) fn call(&self) {
        let _stop = self.stop.lock();
        self.called.notify_one();
    }

    pub(crate) fn call_urgently(&self) {
        self.urgent.store(true, Relaxed);
        self.call();
    }
}

/// What [`Shared`] is made of when a log was opened.
pub(crate) struct Parts {
    pub(crate) options: Options,
    pub(crate) driver: Driver,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) store: Arc<dyn RecordStore>,
    pub(crate) wal: Wal,
    pub(crate) groups: BTreeMap<GroupId, Inner>,
    pub(crate) node: NodeMeta,
}

impl Shared {
    pub(crate) fn new(parts: Parts) -> Shared {
        let gauges = Arc::new(Gauges::default());
        let group = |(id, inner)| (id, Arc::new(Group::new(id, inner, gauges.clone())));
        let fenced = parts.groups.values().any(Inner::awaits_entries);
        let counters = Counters::default();
        counters.wal_bytes.store(parts.wal.bytes_in_use(), Relaxed);
        Shared {
            reader: parts.wal.reader(),
            entry_bytes_max: crate::open::wal_options(&parts.options).block_bytes_max().saturating_sub(FRAME_BYTES),
            groups: RwLock::new(parts.groups.into_iter().map(group).collect()),
            cache: Cache::new(parts.options.cache_bytes, gauges.clone()),
            damage_mark: parts.node.damage_mark,
            distrusts_below: AtomicU64::new(parts.node.distrusts_below.0),
            wal: Mutex::new(Some(parts.wal)),
            options: parts.options,
            driver: parts.driver,
            disk: parts.disk,
            store: parts.store,
            queue: Queue::new(parts.driver),
            writing: Mutex::new(None),
            gauges,
            counters,
            health: watch::Sender::new(Health::Ok),
            mover: MoverSignal {
                turn: Mutex::new(Backlog { fenced, node: parts.node, ..Backlog::default() }),
                ..MoverSignal::default()
            },
            // Stamp 0 marks what was replayed.
            stamps: AtomicU64::new(1),
        }
    }

    pub(crate) fn group(&self, id: GroupId) -> Arc<Group> {
        if let Some(group) = self.groups.read().get(&id) {
            return group.clone();
        }
        let inner = Inner { fenced: id.0 < self.distrusts_below.load(Relaxed), ..Inner::default() };
        let fresh = || Arc::new(Group::new(id, inner, self.gauges.clone()));
        self.groups.write().entry(id).or_insert_with(fresh).clone()
    }

    pub(crate) fn all_groups(&self) -> Vec<Arc<Group>> {
        self.groups.read().values().cloned().collect()
    }

    pub(crate) fn next_stamp(&self) -> u64 {
        self.stamps.fetch_add(1, Relaxed)
    }

    /// The failure that ended this log's life, if any.
    pub(crate) fn failure(&self) -> Option<StorageError> {
        match &*self.health.borrow() {
            Health::Failed(reason) => Some(StorageError::Failed { reason: reason.clone() }),
            Health::Ok | Health::DiskFull { .. } => None,
        }
    }

    /// Ends this log's life. The first reason stays.
    pub(crate) fn fail(&self, reason: String) -> StorageError {
        self.health.send_if_modified(|health| {
            let first = !matches!(health, Health::Failed(_));
            if first {
                tracing::error!(%reason, "storage failed; nothing is written until restart");
                *health = Health::Failed(reason.clone());
            }
            first
        });
        self.mover.progress.notify_all();
        self.failure().unwrap_or(StorageError::Failed { reason })
    }

    /// Whether an append of `bytes`, whose largest entry has `largest`, may enter the queue.
    pub(crate) fn admit(&self, bytes: u64, largest: u64) -> Result<(), StorageError> {
        match &*self.health.borrow() {
            Health::Ok => {}
            Health::DiskFull { free_bytes, need_bytes } => {
                return Err(StorageError::Full { free_bytes: *free_bytes, need_bytes: *need_bytes });
            }
            Health::Failed(reason) => return Err(StorageError::Failed { reason: reason.clone() }),
        }
        let queued_bytes = self.queue.bytes() + bytes;
        let wal_bytes = self.counters.wal_bytes.load(Relaxed) + queued_bytes;
        let over = |found: u64, limit: u64| found > limit;
        if over(largest, self.entry_bytes_max) {
            Err(StorageError::TooLarge { bytes: largest, limit_bytes: self.entry_bytes_max })
        } else if over(queued_bytes, self.options.queue_bytes_max) {
            Err(StorageError::Overloaded { queued_bytes, limit_bytes: self.options.queue_bytes_max })
        } else if over(wal_bytes, self.options.wal_bytes_max) {
            Err(StorageError::LogFull { wal_bytes, limit_bytes: self.options.wal_bytes_max })
        } else {
            Ok(())
        }
    }

    /// Whether it is time to move. What the last round had to leave in the write-ahead log counts
    /// again only when another segment has been filled.
    pub(crate) fn wants_move(&self) -> bool {
        let wal_bytes = self.counters.wal_bytes.load(Relaxed);
        let left_bytes = self.mover.left_bytes.load(Relaxed);
        self.gauges.movable_bytes.load(Relaxed) > self.options.move_bytes
            || (wal_bytes > self.options.hot_tail_bytes && wal_bytes > left_bytes + self.options.segment_bytes)
    }

    /// Queues work. The caller holds the group's lock, so a refusal is returned, not run.
    #[must_use = "a refused caller must be told once no lock is held"]
    pub(crate) fn submit(&self, work: Work, done: Done) -> Option<Refused> {
        match self.queue.push(work, done) {
            Ok(()) => None,
            Err(item) => Some(Refused(item.done, self.failure().unwrap_or(StorageError::Closed))),
        }
    }

    /// Answers a call in its turn, after those before it.
    pub(crate) fn answer(&self, result: Result<(), StorageError>, done: Done) {
        if let Some(refused) = self.submit(Work::Answer(result), done) {
            refused.tell();
        }
    }
}

/// Held by a thread: if it panics, the log ends instead of standing still.
pub(crate) struct PanicWatch<'a>(pub(crate) &'a Shared);

impl Drop for PanicWatch<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail("a storage thread panicked".into());
            self.0.queue.close();
            self.0.queue.clear();
        }
    }
}

/// A caller that the queue turned away.
pub(crate) struct Refused(Done, StorageError);

impl Refused {
    pub(crate) fn tell(self) {
        (self.0)(Err(self.1));
    }
}
