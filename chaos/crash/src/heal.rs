//! What peers do for a node that lost something: they give it back, entry by entry, and then the
//! fence is lowered. Here the model is the peer.

use std::sync::mpsc::channel;
use std::time::Duration;

use thalweg_storage::{Done, GroupLog, NodeLog, StorageError};
use thalweg_types::GroupId;

use crate::entry::EntryId;
use crate::model::{Crash, History, State};
use crate::seen::{checkpoint_bytes, read_group, vote_bytes};

/// A call may take this long.
const PATIENCE: Duration = Duration::from_secs(30);

/// Gives every group back what it lacks, as Raft would, and lowers its fence.
pub fn heal(log: &NodeLog, history: &History, crash: Crash) -> Result<(), String> {
    for (group, calls) in history.groups() {
        let truth = calls.possible(crash).pop().expect("there is always a state");
        let healed = match (truth.exists(), truth.has_left) {
            (true, _) => heal_group(log, group, &truth),
            (false, true) => leave(log, group, &truth),
            (false, false) => Ok(()),
        };
        healed.map_err(|error| format!("group {group} not healed: {error}"))?;
    }
    log.flush().map_err(|error| error.to_string())
}

fn heal_group(log: &NodeLog, group: u64, truth: &State) -> Result<(), String> {
    let group_log = log.group(GroupId(group));
    let state = group_log.state();
    let first = state.trimmed.map_or(0, |(index, _)| index + 1);
    let end = state.last.map_or(0, |(index, _)| index + 1);
    let agrees = |entry: &&EntryId| group_log.read_term(entry.index) == Some(entry.term);
    let common_end = truth.entries.iter().take_while(agrees).last().map_or(truth.first(), |entry| entry.index + 1);
    let fits = read_group(log, group)?.fits.is_ok();
    if !fits
        || first > truth.first()
        || end < truth.first()
        || (common_end < end && state.applied_hint >= Some(common_end))
    {
        // Nothing to build on: a snapshot, and then the log.
        install(&group_log, truth)?;
    } else if common_end < end {
        wait(|done| group_log.truncate_after(common_end - 1, done))?;
    }
    repair(log, &group_log, group, truth)?;
    let end = group_log.state().last.map_or(0, |(index, _)| index + 1);
    let missing: Vec<_> = truth.entries.iter().filter(|entry| entry.index >= end).map(EntryId::entry).collect();
    for entries in missing.chunks(8) {
        wait(|done| group_log.append(entries.to_vec(), true, done))?;
    }
    if let Some((index, term)) = truth.trimmed
        && group_log.state().trimmed != truth.trimmed
    {
        wait(|done| group_log.trim(index, term, done))?;
    }
    if let Some(vote) = truth.vote {
        wait(|done| group_log.save_vote(vote_bytes(vote), done))?;
    }
    group_log.lower_fence();
    Ok(())
}

/// A group that has left is told so again if the log has forgotten it.
fn leave(log: &NodeLog, group: u64, truth: &State) -> Result<(), String> {
    let group_log = log.group(GroupId(group));
    let seen = read_group(log, group)?.state;
    if seen == *truth && seen.has_left {
        return Ok(());
    }
    if let Some(vote) = truth.vote {
        wait(|done| group_log.save_vote(vote_bytes(vote), done))?;
    }
    wait(|done| group_log.destroy(done))
}

fn install(group_log: &GroupLog, truth: &State) -> Result<(), String> {
    // A group that must begin below what it has begins anew.
    wait(|done| group_log.destroy(done))?;
    match truth.trimmed {
        Some((index, term)) => wait(|done| group_log.install(index, term, checkpoint_bytes(index), done)),
        None => Ok(()),
    }
}

fn repair(log: &NodeLog, group_log: &GroupLog, group: u64, truth: &State) -> Result<(), String> {
    let unreadable = read_group(log, group)?.unreadable;
    for (index, _) in unreadable {
        let intact = truth.entries.iter().find(|entry| entry.index == index);
        let intact = intact.ok_or_else(|| format!("no peer has entry {index}"))?;
        wait(|done| group_log.repair(intact.entry(), done))?;
    }
    Ok(())
}

fn wait(call: impl FnOnce(Done)) -> Result<(), String> {
    let (sender, answer) = channel::<Result<(), StorageError>>();
    call(Box::new(move |result| drop(sender.send(result))));
    answer.recv_timeout(PATIENCE).map_err(|_| "no answer".to_owned())?.map_err(|error| error.to_string())
}
