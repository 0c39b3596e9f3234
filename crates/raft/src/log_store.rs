//! A group's log as openraft sees it: [`thalweg_storage::GroupLog`] behind its storage traits.
//!
//! Holds: an append is reported flushed only after the sync that covers it (or the write, for a
//! group of durability `os`), in the order of submission. A vote is on disk before the call
//! returns. Reads are cut to `append_bytes_max`, so that one slow follower never makes us
//! assemble more than one message. A damaged entry is never an error to a running group, which
//! openraft would end for good: it is waited for, see [`crate::repair`].

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use futures::Stream;
use openraft::entry::RaftEntry;
use openraft::storage::{IOFlushed, LogState, RaftLogReader, RaftLogStorage};
use openraft::{EntryPayload, OptionalSend};
use parking_lot::Mutex;
use thalweg_storage::{Done, Driver, GroupLog, LogEntry, StorageError};
use thalweg_types::NodeId;
use tokio::sync::oneshot;

use crate::codec::{self, Entry, LogId, TypeConfig, Vote};
use crate::fence;
use crate::repair::{self, Need, Repairer};

/// Writes and reads one group's log.
#[derive(Clone)]
pub(crate) struct LogStore {
    log: GroupLog,
    sync: bool,
    read_bytes_max: usize,
    vote: Arc<Mutex<Option<Vote>>>,
    repairer: Arc<Repairer>,
    opening: Arc<Opening>,
}

/// What a group is opened with, until it runs.
///
/// While it opens, openraft asks for applied entries only to learn their log ids, which are known
/// without reading them: a damaged one that nobody can give back keeps no replica closed.
#[derive(Default)]
pub(crate) struct Opening {
    /// One past the last applied entry, once openraft is about to run.
    applied_end: AtomicU64,
    over: AtomicBool,
}

impl Opening {
    /// The group runs: from now on entries are read for what they say.
    pub(crate) fn end(&self) {
        self.over.store(true, Ordering::Release);
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }
}

impl LogStore {
    /// Fails when the stored vote cannot be read.
    pub(crate) fn new(
        log: GroupLog,
        sync: bool,
        read_bytes_max: usize,
        repairer: Arc<Repairer>,
    ) -> io::Result<LogStore> {
        let stored = log.state().vote;
        let vote = stored.map(|mut bytes| codec::get_vote(&mut bytes)).transpose().map_err(io::Error::other)?;
        let vote = Arc::new(Mutex::new(vote));
        Ok(LogStore { log, sync, read_bytes_max, vote, repairer, opening: Arc::default() })
    }

    /// If the vote may be lost, takes the worst for granted, durably, before the group has a say.
    pub(crate) async fn mind_lost_vote(&mut self, node: NodeId) -> io::Result<()> {
        let state = self.log.state();
        let mark = if state.fenced { self.log.damage_mark() } else { 0 };
        let vote = *self.vote.lock();
        match fence::assumed_vote(vote, state.last.map_or(0, |(_, term)| term), mark, node) {
            Some(assumed) => self.save_vote(&assumed).await,
            None => Ok(()),
        }
    }

    /// No vote may be older than the log: a snapshot of a later term brought none with it.
    pub(crate) async fn vote_as_the_log(&mut self, node: NodeId) -> io::Result<()> {
        let (state, vote) = (self.log.state(), *self.vote.lock());
        let term = state.last.max(state.trimmed).map_or(0, |(_, term)| term);
        if vote.is_none_or(|vote| vote.leader_id.term < term) && term > 0 {
            self.save_vote(&Vote::new(term, node.0)).await?;
        }
        Ok(())
    }

    /// To be ended when the group runs.
    pub(crate) fn opening(&self) -> Arc<Opening> {
        self.opening.clone()
    }

