//! A wall clock that is checked against those of the other nodes.
//!
//! Nodes tell each other the time in their answers to pings. One whose own clock is far off, for
//! example because it started with a wrong one, goes by what most say: otherwise it would take
//! every record for expired, or stamp new ones with a time that no later record may fall below.
//!
//! Holds: while more than half of the nodes that were ever heard are right, the time is off by at
//! most [`TOLERANCE`] and the latency of a ping; what a node said counts on while it is silent. Of
//! two that differ the earlier is believed: what is kept too long does less harm than what is given
//! up too early. What a majority agreed on while this process runs is remembered, moves on with the
//! monotonic clock, and counts like one node more: of a node alone with one whose clock is far off, it
//! is right. A node that has heard nobody's time has only its own, and [`Clock::agreement`] says so: what cannot be undone waits until a majority of the cluster is of one mind. Elections and
//! time-outs do not go by this clock nor by any other wall clock.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use thalweg_types::{Agreement, Clock, NodeId, UnixMillis};
use tokio::time::Instant;

use crate::Groups;

/// By how much a node's own clock may differ from the others' before it is not believed.
pub const TOLERANCE: Duration = Duration::from_secs(600);

/// What the nodes agree on.
#[derive(Clone)]
pub struct AgreedClock {
    own: Arc<dyn Clock>,
    groups: Groups,
    /// The nodes whose majority counts; none until they are known.
    members: Arc<RwLock<BTreeSet<NodeId>>>,
    memory: Arc<Mutex<Memory>>,
}

/// What was agreed on last is written down anew after this time.
const REMEMBERED_FOR: Duration = Duration::from_secs(1);

/// What a majority agreed on last, and when that was.
#[derive(Default)]
struct Memory(Option<(UnixMillis, Instant)>);

impl Memory {
    /// What it is now by what was agreed on.
    fn now(&self) -> Option<UnixMillis> {
        self.0.map(|(agreed, at)| UnixMillis(agreed.0.saturating_add(at.elapsed().as_millis() as u64)))
    }

    /// Whether it is time to write down anew what is agreed on.
    fn is_due(&self) -> bool {
        self.0.is_none_or(|(_, at)| at.elapsed() >= REMEMBERED_FOR)
    }
}

impl AgreedClock {
    /// This node's clock, and where the others' are heard of.
    pub fn new(own: Arc<dyn Clock>, groups: Groups) -> AgreedClock {
        AgreedClock { own, groups, members: Arc::default(), memory: Arc::default() }
    }

    /// Tells the nodes of which a majority has to agree: the living ones of the cluster, with this one.
    pub fn set_members(&self, members: BTreeSet<NodeId>) {
        *self.members.write() = members;
    }
}

impl Clock for AgreedClock {
    fn now(&self) -> UnixMillis {
        let (own, peers) = (self.own.now(), self.groups.peer_times());
        let mut memory = self.memory.lock();
        let told = peers.iter().map(|(_, time)| *time);
        if memory.is_due() && self.agreement_with(own, &peers) == Agreement::Reached {
            memory.0 = Some((agreed(own, told.clone().collect()), Instant::now()));
        }
        agreed(own, told.chain(memory.now()).collect())
    }

    fn agreement(&self) -> Agreement {
        self.agreement_with(self.own.now(), &self.groups.peer_times())
    }
}

impl AgreedClock {
    fn agreement_with(&self, own: UnixMillis, peers: &[(NodeId, UnixMillis)]) -> Agreement {
        let members = self.members.read();
        let told = peers.iter().filter(|(node, _)| members.contains(node)).map(|(_, time)| *time);
        agreement(own, told.collect(), members.len())
    }
}

/// The one of which as many are later as earlier, or one more.
fn middle(own: UnixMillis, mut others: Vec<UnixMillis>) -> UnixMillis {
    others.push(own);
    others.sort_unstable();
    others[(others.len() - 1) / 2]
}

