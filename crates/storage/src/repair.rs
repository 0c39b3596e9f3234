//! An intact copy of a damaged entry on its way to where the damaged one is, and who waits for it.
//!
//! Holds: whoever waits is told, also when the repair is dropped because the log failed or closed.

use crate::{Done, LogEntry, StorageError};

pub(crate) struct Repair {
    pub(crate) entry: LogEntry,
    done: Option<Done>,
}

impl Repair {
    pub(crate) fn new(entry: LogEntry, done: Done) -> Repair {
        Repair { entry, done: Some(done) }
    }

    pub(crate) fn tell(mut self, result: Result<(), StorageError>) {
        if let Some(done) = self.done.take() {
            done(result);
        }
    }
}

impl Drop for Repair {
    fn drop(&mut self) {
        if let Some(done) = self.done.take() {
            done(Err(StorageError::Failed { reason: "the log ended before the entry was repaired".into() }));
        }
    }
}
