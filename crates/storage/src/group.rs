//! What a node knows in memory about one group: positions, recent entries, vote, checkpoint.
//!
//! Every change is made here first, under the group's lock, and queued for the writer under the
//! same lock, so that the write-ahead log sees a group's changes in the order memory saw them.
//!
//! Lock order: a group, then the queue. The cache's order comes before any group.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};
use thalweg_types::GroupId;
use thalweg_wal::Position;

use crate::LogEntry;
use crate::group_meta::GroupMeta;
use crate::log_index::{Hot, LogIndex};
use crate::recent::Recent;
use crate::repair::Repair;

/// Tells the state to save with the moved entries: `(applied index, state)`.
pub type CheckpointSource = Arc<dyn Fn() -> Option<(u64, Bytes)> + Send + Sync>;

pub(crate) struct Group {
    pub(crate) id: GroupId,
    inner: Mutex<Inner>,
    source: Mutex<Option<CheckpointSource>>,
    gauges: Arc<Gauges>,
}

/// Sums over all groups.
#[derive(Debug, Default)]
pub(crate) struct Gauges {
    pub(crate) hot_bytes: AtomicU64,
    pub(crate) movable_bytes: AtomicU64,
    pub(crate) cache_bytes: AtomicU64,
}

impl Gauges {
    fn adjust(&self, before: (u64, u64, u64), after: (u64, u64, u64)) {
        // Wrapping addition of a difference subtracts when it is negative.
        self.hot_bytes.fetch_add(after.0.wrapping_sub(before.0), Relaxed);
        self.movable_bytes.fetch_add(after.1.wrapping_sub(before.1), Relaxed);
        self.cache_bytes.fetch_add(after.2.wrapping_sub(before.2), Relaxed);
    }
}

#[derive(Default)]
pub(crate) struct Inner {
    /// How often this group was destroyed on this node.
    pub(crate) life: u64,
    pub(crate) log: LogIndex,
    pub(crate) recent: Recent,
    pub(crate) vote: Option<Bytes>,
    pub(crate) checkpoint: Option<(u64, Bytes)>,
    pub(crate) fenced: bool,
    /// Destroyed, and not used since: the vote is from before.
    pub(crate) has_left: bool,
    /// Queued appends with this stamp or a lower one are refused: they follow a refused one.
    pub(crate) refused_through: u64,
    /// The record store's metadata is behind.
    pub(crate) dirty: bool,
    /// Trimmed entries may still be in the record store.
    pub(crate) drop_below: bool,
    /// The oldest segment that was needed before a trim which no metadata on its way has yet: a
    /// replay that begins behind that segment would not reach the trim without a gap.
    pub(crate) needed_before_trim: Option<u64>,
    /// Destructions that are not durable yet: until they are, the record store must not change.
    pub(crate) pending_destroys: u32,
    /// Those of them that were refused: a later one ends the same lives.
    pub(crate) refused_destroys: u32,
    /// Truncations that are not durable yet: until they are, what they withdrew must stay on disk.
    pub(crate) pending_truncates: u32,
    /// The record store may still have an earlier life, which is durably over.
    pub(crate) drop_group: bool,
    /// Entries in the record store, with those that are trimmed but not dropped.
    pub(crate) stored: u64,
    /// Entries of earlier lives in the record store.
    pub(crate) stored_before: u64,
    pub(crate) repairs: Vec<Repair>,
}

impl Group {
    pub(crate) fn new(id: GroupId, inner: Inner, gauges: Arc<Gauges>) -> Group {
        gauges.adjust((0, 0, 0), inner.counts());
        Group { id, inner: Mutex::new(inner), source: Mutex::new(None), gauges }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock()
    }

    /// Changes the group and keeps the sums right.
    pub(crate) fn update<R>(&self, change: impl FnOnce(&mut Inner) -> R) -> R {
        let mut inner = self.inner.lock();
        let before = inner.counts();
        let result = change(&mut inner);
        self.gauges.adjust(before, inner.counts());
        result
    }

    pub(crate) fn set_source(&self, source: CheckpointSource) {
        *self.source.lock() = Some(source);
    }

    pub(crate) fn forget_source(&self) {
        *self.source.lock() = None;
    }

    /// Asks the caller for its state. No lock is held while it answers.
    pub(crate) fn ask_checkpoint(&self) -> Option<(u64, Bytes)> {
        let source = self.source.lock().clone();
        source.and_then(|source| source())
    }
}

impl Inner {
    pub(crate) fn from_meta(meta: &GroupMeta) -> Inner {
        Inner {
            life: meta.life,
            log: LogIndex::from_meta(meta),
            stored: meta.moved_end.saturating_sub(meta.trimmed.map_or(0, |(index, _)| index + 1)),
            vote: meta.vote.clone(),
            checkpoint: meta.checkpoint.clone(),
            fenced: meta.fenced,
            has_left: meta.has_left,
            ..Inner::default()
        }
    }