fn is_near(one: UnixMillis, other: UnixMillis) -> bool {
    one.0.abs_diff(other.0) <= TOLERANCE.as_millis() as u64
}

/// The own time, unless the middle of all is elsewhere.
fn agreed(own: UnixMillis, others: Vec<UnixMillis>) -> UnixMillis {
    let middle = middle(own, others);
    if is_near(own, middle) { own } else { middle }
}

/// Whether more than half of so many members, of which `told` are the others that have told their
/// time, are near the middle of those times.
fn agreement(own: UnixMillis, told: Vec<UnixMillis>, members: usize) -> Agreement {
    let middle = middle(own, told.clone());
    let near = told.into_iter().chain([own]).filter(|time| is_near(*time, middle)).count();
    match members {
        0 => Agreement::Pending,
        1 => Agreement::Alone,
        _ if near * 2 > members => Agreement::Reached,
        _ => Agreement::Pending,
    }
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

    /// With what was agreed on before, a node and its only peer tell which of them is wrong.
    #[tokio::test(start_paused = true)]
    async fn what_was_agreed_on_moves_on_and_counts_like_a_node_more() {
        let memory = Memory(Some((UnixMillis(NOW), Instant::now())));
        tokio::time::advance(Duration::from_secs(3_600)).await;
        let recalled = memory.now().unwrap().0;
        assert_eq!((recalled, memory.is_due()), (NOW + HOUR_MS, true));
        for wrong in [NOW + 87_600 * HOUR_MS, NOW - 87_600 * HOUR_MS] {
            assert!(of(wrong, &[NOW + HOUR_MS + 5, recalled]).abs_diff(NOW + HOUR_MS) <= 5, "the own one");
            assert_eq!(of(NOW + HOUR_MS + 5, &[wrong, recalled]), NOW + HOUR_MS + 5, "the other one");
        }
    }

    fn agreement_of(own: u64, told: &[u64], members: usize) -> Agreement {
        agreement(UnixMillis(own), told.iter().copied().map(UnixMillis).collect(), members)
    }

    #[test]
    fn agreement_takes_a_majority_of_all_members_and_not_of_those_heard() {
        assert_eq!(agreement_of(NOW, &[], 0), Agreement::Pending, "the members are not known yet");
        assert_eq!(agreement_of(NOW, &[], 1), Agreement::Alone);
        assert_eq!(agreement_of(NOW, &[], 3), Agreement::Pending);
        assert_eq!(agreement_of(NOW, &[NOW + 5], 3), Agreement::Reached);
        assert_eq!(agreement_of(NOW, &[NOW + 5], 4), Agreement::Pending);
    }

    #[test]
    fn clocks_that_are_apart_do_not_agree_until_a_majority_overrules_one() {
        for wrong in [NOW - 48 * HOUR_MS, NOW + 48 * HOUR_MS] {
            assert_eq!(agreement_of(wrong, &[NOW], 3), Agreement::Pending);
            assert_eq!(agreement_of(wrong, &[NOW], 2), Agreement::Pending);
            assert_eq!(agreement_of(wrong, &[NOW, NOW + 5], 3), Agreement::Reached);
        }
    }

    proptest! {
        #[test]
        fn what_a_majority_agrees_on_is_nearly_right_if_a_majority_is(
            right in prop::collection::vec(0u64..60_000, 3..6), wrong in prop::collection::vec(0u64..2 * NOW, 0..3), own: prop::sample::Index, heard in 0usize..8,
        ) {
            let mut all: Vec<u64> = right.iter().map(|skew| NOW + skew).chain(wrong).collect();
            let members = all.len();
            let own = all.swap_remove(own.index(members));
            all.truncate(heard);
            if agreement_of(own, &all, members) == Agreement::Reached {
                prop_assert!(of(own, &all).abs_diff(NOW) <= 60_000 + 2 * TOLERANCE.as_millis() as u64);
            }
        }

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
