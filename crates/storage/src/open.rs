//! Recovery: the record store's metadata first, then what the write-ahead log adds to it.
//!
//! Replay follows the order of the log. Records of an earlier life of a group, of entries that
//! were moved since, and copies are told apart by the metadata and by their order.
//!
//! Holds: the result is what memory was after the last record that is there. If acknowledged
//! records are missing, every group that exists is fenced, durably, before this returns.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use thalweg_types::GroupId;
use thalweg_types::planted::{Planted, planted};
use thalweg_wal::{Disk, Kind, Position, Record, Verdict, Wal};

use crate::group::Inner;
use crate::group_meta::GroupMeta;
use crate::log_index::Hot;
use crate::node_meta::{EVERY_GROUP, NodeMeta};
use crate::shared::{Parts, Shared};
use crate::{Driver, OpenError, Options, RecordStore, distrust, marks};

/// What a start found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenReport {
    /// Why acknowledged records are, or may be, missing. Then every group on disk is fenced.
    pub damaged: Option<String>,
    /// The last write was cut off by a crash; nothing acknowledged is missing.
    pub torn_tail: bool,
    /// Records replayed from the write-ahead log.
    pub replayed_records: u64,
    /// Groups that have anything on this node.
    pub groups: usize,
    /// Those of them that are fenced, now or since an earlier start.
    pub fenced_groups: usize,
}

pub(crate) fn wal_options(options: &Options) -> thalweg_wal::Options {
    thalweg_wal::Options {
        segment_bytes: options.segment_bytes,
        identity: options.identity,
        ..thalweg_wal::Options::new(&options.dir)
    }
}

pub(crate) fn open(
    options: Options,
    disk: Arc<dyn Disk>,
    store: Arc<dyn RecordStore>,
    driver: Driver,
) -> Result<(Shared, OpenReport), OpenError> {
    let mut replay = Replay::new(&*store)?;
    let saved = store.node()?.map(NodeMeta::decode).transpose();
    let mut node = saved.map_err(OpenError::NodeMeta)?.unwrap_or_default();
    let failed = |error: thalweg_wal::OpenError| OpenError::Wal(describe(&error));
    let opened =
        Wal::open(disk.clone(), wal_options(&options), &mut |record, position| replay.record(record, position));
    let (mut wal, recovery) = opened.map_err(failed)?;
    let mut groups = replay.groups;
    let mut damaged = match &recovery.verdict {
        Verdict::Damaged { segment, offset, reason } => Some(format!("segment {segment} at {offset}: {reason}")),
        Verdict::Clean | Verdict::TornTail { .. } => None,
    };
    // Of a group that is fenced already it is known.
    let is_news = |(group, end): &(&GroupId, &u64)| groups[group].log.end() < **end && !groups[group].fenced;
    if let Some((group, end)) = replay.gaps.iter().find(is_news) {
        damaged.get_or_insert(format!("entries of group {group} below {end} are missing"));
    }
    if let Some(mismatch) = node.mismatch(recovery.owner_mark, wal.durable_lsn()) {
        damaged.get_or_insert(mismatch);
    }
    if let Some(reason) = damaged.as_ref().filter(|_| !planted(Planted::GroupsNotFenced)) {
        tracing::error!(%reason, "acknowledged records may be missing; all groups are fenced");
        let commit = node.commit.max(recovery.owner_mark) + 1;
        node = NodeMeta {
            commit,
            durable_lsn: wal.durable_lsn(),
            distrusts_below: EVERY_GROUP,
            damage_mark: node.mark_after(options.damage_mark),
        };
        distrust::fence_all(&mut wal, &*store, &node, &mut groups, &replay.gaps)?;
        // The fence of each group is durable, so the log need not repeat its verdict; but the store that
        // has it must not get lost.
        wal.remember_for_owner(commit);
        wal.clear_damage().map_err(|error| OpenError::Wal(error.to_string()))?;
    }
    distrust::fence_unsaved(&mut groups, &replay.metas, node.distrusts_below);
    let report = OpenReport {
        damaged,
        torn_tail: matches!(recovery.verdict, Verdict::TornTail { .. }),
        replayed_records: recovery.records,
        groups: groups.values().filter(|inner| inner.exists()).count(),
        fenced_groups: groups.values().filter(|inner| inner.awaits_entries()).count(),
    };
    Ok((Shared::new(Parts { options, driver, disk, store, wal, groups, node }), report))
}

