//! What everybody who takes part writes down: one history with one clock.
//!
//! Holds: times are nanoseconds since the recorder was made, of the machine's monotonic clock; an
//! operation is recorded once, when its outcome is known.

use std::time::Duration;

use parking_lot::Mutex;
use thalweg_checker::{History, Image, Outcome, Read, Reshard, RetentionChange, Write};
use tokio::time::Instant;

/// Collects a history. Shared by reference counting.
#[derive(Debug)]
pub(crate) struct Recorder {
    begun: Instant,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    history: History,
    totals: Totals,
    latencies: Vec<Duration>,
    violations: Vec<Violation>,
}

/// What the live view counts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    /// Records acknowledged.
    pub(crate) acked: u64,
    /// Records definitely refused.
    pub(crate) refused: u64,
    /// Records of which it is not known.
    pub(crate) unknown: u64,
    /// Records received, by all readers.
    pub(crate) read: u64,
    /// Bytes of acknowledged records.
    pub(crate) acked_bytes: u64,
}

/// Something that must not happen, seen by somebody else than the checker.
#[derive(Clone, Debug)]
pub(crate) struct Violation {
    /// When.
    pub(crate) at: u64,
    /// What.
    pub(crate) what: String,
}

impl Recorder {
    /// An empty history that begins now.
    pub(crate) fn new() -> Recorder {
        Recorder { begun: Instant::now(), kept: Mutex::default() }
    }

    /// Nanoseconds since the beginning.
    pub(crate) fn now(&self) -> u64 {
        self.begun.elapsed().as_nanos() as u64
    }

    /// Time since the beginning.
    pub(crate) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// A record that was sent, `bytes` long.
    pub(crate) fn write(&self, write: Write, bytes: usize) {
        let mut kept = self.kept.lock();
        match write.outcome {
            Outcome::Ok(_) => {
                kept.totals.acked += 1;
                kept.totals.acked_bytes += bytes as u64;
                kept.latencies.push(Duration::from_nanos(write.done - write.call));
            }
            Outcome::Definite => kept.totals.refused += 1,
            Outcome::Indefinite => kept.totals.unknown += 1,
        }
        kept.history.writes.push(write);
    }

    /// Records that were received.
    pub(crate) fn read(&self, read: Read) {
        let mut kept = self.kept.lock();
        kept.totals.read += read.records.len() as u64;
        kept.history.reads.push(read);
    }

    /// An image that an observer was given.
    pub(crate) fn image(&self, image: Image) {
        self.kept.lock().history.images.push(image);
    }

    /// A reshard that happened.
    pub(crate) fn reshard(&self, reshard: Reshard) {
        self.kept.lock().history.reshards.push(reshard);
    }

    /// A change of the retention.
    pub(crate) fn retention(&self, change: RetentionChange) {
        self.kept.lock().history.retention.push(change);
    }

    /// Something that must not happen.
    pub(crate) fn violation(&self, what: String) {
        let at = self.now();
        self.kept.lock().violations.push(Violation { at, what });
    }

    /// How much there is so far.
    pub(crate) fn totals(&self) -> Totals {
        self.kept.lock().totals
    }

    /// The latencies of the acknowledgements since this was asked last.
    pub(crate) fn take_latencies(&self) -> Vec<Duration> {
        std::mem::take(&mut self.kept.lock().latencies)
    }

    /// Violations so far.
    pub(crate) fn violations(&self) -> Vec<Violation> {
        self.kept.lock().violations.clone()
    }

    /// Takes the history; nobody records any more.
    pub(crate) fn take_history(&self) -> History {
        std::mem::take(&mut self.kept.lock().history)
    }
}
