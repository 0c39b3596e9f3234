//! How long to wait before the next attempt: nothing, then 5 ms doubling to 200 ms, with jitter.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

const FIRST: Duration = Duration::from_millis(5);
const LONGEST: Duration = Duration::from_millis(200);

/// Delays of one run of failures.
#[derive(Debug)]
pub(crate) struct Backoff {
    seed: u64,
    delays: Option<ExponentialBackoff>,
    failures: u32,
}

impl Backoff {
    pub(crate) fn seeded(seed: u64) -> Backoff {
        Backoff { seed, delays: None, failures: 0 }
    }

    /// Failures since the last success.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    /// Things work again: the next failure waits shortly.
    pub(crate) fn reset(&mut self) {
        self.delays = None;
        self.failures = 0;
    }

    /// After a failure that names a better place: at once the first time.
    pub(crate) fn next_elsewhere(&mut self) -> Duration {
        if self.failures == 0 {
            self.failures = 1;
            return Duration::ZERO;
        }
        self.next()
    }

    /// After any failure.
    pub(crate) fn next(&mut self) -> Duration {
        self.failures = self.failures.saturating_add(1);
        self.seed = self.seed.wrapping_add(1);
        let delays = self.delays.get_or_insert_with(|| delays(self.seed));
        delays.next().unwrap_or(LONGEST).min(LONGEST)
    }
}

fn delays(seed: u64) -> ExponentialBackoff {
    let builder = ExponentialBuilder::new().with_min_delay(FIRST).with_max_delay(LONGEST).with_factor(2.0);
    builder.without_max_times().with_jitter().with_jitter_seed(seed).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_hint_is_followed_at_once_and_later_waits_grow_to_the_bound() {
        let mut backoff = Backoff::seeded(1);
        assert_eq!(backoff.next_elsewhere(), Duration::ZERO);
        let waits: Vec<_> = (0..12).map(|_| backoff.next_elsewhere()).collect();
        assert!(waits[0] >= FIRST && waits[0] <= FIRST * 2, "{waits:?}");
        assert!(waits.iter().all(|wait| *wait <= LONGEST));
        assert_eq!(waits[11], LONGEST);
        backoff.reset();
        assert_eq!(backoff.next_elsewhere(), Duration::ZERO);
    }
}
