//! What a node shows after a start: every group's positions, and every entry read and verified.

use thalweg_storage::{NodeLog, ReadError};
use thalweg_types::GroupId;

use crate::entry::EntryId;
use crate::model::State;

/// Bytes of one read.
const PAGE_BYTES: usize = 64 * 1024;

/// What a node shows of one group.
#[derive(Clone, Debug)]
pub struct SeenGroup {
    /// Positions, vote, and the entries that could be read.
    pub state: State,
    /// Indexes whose read was answered with an error, and the error.
    pub unreadable: Vec<(u64, String)>,
    /// One past the last entry.
    pub end: u64,
    /// Whether the group is fenced.
    pub fenced: bool,
    /// Whether its checkpoint stands for what is trimmed and speaks of what is there. On a fenced
    /// group it need not, and then a snapshot must come from a peer.
    pub fits: Result<(), String>,
}

impl SeenGroup {
    fn nothing() -> SeenGroup {
        SeenGroup { state: State::default(), unreadable: Vec::new(), end: 0, fenced: false, fits: Ok(()) }
    }
}

/// Reads a group whole. An error says that something wrong was served.
pub fn read_group(log: &NodeLog, group: u64) -> Result<SeenGroup, String> {
    let Some(group_log) = log.known_group(GroupId(group)) else { return Ok(SeenGroup::nothing()) };
    let state = group_log.state();
    let mut seen = SeenGroup { fenced: state.fenced, ..SeenGroup::nothing() };
    seen.state.trimmed = state.trimmed;
    seen.state.vote = state.vote.as_ref().map(|vote| vote_of(vote)).transpose()?;
    seen.state.has_left = !log.groups().contains(&GroupId(group));
    seen.fits = check_checkpoint(&state);
    if !seen.fenced {
        seen.fits.clone()?;
    }
    seen.end = state.last.map_or(0, |(index, _)| index + 1);
    let mut next = seen.state.first();
    while next < seen.end {
        match group_log.read(next, seen.end, PAGE_BYTES) {
            Ok(page) if page.is_empty() => return Err(format!("group {group}: a read at {next} gave nothing")),
            Ok(page) => {
                for entry in page {
                    seen.state.entries.push(verified(group, next, &entry, group_log.read_term(next))?);
                    next += 1;
                }
            }
            Err(error @ (ReadError::Corrupt { .. } | ReadError::Io(_))) => {
                seen.unreadable.push((next, error.to_string()));
                next += 1;
            }
            Err(error) => return Err(format!("group {group}: entry {next} of ..{}: {error}", seen.end)),
        }
    }
    Ok(seen)
}

/// The bytes of a vote.
pub fn vote_bytes(vote: u64) -> bytes::Bytes {
    vote.to_string().into()
}

fn vote_of(bytes: &[u8]) -> Result<u64, String> {
    let text = std::str::from_utf8(bytes).ok();
    text.and_then(|text| text.parse().ok()).ok_or_else(|| format!("a vote reads {bytes:?}"))
}

/// The bytes of the checkpoint at an applied index.
pub fn checkpoint_bytes(applied: u64) -> bytes::Bytes {
    format!("state at {applied}").into()
}

fn check_checkpoint(state: &thalweg_storage::GroupState) -> Result<(), String> {
    let applied = state.checkpoint.as_ref().map(|(applied, _)| *applied);
    if state.checkpoint.as_ref().is_some_and(|(applied, bytes)| *bytes != checkpoint_bytes(*applied)) {
        return Err(format!("the checkpoint at {applied:?} has other bytes"));
    }
    if applied < state.trimmed.map(|(index, _)| index) {
        return Err(format!("the checkpoint at {applied:?} does not stand for what is trimmed, {:?}", state.trimmed));
    }
    if applied > state.last.map(|(index, _)| index) {
        return Err(format!("the checkpoint at {applied:?} is above the end of the log, {:?}", state.last));
    }
    Ok(())
}

fn verified(group: u64, index: u64, entry: &thalweg_storage::LogEntry, term: Option<u64>) -> Result<EntryId, String> {
    let id = EntryId::of(group, entry).ok_or_else(|| format!("group {group}: wrong bytes served at {index}"))?;
    if id.index != index || term != Some(id.term) {
        return Err(format!("group {group}: {id:?} served at {index}, whose term is {term:?}"));
    }
    Ok(id)
}
