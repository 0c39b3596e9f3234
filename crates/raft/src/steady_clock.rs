//! A wall clock that is not believed when it leaps ahead: what is given up by time is given up by it.
//!
//! Holds: where there are other nodes, it tells no time before a majority of the cluster is of one mind
//! about it; from then on it is ahead of the monotonic clock by a bound at most.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use thalweg_types::planted::{Planted, planted};
use thalweg_types::{Agreement, Clock, UnixMillis};
use tokio::time::Instant;

/// A wall clock that is believed only as far as the monotonic clock bears it out, counted from the
/// first time that other nodes' clocks bear out, or this one's own if it is alone.
///
/// A jump forward would make everything look old at once. A jump back only keeps records longer.
pub struct SteadyClock {
    clock: Arc<dyn Clock>,
    anchor: Mutex<Option<Anchor>>,
    jump_max: Duration,
}

/// A moment on both clocks.
#[derive(Clone, Copy)]
struct Anchor {
    wall: UnixMillis,
    monotonic: Instant,
    /// Whether this is only the own clock's word.
    alone: bool,
}

/// Why the time is not known well enough to give something up by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsure {
    /// Most other nodes' clocks are not known, or say otherwise.
    #[error("the clocks of most nodes are not known to agree yet")]
    NotAgreed,
    /// The wall clock is ahead of what the monotonic clock bears out.
    #[error("the wall clock leapt ahead by more than can be; set it right, or restart the node if it is right now")]
    Leapt,
}

impl SteadyClock {
    /// By the monotonic clock and `clock`, which may be ahead of it by up to `jump_max`.
    pub fn new(clock: Arc<dyn Clock>, jump_max: Duration) -> SteadyClock {
        SteadyClock { clock, anchor: Mutex::default(), jump_max }
    }

    /// From here on the time is measured, if it is known well enough; the sooner, the less a leap can
    /// hide. To be called whenever that may be so.
    pub fn look(&self) {
        self.anchor(self.clock.agreement(), self.clock.now());
    }

    /// Now. To be asked only once there are replicas: by then it is known whether there are other nodes.
    pub fn now(&self) -> Result<UnixMillis, Unsure> {
        let agreement = self.clock.agreement();
        let now = self.clock.now();
        let anchor = self.anchor(agreement, now).ok_or(Unsure::NotAgreed)?;
        let latest = anchor.wall.0.saturating_add((anchor.monotonic.elapsed() + self.jump_max).as_millis() as u64);
        if now.0 <= latest || planted(Planted::ClockLeapBelieved) { Ok(now) } else { Err(Unsure::Leapt) }
    }

    /// The own clock's word alone counts only as long as there is no other; what was agreed on stays.
    fn anchor(&self, agreement: Agreement, now: UnixMillis) -> Option<Anchor> {
        let mut anchor = self.anchor.lock();
        let here = |alone| Anchor { wall: now, monotonic: Instant::now(), alone };
        match (*anchor, agreement) {
            (None | Some(Anchor { alone: true, .. }), Agreement::Pending) => return None,
            (None | Some(Anchor { alone: true, .. }), Agreement::Reached) => *anchor = Some(here(false)),
            (None, Agreement::Alone) => *anchor = Some(here(true)),
            (Some(_), _) => {}
        }
        *anchor
    }
}

#[cfg(test)]
mod tests {
    use thalweg_types::ManualClock;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_leaps_ahead_is_not_believed_until_it_is_back() {
        let wall = ManualClock::at(UnixMillis(1_000_000));
        let steady = SteadyClock::new(Arc::new(wall.clone()), Duration::from_secs(3_600));
        steady.look();
        wall.advance_ms(10 * 365 * 86_400_000);
        assert_eq!(steady.now(), Err(Unsure::Leapt));
        wall.set(UnixMillis(900_000));
        assert_eq!(steady.now(), Ok(UnixMillis(900_000)));
        tokio::time::advance(Duration::from_secs(7_200)).await;
        wall.set(UnixMillis(1_000_000 + 7_200_000 + 3_600_000));
        assert!(steady.now().is_ok());
    }

    /// A clock beside others, as a test has it.
    #[derive(Clone)]
    struct Among(ManualClock, Arc<Mutex<Agreement>>);

    impl Clock for Among {
        fn now(&self) -> UnixMillis {
            self.0.now()
        }

        fn agreement(&self) -> Agreement {
            *self.1.lock()
        }
    }

    const HOUR_MS: u64 = 3_600_000;
    const NOW: UnixMillis = UnixMillis(500_000 * HOUR_MS);

    fn among(own: UnixMillis, agreement: Agreement) -> (Among, SteadyClock) {
        let clock = Among(ManualClock::at(own), Arc::new(Mutex::new(agreement)));
        (clock.clone(), SteadyClock::new(Arc::new(clock), Duration::from_millis(HOUR_MS)))
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_trimmed_before_the_clocks_of_the_cluster_agree() {
        let (clock, steady) = among(UnixMillis(NOW.0 + 87_600 * HOUR_MS), Agreement::Pending);
        assert_eq!(steady.now(), Err(Unsure::NotAgreed));
        clock.0.set(NOW);
        *clock.1.lock() = Agreement::Reached;
        assert_eq!(steady.now(), Ok(NOW));
        clock.0.advance_ms(2 * HOUR_MS);
        assert_eq!(steady.now(), Err(Unsure::Leapt), "what was agreed on is what it is measured by");
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_starts_days_behind_expires_by_the_agreed_time() {
        let (clock, steady) = among(NOW.minus_ms(48 * HOUR_MS), Agreement::Pending);
        assert_eq!(steady.now(), Err(Unsure::NotAgreed));
        clock.0.set(NOW);
        *clock.1.lock() = Agreement::Reached;
        assert_eq!(steady.now(), Ok(NOW));
        *clock.1.lock() = Agreement::Pending;
        assert_eq!(steady.now(), Ok(NOW), "agreement once reached lasts, within its bound");
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_alone_goes_by_its_own_clock_until_it_has_company() {
        let (clock, steady) = among(NOW.minus_ms(48 * HOUR_MS), Agreement::Alone);
        assert_eq!(steady.now(), Ok(NOW.minus_ms(48 * HOUR_MS)));
        *clock.1.lock() = Agreement::Pending;
        assert_eq!(steady.now(), Err(Unsure::NotAgreed));
        clock.0.set(NOW);
        *clock.1.lock() = Agreement::Reached;
        assert_eq!(steady.now(), Ok(NOW));
    }
}
