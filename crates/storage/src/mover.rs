//! Carries applied entries from the write-ahead log to the record store, and frees segments.
//!
//! ```text
//! note the current segment ─► drop destroyed groups ─► put entries ─► commit metadata (flush)
//!        ─► memory: moved ─► release segments that hold nothing else ─► reclaim dropped space
//! ```
//! Holds: only applied entries move. A segment is released only after everything in it is in the
//! record store, withdrawn, trimmed or superseded by committed metadata: what memory has forgotten
//! since that metadata was put together still holds its segment. Of every group that
//! changed before the current segment was noted, the metadata is committed in the same round.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::MutexGuard;
use thalweg_types::GroupId;

use crate::group::{Group, Inner};
use crate::group_meta::GroupMeta;
use crate::node_meta::NodeMeta;
use crate::repair::Repair;
use crate::shared::{PanicWatch, Shared};
use crate::store::Change;
use crate::{ReadError, StorageError, StoreError, read, rewrite};
use thalweg_types::planted::{Planted, planted};

/// Bytes put into the record store at once.
const CHUNK_BYTES: usize = 4 * 1024 * 1024;
/// The mover looks whether there is work at least this often.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// However little is written, trimmed entries leave the record store within about this.
const TRIMMED_WAIT_MAX: Duration = Duration::from_secs(15);
/// Dropped space is reclaimed when this fraction of the live entries was dropped.
const RECLAIM_FRACTION: u64 = 8;

/// When a call moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// If a threshold is passed or metadata is urgent.
    WhenDue,
    /// In any case.
    Everything,
}

/// What the mover remembers between rounds.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    /// Entries dropped in the record store since its space was last reclaimed.
    pub(crate) dropped: u64,
    /// Some group was fenced when the last round ended.
    pub(crate) fenced: bool,
    /// What the last commit said of the node.
    pub(crate) node: NodeMeta,
}

/// The mover's thread.
pub(crate) fn run_until_stopped(shared: &Shared) {
    let _watch = PanicWatch(shared);
    let mut last_looked = Instant::now();
    let mut stop = shared.mover.stop.lock();
    while !*stop {
        if last_looked.elapsed() >= TRIMMED_WAIT_MAX {
            last_looked = Instant::now();
            MutexGuard::unlocked(&mut stop, || call_for_trimmed(shared));
        }
        // A round may be left over (urgent), may find nothing, or may have failed for good.
        let worked = MutexGuard::unlocked(&mut stop, || run(shared, Mode::WhenDue)).unwrap_or(false);
        if !worked && !*stop && !shared.mover.urgent.load(Relaxed) {
            shared.mover.called.wait_for(&mut stop, LOOK_AGAIN);
        }
    }
}

/// Makes a round due when stored entries were trimmed: where little is written, no threshold does.
pub(crate) fn call_for_trimmed(shared: &Shared) {
    let waits = |group: &Arc<Group>| {
        let inner = group.lock();
        inner.drop_below && inner.stored > 0
    };
    if shared.all_groups().iter().any(waits) {
        shared.mover.urgent.store(true, Relaxed);
    }
}

/// One round, if it is due. False if it was not.
pub(crate) fn run(shared: &Shared, mode: Mode) -> Result<bool, StorageError> {
    let mut backlog = shared.mover.turn.lock();
    let urgent = shared.mover.urgent.swap(false, Relaxed);
    if mode == Mode::WhenDue && !urgent && !shared.wants_move() {
        return Ok(false);
    }
    let failure = shared.failure().or_else(|| {
        let failed = round(shared, &mut backlog).err()?;
        Some(shared.fail(format!("record store: {failed}")))
    });
    if let Some(failure) = failure {
        give_up_repairs(shared, &failure);
        return Err(failure);
    }
    shared.mover.progress.notify_all();
    Ok(true)
}

fn round(shared: &Shared, backlog: &mut Backlog) -> Result<(), StoreError> {
    let floor = shared.wal.lock().as_ref().map_or(0, thalweg_wal::Wal::current_segment);
    let groups = shared.all_groups();
    drop_destroyed(shared, &groups, backlog)?;
    let mut room = room(shared);
    let mut staged = Vec::new();
    for group in &groups {
        staged.extend(stage(shared, group, &mut room)?);
    }
    if !staged.is_empty() {
        let changes = staged.iter().flat_map(Staged::changes).collect();
        commit(shared, backlog, changes)?;
        shared.counters.moves.fetch_add(1, Relaxed);
        backlog.dropped += staged.into_iter().map(Staged::settle).sum::<u64>();
    }
    release(shared, &groups, floor, backlog.node.commit);
    discard_lost(shared, &groups, backlog);
    reclaim(shared, &groups, backlog)
}