/// An error and what caused it, in one line.
fn describe(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// Groups as they are after the records replayed so far.
struct Replay {
    metas: BTreeMap<GroupId, GroupMeta>,
    groups: BTreeMap<GroupId, Inner>,
    /// One past the last entry that did not continue its group's log. Copies of what is missing,
    /// or a truncation, must come later, see `rewrite.rs`.
    gaps: BTreeMap<GroupId, u64>,
}

impl Replay {
    fn new(store: &dyn RecordStore) -> Result<Replay, OpenError> {
        let mut metas = BTreeMap::new();
        for (group, bytes) in store.metas()? {
            let meta = GroupMeta::decode(bytes).map_err(|reason| OpenError::Meta { group, reason })?;
            metas.insert(group, meta);
        }
        let groups = metas.iter().map(|(group, meta)| (*group, Inner::from_meta(meta))).collect();
        Ok(Replay { metas, groups, gaps: BTreeMap::new() })
    }

    fn record(&mut self, record: Record, position: Position) {
        let group = record.group;
        let inner = self.groups.entry(group).or_default();
        match record.kind {
            Kind::Entry => {
                let end = record.index.saturating_add(1);
                match replay_entry(inner, &record, position) {
                    Replayed::EndsLog => drop(self.gaps.remove(&group)),
                    Replayed::Moved | Replayed::Copied => {}
                    Replayed::BehindGap => drop(self.gaps.insert(group, end)),
                }
            }
            Kind::Vote => {
                inner.save_vote(&record.head);
            }
            Kind::Truncate if planted(Planted::TruncationNotReplayed) => {}
            Kind::Truncate => {
                let end = record.index.saturating_add(1);
                inner.truncate(end);
                self.gaps.entry(group).and_modify(|gap| *gap = end.min(*gap));
            }
            Kind::Trim => inner.trim(record.index, record.term, marks::checkpoint_of(&record)),
            Kind::Destroy => {
                let vote = inner.vote.take();
                *inner = match self.metas.get(&group) {
                    Some(meta) => after_life(record.index, vote, meta),
                    None => Inner::after(record.index, vote),
                };
                self.gaps.remove(&group);
            }
        }
    }
}

enum Replayed {
    /// The entry is the last of its log now.
    EndsLog,
    /// The record store has it.
    Moved,
    /// It is a copy of one that was applied before it was logged again, see `rewrite.rs`.
    Copied,
    /// Entries before it are missing.
    BehindGap,
}

fn replay_entry(inner: &mut Inner, record: &Record, position: Position) -> Replayed {
    if record.index < inner.log.moved_end() {
        return Replayed::Moved;
    }
    if record.index > inner.log.end() {
        return Replayed::BehindGap;
    }
    if record.index < inner.log.applied_end() {
        // Applied entries are never replaced, so that nothing behind them goes either.
        inner.log.written(record.index, 0, &[position]);
        return Replayed::Copied;
    }
    inner.truncate(record.index);
    let bytes = (record.head.len() + record.body.len()) as u32;
    inner.log.push(record.term, Hot { position: Some(position), stamp: 0, bytes, pinned: None });
    Replayed::EndsLog
}

/// A group whose life `life` ended: as the record store has it if that is of a later life, else empty.
fn after_life(life: u64, vote: Option<Bytes>, meta: &GroupMeta) -> Inner {
    if meta.life > life {
        Inner::from_meta(meta)
    } else {
        Inner { drop_group: true, stored_before: meta.moved_end, ..Inner::after(life, vote) }
    }
}
