//! What came of the calls: latencies, and counts within the measured time and over all.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::host::microseconds;

/// Collects outcomes; shared by all callers.
pub(super) struct Meter {
    from: Instant,
    until: Instant,
    counts: Mutex<Counts>,
}

/// What was counted.
#[derive(Clone)]
pub(super) struct Counts {
    /// Of calls that were to be made within the measured time, in microseconds.
    pub(super) latencies: Histogram<u64>,
    /// Acknowledged within the measured time.
    pub(super) records: u64,
    /// Bytes of data acknowledged within the measured time.
    pub(super) bytes: u64,
    /// Bytes of data acknowledged over all, before and after included.
    pub(super) total_bytes: u64,
    /// Calls that failed for good; those that were tried again and succeeded are not among them.
    pub(super) failed: u64,
    /// Attempts that were tried again.
    pub(super) retried: u64,
    /// What the first failure said.
    pub(super) first_error: Option<String>,
}

impl Counts {
    /// Adds what was counted at another time.
    pub(super) fn add(&mut self, other: &Counts) {
        self.latencies.add(&other.latencies).expect("all histograms have the same bounds");
        self.records += other.records;
        self.bytes += other.bytes;
        self.total_bytes += other.total_bytes;
        self.failed += other.failed;
        self.retried += other.retried;
        self.first_error = self.first_error.take().or_else(|| other.first_error.clone());
    }
}

impl Meter {
    /// Measures from `warm_up` after now for `duration`.
    pub(super) fn new(warm_up: Duration, duration: Duration) -> Meter {
        let from = Instant::now() + warm_up;
        let counts = Counts {
            latencies: microseconds(),
            records: 0,
            bytes: 0,
            total_bytes: 0,
            failed: 0,
            retried: 0,
            first_error: None,
        };
        Meter { from, until: from + duration, counts: Mutex::new(counts) }
    }

    /// When measuring ends.
    pub(super) fn until(&self) -> Instant {
        self.until
    }

    /// Whether the measured time is over.
    pub(super) fn is_over(&self) -> bool {
        Instant::now() >= self.until
    }

    /// How long is measured.
    pub(super) fn duration(&self) -> Duration {
        self.until - self.from
    }

    /// A call that was to be made at `intended` is done now.
    pub(super) fn done(&self, intended: Instant, records: u64, bytes: u64) {
        let now = Instant::now();
        let mut counts = self.counts();
        counts.total_bytes += bytes;
        if (self.from..self.until).contains(&now) {
            counts.records += records;
            counts.bytes += bytes;
        }
        if (self.from..self.until).contains(&intended) {
            counts.latencies.saturating_record((now - intended).as_micros() as u64);
        }
    }

    /// A call failed for good.
    pub(super) fn failed(&self, error: &dyn std::fmt::Display) {
        let mut counts = self.counts();
        counts.failed += 1;
        counts.first_error.get_or_insert_with(|| error.to_string());
    }

    /// A call had no effect and is made again.
    pub(super) fn retried(&self) {
        self.counts().retried += 1;
    }

    /// What was counted so far.
    pub(super) fn snapshot(&self) -> Counts {
        self.counts().clone()
    }

    fn counts(&self) -> std::sync::MutexGuard<'_, Counts> {
        self.counts.lock().expect("nothing panics while it counts")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latency_counts_from_the_intended_time_and_warm_up_does_not_count() {
        let warm = Meter::new(Duration::from_secs(60), Duration::from_secs(60));
        warm.done(Instant::now(), 1, 10);
        let counts = warm.snapshot();
        assert_eq!((counts.records, counts.total_bytes, counts.latencies.len()), (0, 10, 0));
        let meter = Meter::new(Duration::ZERO, Duration::from_secs(60));
        meter.done(Instant::now(), 2, 10);
        let counts = meter.snapshot();
        assert_eq!((counts.records, counts.bytes, counts.latencies.len()), (2, 10, 1));
    }
}
