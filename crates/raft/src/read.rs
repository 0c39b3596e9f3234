//! Reading a group's committed commands.

use std::io;

use thalweg_storage::GroupLog;

use crate::Payload;
use crate::codec;
use crate::log_store::read_entries;

/// A committed command and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedEntry {
    /// Index in the group's log.
    pub index: u64,
    /// Raft term in which it was proposed.
    pub term: u64,
    /// The command.
    pub payload: Payload,
}

/// Some committed commands, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The commands; entries of Raft's own (blank, membership) are left out.
    pub entries: Vec<CommittedEntry>,
    /// Where to go on: everything below has been looked at.
    pub next_index: u64,
}

/// Why committed commands cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// They were trimmed.
    #[error("entries below {first} are trimmed")]
    Trimmed {
        /// The first index that is still there.
        first: u64,
    },
    /// Their bytes fail the checksum; a peer may have an intact copy.
    #[error("entry {index} is corrupt")]
    Corrupt {
        /// The first corrupt index.
        index: u64,
    },
    /// The disk does not answer.
    #[error("cannot read the log: {0}")]
    Io(#[from] io::Error),
}

/// Why a read barrier was not reached.
#[derive(Debug, Clone, thiserror::Error)]
#[error("no majority confirmed the leader: {0}")]
pub struct ReadBarrierError(pub String);

/// Commands from index `from` up to `applied`, at most `max_bytes` but at least one if there is any.
pub(crate) async fn read(log: &GroupLog, from: u64, applied: u64, max_bytes: usize) -> Result<Page, ReadError> {
    let first = log.state().trimmed.map_or(0, |(index, _)| index + 1);
    if from < first && from != 0 {
        return Err(ReadError::Trimmed { first });
    }
    let from = from.max(first);
    if from > applied {
        return Ok(Page { entries: Vec::new(), next_index: from });
    }
    let stored = read_entries(log, from, applied + 1, max_bytes).await.map_err(classify)?;
    let next_index = stored.last().map_or(from, |entry| entry.index + 1);
    let entries = stored.into_iter().filter_map(|entry| {
        let (index, term) = (entry.index, entry.term);
        codec::command_of(entry).map(|payload| CommittedEntry { index, term, payload })
    });
    Ok(Page { entries: entries.collect(), next_index })
}

/// Takes the storage's own error back out of the I/O error that carried it.
fn classify(error: io::Error) -> ReadError {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<thalweg_storage::ReadError>()) {
        Some(thalweg_storage::ReadError::Trimmed { first }) => ReadError::Trimmed { first: *first },
        Some(thalweg_storage::ReadError::Corrupt { index, .. }) => ReadError::Corrupt { index: *index },
        _ => ReadError::Io(error),
    }
}
