//! One page: whole batches from a cursor, how far behind it ends, and whether the shard ends there.

use bytes::Bytes;
use thalweg_types::planted::{Planted, planted};
use thalweg_types::{ShardId, UnixMillis};

use super::{ReadError, data_from};
use crate::command::EntryFacts;
use crate::replica::Replica;

/// Where to read on: an index of the log, and records of that entry to pass over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The next entry to look at.
    pub index: u64,
    /// Records of it that were read before.
    pub skip_records: u32,
}

impl Cursor {
    /// At the beginning of an entry.
    pub fn at(index: u64) -> Cursor {
        Cursor { index, skip_records: 0 }
    }
}

/// One batch, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadBatch {
    /// Its place and arrival.
    pub facts: EntryFacts,
    /// Records in front that lie before the position asked for.
    pub skip_records: u32,
    /// The batch as it was appended.
    pub batch: Bytes,
}

/// What a read found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Batches in order.
    pub batches: Vec<ReadBatch>,
    /// Where to go on.
    pub next: Cursor,
    /// Age of the newest record read, or of the oldest unread if none was; 0 when caught up.
    pub millis_behind_latest: u64,
    /// The children, when the shard is closed and all of it has been read.
    pub end: Option<Vec<ShardId>>,
}

impl Page {
    /// Whether a waiting reader should be told.
    pub(crate) fn is_news(&self) -> bool {
        !self.batches.is_empty() || self.end.is_some()
    }
}

/// Reads one page; does not wait.
pub(crate) async fn read_page(replica: &Replica, from: Cursor, max_bytes: usize) -> Result<Page, ReadError> {
    let data = data_from(replica, from.index, max_bytes).await?;
    let skip_of = |facts: &EntryFacts| if facts.index == from.index { from.skip_records } else { 0 };
    let batches = data.entries.into_iter().filter_map(|entry| {
        let skip_records = skip_of(&entry.facts);
        let unread = skip_records < entry.facts.record_count;
        unread.then_some(ReadBatch { facts: entry.facts, skip_records, batch: entry.batch })
    });
    let batches: Vec<ReadBatch> = batches.collect();
    let next = if data.next_index > from.index { Cursor::at(data.next_index) } else { from };
    let metrics = &replica.node().metrics;
    metrics.read_pages.add(1);
    metrics.read_bytes.add(batches.iter().map(|batch| batch.batch.len() as u64).sum());
    let newest_read = batches.last().map(|batch| batch.facts.arrived);
    let end = end_at(replica, next);
    Ok(Page { next, millis_behind_latest: millis_behind(replica, next, newest_read), end, batches })
}

/// Zero only when nothing that is committed remains unread. What comes next arrived no earlier
/// than what was read last, so the age of that is never too small.
fn millis_behind(replica: &Replica, next: Cursor, newest_read: Option<UnixMillis>) -> u64 {
    if planted(Planted::BehindIsZero) {
        return 0;
    }
    let last = replica.state().with(|state| state.last());
    let unread = last.filter(|last| last.index >= next.index);
    let knows_the_newest = replica.knows_the_newest();
    let reference = match (unread, last) {
        (Some(unread), _) => newest_read.unwrap_or(unread.arrived),
        (None, Some(last)) if !knows_the_newest => last.arrived,
        // It may hold nothing because it was opened just now, and the shard much.
        (None, None) if !knows_the_newest => replica.spec().created,
        _ => return 0,
    };
    replica.node().clock.now().0.saturating_sub(reference.0).max(1)
}

/// The children, when nothing is left to read and the catalog has opened them.
fn end_at(replica: &Replica, next: Cursor) -> Option<Vec<ShardId>> {
    let spec = replica.spec();
    let all_read = replica.state().with(|state| {
        let last = state.last().map_or(0, |last| last.index);
        (state.sealed().is_some() && next.index > last) || planted(Planted::EndBeforeTheEnd)
    });
    (spec.closed && all_read).then(|| spec.children.clone())
}
