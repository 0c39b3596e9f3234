//! One group's log, as its owner uses it.
//!
//! Calls take effect in memory at once; `done` tells when they are durable. Callbacks of all
//! groups run in the order of the calls. One owner a group appends, so there is no contention.
//!
//! What happens next: `writer.rs` (durability), `read.rs` (reading), `mover.rs` (the record store).

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use thalweg_types::GroupId;

use crate::entry::Budget;
use crate::group::{CheckpointSource, Group};
use crate::node_log::Threads;
use crate::queue::Work;
use crate::read;
use crate::repair::Repair;
use crate::shared::{Refused, Shared};
use crate::{Done, Driver, HEAD_BYTES_MAX, LogEntry, ReadError, StorageError, marks};

/// What is known about a group without reading entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupState {
    /// Index and term of the last trimmed entry.
    pub trimmed: Option<(u64, u64)>,
    /// Index and term of the last entry; the same as `trimmed` when the log is empty.
    pub last: Option<(u64, u64)>,
    /// The vote as it was saved.
    pub vote: Option<Bytes>,
    /// The last state saved with moved entries: its applied index, and the state.
    pub checkpoint: Option<(u64, Bytes)>,
    /// An index that was applied before; after a restart a lower bound of what was.
    pub applied_hint: Option<u64>,
    /// One past the last entry that has left the write-ahead log for the record store. What lies
    /// above was read whole by this start or written since; what lies below was not.
    pub moved_end: u64,
    /// Acknowledged entries or votes may be missing: neither vote nor lead.
    pub fenced: bool,
}

/// The log of one group on this node. Cheap to clone.
#[derive(Clone)]
pub struct GroupLog {
    shared: Arc<Shared>,
    group: Arc<Group>,
    /// Keeps the writer and mover alive.
    _threads: Arc<Threads>,
}

impl GroupLog {
    pub(crate) fn new(shared: Arc<Shared>, group: Arc<Group>, threads: Arc<Threads>) -> GroupLog {
        GroupLog { shared, group, _threads: threads }
    }

    /// The mark of the start that lost bytes here last, if this group may be older than that start
    /// and so may have lost its vote; else 0. See [`crate::Options::damage_mark`].
    pub fn damage_mark(&self) -> u64 {
        if self.group.id.0 < self.shared.distrusts_below.load(Relaxed) { self.shared.damage_mark } else { 0 }
    }

    /// Whose log it is.
    pub fn id(&self) -> GroupId {
        self.group.id
    }

    /// Who runs the log's writer and mover; with [`Driver::Manual`] reads take no time either.
    pub fn driver(&self) -> Driver {
        self.shared.driver
    }

    /// Positions, vote and checkpoint.
    pub fn state(&self) -> GroupState {
        let inner = self.group.lock();
        GroupState {
            trimmed: inner.log.trimmed(),
            last: inner.log.last(),
            vote: inner.vote.clone(),
            checkpoint: inner.checkpoint.clone(),
            applied_hint: inner.log.applied_end().checked_sub(1),
            moved_end: inner.log.moved_end(),
            fenced: inner.fenced,
        }
    }

    /// Adds entries at the end. They are readable at once; `done` runs when they are durable, or
    /// with `sync` false (durability `os`) when they are written. A refusal leaves no trace, and
    /// refuses what was queued behind it.
    ///
    /// # Panics
    /// When the entries do not follow one another, or a head is larger than [`HEAD_BYTES_MAX`].
    pub fn append(&self, entries: Vec<LogEntry>, sync: bool, done: Done) {
        match self.admits(&entries) {
            Ok(()) => self.append_admitted(entries, sync, done),
            Err(error) => self.shared.answer(Err(error), done),
        }
    }

    /// Whether an append of these entries would be taken now: disk space, queue and log have room.
    pub fn admits(&self, entries: &[LogEntry]) -> Result<(), StorageError> {
        let bytes = entries.iter().map(|entry| entry.byte_count() as u64);
        self.shared.admit(bytes.clone().sum(), bytes.max().unwrap_or(0))
    }

