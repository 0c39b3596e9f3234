//! How long clients had to wait: silences between one acknowledgement of a shard and the next, and
//! between the arrivals of its records at a tail. Pure.
//!
//! A silence counts for a fault when they overlap. A shard that is closed falls silent for good, which is
//! no gap; one that never speaks again is found by the liveness phase.

use std::collections::HashMap;
use std::time::Duration;

use thalweg_checker::{History, Outcome};
use thalweg_client::ShardId;

use crate::nemesis::Fault;
use crate::timeline::quantile;

/// What a fault sets off may come so long after it is healed: a restarted node takes leaders back.
const AFTERMATH_NS: u64 = 2_000_000_000;
/// The last word of a shard before the next fault does not count as silence before it.
const BEFORE_NEXT_NS: u64 = 200_000_000;
/// A time without faults is looked at if it is no shorter.
const QUIET_NS_MIN: u64 = 1_000_000_000;

/// The moments at which each shard was heard of, sorted.
#[derive(Debug, Default)]
pub(crate) struct Heard(HashMap<ShardId, Vec<u64>>);

impl Heard {
    /// Acknowledgements.
    pub(crate) fn writes(history: &History) -> Heard {
        Heard::of(history.writes.iter().filter_map(|write| match write.outcome {
            Outcome::Ok(place) => Some((place.shard, write.done)),
            _ => None,
        }))
    }

    /// Arrivals at one reader.
    pub(crate) fn reads(history: &History, reader: u32) -> Heard {
        let arrivals = history.reads.iter().filter(|read| read.reader == reader && !read.records.is_empty());
        Heard::of(arrivals.map(|read| (read.shard, read.done)))
    }

    fn of(moments: impl Iterator<Item = (ShardId, u64)>) -> Heard {
        let mut heard: HashMap<ShardId, Vec<u64>> = HashMap::new();
        moments.for_each(|(shard, at)| heard.entry(shard).or_default().push(at));
        heard.values_mut().for_each(|moments| moments.sort_unstable());
        Heard(heard)
    }

    /// The longest silence of any shard that overlaps an interval.
    pub(crate) fn longest_gap(&self, from: u64, to: u64) -> Duration {
        let longest = self.0.values().filter_map(|moments| {
            let first = moments.partition_point(|at| *at <= from).saturating_sub(1);
            let last = (moments.partition_point(|at| *at < to) + 1).min(moments.len());
            moments.get(first..last)?.windows(2).map(|pair| pair[1] - pair[0]).max()
        });
        Duration::from_nanos(longest.max().unwrap_or(0))
    }

    /// The longest silence that overlaps a fault or its aftermath, which is over when the next
    /// fault begins.
    pub(crate) fn gap_of(&self, fault: &Fault, all: &[Fault]) -> Duration {
        let ended = fault.ended.unwrap_or(fault.began);
        let next = all.iter().map(|other| other.began).filter(|began| *began > ended).min();
        let clear = next.map_or(u64::MAX, |next| next.saturating_sub(BEFORE_NEXT_NS));
        self.longest_gap(fault.began, clear.clamp(ended, ended + AFTERMATH_NS))
    }

    /// The longest silence of each time in which nothing was wrong: what the load itself, and the
    /// machine, make of the gaps of faults.
    pub(crate) fn quiet_gaps(&self, all: &[Fault]) -> Vec<Duration> {
        let quiet = all.iter().filter_map(|fault| {
            let from = fault.ended? + AFTERMATH_NS;
            let others = all.iter().filter(|other| other.began > fault.began);
            let to = others.map(|other| other.began).min()?.saturating_sub(BEFORE_NEXT_NS);
            let overlaps =
                |other: &Fault| other.began < to && other.ended.is_none_or(|ended| ended + AFTERMATH_NS > from);
            let clear = to >= from + QUIET_NS_MIN && !all.iter().any(overlaps);
            clear.then(|| self.longest_gap(from, to))
        });
        quiet.collect()
    }
}

