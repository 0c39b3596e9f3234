//! Reading records back by position, from any thread.
//!
//! Holds: a record is returned only when its frame verifies; a corrupt byte is never served.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::RwLock;

use crate::disk::DiskFile;
use crate::format::block::take_frame;
use crate::record::{Position, Record};

/// Why a record could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The segment was released: whoever did so has the record elsewhere.
    #[error("segment {segment} of the log was released")]
    Released {
        /// The segment that was asked for.
        segment: u64,
    },
    /// What lies there does not verify.
    #[error("log record at segment {} offset {} is corrupt", position.segment, position.offset)]
    Corrupt {
        /// What was asked for.
        position: Position,
    },
    /// The disk refused.
    #[error("reading segment {} of the log at offset {} failed", position.segment, position.offset)]
    Io {
        /// What was asked for.
        position: Position,
        /// What the disk said.
        source: io::Error,
    },
}

/// The files in use, shared between the log's owner and its readers.
#[derive(Default)]
pub(crate) struct OpenSegments(RwLock<BTreeMap<u64, Arc<dyn DiskFile>>>);

impl OpenSegments {
    pub(crate) fn insert(&self, segment: u64, file: Arc<dyn DiskFile>) {
        self.0.write().insert(segment, file);
    }

    pub(crate) fn remove(&self, segment: u64) {
        self.0.write().remove(&segment);
    }

    fn get(&self, segment: u64) -> Option<Arc<dyn DiskFile>> {
        self.0.read().get(&segment).cloned()
    }
}

/// Reads records of a log. Cheap to clone.
#[derive(Clone)]
pub struct Reader {
    pub(crate) segments: Arc<OpenSegments>,
    pub(crate) frame_bytes_max: u64,
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}

impl Reader {
    /// The record at `position`, verified, its head and body sharing one buffer.
    pub fn read(&self, position: Position) -> Result<Record, ReadError> {
        let segment = position.segment;
        let file = self.segments.get(segment).ok_or(ReadError::Released { segment })?;
        if u64::from(position.len) > self.frame_bytes_max {
            return Err(ReadError::Corrupt { position });
        }
        let mut bytes = vec![0; position.len as usize];
        let read =
            file.read_at(&mut bytes, position.offset.into()).map_err(|source| ReadError::Io { position, source })?;
        bytes.truncate(read);
        match take_frame(&Bytes::from(bytes), segment) {
            Ok((record, len)) if len == position.len as usize => Ok(record),
            // The file may have been released and overwritten while it was being read.
            _ if self.segments.get(segment).is_none() => Err(ReadError::Released { segment }),
            _ => Err(ReadError::Corrupt { position }),
        }
    }
}