    /// [`append`](Self::append) for one who has waited until [`admits`](Self::admits) said yes: it is
    /// not asked again, so that nothing that happens in between refuses it.
    ///
    /// # Panics
    /// As [`append`](Self::append).
    pub fn append_admitted(&self, entries: Vec<LogEntry>, sync: bool, done: Done) {
        let Some(first) = entries.first().map(|entry| entry.index) else {
            return self.shared.answer(Ok(()), done);
        };
        for (entry, index) in entries.iter().zip(first..) {
            assert_eq!(entry.index, index, "appended entries are contiguous");
            assert!(entry.head.len() <= HEAD_BYTES_MAX, "heads are small");
        }
        let entries: Vec<LogEntry> = entries.into_iter().map(LogEntry::unpinned).collect();
        let (stamp, refused) = self.group.update(|inner| {
            let expected = inner.log.end();
            if first != expected {
                let error = StorageError::NotContiguous { group: self.group.id, expected, found: first };
                return (None, self.shared.submit(Work::Answer(Err(error)), done));
            }
            let stamp = self.shared.next_stamp();
            entries.iter().for_each(|entry| inner.append(entry.clone(), stamp, None));
            let work = Work::Append { group: self.group.clone(), entries, stamp, sync };
            (Some(stamp), self.shared.submit(work, done))
        });
        tell(refused);
        if let Some(stamp) = stamp {
            self.shared.cache.appended(&self.group, stamp);
        }
    }

    /// Replaces the vote.
    pub fn save_vote(&self, vote: Bytes, done: Done) {
        let record = marks::vote(self.group.id, vote.clone());
        tell(self.group.update(|inner| {
            inner.save_vote(&vote);
            self.shared.submit(Work::Mark(record), done)
        }));
    }

    /// Withdraws entries above `index`. Applied entries cannot be withdrawn.
    pub fn truncate_after(&self, index: u64, done: Done) {
        let applied_end = self.group.lock().log.applied_end();
        if index.saturating_add(1) < applied_end {
            let (group, applied) = (self.group.id, applied_end - 1);
            return self.shared.answer(Err(StorageError::Applied { group, index, applied }), done);
        }
        let group = self.group.clone();
        let done: Done = Box::new(move |result| {
            group.update(|inner| inner.truncated(result.is_ok()));
            done(result);
        });
        let record = marks::truncate(self.group.id, index);
        tell(self.group.update(|inner| {
            inner.truncate(index.saturating_add(1));
            inner.pending_truncates += 1;
            self.shared.submit(Work::Mark(record), done)
        }));
    }

    /// Ends the retention of everything up to `index`, whose term is `term`: unreadable at once,
    /// its disk space comes back in the background. May jump past the end: then the log is empty
    /// and continues behind `index`.
    ///
    /// The [source](Self::set_checkpoint_source) is asked for a checkpoint, here, so that the state
    /// that stands for the entries is durable with the trim. One that was saved before may reach
    /// behind `index` and still know nothing of the command that trims: with it a start would have
    /// lost the entries and not know their state.
    pub fn trim(&self, index: u64, term: u64, done: Done) {
        let asked = self.group.ask_checkpoint();
        self.trim_with(index, term, asked.filter(|(applied, _)| *applied >= index), done);
    }

    /// Begins the log anew behind a snapshot: [`trim`](Self::trim) up to `index`, and `state` takes
    /// the place of the checkpoint, both durable together when `done` runs.
    pub fn install(&self, index: u64, term: u64, state: Bytes, done: Done) {
        self.trim_with(index, term, Some((index, state)), done);
    }

    fn trim_with(&self, index: u64, term: u64, checkpoint: Option<(u64, Bytes)>, done: Done) {
        let record = marks::trim(self.group.id, index, term, &checkpoint);
        tell(self.group.update(|inner| {
            inner.trim(index, term, checkpoint);
            self.shared.submit(Work::Mark(record), done)
        }));
    }

