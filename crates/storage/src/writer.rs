//! The only writer of this node's write-ahead log.
//!
//! All groups share one log, so one thread takes whatever is queued (up to a limit), writes it as
//! one block, syncs once and answers everybody. While it syncs, the queue fills: no linger.
//!
//! Holds: callers are answered in the order they called, and with success only after a sync that
//! covers them (or, if they asked for none, after the write). After a failed write or sync nothing
//! is accepted until restart, because what is on disk is unknown.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use thalweg_wal::{AppendError, Kind, Position, Record, Wal};

use crate::queue::{Item, Work};
use crate::shared::{PanicWatch, Shared};
use crate::{Driver, Health, LogEntry, StorageError, space};
use thalweg_types::planted::{Planted, planted};

/// How often the fence is written and free space looked at.
const TICK: Duration = Duration::from_millis(100);
/// The writer waits for the mover when this many times `hot_tail_bytes` could be moved.
const STALL_FACTOR: u64 = 4;

/// The writer's thread: ends when the queue is closed and empty.
pub(crate) fn run(shared: &Shared) {
    let _watch = PanicWatch(shared);
    let mut ticked = Instant::now();
    loop {
        wait_for_mover(shared);
        let worked = run_once(shared, TICK);
        if !worked && shared.queue.is_closed() {
            return;
        }
        if worked && ticked.elapsed() >= TICK {
            tick(shared);
            ticked = Instant::now();
        }
    }
}

/// Back-pressure: memory never grows because the mover is slow.
fn wait_for_mover(shared: &Shared) {
    let limit = shared.options.hot_tail_bytes.saturating_mul(STALL_FACTOR);
    let behind = || shared.gauges.movable_bytes.load(Relaxed) > limit && *shared.health.borrow() == Health::Ok;
    if !behind() {
        return;
    }
    let mut stop = shared.mover.stop.lock();
    while !*stop && behind() {
        shared.mover.called.notify_one();
        shared.mover.progress.wait_for(&mut stop, TICK);
    }
}

/// Takes one batch, makes it durable and answers. False if nothing was queued.
pub(crate) fn run_once(shared: &Shared, wait: Duration) -> bool {
    let Some(batch) = begin(shared, wait) else { return false };
    finish(shared, batch);
    true
}

/// What was written and waits for its sync, with everybody who waits for it.
pub(crate) struct Batch {
    /// Written, or nothing to write.
    written: Numbered,
    /// Refused before anything of them was written.
    refused: Answered,
}

impl Batch {
    pub(crate) fn refused_any(&self) -> bool {
        !self.refused.is_empty()
    }
}

/// Takes one batch and writes it. Nothing if nothing was queued.
pub(crate) fn begin(shared: &Shared, wait: Duration) -> Option<Batch> {
    let options = &shared.options;
    let items = shared.queue.take(options.batch_bytes_max, options.batch_records_max, wait);
    if items.is_empty() || shared.driver == Driver::Manual {
        tick_if_idle(shared, items.is_empty());
    }
    if items.is_empty() {
        return None;
    }
    let (items, mut refused) = admit(shared, items);
    let (written, more) = write_or_refuse(shared, items);
    refused.extend(more);
    Some(Batch { written, refused })
}

/// Syncs what [`begin`] wrote, and answers.
pub(crate) fn finish(shared: &Shared, batch: Batch) {
    let synced = sync(shared, &batch.written);
    let mut answered = batch.refused;
    answered.extend(batch.written.into_iter().map(|(at, item)| {
        let answer = if let Work::Answer(result) = &item.work { result.clone() } else { Ok(()) };
        (at, item, synced.clone().and(answer))
    }));
    answered.sort_by_key(|(at, ..)| *at);
    answered.into_iter().for_each(|(_, item, answer)| (item.done)(answer));
    shared.cache.evict();
    if shared.wants_move() {
        shared.mover.call();
    }
}

/// Items with their place in the batch.
type Numbered = Vec<(usize, Item)>;
type Answered = Vec<(usize, Item, Result<(), StorageError>)>;