/// Groups whose destruction is durable leave the record store before anything of a new life enters.
/// What stays of them, their fence and their vote, is saved by the same commit: perhaps nothing else
/// tells of it any more.
fn drop_destroyed(shared: &Shared, groups: &[Arc<Group>], backlog: &mut Backlog) -> Result<(), StoreError> {
    let mut changes = Vec::new();
    for group in groups {
        let mut inner = group.lock();
        // Another destruction of the group may be on its way: then the life it ends may come back.
        if inner.drop_group && inner.pending_destroys == 0 {
            inner.drop_group = false;
            inner.dirty = true;
            backlog.dropped += std::mem::take(&mut inner.stored_before);
            let meta = inner.meta(inner.log.moved_end()).encode();
            changes.extend([Change::DropGroup { group: group.id }, Change::Meta { group: group.id, meta }]);
        }
    }
    if changes.is_empty() { Ok(()) } else { commit(shared, backlog, changes) }
}

/// Commits changes, and with them which commit it is and how far the log reaches.
fn commit(shared: &Shared, backlog: &mut Backlog, mut changes: Vec<Change>) -> Result<(), StoreError> {
    let durable_lsn = shared.wal.lock().as_ref().map_or(0, thalweg_wal::Wal::durable_lsn);
    let node = NodeMeta { commit: backlog.node.commit + 1, durable_lsn, ..backlog.node };
    changes.push(Change::Node { meta: node.encode() });
    shared.store.commit(&changes)?;
    backlog.node = node;
    Ok(())
}

/// Saves durably that groups from `below` on are no longer distrusted for being absent.
pub(crate) fn save_trust(shared: &Shared, below: GroupId) -> Result<(), StorageError> {
    let mut backlog = shared.mover.turn.lock();
    if let Some(failure) = shared.failure() {
        return Err(failure);
    }
    backlog.node.distrusts_below = below;
    commit(shared, &mut backlog, Vec::new()).map_err(|failed| shared.fail(format!("record store: {failed}")))?;
    if let Some(wal) = shared.wal.lock().as_mut() {
        wal.remember_for_owner(backlog.node.commit);
    }
    Ok(())
}

/// Bytes that may be moved without running the disk full.
fn room(shared: &Shared) -> u64 {
    let free = shared.disk.free_bytes(&shared.options.dir).unwrap_or(u64::MAX);
    free.saturating_sub(shared.options.reserve_bytes / 4)
}

/// A group's part of a round, put into the record store but not committed.
struct Staged {
    group: Arc<Group>,
    meta: GroupMeta,
    /// Entries below this index are to be dropped.
    drop_below: Option<u64>,
    repaired: Vec<Repair>,
}

impl Staged {
    fn changes(&self) -> Vec<Change> {
        let group = self.group.id;
        let drop = self.drop_below.map(|first| Change::DropBelow { group, first });
        let meta = Change::Meta { group, meta: self.meta.encode() };
        drop.into_iter().chain([meta]).collect()
    }

    /// After the commit: memory learns of it. Returns how many stored entries were dropped.
    fn settle(self) -> u64 {
        let Staged { group, meta, drop_below, repaired } = self;
        let dropped = group.update(|inner| {
            if inner.life != meta.life {
                return 0;
            }
            let moved = meta.moved_end.saturating_sub(inner.log.moved_end());
            inner.log.set_moved_end(meta.moved_end);
            // Only now: a trim must not rely on a checkpoint that is not durable.
            inner.raise_checkpoint(meta.checkpoint);
            inner.stored += moved;
            let Some(first) = drop_below else { return 0 };
            let live = meta.moved_end.saturating_sub(first);
            std::mem::replace(&mut inner.stored, live).saturating_sub(live)
        });
        repaired.into_iter().for_each(|repair| repair.tell(Ok(())));
        dropped
    }
}

/// Puts what a group has to move. Nothing if it has not changed.
fn stage(shared: &Shared, group: &Arc<Group>, room: &mut u64) -> Result<Option<Staged>, StoreError> {
    let anything_applied = {
        let inner = group.lock();
        let unchanged = !inner.dirty && inner.log.applied_end() == inner.log.moved_end();
        if unchanged || inner.pending_destroys > 0 || inner.drop_group {
            return Ok(None);
        }
        inner.log.applied_end() > 0
    };
    let checkpoint = if anything_applied { group.ask_checkpoint() } else { None };
    let (life, from, upto) = group.update(|inner| {
        if let Some((applied, _)) = &checkpoint {
            inner.log.set_applied_end(applied.saturating_add(1));
        }
        let upto = if planted(Planted::UncommittedMoved) { inner.log.end() } else { inner.log.applied_end() };
        (inner.life, inner.log.moved_end(), upto)
    });
    let repaired = stage_repairs(shared, group)?;
    let reached = carry(shared, group, from, upto, room)?;
    let mut inner = group.lock();
    if inner.life != life {
        drop(inner);
        // What was to be repaired is destroyed, so there is nothing left to ask for.
        repaired.into_iter().for_each(|repair| repair.tell(Ok(())));
        return Ok(None);
    }
    Ok(Some(stage_meta(&mut inner, group, reached, checkpoint, repaired)))
}

