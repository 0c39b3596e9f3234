//! What is asked of a group's log, what it answered, and how a writer tells of both.

use serde::{Deserialize, Serialize};
use thalweg_storage::StorageError;

use crate::entry::EntryId;

/// One call on a group's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Call {
    /// Entries at the end; `sync` false asks for the page cache only.
    Append {
        /// The entries.
        entries: Vec<EntryId>,
        /// Whether the answer waits for a sync.
        sync: bool,
    },
    /// A vote.
    Vote(u64),
    /// Entries above an index are withdrawn.
    Truncate {
        /// The last index that stays.
        keep: u64,
    },
    /// Entries up to an index are no longer retained.
    Trim {
        /// The last trimmed index.
        index: u64,
        /// Its term.
        term: u64,
    },
    /// The log begins anew behind a snapshot.
    Install {
        /// The index of the snapshot.
        index: u64,
        /// Its term.
        term: u64,
    },
    /// The group leaves the node. Should it return, it is fenced.
    Destroy,
    /// Its peers vouch for the group, and its fence is lowered; saved soon, and never answered.
    Trust,
}

impl Call {
    /// The call in a few words.
    pub fn brief(&self) -> String {
        match self {
            Call::Append { entries, sync } => {
                let ends = entries.first().zip(entries.last());
                let range =
                    ends.map_or("nothing".into(), |(a, b)| format!("{}..{} of {}", a.index, b.index + 1, a.term));
                format!("append {range}{}", if *sync { "" } else { " unsynced" })
            }
            other => format!("{other:?}").to_lowercase(),
        }
    }

    /// Whether success says that it is on stable storage, and not only in the page cache.
    pub fn is_synced(&self) -> bool {
        !matches!(self, Call::Append { sync: false, .. } | Call::Trust)
    }
}

/// What a call's callback was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// Acknowledged: it must be there from now on.
    Done,
    /// Refused definitely: nothing of it may ever be seen.
    Refused,
    /// Perhaps written.
    Unknown,
}

impl From<&Result<(), StorageError>> for Answer {
    fn from(result: &Result<(), StorageError>) -> Answer {
        match result {
            Ok(()) => Answer::Done,
            Err(StorageError::Failed { .. }) => Answer::Unknown,
            Err(_) => Answer::Refused,
        }
    }
}

/// What a writer tells, one line of JSON each. A call is told before it is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// The log opened.
    Opened {
        /// Why acknowledged records may be missing.
        damaged: Option<String>,
        /// Records that were replayed.
        replayed: u64,
    },
    /// A call is about to be made.
    Called {
        /// Its number; rises with every call of a run.
        number: u64,
        /// The group.
        group: u64,
        /// What is asked.
        call: Call,
    },
    /// A call was answered.
    Answered {
        /// The number of the call.
        number: u64,
        /// What it was told.
        answer: Answer,
    },
    /// The planned fault struck, in the middle of this step.
    Struck(String),
    /// The log is about to be closed.
    Closing,
    /// The log was closed; true if it said that all went well.
    Closed(bool),
    /// How often segments were recycled, the mover committed, and so on, at the end.
    Counts(crate::fault_disk::Counts),
}