/// Takes out appends that follow a refused one: memory has forgotten them already.
fn admit(shared: &Shared, items: Vec<Item>) -> (Numbered, Answered) {
    let (mut admitted, mut refused) = (Vec::with_capacity(items.len()), Vec::new());
    let failure = shared.failure();
    for (at, item) in items.into_iter().enumerate() {
        match gap(&item.work).or_else(|| failure.clone()) {
            Some(error) => refused.push((at, item, Err(error))),
            None => admitted.push((at, item)),
        }
    }
    (admitted, refused)
}

/// Writes the items. When there is no space for all, votes and the like are written alone.
fn write_or_refuse(shared: &Shared, items: Numbered) -> (Numbered, Answered) {
    let refuse = |items: Numbered, error: &StorageError| {
        items.into_iter().map(|(at, item)| (at, item, Err(error.clone()))).collect::<Answered>()
    };
    let Err(error) = write(shared, &items) else { return (items, Vec::new()) };
    if !matches!(error, StorageError::Full { .. }) {
        return (Vec::new(), refuse(items, &error));
    }
    let (marks, appends): (Numbered, Numbered) =
        items.into_iter().partition(|(_, item)| matches!(item.work, Work::Mark(_) | Work::Answer(_)));
    let mut refused = refuse(appends, &error);
    match write(shared, &marks) {
        Ok(()) => (marks, refused),
        Err(error) => {
            refused.extend(refuse(marks, &error));
            (Vec::new(), refused)
        }
    }
}

fn gap(work: &Work) -> Option<StorageError> {
    let Work::Append { group, entries, stamp, .. } = work else { return None };
    let inner = group.lock();
    (*stamp <= inner.refused_through).then(|| StorageError::NotContiguous {
        group: group.id,
        expected: inner.log.end(),
        found: entries[0].index,
    })
}

/// Writes the items.
fn write(shared: &Shared, items: &[(usize, Item)]) -> Result<(), StorageError> {
    let blocks = blocks(items, crate::open::wal_options(&shared.options).block_bytes_max());
    if blocks.is_empty() {
        return Ok(());
    }
    let mut guard = shared.wal.lock();
    let wal = guard.as_mut().ok_or(StorageError::Closed)?;
    keep_reserve(shared, wal, items, &blocks).inspect_err(|_| withdraw(shared, items))?;
    let positions = append(shared, wal, &blocks).inspect_err(|_| withdraw(shared, items))?;
    place(items, &positions);
    let counters = &shared.counters;
    counters.blocks.fetch_add(blocks.len() as u64, Relaxed);
    counters.appended_bytes.fetch_add(items.iter().map(|(_, item)| item.work.byte_count()).sum(), Relaxed);
    counters.wal_bytes.store(wal.bytes_in_use(), Relaxed);
    Ok(())
}

/// Votes and the like may use the reserve; entries may not.
fn keep_reserve(
    shared: &Shared,
    wal: &Wal,
    items: &[(usize, Item)],
    blocks: &[Vec<Record>],
) -> Result<(), StorageError> {
    let has_entries = items.iter().any(|(_, item)| matches!(item.work, Work::Append { .. } | Work::Rewrite { .. }));
    let bytes = blocks.iter().map(|block| Wal::padded_block_bytes(block)).sum();
    if has_entries && wal.takes_space(bytes) { space::refuse_below_reserve(shared) } else { Ok(()) }
}

/// Makes the items durable, if any of them needs it.
fn sync(shared: &Shared, items: &[(usize, Item)]) -> Result<(), StorageError> {
    if !items.iter().any(|(_, item)| item.work.needs_sync()) || planted(Planted::AnsweredBeforeSync) {
        return Ok(());
    }
    let mut guard = shared.wal.lock();
    let wal = guard.as_mut().ok_or(StorageError::Closed)?;
    let started = Instant::now();
    wal.sync().map_err(|error| shared.fail(error.to_string()))?;
    shared.counters.synced(started.elapsed());
    Ok(())
}

