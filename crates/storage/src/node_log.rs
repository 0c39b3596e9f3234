//! A node's log as one thing: opening, groups, health, figures, closing.
//!
//! ```text
//!  GroupLog calls ──► memory ──► queue ──► writer ──► write-ahead log ──► done
//!                        │                                  │
//!                        └───── mover: applied entries ◄────┘──► record store
//! ```

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use thalweg_types::GroupId;
use thalweg_wal::Disk;
use tokio::sync::watch;

use crate::group_log::GroupLog;
use crate::shared::Shared;
use crate::{
    Driver, Health, OpenError, OpenReport, Options, RecordStore, Stats, StorageError, mover, open, space, writer,
};

/// The log of a node: one write-ahead log and one record store for all its groups. Cheap to clone.
///
/// Call [`NodeLog::close`] before the last handle goes; dropping it without is what a crash of the
/// process does: nothing acknowledged is lost, but the next start has more to replay.
#[derive(Clone)]
pub struct NodeLog {
    shared: Arc<Shared>,
    threads: Arc<Threads>,
}

impl NodeLog {
    /// Recovers what is on disk and starts. The start costs as much as the hot tail is long.
    pub fn open(
        options: Options,
        disk: Arc<dyn Disk>,
        store: Arc<dyn RecordStore>,
        driver: Driver,
    ) -> Result<(NodeLog, OpenReport), OpenError> {
        let (shared, report) = open::open(options, disk, store, driver)?;
        let shared = Arc::new(shared);
        space::check(&shared);
        let threads = match driver {
            Driver::Threads => Threads::start(&shared).map_err(OpenError::Threads)?,
            Driver::Manual => Threads::none(&shared),
        };
        Ok((NodeLog { shared, threads: Arc::new(threads) }, report))
    }

    /// The log of a group; empty on first use.
    pub fn group(&self, group: GroupId) -> GroupLog {
        GroupLog::new(self.shared.clone(), self.shared.group(group), self.threads.clone())
    }

    /// The log of a group that this node knows; unlike [`group`](Self::group) it begins none.
    pub fn known_group(&self, group: GroupId) -> Option<GroupLog> {
        let known = self.shared.groups.read().get(&group).cloned()?;
        Some(GroupLog::new(self.shared.clone(), known, self.threads.clone()))
    }

    /// The groups that have anything on this node: entries, a trim point, a vote or a checkpoint.
    pub fn groups(&self) -> Vec<GroupId> {
        let exists = |group: &Arc<crate::group::Group>| group.lock().exists();
        self.shared.all_groups().iter().filter(|group| exists(group)).map(|group| group.id).collect()
    }

    /// Groups with lower ids that are not here may have been, before acknowledged bytes were lost at
    /// this start or an earlier one: on first use they begin fenced. 0 where nothing was ever lost;
    /// the highest id until [`distrust_below`](Self::distrust_below) was called after a loss.
    pub fn distrusts_below(&self) -> GroupId {
        GroupId(self.shared.distrusts_below.load(Relaxed))
    }

    /// Tells that no group with the id `below` or a higher one existed when bytes were lost here, so
    /// that such a group is what it seems. Holds until bytes are lost again. Blocks until it is durable.
    pub fn distrust_below(&self, below: GroupId) -> Result<(), StorageError> {
        if below < self.distrusts_below() {
            mover::save_trust(&self.shared, below)?;
            self.shared.distrusts_below.store(below.0, Relaxed);
        }
        Ok(())
    }

    /// Whether the log takes writes, now and from now on.
    pub fn health(&self) -> watch::Receiver<Health> {
        self.shared.health.subscribe()
    }

    /// Figures for metrics. Asks the record store for its size.
    pub fn stats(&self) -> Stats {
        let gauges = &self.shared.gauges;
        Stats {
            queued_bytes: self.shared.queue.bytes(),
            hot_tail_bytes: gauges.hot_bytes.load(Relaxed),
            movable_bytes: gauges.movable_bytes.load(Relaxed),
            cache_bytes: gauges.cache_bytes.load(Relaxed),
            store_bytes: self.shared.store.bytes_on_disk(),
            ..self.shared.counters.stats()
        }
    }

    /// Moves everything that is applied to the record store. Blocks until it is durable there.
    pub fn flush(&self) -> Result<(), StorageError> {
        mover::run(&self.shared, mover::Mode::Everything).map(|_| ())
    }

