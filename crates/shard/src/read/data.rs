//! The batches of a shard as they lie in its log, with everything else left out.

use bytes::Bytes;
use thalweg_raft::{CommittedEntry, ReadError as LogError};

use super::ReadError;
use crate::command::{Command, EntryFacts};
use crate::repair::repair;
use crate::replica::Replica;

/// One batch and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DataEntry {
    pub(crate) facts: EntryFacts,
    pub(crate) batch: Bytes,
}

/// Some batches, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DataPage {
    pub(crate) entries: Vec<DataEntry>,
    /// Everything below has been looked at.
    pub(crate) next_index: u64,
}

/// Repairs in one page at most; more damage than this is for the scrubber, not for a reader.
const REPAIRS_MAX: usize = 16;

/// The batches from `from` on: up to `max_bytes`, but at least one if there is any.
pub(crate) async fn data_from(replica: &Replica, from: u64, max_bytes: usize) -> Result<DataPage, ReadError> {
    let mut next_index = from;
    let mut repairs = 0;
    loop {
        next_index = next_index.max(replica.state().with(|state| state.horizon()));
        if next_index > replica.applied() {
            return Ok(DataPage { entries: Vec::new(), next_index });
        }
        let looked_at = match replica.group().read(next_index, max_bytes).await {
            Ok(page) => page,
            Err(LogError::Trimmed { first }) if first > next_index => {
                next_index = first;
                continue;
            }
            Err(LogError::Corrupt { index }) if repairs < REPAIRS_MAX => {
                repair(replica, index).await?;
                repairs += 1;
                continue;
            }
            Err(error) => return Err(failure(error)),
        };
        let entries: Vec<DataEntry> = replica.state().with(|state| {
            let data = looked_at.entries.into_iter().filter(|entry| state.is_data(entry.index));
            data.filter_map(as_data).collect()
        });
        if !entries.is_empty() || looked_at.next_index == next_index {
            return Ok(DataPage { entries, next_index: looked_at.next_index });
        }
        next_index = looked_at.next_index;
    }
}

fn as_data(entry: CommittedEntry) -> Option<DataEntry> {
    match Command::decode(&entry.payload.head) {
        Ok(Command::Append { arrived, record_count, .. }) => {
            let facts = EntryFacts { index: entry.index, arrived, record_count };
            Some(DataEntry { facts, batch: entry.payload.body })
        }
        _ => None,
    }
}

fn failure(error: LogError) -> ReadError {
    match error {
        LogError::Corrupt { index } => ReadError::Corrupt { index, reason: "too much is damaged".to_owned() },
        error => ReadError::Io { reason: error.to_string() },
    }
}
