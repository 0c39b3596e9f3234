//! What a start came to after a fault: nothing lost, or detected; anything else is a failure.

use std::fmt;

use serde::{Deserialize, Serialize};
use thalweg_storage::{NodeLog, OpenReport};
use thalweg_types::GroupId;

use crate::entry::EntryId;
use crate::model::{Crash, GroupHistory, History, State};
use crate::node::Node;
use crate::seen::{SeenGroup, read_group};

/// How a fault ended, from best to worst; all of these keep the promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Finding {
    /// Everything acknowledged is there and readable.
    Whole,
    /// Everything is there, and the node distrusts itself all the same.
    WholeButFenced,
    /// Some entries are answered with an error; all else is there.
    Unreadable,
    /// Acknowledged entries or votes are missing, and all groups are fenced.
    Fenced,
    /// The record store meets the damage in the background, and the log stops.
    Stopped,
    /// The log does not open.
    Refused,
}

impl Finding {
    /// All of them.
    pub const ALL: [Finding; 6] = [
        Finding::Whole,
        Finding::WholeButFenced,
        Finding::Unreadable,
        Finding::Fenced,
        Finding::Stopped,
        Finding::Refused,
    ];
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Finding::Whole => "whole",
            Finding::WholeButFenced => "whole, fenced",
            Finding::Unreadable => "read refused",
            Finding::Fenced => "fenced",
            Finding::Stopped => "stopped",
            Finding::Refused => "open refused",
        })
    }
}

/// After a fault that damages nothing that was synced: all must be there, and no fence be raised.
/// What is seen is what the groups must keep from now on.
pub fn nothing_lost(node: &Node, history: &mut History, crash: Crash) -> Result<(), String> {
    if let Some(reason) = &node.report.damaged {
        return Err(format!("damage reported where there is none: {reason}"));
    }
    let mut settled = Vec::new();
    for (group, calls) in history.groups() {
        let seen = see(&node.log, group, calls)?;
        if let Some((index, error)) = seen.unreadable.first() {
            return Err(format!("group {group}: entry {index} cannot be read: {error}"));
        }
        if seen.fenced && !calls.may_be_fenced() {
            return Err(format!("group {group} is fenced for nothing"));
        }
        if let Some(objection) = calls.objection(&seen.state, crash) {
            return Err(format!("group {group}: {objection}"));
        }
        settled.push((group, seen.state, seen.fenced));
    }
    settled.into_iter().for_each(|(group, state, fenced)| history.settle(group, state, fenced));
    Ok(())
}

/// Reads a group. One that has left must be fenced, and one that is gone is as it would begin.
fn see(log: &NodeLog, group: u64, calls: &GroupHistory) -> Result<SeenGroup, String> {
    let mut seen = read_group(log, group)?;
    let is_gone = log.known_group(GroupId(group)).is_none();
    seen.fenced |= is_gone && log.group(GroupId(group)).state().fenced;
    if !seen.fenced && !calls.may_be_trusted() {
        return Err(format!("group {group} has left, and is trusted again for nothing"));
    }
    Ok(seen)
}

/// Which start after the damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// The one that must notice it.
    First,
    /// A later one: what was noticed shows in the fences only.
    Later,
}

/// After damage: what is missing must have been noticed.
pub fn detected(
    log: &NodeLog,
    report: &OpenReport,
    history: &History,
    crash: Crash,
    start: Start,
) -> Result<Finding, String> {
    let mut finding = Finding::Whole;
    for (group, calls) in history.groups() {
        let seen = see(log, group, calls)?;
        if let Some(strange) = seen.state.entries.iter().find(|entry| !history.was_written(entry)) {
            return Err(format!("group {group}: {strange:?} was never written"));
        }
        let known = log.groups().iter().any(|known| known.0 == group);
        if report.damaged.is_some() && known && !seen.fenced {
            return Err(format!("damage reported, but group {group} is not fenced"));
        }
        // A fence that a group had anyway tells nothing of the damage.
        let told = report.damaged.is_some() || seen.fenced && !calls.may_be_fenced();
        let noticed = told || seen.fenced && start == Start::Later;
        finding = finding.max(judge_group(group, calls, &seen, (told, noticed), crash)?);
    }
    Ok(finding)
}

fn judge_group(
    group: u64,
    calls: &GroupHistory,
    seen: &SeenGroup,
    (told, noticed): (bool, bool),
    crash: Crash,
) -> Result<Finding, String> {
    let objection = calls.objection(&seen.state, crash);
    match objection {
        None if seen.unreadable.is_empty() && told => Ok(Finding::WholeButFenced),
        None if seen.unreadable.is_empty() => Ok(Finding::Whole),
        _ if noticed => Ok(Finding::Fenced),
        _ if only_holes(calls, seen, crash) => Ok(Finding::Unreadable),
        objection => Err(format!("group {group}, silently: {}", objection.unwrap_or_default())),
    }
}

/// Whether all that differs is entries whose read is answered with an error.
fn only_holes(calls: &GroupHistory, seen: &SeenGroup, crash: Crash) -> bool {
    let is_hole = |index: u64| seen.unreadable.iter().any(|(hole, _)| *hole == index);
    let matches = |state: &State| {
        let readable: Vec<EntryId> = state
            .entries
            .iter()
            .filter(|entry| entry.index >= seen.state.first() && !is_hole(entry.index))
            .copied()
            .collect();
        readable == seen.state.entries && state.end().max(seen.state.first()) == seen.end
    };
    let possible = calls.possible(crash);
    possible.iter().any(matches)
        && possible.iter().any(|state| state.vote == seen.state.vote)
        && possible.iter().any(|state| state.trimmed == seen.state.trimmed)
}
