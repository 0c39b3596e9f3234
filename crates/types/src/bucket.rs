//! A token bucket that can be in debt: what was taken beyond its content is paid off first. (A page
//! is counted after it was read, when its size is known; rate-limit libraries refuse it before.)

use std::time::{Duration, Instant};

/// After this long without use a bucket is full, whatever its rate.
const RESTED: Duration = Duration::from_secs(60);

/// A bucket that fills at a rate which the caller names, up to its capacity.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    capacity: f64,
    content: f64,
    filled: Instant,
}

impl Bucket {
    /// A full bucket.
    pub fn full(capacity: f64, now: Instant) -> Bucket {
        Bucket { capacity, content: capacity, filled: now }
    }

    /// Whether `amount` can be taken, at `rate` a second since the last look. An amount above the
    /// capacity can be taken from a full bucket.
    pub fn has(&mut self, amount: f64, rate: f64, now: Instant) -> bool {
        if rate.is_infinite() {
            return true;
        }
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.content = (self.content + passed * rate).min(self.capacity);
        self.filled = self.filled.max(now);
        self.content >= amount.min(self.capacity) && self.content >= 0.0
    }

    /// Takes `amount`, into debt if need be.
    pub fn take(&mut self, amount: f64) {
        self.content -= amount;
    }

    /// Whether nobody has looked at it for long.
    pub fn is_rested(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.filled) > RESTED
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_page_beyond_the_rate_is_paid_off_first() {
        let start = Instant::now();
        let mut bucket = Bucket::full(2.0, start);
        assert!(bucket.has(0.0, 2.0, start));
        bucket.take(10.0);
        assert!(!bucket.has(0.0, 2.0, start + Duration::from_millis(3_900)));
        assert!(bucket.has(0.0, 2.0, start + Duration::from_millis(4_100)));
    }

    proptest! {
        #[test]
        fn never_more_than_capacity_and_rate_allow(steps in proptest::collection::vec((0u64..500, 1u32..40), 1..200)) {
            let start = Instant::now();
            let (capacity, rate) = (50.0, 100.0);
            let mut bucket = Bucket::full(capacity, start);
            let (mut now, mut taken) = (start, 0.0);
            for (wait, amount) in steps {
                now += Duration::from_millis(wait);
                if bucket.has(f64::from(amount), rate, now) {
                    bucket.take(f64::from(amount));
                    taken += f64::from(amount);
                }
                prop_assert!(taken <= capacity + rate * (now - start).as_secs_f64() + 1e-6);
            }
        }
    }
}
