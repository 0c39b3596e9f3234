//! The bytes in which a catalog and what is done to it rest in the Raft log and travel.
//!
//! All is JSON: small beside records, readable in a hex dump, and it lets a later version add
//! fields. The catalog names its format, because a snapshot may outlive the program that wrote it.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thalweg_types::limits::SHARDS_PER_STREAM_MAX;

use crate::{Catalog, Command, EventLog, EventPage, Operation, Outcome, ReshardCause, Stream, scale};

/// Format of [`Catalog::encode`].
const FORMAT: u32 = 1;

/// Bytes of one more shard in an encoded catalog at most, its reshard and its end included.
const SHARD_BYTES_MAX: u64 = 1_024;
/// Bytes at most of what one command adds besides shards and what it carries itself.
const REST_BYTES_MAX: u64 = 2_048;

/// Why bytes could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Not what the encoding of this type writes.
    #[error("not an encoded {what}: {source}")]
    Malformed {
        /// What was expected.
        what: &'static str,
        /// Where it went wrong.
        source: serde_json::Error,
    },
    /// Written by a later version of this program.
    #[error("catalog format {found} is not known; this program reads format {FORMAT}")]
    Format {
        /// The format that the bytes name.
        found: u32,
    },
}

#[derive(Serialize)]
struct StoredRef<'c> {
    format: u32,
    catalog: &'c Catalog,
    #[serde(skip_serializing_if = "Option::is_none")]
    events: Option<&'c EventLog>,
}

#[derive(Deserialize)]
struct Stored {
    catalog: Catalog,
    #[serde(default)]
    events: EventLog,
}

#[derive(Deserialize)]
struct Format {
    format: u32,
}

impl Catalog {
    /// The bytes of an image.
    pub fn encode(&self) -> Vec<u8> {
        to_bytes(&StoredRef { format: FORMAT, catalog: self, events: None })
    }

    /// How many those are, and what the scalings that run will yet add at most.
    pub fn bytes(&self) -> u64 {
        let to_come = |stream: &Arc<Stream>| {
            let target = stream.scaling.as_ref().map(|scaling| scaling.target);
            target.map_or(0, |target| scale::shards_to_come(stream, target))
        };
        let shards: usize = self.streams().map(to_come).sum();
        self.encode().len() as u64 + shards as u64 * SHARD_BYTES_MAX
    }

    /// The bytes of a snapshot: the catalog and the events beside it.
    pub fn encode_with(&self, events: &EventLog) -> Vec<u8> {
        to_bytes(&StoredRef { format: FORMAT, catalog: self, events: Some(events) })
    }

    /// Reads what [`Catalog::encode`] wrote.
    pub fn decode(bytes: &[u8]) -> Result<Catalog, DecodeError> {
        Catalog::decode_with(bytes).map(|(catalog, _)| catalog)
    }

    /// Reads what [`Catalog::encode_with`] wrote; without events in it, the log begins afresh.
    pub fn decode_with(bytes: &[u8]) -> Result<(Catalog, EventLog), DecodeError> {
        let Format { format } = from_bytes("catalog", bytes)?;
        if format != FORMAT {
            return Err(DecodeError::Format { found: format });
        }
        from_bytes("catalog", bytes).map(|Stored { catalog, events }| (catalog, events))
    }
}

impl EventPage {
    /// The bytes in which it travels between nodes.
    pub fn encode(&self) -> Vec<u8> {
        to_bytes(self)
    }

    /// Reads what [`EventPage::encode`] wrote.
    pub fn decode(bytes: &[u8]) -> Result<EventPage, DecodeError> {
        from_bytes("page of events", bytes)
    }
}

impl Command {
    /// The bytes of a Raft entry.
    pub fn encode(&self) -> Vec<u8> {
        to_bytes(self)
    }

    /// Reads what [`Command::encode`] wrote.
    pub fn decode(bytes: &[u8]) -> Result<Command, DecodeError> {
        from_bytes("catalog command", bytes)
    }

    /// By how many bytes [`Catalog::bytes`] may grow with it, at most. 0 for what keeps the cluster going,
    /// and for the steps of a scaling: they were counted when it began.
    pub fn bytes_added_max(&self, catalog: &Catalog) -> u64 {
        let shards = match self {
            Command::OfIncarnation { command, .. } => return command.bytes_added_max(catalog),
            Command::PlanReshard { cause: ReshardCause::Scaling, .. } => return 0,
            Command::PlanReshard { kind, .. } => kind.child_count(),
            Command::CreateStream { wanted, .. } => wanted.shard_count.min(SHARDS_PER_STREAM_MAX) as usize,
            Command::StartScaling { stream, target, .. } => {
                let target = (*target).min(SHARDS_PER_STREAM_MAX);
                catalog.stream(stream).map_or(0, |stream| scale::shards_to_come(stream, target))
            }
            Command::UpdateStream { .. }
            | Command::TagStream { .. }
            | Command::RegisterConsumer { .. }
            | Command::UpdateConsumer { .. }
            | Command::CreateAccessKey { .. } => 0,
            _ => return 0,
        };
        shards as u64 * SHARD_BYTES_MAX + self.encode().len() as u64 + REST_BYTES_MAX
    }
}

impl Operation {
    /// The bytes in which it travels to the controller's leader.
    pub fn encode(&self) -> Vec<u8> {
        to_bytes(self)
    }

    /// Reads what [`Operation::encode`] wrote.
    pub fn decode(bytes: &[u8]) -> Result<Operation, DecodeError> {
        from_bytes("catalog operation", bytes)
    }
}

/// The bytes in which an outcome travels back to who asked.
pub fn encode_outcome(outcome: &Outcome) -> Vec<u8> {
    to_bytes(outcome)
}

/// Reads what [`encode_outcome`] wrote.
pub fn decode_outcome(bytes: &[u8]) -> Result<Outcome, DecodeError> {
    from_bytes("catalog outcome", bytes)
}

fn to_bytes(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("every part of a catalog has a JSON form with text or number keys")
}

fn from_bytes<T: DeserializeOwned>(what: &'static str, bytes: &[u8]) -> Result<T, DecodeError> {
    serde_json::from_slice(bytes).map_err(|source| DecodeError::Malformed { what, source })
}
