//! What the proposer of a command gets, in the bytes in which it travels.

use bytes::Bytes;
use thalweg_catalog::{DecodeError, Outcome, decode_outcome, encode_outcome};

/// The result of a command, and the revision at which it can be seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The catalog's revision after the command.
    pub(crate) revision: u64,
    /// What became of it.
    pub(crate) outcome: Outcome,
}

impl Answer {
    /// The revision in eight bytes, then the catalog crate's encoding of the outcome.
    pub(crate) fn encode(&self) -> Bytes {
        let mut bytes = self.revision.to_be_bytes().to_vec();
        bytes.extend(encode_outcome(&self.outcome));
        bytes.into()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Answer, DecodeError> {
        let (revision, outcome) = bytes.split_first_chunk::<8>().unwrap_or((&[0; 8], &[]));
        Ok(Answer { revision: u64::from_be_bytes(*revision), outcome: decode_outcome(outcome)? })
    }
}
