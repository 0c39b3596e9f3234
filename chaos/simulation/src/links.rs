//! The state of the network's links, as the sum of all faults that concern them.
//!
//! Holds: a link is what the faults in force make of it, whatever the order in which they end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use turmoil::Sim;

/// Names of machines.
type Name = String;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Whole,
    Held,
    /// Cut from the first to the second, and back.
    Cut(bool, bool),
}

/// All links.
#[derive(Default)]
pub struct Links {
    /// By event: from, to.
    cuts: BTreeMap<u32, BTreeSet<(Name, Name)>>,
    holds: BTreeMap<u32, BTreeSet<(Name, Name)>>,
    lags: BTreeMap<u32, (BTreeSet<(Name, Name)>, u64)>,
    now: BTreeMap<(Name, Name), State>,
    lag_now: BTreeMap<(Name, Name), u64>,
    latency_ms_max: u64,
}

impl Links {
    /// Links on which messages take at most so long.
    pub fn new(latency_ms_max: u64) -> Links {
        Links { latency_ms_max, ..Links::default() }
    }

    /// Nothing gets from one to the other.
    pub fn cut(&mut self, event: u32, pairs: impl IntoIterator<Item = (Name, Name)>) {
        self.cuts.entry(event).or_default().extend(pairs);
    }

    /// Nothing arrives between the two until later.
    pub fn hold(&mut self, event: u32, pairs: impl IntoIterator<Item = (Name, Name)>) {
        self.holds.entry(event).or_default().extend(pairs);
    }

    /// Messages take up to so long.
    pub fn lag(&mut self, event: u32, ms: u64, pairs: impl IntoIterator<Item = (Name, Name)>) {
        self.lags.insert(event, (pairs.into_iter().collect(), ms));
    }

    /// Ends what an event did; the pairs that it had cut.
    pub fn end(&mut self, event: u32) -> BTreeSet<(Name, Name)> {
        self.holds.remove(&event);
        self.lags.remove(&event);
        self.cuts.remove(&event).unwrap_or_default()
    }

    /// Whether anything is cut between the two.
    pub fn is_cut(&self, a: &str, b: &str) -> bool {
        self.cuts.values().flatten().any(|(from, to)| (from == a && to == b) || (from == b && to == a))
    }

    /// Makes the network what it is to be.
    pub fn apply(&mut self, sim: &mut Sim<'_>) {
        let mut wanted: BTreeMap<(Name, Name), State> = BTreeMap::new();
        for (a, b) in self.holds.values().flatten() {
            wanted.insert(ordered(a, b), State::Held);
        }
        for (from, to) in self.cuts.values().flatten() {
            let pair = ordered(from, to);
            let forward = pair.0 == *from;
            let (there, back) = match wanted.get(&pair) {
                Some(State::Cut(there, back)) => (*there, *back),
                _ => (false, false),
            };
            wanted.insert(pair, State::Cut(there || forward, back || !forward));
        }
        let pairs: BTreeSet<_> = wanted.keys().chain(self.now.keys()).cloned().collect();
        for pair in pairs {
            let (was, is) =
                (self.now.get(&pair).copied().unwrap_or_default(), wanted.get(&pair).copied().unwrap_or_default());
            if was != is {
                change(sim, &pair, was, is);
            }
        }
        self.now = wanted;
        self.apply_lags(sim);
    }

    fn apply_lags(&mut self, sim: &mut Sim<'_>) {
        let mut wanted: BTreeMap<(Name, Name), u64> = BTreeMap::new();
        for (pairs, ms) in self.lags.values() {
            for (a, b) in pairs {
                let lag = wanted.entry(ordered(a, b)).or_default();
                *lag = (*lag).max(*ms);
            }
        }
        let pairs: BTreeSet<_> = wanted.keys().chain(self.lag_now.keys()).cloned().collect();
        for pair in pairs {
            let (was, is) = (self.lag_now.get(&pair), wanted.get(&pair));
            if was != is {
                let ms = self.latency_ms_max + is.copied().unwrap_or(0);
                sim.set_link_max_message_latency(pair.0.as_str(), pair.1.as_str(), Duration::from_millis(ms));
            }
        }
        self.lag_now = wanted;
    }
}

fn ordered(a: &str, b: &str) -> (Name, Name) {
    if a < b { (a.to_owned(), b.to_owned()) } else { (b.to_owned(), a.to_owned()) }
}

fn change(sim: &mut Sim<'_>, (a, b): &(Name, Name), was: State, is: State) {
    let (a, b) = (a.as_str(), b.as_str());
    if was == State::Held {
        sim.release(a, b);
    } else if was != State::Whole {
        sim.repair(a, b);
    }
    match is {
        State::Whole => {}
        State::Held => sim.hold(a, b),
        State::Cut(there, back) => {
            if there {
                sim.partition_oneway(a, b);
            }
            if back {
                sim.partition_oneway(b, a);
            }
        }
    }
}