    /// Forgets the group on this node: entries and checkpoint. Space comes back in the background.
    /// Used again, the group begins empty, fenced, and with its last vote: a member that does not know
    /// yet that this replica had left may ask for its vote, or lead in an older term.
    pub fn destroy(&self, done: Done) {
        let (shared, group) = (Arc::downgrade(&self.shared), self.group.clone());
        let done: Done = Box::new(move |result| {
            group.update(|inner| inner.destroyed(result.is_ok()));
            if let Some(shared) = shared.upgrade() {
                shared.mover.call_urgently();
            }
            done(result);
        });
        let refused = self.group.update(|inner| {
            let record = marks::destroy(self.group.id, inner.life);
            inner.destroy();
            self.shared.submit(Work::Mark(record), done)
        });
        tell(refused);
    }

    /// Entries up to `index` are committed and applied: the mover may carry them over.
    pub fn set_applied(&self, index: u64) {
        self.group.update(|inner| inner.log.set_applied_end(index.saturating_add(1)));
        if self.shared.wants_move() {
            self.shared.mover.call();
        }
    }

    /// Whom to ask for `(applied index, state)` when entries are moved; it is saved atomically with
    /// them and returned by [`GroupLog::state`] after a restart. Called from the mover's thread, and
    /// from that of [`GroupLog::trim`], without locks; not before anything was applied. Nothing is
    /// saved when it has nothing to say, as when the state has ended before the log. It should hold
    /// this log weakly if at all: the log keeps it until it is closed.
    pub fn set_checkpoint_source(&self, source: CheckpointSource) {
        self.group.set_source(source);
    }

    /// Entries from `from` on, within the limits but at least one, if that one is in memory.
    pub fn cached(&self, from: u64, to: u64, max_bytes: usize) -> Option<Vec<LogEntry>> {
        let inner = self.group.lock();
        if from < inner.log.first() {
            return None;
        }
        let entries = inner.recent.read(from, to, &mut Budget::new(max_bytes));
        (!entries.is_empty()).then_some(entries)
    }

    /// Entries from `from` on, within the limits but at least one if there is one at `from` and
    /// `to` lies above it. May read from disk, so call it where blocking is fine.
    pub fn read(&self, from: u64, to: u64, max_bytes: usize) -> Result<Vec<LogEntry>, ReadError> {
        read::read(&self.shared, &self.group, from, to, max_bytes)
    }

    /// The term of a retained entry, or of the last trimmed one. From memory.
    pub fn read_term(&self, index: u64) -> Option<u64> {
        self.group.lock().log.term_of(index)
    }

    /// Index and term of the last entry that was written, be it synced or not: those above it wait.
    pub fn last_written(&self) -> Option<(u64, u64)> {
        self.group.lock().log.last_written()
    }

    /// Replaces a corrupt entry by a peer's intact copy of the same index and term. `done` runs
    /// from the mover: the copy of a moved entry is in the record store then, that of another one
    /// is read from memory until it moves there.
    pub fn repair(&self, entry: LogEntry, done: Done) {
        let (group, index) = (self.group.id, entry.index);
        if self.shared.queue.is_closed() {
            return done(Err(self.shared.failure().unwrap_or(StorageError::Closed)));
        }
        let refused = self.group.update(|inner| {
            let fits =
                index >= inner.log.first() && index < inner.log.end() && inner.log.term_of(index) == Some(entry.term);
            if !fits {
                return Some(done);
            }
            inner.repairs.push(Repair::new(entry, done));
            inner.dirty = true;
            None
        });
        match refused {
            Some(done) => self.shared.answer(Err(StorageError::NotRepairable { group, index }), done),
            None => self.shared.mover.call_urgently(),
        }
    }

    /// The group has everything back: it may vote and lead. Saved soon; after a crash before that
    /// the group is fenced again.
    pub fn lower_fence(&self) {
        self.group.update(|inner| {
            inner.dirty |= inner.fenced;
            inner.fenced = false;
        });
        self.shared.mover.call_urgently();
    }
}

fn tell(refused: Option<Refused>) {
    if let Some(refused) = refused {
        refused.tell();
    }
}