    /// What to save once the record store has all entries below `moved_end`.
    pub(crate) fn meta(&self, moved_end: u64) -> GroupMeta {
        GroupMeta {
            life: self.life,
            moved_end,
            trimmed: self.log.trimmed(),
            checkpoint: self.checkpoint.clone(),
            vote: self.vote.clone(),
            terms: self.log.terms_below(moved_end),
            fenced: self.fenced,
            has_left: self.has_left,
        }
    }

    /// Whether there is anything of the group here. What it promised before it left does not count.
    pub(crate) fn exists(&self) -> bool {
        (self.vote.is_some() && !self.has_left) || self.checkpoint.is_some() || self.log.last().is_some()
    }

    pub(crate) fn save_vote(&mut self, vote: &[u8]) {
        self.vote = Some(Bytes::copy_from_slice(vote));
        self.has_left = false;
        self.dirty = true;
    }

    pub(crate) fn append(&mut self, entry: LogEntry, stamp: u64, position: Option<Position>) {
        let bytes = entry.byte_count() as u32;
        self.log.push(entry.term, Hot { position, stamp, bytes, pinned: None });
        self.recent.push(entry, stamp);
    }

    pub(crate) fn truncate(&mut self, end: u64) {
        self.log.truncate(end);
        self.recent.truncate(self.log.end());
    }

    /// Trims, and takes the checkpoint that stands for what is gone, if there is a newer one.
    pub(crate) fn trim(&mut self, index: u64, term: u64, checkpoint: Option<(u64, Bytes)>) {
        self.needed_before_trim = self.needed_before_trim.or(self.log.oldest_segment());
        self.log.trim(index, term);
        self.recent.trim(self.log.first());
        if let Some((applied, _)) = &checkpoint {
            self.log.set_applied_end(applied.saturating_add(1));
        }
        self.raise_checkpoint(checkpoint);
        self.dirty = true;
        self.drop_below = true;
    }

    /// Takes a checkpoint unless the present one is newer.
    pub(crate) fn raise_checkpoint(&mut self, checkpoint: Option<(u64, Bytes)>) {
        let newer = |applied: u64| self.checkpoint.as_ref().is_none_or(|(present, _)| *present <= applied);
        if let Some((applied, state)) = checkpoint
            && newer(applied)
        {
            self.checkpoint = Some((applied, state));
        }
    }

    /// What a group is once its life `life` has ended: empty, fenced, and bound by its last vote.
    /// Should it be used here again, a member that missed the change may still count this replica
    /// among its voters, or lead in an older term, and this replica has forgotten what it acknowledged.
    pub(crate) fn after(life: u64, vote: Option<Bytes>) -> Inner {
        Inner { life: life + 1, vote, has_left: true, fenced: true, dirty: true, ..Inner::default() }
    }

    /// Empties the group; what follows is a new life.
    pub(crate) fn destroy(&mut self) {
        *self = Inner {
            pending_destroys: self.pending_destroys + 1,
            refused_destroys: self.refused_destroys,
            pending_truncates: self.pending_truncates,
            drop_group: self.drop_group,
            stored_before: self.stored_before + self.stored,
            refused_through: self.refused_through,
            repairs: std::mem::take(&mut self.repairs),
            ..Inner::after(self.life, self.vote.take())
        };
    }

    /// A destruction was answered. If it failed, the group may come back with the next start, unless a
    /// later one succeeds.
    pub(crate) fn destroyed(&mut self, durable: bool) {
        if durable {
            self.pending_destroys -= 1 + std::mem::take(&mut self.refused_destroys);
            self.drop_group = true;
        } else {
            self.refused_destroys += 1;
        }
    }

    /// A truncation was answered. If it failed, what it withdrew may come back with the next start.
    pub(crate) fn truncated(&mut self, durable: bool) {
        self.pending_truncates -= u32::from(durable);
    }

    /// The oldest segment of the write-ahead log that a start would need, if it needs any.
    pub(crate) fn oldest_segment_needed(&self) -> Option<u64> {
        // What a call withdrew stays until that call is durable: it may come back. And until the record
        // store has dropped an earlier life, the log alone tells that it is over, and what was promised
        // since that life was last saved.
        if self.is_ahead() || self.drop_group {
            return Some(0);
        }
        self.needed_before_trim.into_iter().chain(self.log.oldest_segment()).min()
    }

    /// Whether memory is ahead of the disk in a way that forbids releasing segments.
    pub(crate) fn is_ahead(&self) -> bool {
        self.pending_destroys > 0 || self.pending_truncates > 0
    }

    /// Whether acknowledged entries are to come back. A group that has left waits for nothing.
    pub(crate) fn awaits_entries(&self) -> bool {
        self.fenced && (self.life == 0 || self.exists())
    }

    fn counts(&self) -> (u64, u64, u64) {
        let tail = self.log.bytes();
        (tail.hot, tail.movable, self.recent.bytes())
    }
}
