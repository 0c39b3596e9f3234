//! Frees old segments that only a few entries hold: those that were never applied.
//!
//! A group without a quorum may keep a handful of uncommitted entries for days while others fill
//! the log. Its whole hot tail, if small, is logged again at the end, as one block.
//!
//! Holds: the copies replace the originals at replay, because an entry at an index that is taken
//! replaces it and all behind it, and the block is there as a whole or not at all.

use std::sync::Arc;

use crate::LogEntry;
use crate::group::Group;
use crate::queue::Work;
use crate::read;
use crate::shared::Shared;

/// A larger tail stays where it is; `wal_bytes_max` bounds what that costs.
const TAIL_BYTES_MAX: u64 = 2 * 1024 * 1024;
const TAIL_ENTRIES_MAX: u64 = 2048;
/// What an entry takes in a block besides its bytes, at most.
const FRAME_BYTES_MAX: u64 = 128;

/// Queues copies of small tails that lie in segments below `floor`, if the log has grown too long.
pub(crate) fn unpin(shared: &Shared, groups: &[Arc<Group>], floor: u64) {
    let wal_bytes = shared.counters.wal_bytes.load(std::sync::atomic::Ordering::Relaxed);
    if wal_bytes <= shared.options.hot_tail_bytes {
        return;
    }
    for group in groups {
        let inner = group.lock();
        let pins = inner.log.oldest_segment().is_some_and(|segment| segment < floor);
        let (from, to) = (inner.log.moved_end(), inner.log.end());
        let block_bytes = inner.log.bytes().hot + (to - from) * FRAME_BYTES_MAX;
        let small = block_bytes <= TAIL_BYTES_MAX.min(shared.entry_bytes_max) && to - from <= TAIL_ENTRIES_MAX;
        drop(inner);
        if pins && small {
            copy(shared, group, from, to);
        }
    }
}

fn copy(shared: &Shared, group: &Arc<Group>, from: u64, to: u64) {
    let mut entries = Vec::new();
    while from + (entries.len() as u64) < to {
        match read::read(shared, group, from + entries.len() as u64, to, usize::MAX) {
            Ok(more) if !more.is_empty() => entries.extend(more),
            _ => return,
        }
    }
    let refused = group.update(|inner| {
        // Whatever changed in between will be looked at in the next round.
        if inner.log.moved_end() != from || inner.log.end() != to || inner.is_ahead() {
            return None;
        }
        let stamped = |entry: LogEntry| {
            let hot = inner.log.hot(entry.index).filter(|_| inner.log.term_of(entry.index) == Some(entry.term));
            hot.map(|hot| (hot.stamp, entry)).map(|(stamp, entry)| (entry, stamp))
        };
        let entries: Option<Vec<(LogEntry, u64)>> = entries.into_iter().map(stamped).collect();
        let work = Work::Rewrite { group: group.clone(), entries: entries? };
        shared.submit(work, Box::new(|_| {}))
    });
    if let Some(refused) = refused {
        refused.tell();
    }
}