fn stage_meta(
    inner: &mut Inner,
    group: &Arc<Group>,
    reached: u64,
    checkpoint: Option<(u64, Bytes)>,
    repaired: Vec<Repair>,
) -> Staged {
    // A trim may have jumped past what was carried.
    let moved_end = reached.max(inner.log.moved_end());
    let mut meta = inner.meta(moved_end);
    let applied = |checkpoint: &Option<(u64, Bytes)>| checkpoint.as_ref().map(|(applied, _)| *applied);
    if applied(&checkpoint).is_some_and(|index| index < moved_end) && applied(&checkpoint) >= applied(&meta.checkpoint)
    {
        meta.checkpoint = checkpoint;
    }
    inner.dirty = false;
    inner.needed_before_trim = None;
    let drop_below = std::mem::take(&mut inner.drop_below).then(|| inner.log.first());
    Staged { group: group.clone(), meta, drop_below, repaired }
}

/// Puts applied entries from `from` on; returns one past the last that is in the record store.
fn carry(shared: &Shared, group: &Group, from: u64, upto: u64, room: &mut u64) -> Result<u64, StoreError> {
    let mut next = from;
    while next < upto {
        match read::read(shared, group, next, upto, CHUNK_BYTES) {
            Ok(entries) => {
                let bytes = entries.iter().map(|entry| entry.byte_count() as u64).sum();
                if *room < bytes || entries.is_empty() {
                    break;
                }
                *room -= bytes;
                shared.store.put(group.id, &entries)?;
                shared.counters.moved_bytes.fetch_add(bytes, Relaxed);
                next += entries.len() as u64;
            }
            Err(ReadError::Trimmed { first }) => next = first,
            Err(error) => {
                // It stays in the write-ahead log, and with it its segment, until it is repaired.
                tracing::warn!(group = %group.id, index = next, %error, "entry cannot be moved");
                break;
            }
        }
    }
    Ok(next)
}

/// Intact copies from peers: into the record store, or next to the position of a hot entry.
fn stage_repairs(shared: &Shared, group: &Group) -> Result<Vec<Repair>, StoreError> {
    let repairs: Vec<Repair> = std::mem::take(&mut group.lock().repairs);
    let mut repaired = Vec::with_capacity(repairs.len());
    for repair in repairs {
        let (index, entry) = (repair.entry.index, repair.entry.clone());
        let in_store = group.update(|inner| {
            if index < inner.log.first() || inner.log.term_of(index) != Some(entry.term) {
                return None;
            }
            match inner.log.hot_mut(index) {
                Some(hot) => hot.pinned = Some(entry.clone()),
                None => return Some(true),
            }
            Some(false)
        });
        match in_store {
            None => {
                repair.tell(Err(StorageError::NotRepairable { group: group.id, index }));
                continue;
            }
            Some(true) => shared.store.put(group.id, std::slice::from_ref(&entry))?,
            Some(false) => {}
        }
        repaired.push(repair);
    }
    Ok(repaired)
}

/// The log has failed: nothing is repaired any more.
fn give_up_repairs(shared: &Shared, failure: &StorageError) {
    for group in shared.all_groups() {
        let repairs = std::mem::take(&mut group.lock().repairs);
        repairs.into_iter().for_each(|repair| repair.tell(Err(failure.clone())));
    }
}

/// Frees the segments that nobody needs any more, now that this commit is durable.
fn release(shared: &Shared, groups: &[Arc<Group>], floor: u64, commit: u64) {
    let needed =
        |group: &Arc<Group>| group.lock().oldest_segment_needed().filter(|_| !planted(Planted::SegmentRecycledEarly));
    let lowest = groups.iter().filter_map(needed).min().unwrap_or(floor).min(floor);
    if let Some(wal) = shared.wal.lock().as_mut() {
        wal.remember_for_owner(commit);
        match wal.release_below(lowest) {
            Ok(()) => {}
            Err(thalweg_wal::ReleaseError::Failed { reason }) => {
                shared.fail(reason);
            }
            Err(error) => tracing::warn!(%error, "write-ahead log segment not recycled"),
        }
        shared.counters.wal_bytes.store(wal.bytes_in_use(), Relaxed);
        shared.mover.left_bytes.store(wal.bytes_in_use(), Relaxed);
    }
    if lowest < floor {
        rewrite::unpin(shared, groups, floor);
    }
}

/// What damage had cut off is worth keeping until every group has everything back.
fn discard_lost(shared: &Shared, groups: &[Arc<Group>], backlog: &mut Backlog) {
    let fenced = groups.iter().any(|group| group.lock().awaits_entries());
    if std::mem::replace(&mut backlog.fenced, fenced)
        && !fenced
        && let Some(Err(error)) = shared.wal.lock().as_mut().map(thalweg_wal::Wal::discard_lost)
    {
        tracing::warn!(%error, "segments that damage cut off were not removed");
    }
}

/// Gives dropped space back once it is worth a pass over the store.
fn reclaim(shared: &Shared, groups: &[Arc<Group>], backlog: &mut Backlog) -> Result<(), StoreError> {
    let live: u64 = groups.iter().map(|group| group.lock().stored).sum();
    if backlog.dropped == 0 || backlog.dropped < live / RECLAIM_FRACTION {
        return Ok(());
    }
    backlog.dropped = 0;
    shared.store.reclaim()
}
