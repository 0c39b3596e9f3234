//! Counters of what this node's shards do, for whoever exposes them.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use thalweg_proto::errors::Reason;

/// Upper bounds of the commit latency buckets, in microseconds; one more bucket holds the rest.
pub const LATENCY_BOUNDS_US: [u64; 16] = [
    250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000, 125_000, 250_000, 500_000, 1_000_000, 2_000_000,
    5_000_000, 10_000_000,
];

/// Counts up, never down.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// The count so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }
}

/// How long things took, by [`LATENCY_BOUNDS_US`].
#[derive(Debug, Default)]
pub struct Latencies {
    buckets: [Counter; LATENCY_BOUNDS_US.len() + 1],
    sum_us: Counter,
}

impl Latencies {
    pub(crate) fn record(&self, took: Duration) {
        let took_us = took.as_micros() as u64;
        self.buckets[LATENCY_BOUNDS_US.partition_point(|bound| *bound < took_us)].add(1);
        self.sum_us.add(took_us);
    }

    /// Counts by bucket, not cumulative; the last is what exceeds every bound.
    pub fn buckets(&self) -> impl Iterator<Item = u64> + '_ {
        self.buckets.iter().map(Counter::get)
    }

    /// Microseconds of all of them together.
    pub fn sum_us(&self) -> u64 {
        self.sum_us.get()
    }
}

/// What the shards of this node did since it started.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Batches acknowledged.
    pub appends: Counter,
    /// Batches acknowledged that were retries of earlier ones.
    pub duplicates: Counter,
    /// Records acknowledged.
    pub append_records: Counter,
    /// Bytes of batches acknowledged.
    pub append_bytes: Counter,
    /// From taking a batch to its commit.
    pub commit_latency: Latencies,
    /// Pages served.
    pub read_pages: Counter,
    /// Bytes of batches served.
    pub read_bytes: Counter,
    tails: AtomicI64,
    subscriptions: AtomicI64,
    errors: ErrorCounters,
}

#[derive(Debug)]
struct ErrorCounters(Vec<Counter>);

impl Default for ErrorCounters {
    fn default() -> Self {
        ErrorCounters(Reason::ALL.iter().map(|_| Counter::default()).collect())
    }
}

impl Metrics {
    /// Calls answered with an error, by reason.
    pub fn errors(&self) -> impl Iterator<Item = (Reason, u64)> + '_ {
        Reason::ALL.iter().copied().zip(self.errors.0.iter().map(Counter::get))
    }

    /// Tail calls that are open now.
    pub fn tail_readers(&self) -> i64 {
        self.tails.load(Ordering::Relaxed)
    }

    /// Tail calls among them that have a subscriber's name.
    pub fn subscriptions(&self) -> i64 {
        self.subscriptions.load(Ordering::Relaxed)
    }

    pub(crate) fn count_error(&self, reason: Reason) {
        if let Some(place) = Reason::ALL.iter().position(|other| *other == reason) {
            self.errors.0[place].add(1);
        }
    }

    pub(crate) fn tail_opened(&self) {
        self.tails.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn tail_closed(&self) {
        self.tails.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn subscription_opened(&self) {
        self.subscriptions.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn subscription_closed(&self) {
        self.subscriptions.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_fall_into_the_first_bucket_that_holds_them() {
        let latencies = Latencies::default();
        [250, 251, 20_000_000].into_iter().for_each(|us| latencies.record(Duration::from_micros(us)));
        let counts: Vec<u64> = latencies.buckets().collect();
        assert_eq!((counts[0], counts[1], counts[LATENCY_BOUNDS_US.len()]), (1, 1, 1));
        assert_eq!(latencies.sum_us(), 20_000_501);
    }
}
