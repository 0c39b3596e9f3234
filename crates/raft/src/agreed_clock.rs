//! A wall clock that is checked against those of the other nodes.
//!
//! Nodes tell each other the time in their answers to pings. One whose own clock is far off, for
//! example because it started with a wrong one, goes by what most say: otherwise it would take
//! every record for expired, or stamp new ones with a time that no later record may fall below.
//!
//! Holds: while more than half of the nodes that were ever heard are right, the time is off by at
//! most [`TOLERANCE`] and the latency of a ping; what a node said counts on while it is silent. Of
//! two that differ the earlier is believed: what is kept too long does less harm than what is given
//! up too early. A node that has heard nobody's time has only its own. Elections and time-outs do
//! not go by this clock nor by any other wall clock.

use std::sync::Arc;
use std::time::Duration;

use thalweg_types::{Clock, UnixMillis};

use crate::Groups;

/// By how much a node's own clock may differ from the others' before it is not believed.
pub const TOLERANCE: Duration = Duration::from_secs(600);

/// What the nodes agree on.
#[derive(Clone)]
pub struct AgreedClock {
    own: Arc<dyn Clock>,
    groups: Groups,
}

impl AgreedClock {
    /// This node's clock, and where the others' are heard of.
    pub fn new(own: Arc<dyn Clock>, groups: Groups) -> AgreedClock {
        AgreedClock { own, groups }
    }
}

impl Clock for AgreedClock {
    fn now(&self) -> UnixMillis {
        agreed(self.own.now(), self.groups.peer_times())
    }
}

/// The own time, unless the middle of all is elsewhere.
fn agreed(own: UnixMillis, peers: Vec<UnixMillis>) -> UnixMillis {
    let mut all = peers;
    all.push(own);
    all.sort_unstable();
    let middle = all[(all.len() - 1) / 2];
    if own.0.abs_diff(middle.0) <= TOLERANCE.as_millis() as u64 { own } else { middle }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR_MS: u64 = 3_600_000;
    const NOW: u64 = 500_000 * HOUR_MS;

    fn of(own: u64, peers: &[u64]) -> u64 {
        agreed(UnixMillis(own), peers.iter().copied().map(UnixMillis).collect()).0
    }

    #[test]
    fn a_clock_that_is_far_off_is_overruled_by_the_others() {
        for wrong in [NOW + 87_600 * HOUR_MS, NOW - 87_600 * HOUR_MS] {
            assert_eq!(of(wrong, &[NOW, NOW + 5]), NOW + if wrong > NOW { 5 } else { 0 });
            assert_eq!(of(NOW, &[wrong, NOW + 5]), NOW, "and overrules nobody");
        }
    }

    #[test]
    fn of_two_that_differ_the_earlier_is_believed() {
        assert_eq!(of(NOW + HOUR_MS, &[NOW]), NOW);
        assert_eq!(of(NOW, &[NOW + HOUR_MS]), NOW);
    }

    #[test]
    fn a_node_alone_and_small_differences_are_left_as_they_are() {
        assert_eq!(of(NOW + HOUR_MS, &[]), NOW + HOUR_MS);
        assert_eq!(of(NOW + 500, &[NOW, NOW - 20]), NOW + 500);
    }

    proptest! {
        #[test]
        fn with_a_majority_of_right_clocks_the_time_is_nearly_right(
            right in prop::collection::vec(0u64..60_000, 3..6), wrong in prop::collection::vec(0u64..2 * NOW, 0..3), own: prop::sample::Index,
        ) {
            let mut all: Vec<u64> = right.iter().map(|skew| NOW + skew).chain(wrong).collect();
            let own = all.swap_remove(own.index(all.len()));
            prop_assert!(of(own, &all).abs_diff(NOW) <= 60_000 + TOLERANCE.as_millis() as u64);
        }
    }
}
