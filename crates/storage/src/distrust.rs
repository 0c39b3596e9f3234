//! What a start does when acknowledged records may be missing: every group is fenced, durably, and a
//! group that cannot be continued begins anew.
//!
//! A checkpoint stands for what is trimmed and speaks of entries that are there. Damage may take the
//! one and leave the other: then Raft would take entries that are missing for expired, or could not
//! tell the state at the trim point. If nothing is trimmed, the entries themselves give the state
//! again; else the group begins empty, and its peers give it a snapshot and the log.
//!
//! Holds: a group that begins anew does so in the log first, so that no later start brings back half
//! of what it was.

use std::collections::BTreeMap;

use thalweg_types::GroupId;
use thalweg_wal::{Record, Wal};

use crate::group::Inner;
use crate::group_meta::GroupMeta;
use crate::node_meta::NodeMeta;
use crate::store::Change;
use crate::{OpenError, RecordStore, marks};

/// Fences every group that is here, or of which `gaps` tells that it was.
pub(crate) fn fence_all(
    wal: &mut Wal,
    store: &dyn RecordStore,
    node: &NodeMeta,
    groups: &mut BTreeMap<GroupId, Inner>,
    gaps: &BTreeMap<GroupId, u64>,
) -> Result<(), OpenError> {
    let mut changes = vec![Change::Node { meta: node.encode() }];
    let mut records = Vec::new();
    let is_here = |group: &GroupId, inner: &Inner| inner.exists() || gaps.contains_key(group);
    for (group, inner) in groups.iter_mut().filter(|(group, inner)| is_here(group, inner)) {
        if !checkpoint_fits(inner) {
            inner.checkpoint = None;
            if inner.log.trimmed().is_some() {
                tracing::error!(%group, "its checkpoint does not fit its log; it begins anew from its peers");
                records.extend(begin_anew(*group, inner));
                changes.push(Change::DropGroup { group: *group });
            }
        }
        if std::mem::take(&mut inner.drop_group) {
            // Before its metadata: later it would take the fence along.
            changes.push(Change::DropGroup { group: *group });
        }
        inner.fenced = true;
        let meta = inner.meta(inner.log.moved_end());
        changes.push(Change::Meta { group: *group, meta: meta.encode() });
    }
    for record in records {
        wal.append(&[record]).map_err(|error| OpenError::Wal(error.to_string()))?;
    }
    wal.sync().map_err(|error| OpenError::Wal(error.to_string()))?;
    Ok(store.commit(&changes)?)
}

/// On a node that once lost what nobody can name, also those groups begin fenced of which only the
/// log tells, or of which nothing but an end is left: they were new after the damage, or seem so. Not
/// those that are known to be younger than the damage, see [`crate::NodeLog::distrust_below`].
pub(crate) fn fence_unsaved(
    groups: &mut BTreeMap<GroupId, Inner>,
    saved: &BTreeMap<GroupId, GroupMeta>,
    distrusts_below: GroupId,
) {
    let unsaved = |group: &GroupId, inner: &Inner| !inner.exists() || !saved.contains_key(group);
    for (_, inner) in groups.range_mut(..distrusts_below).filter(|(group, inner)| unsaved(group, inner)) {
        inner.fenced = true;
        inner.dirty |= inner.exists();
    }
}

fn checkpoint_fits(inner: &Inner) -> bool {
    let applied = inner.checkpoint.as_ref().map(|(applied, _)| *applied);
    let trimmed = inner.log.trimmed().map(|(index, _)| index);
    applied >= trimmed && applied.is_none_or(|applied| applied < inner.log.end())
}

/// Empties a group but for its vote. The records tell a later start.
fn begin_anew(group: GroupId, inner: &mut Inner) -> Vec<Record> {
    let destroyed = marks::destroy(group, inner.life);
    let voted = inner.vote.clone().map(|vote| marks::vote(group, vote));
    *inner = Inner { vote: inner.vote.take(), has_left: false, ..Inner::after(inner.life, None) };
    [destroyed].into_iter().chain(voted).collect()
}