fn records(work: &Work) -> Vec<Record> {
    let entry = |group, entry: &LogEntry| Record {
        group,
        kind: Kind::Entry,
        index: entry.index,
        term: entry.term,
        head: entry.head.clone(),
        body: entry.body.clone(),
    };
    match work {
        Work::Append { group, entries, .. } => entries.iter().map(|e| entry(group.id, e)).collect(),
        Work::Rewrite { group, entries } => entries.iter().map(|(e, _)| entry(group.id, e)).collect(),
        Work::Mark(record) => vec![record.clone()],
        Work::Answer(_) => Vec::new(),
    }
}

/// Puts the items' records into blocks of at most `limit` bytes: almost always one. Only an append
/// that no block can hold is split; copies must be in one block, see `rewrite.rs`.
fn blocks(items: &[(usize, Item)], limit: u64) -> Vec<Vec<Record>> {
    let empty = Wal::block_bytes(&[]);
    let mut blocks: Vec<Vec<Record>> = Vec::new();
    let mut room = 0;
    for (_, item) in items {
        let records = records(&item.work);
        let bytes = Wal::block_bytes(&records) - empty;
        let whole = bytes + empty <= limit;
        if whole && bytes > room && !records.is_empty() {
            blocks.push(Vec::new());
            room = limit - empty;
        }
        for record in records {
            let bytes = Wal::block_bytes(std::slice::from_ref(&record)) - empty;
            if bytes > room {
                blocks.push(Vec::new());
                room = limit - empty;
            }
            room = room.saturating_sub(bytes);
            blocks.last_mut().expect("a block was begun").push(record);
        }
    }
    blocks
}

fn append(shared: &Shared, wal: &mut Wal, blocks: &[Vec<Record>]) -> Result<Vec<Position>, StorageError> {
    let mut positions = Vec::new();
    for block in blocks {
        match wal.append(block) {
            Ok(more) => positions.extend(more),
            Err(error) if positions.is_empty() => return Err(refusal(shared, error)),
            // Half of the batch is written and must not look refused.
            Err(error) => return Err(shared.fail(format!("batch broken off: {error}"))),
        }
    }
    Ok(positions)
}

fn refusal(shared: &Shared, error: AppendError) -> StorageError {
    match error {
        AppendError::DiskFull { .. } => space::ran_out(shared),
        AppendError::BlockTooLarge { bytes, limit } => StorageError::TooLarge { bytes, limit_bytes: limit },
        AppendError::Failed { reason } => shared.fail(reason),
    }
}

/// Tells memory where the entries lie.
fn place(items: &[(usize, Item)], positions: &[Position]) {
    let mut rest = positions;
    for (_, item) in items {
        let (here, later) = rest.split_at(item.work.record_count());
        rest = later;
        match &item.work {
            Work::Append { group, entries, stamp, .. } => {
                group.update(|inner| inner.log.written(entries[0].index, *stamp, here));
            }
            Work::Rewrite { group, entries } => group.update(|inner| {
                for ((entry, stamp), position) in entries.iter().zip(here) {
                    inner.log.written(entry.index, *stamp, std::slice::from_ref(position));
                }
            }),
            Work::Mark(_) | Work::Answer(_) => {}
        }
    }
}

/// Nothing of the batch was written: its entries leave memory again, and what is queued behind
/// them will be refused.
fn withdraw(shared: &Shared, items: &[(usize, Item)]) {
    for (_, item) in items {
        let Work::Append { group, entries, stamp, .. } = &item.work else { continue };
        group.update(|inner| {
            let first = entries[0].index;
            if inner.log.hot(first).is_some_and(|hot| hot.stamp == *stamp) {
                inner.truncate(first);
                inner.refused_through = shared.next_stamp();
            }
        });
    }
}

fn tick_if_idle(shared: &Shared, idle: bool) {
    if idle { tick(shared) } else { space::check(shared) }
}

/// Now and then: free space, and the fence that bounds what a cut-off log can hide.
pub(crate) fn tick(shared: &Shared) {
    space::check(shared);
    if shared.failure().is_some() {
        return;
    }
    let fenced = shared.wal.lock().as_mut().map_or(Ok(()), Wal::write_fence);
    if let Err(error) = fenced {
        shared.fail(error.to_string());
    }
}