    /// Reads every entry that will be applied anew and has lain in the record store since before
    /// this start, so that damage is found, and mended, before the group has a say.
    pub(crate) async fn survey(&self) -> io::Result<()> {
        let mut next = 0;
        loop {
            let state = self.log.state();
            let first = state.trimmed.map_or(0, |(index, _)| index + 1).max(self.repairer.applied_end());
            next = first.max(next);
            if next >= state.moved_end {
                break;
            }
            match self.read(next, state.moved_end, Need::Survey).await {
                Ok(page) if page.is_empty() => break,
                Ok(page) => next += page.len() as u64,
                // A snapshot stands for it: it is not there any more, and need not be applied.
                Err(_) if self.repairer.applied_end() > next => {}
                Err(error) => return Err(error),
            }
        }
        self.opening.applied_end.store(self.repairer.applied_end(), Ordering::Release);
        Ok(())
    }

    /// Log ids of entries `from .. to` in place of the entries, while the group opens, as far as they
    /// are applied.
    fn log_ids(&self, from: u64, to: u64) -> Vec<Entry> {
        let to = if self.opening.is_over() { from } else { to.min(self.opening.applied_end.load(Ordering::Acquire)) };
        let blank = |index| Some(Entry::new(codec::log_id(self.log.read_term(index)?, index), EntryPayload::Blank));
        (from..to).map_while(blank).collect()
    }

    /// Entries `from .. to`, cut to the read limit; from memory, or from disk on a blocking thread.
    /// One whose bytes are damaged is got back from a peer first.
    async fn read(&self, from: u64, to: u64, need: Need) -> io::Result<Vec<Entry>> {
        let log_ids = self.log_ids(from, to);
        if !log_ids.is_empty() {
            return Ok(log_ids);
        }
        let mut repaired = None;
        loop {
            let error = match read_entries(&self.log, from, to, self.read_bytes_max).await {
                Ok(stored) => return stored.into_iter().map(decode).collect(),
                Err(error) => error,
            };
            // What is damaged again right after it was written anew is no matter for a peer.
            let damaged = repair::damaged_index(&error).filter(|index| repaired != Some(*index));
            let Some(index) = damaged else { return Err(error) };
            self.repairer.repair(index, need).await.map_err(io::Error::other)?;
            repaired = Some(index);
        }
    }

    /// For what entries are read by a call that openraft makes of a group that runs.
    fn need(&self, running: Need) -> Need {
        if self.opening.is_over() { running } else { Need::Open }
    }

    /// Waits while the disk or the log is full. To refuse here would stop the group for good; new
    /// commands are refused before they come this far.
    async fn wait_for_room(&self, entries: &[LogEntry]) -> io::Result<()> {
        loop {
            match self.log.admits(entries) {
                Ok(()) => return Ok(()),
                Err(StorageError::Full { .. } | StorageError::LogFull { .. } | StorageError::Overloaded { .. }) => {
                    tokio::time::sleep(ROOM_POLL).await;
                }
                Err(error) => return Err(io::Error::other(error)),
            }
        }
    }
}

/// Between two looks at a log that has no room.
const ROOM_POLL: Duration = Duration::from_millis(5);

fn decode(stored: LogEntry) -> io::Result<Entry> {
    let index = stored.index;
    codec::from_log_entry(stored).map_err(|error| io::Error::other(format!("log entry {index}: {error}")))
}

/// Stored entries from memory if they are there, else from disk without blocking the runtime; or
/// here, where the log starts no threads.
pub(crate) async fn read_entries(log: &GroupLog, from: u64, to: u64, max_bytes: usize) -> io::Result<Vec<LogEntry>> {
    if let Some(entries) = log.cached(from, to, max_bytes) {
        return Ok(entries);
    }
    let reader = log.clone();
    blocking(log.driver(), move || reader.read(from, to, max_bytes)).await?.map_err(io::Error::other)
}