    /// Writes what is queued, moves what is applied, and marks the end of the write-ahead log
    /// exactly. Later calls are refused with [`StorageError::Closed`].
    ///
    /// Not to be called from a `done` callback.
    pub fn close(&self) -> Result<(), StorageError> {
        self.shared.queue.close();
        self.threads.join();
        self.finish_write();
        while writer::run_once(&self.shared, Duration::ZERO) {}
        if let Some(failure) = self.shared.failure() {
            return Err(failure);
        }
        self.flush()?;
        self.shared.all_groups().iter().for_each(|group| group.forget_source());
        match self.shared.wal.lock().take() {
            Some(wal) => wal.close().map_err(|error| self.shared.fail(error.to_string())),
            None => Ok(()),
        }
    }

    /// Who runs writer and mover.
    pub fn driver(&self) -> Driver {
        self.shared.driver
    }

    /// Waits until something is queued for the writer. For [`Driver::Manual`].
    pub async fn write_queued(&self) {
        self.shared.queue.filled().await;
    }

    /// Writes and syncs one batch of what is queued. False if nothing was. For [`Driver::Manual`].
    pub fn run_writer_once(&self) -> bool {
        let begun = self.begin_write();
        self.finish_write();
        begun != Begun::Nothing
    }

    /// The first half of [`run_writer_once`](Self::run_writer_once): writes one batch, which is
    /// readable then and may be lost in a crash. What an earlier call wrote is finished before.
    pub fn begin_write(&self) -> Begun {
        self.finish_write();
        let batch = writer::begin(&self.shared, Duration::ZERO);
        let begun = match &batch {
            None => Begun::Nothing,
            Some(batch) if batch.refused_any() || !self.shared.queue.is_empty() => Begun::Part,
            Some(_) => Begun::All,
        };
        *self.shared.writing.lock() = batch;
        begun
    }

    /// The second half: syncs what was written, and answers.
    pub fn finish_write(&self) {
        let batch = self.shared.writing.lock().take();
        if let Some(batch) = batch {
            writer::finish(&self.shared, batch);
        }
    }

    /// Looks at the free space and writes the fence, as the writer's thread does every 100 ms while
    /// there are writes and once more after the last. For [`Driver::Manual`].
    pub fn tick_writer(&self) {
        writer::tick(&self.shared);
    }

    /// Moves applied entries if it is time to. False if it was not. For [`Driver::Manual`].
    pub fn run_mover_once(&self) -> bool {
        mover::run(&self.shared, mover::Mode::WhenDue).unwrap_or(false)
    }

    /// Makes the next move due if trimmed entries wait to leave the record store. The mover's thread
    /// does so every 15 s. For [`Driver::Manual`].
    pub fn call_for_trimmed(&self) {
        mover::call_for_trimmed(&self.shared);
    }
}

/// How much of what was queued a call of [`NodeLog::begin_write`] has written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begun {
    /// Nothing was queued.
    Nothing,
    /// The batch was full, or some of it was refused.
    Part,
    /// Everything.
    All,
}

/// The threads of a log; they end with the last handle.
pub(crate) struct Threads {
    shared: Arc<Shared>,
    running: Mutex<Vec<JoinHandle<()>>>,
}

impl Threads {
    fn none(shared: &Arc<Shared>) -> Threads {
        Threads { shared: shared.clone(), running: Mutex::default() }
    }

    fn start(shared: &Arc<Shared>) -> std::io::Result<Threads> {
        let threads = Threads::none(shared);
        let spawn = |name: &str, run: fn(&Shared)| {
            let shared = shared.clone();
            std::thread::Builder::new().name(name.into()).spawn(move || run(&shared))
        };
        threads.running.lock().push(spawn("storage-writer", writer::run)?);
        threads.running.lock().push(spawn("storage-mover", mover::run_until_stopped)?);
        Ok(threads)
    }

    /// Lets the threads finish what they do and ends them. The writer empties its queue first.
    fn join(&self) {
        self.shared.queue.close();
        *self.shared.mover.stop.lock() = true;
        self.shared.mover.called.notify_all();
        self.shared.mover.progress.notify_all();
        let here = std::thread::current().id();
        for thread in self.running.lock().drain(..) {
            // A callback may drop the last handle on the writer's own thread.
            if thread.thread().id() != here {
                // A panic has been noted by the thread itself.
                let _ = thread.join();
            }
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.join();
    }
}