/// Half, nearly all, and all of some gaps are at most so long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    /// How many.
    pub(crate) count: usize,
    /// The median.
    pub p50: Duration,
    /// 99 % are at most so long.
    pub p99: Duration,
    /// The longest.
    pub(crate) longest: Duration,
}

/// Sums gaps up.
pub(crate) fn summary(mut gaps: Vec<Duration>) -> Summary {
    gaps.sort_unstable();
    let longest = gaps.last().copied().unwrap_or_default();
    Summary { count: gaps.len(), p50: quantile(&gaps, 0.5), p99: quantile(&gaps, 0.99), longest }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::Kind;

    fn heard(moments: &[(u32, u64)]) -> Heard {
        Heard::of(moments.iter().map(|(shard, at)| (ShardId(*shard), *at)))
    }

    fn fault(began_ms: u64, ended_ms: u64) -> Fault {
        Fault {
            kind: Kind::Kill,
            whom: String::new(),
            began: began_ms * 1_000_000,
            ended: Some(ended_ms * 1_000_000),
            failed: false,
        }
    }

    #[test]
    fn the_longest_silence_is_that_of_one_shard_not_of_all_together() {
        let heard = heard(&[(0, 10), (0, 90), (1, 20), (1, 40), (1, 85)]);
        assert_eq!(heard.longest_gap(30, 60), Duration::from_nanos(80));
    }

    #[test]
    fn a_silence_counts_when_it_overlaps_and_not_when_it_only_lies_near() {
        let heard = heard(&[(0, 0), (0, 100), (0, 110), (0, 120), (0, 500)]);
        assert_eq!(heard.longest_gap(105, 118), Duration::from_nanos(10));
        assert_eq!(heard.longest_gap(105, 121), Duration::from_nanos(380));
        assert_eq!(heard.longest_gap(99, 105), Duration::from_nanos(100));
    }

    #[test]
    fn a_shard_that_falls_silent_for_good_has_no_gap() {
        assert_eq!(heard(&[(0, 10), (0, 20)]).longest_gap(30, 60), Duration::ZERO);
        assert_eq!(heard(&[]).longest_gap(0, 60), Duration::ZERO);
    }

    #[test]
    fn a_fault_does_not_answer_for_the_silence_of_the_next() {
        let faults = [fault(1_000, 2_000), fault(3_000, 4_000)];
        let moments = [0, 990, 1_500, 2_400, 2_999, 3_900].map(|ms| (0, ms * 1_000_000));
        let heard = heard(&moments);
        assert_eq!(heard.gap_of(&faults[0], &faults), Duration::from_millis(900));
        assert_eq!(heard.gap_of(&faults[1], &faults), Duration::from_millis(901));
    }

    #[test]
    fn what_is_quiet_lies_between_faults_and_away_from_them() {
        let moments =
            (0..1_000).map(|i| (0, i * 10_000_000)).filter(|(_, at)| !(5_000_000_000..5_500_000_000).contains(at));
        let heard = heard(&moments.collect::<Vec<_>>());
        let apart = [fault(1_000, 2_000), fault(6_000, 6_500)];
        assert_eq!(heard.quiet_gaps(&apart), [Duration::from_millis(510)]);
        let near = [fault(1_000, 2_000), fault(5_000, 6_500)];
        assert_eq!(heard.quiet_gaps(&near), []);
        let across = [fault(500, 5_000), fault(1_000, 2_000), fault(6_000, 6_500)];
        assert_eq!(heard.quiet_gaps(&across), []);
    }

    #[test]
    fn gaps_are_summed_up() {
        let ms = Duration::from_millis;
        let summed = summary(vec![ms(30), ms(10), ms(20)]);
        assert_eq!(summed, Summary { count: 3, p50: ms(20), p99: ms(30), longest: ms(30) });
        assert_eq!(summary(Vec::new()), Summary::default());
    }
}