/// A call of a log that blocks: on a thread for such calls, or here if the log starts no threads.
pub(crate) async fn blocking<T: Send + 'static>(
    driver: Driver,
    call: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    match driver {
        Driver::Manual => Ok(call()),
        Driver::Threads => tokio::task::spawn_blocking(call).await.map_err(io::Error::other),
    }
}

/// Starts an operation on the log and waits until it is durable.
pub(crate) async fn durable(start: impl FnOnce(Done)) -> io::Result<()> {
    let (sender, receiver) = oneshot::channel();
    start(Box::new(move |result| drop(sender.send(result))));
    receiver.await.map_err(|_| io::Error::other("the log was closed"))?.map_err(io::Error::other)
}

/// The half-open range that any kind of bounds describe.
fn half_open(range: &impl RangeBounds<u64>) -> (u64, u64) {
    let from = match range.start_bound() {
        Bound::Included(index) => *index,
        Bound::Excluded(index) => index + 1,
        Bound::Unbounded => 0,
    };
    let to = match range.end_bound() {
        Bound::Included(index) => index + 1,
        Bound::Excluded(index) => *index,
        Bound::Unbounded => u64::MAX,
    };
    (from, to)
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<R>(&mut self, range: R) -> Result<Vec<Entry>, io::Error>
    where
        R: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let (mut from, to) = half_open(&range);
        let last = self.log.state().last.map_or(0, |(index, _)| index);
        let to = to.min(last + 1);
        let mut entries = Vec::new();
        while from < to {
            let page = self.read(from, to, self.need(Need::Send)).await?;
            let Some(end) = page.last().map(|entry| entry.log_id.index) else { break };
            from = end + 1;
            entries.extend(page);
        }
        Ok(entries)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<Entry>, io::Error> {
        self.read(start, end, self.need(Need::Send)).await
    }

    async fn entries_stream<R>(&mut self, range: R) -> impl Stream<Item = Result<Entry, io::Error>> + OptionalSend
    where
        R: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let (from, to) = half_open(&range);
        let pages = futures::stream::try_unfold((self.clone(), from), move |(store, from)| async move {
            if from >= to {
                return Ok(None);
            }
            let page = store.read(from, to, store.need(Need::Apply)).await?;
            let next = page.last().map_or(to, |entry| entry.log_id.index + 1);
            let page = futures::stream::iter(page.into_iter().map(Ok::<_, io::Error>));
            Ok::<_, io::Error>(Some((page, (store, next))))
        });
        Box::pin(futures::TryStreamExt::try_flatten(pages))
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        Ok(*self.vote.lock())
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = LogStore;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, io::Error> {
        let state = self.log.state();
        let as_log_id = |(index, term): (u64, u64)| codec::log_id(term, index);
        let last_purged_log_id = state.trimmed.map(as_log_id);
        Ok(LogState { last_purged_log_id, last_log_id: state.last.map(as_log_id).max(last_purged_log_id) })
    }

    async fn get_log_reader(&mut self) -> LogStore {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        let mut bytes = BytesMut::new();
        codec::put_vote(&mut bytes, vote);
        durable(|done| self.log.save_vote(bytes.freeze(), done)).await?;
        *self.vote.lock() = Some(*vote);
        Ok(())
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<LogEntry> = entries.into_iter().map(codec::to_log_entry).collect();
        self.wait_for_room(&entries).await?;
        let done: Done = Box::new(move |result| callback.io_completed(result.map_err(io::Error::other)));
        self.log.append_admitted(entries, self.sync, done);
        Ok(())
    }

    async fn truncate_after(&mut self, last_log_id: Option<LogId>) -> Result<(), io::Error> {
        let keep = last_log_id.map_or(0, |id| id.index);
        durable(|done| self.log.truncate_after(keep, done)).await
    }

    async fn purge(&mut self, log_id: LogId) -> Result<(), io::Error> {
        durable(|done| self.log.trim(log_id.index, codec::term_of(&log_id), done)).await
    }
}
