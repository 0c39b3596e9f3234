//! One entry of a group's log, and how callers learn that it is safe.
//!
//! Holds: an entry is never changed once it is appended; clones share its bytes. What `head` and
//! `body` mean is the caller's business, and `term` is only a number here.

use bytes::Bytes;

use crate::StorageError;

/// Runs once, when an operation is as durable as was asked, or has failed.
///
/// It runs on the writer's (or mover's) thread: hand the result on and return.
pub type Done = Box<dyn FnOnce(Result<(), StorageError>) + Send>;

/// Bytes that `head` may have at most.
pub const HEAD_BYTES_MAX: usize = 64 * 1024;

/// A small slice of a shared buffer is copied out, so that it cannot keep the whole buffer alive.
const COPY_BELOW_BYTES: usize = 4 * 1024;

/// One entry of a group's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// Place in the log; entries of a group are contiguous.
    pub index: u64,
    /// The Raft term, a plain number here.
    pub term: u64,
    /// The caller's own words about the entry; at most [`HEAD_BYTES_MAX`].
    pub head: Bytes,
    /// The payload, opaque.
    pub body: Bytes,
}

impl LogEntry {
    /// Bytes of head and body together: what read limits and budgets count.
    pub fn byte_count(&self) -> usize {
        self.head.len() + self.body.len()
    }

    /// The same entry, holding on to little more memory than its own bytes.
    pub(crate) fn unpinned(self) -> LogEntry {
        LogEntry { head: unpin(self.head), body: unpin(self.body), ..self }
    }
}

fn unpin(bytes: Bytes) -> Bytes {
    if bytes.len() < COPY_BELOW_BYTES && !bytes.is_empty() && !bytes.is_unique() {
        Bytes::copy_from_slice(&bytes)
    } else {
        bytes
    }
}

/// The leading entries that fit in `max_bytes`, but at least one if there is any.
#[derive(Clone, Copy)]
pub(crate) struct Budget {
    left: usize,
    taken: bool,
}

impl Budget {
    pub(crate) fn new(max_bytes: usize) -> Budget {
        Budget { left: max_bytes, taken: false }
    }

    /// Whether an entry of `bytes` still fits; counts it if so.
    pub(crate) fn take(&mut self, bytes: usize) -> bool {
        let fits = !self.taken || bytes <= self.left;
        if fits {
            self.taken = true;
            self.left = self.left.saturating_sub(bytes);
        }
        fits
    }

    pub(crate) fn left(&self) -> usize {
        self.left
    }
}
