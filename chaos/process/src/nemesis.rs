//! Decides which fault comes when, and keeps the minutes.
//!
//! Several lanes draw from one deck. A deck holds every kind of the scenario as often as its weight
//! says, shuffled by the seed; when it is empty, a new one is shuffled. So every kind comes once a
//! round, in ever new neighbourhoods.
//!
//! Holds: after [`Nemesis::finish`] no fault is under way and every link passes everything.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::faults::{self, Arena, Happening, Kind};
use crate::scenario::Scenario;

/// Before a kind that could not happen is tried again.
const RETRY: Duration = Duration::from_millis(200);
/// A fault is healed at last within this, or the run has failed.
const FAULT_TIMEOUT: Duration = Duration::from_secs(300);

/// One fault that began.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    /// Which.
    pub(crate) kind: Kind,
    /// To whom, or why it failed.
    pub(crate) whom: String,
    /// When, in nanoseconds of the run.
    pub(crate) began: u64,
    /// When it was healed; nothing while it goes on.
    pub(crate) ended: Option<u64>,
    /// Whether it failed: a node that did not come back, an operation that never ended.
    pub(crate) failed: bool,
}

/// What happened so far. Shared by all lanes.
#[derive(Debug, Default)]
pub(crate) struct Minutes {
    faults: Mutex<Vec<Option<Fault>>>,
}

impl Minutes {
    /// All faults, in the order in which they began.
    pub(crate) fn faults(&self) -> Vec<Fault> {
        self.faults.lock().iter().flatten().cloned().collect()
    }

    fn begin(&self, fault: Fault) -> usize {
        let mut faults = self.faults.lock();
        faults.push(Some(fault));
        faults.len() - 1
    }

    fn end(&self, at: usize, change: impl FnOnce(Fault) -> Option<Fault>) {
        let mut faults = self.faults.lock();
        faults[at] = faults[at].take().and_then(change);
    }
}

/// What is still to come.
struct Deck {
    scenario: Scenario,
    random: StdRng,
    cards: Vec<usize>,
    left: Option<Vec<usize>>,
}

impl Deck {
    fn new(scenario: &Scenario, seed: u64) -> Deck {
        let times = scenario.faults.iter().map(|fault| fault.times.unwrap_or(0));
        let left = scenario.is_counted().then(|| times.collect());
        Deck { scenario: scenario.clone(), random: StdRng::seed_from_u64(seed), cards: Vec::new(), left }
    }

    /// The next fault and how long it lasts; nothing when all have come often enough.
    fn draw(&mut self) -> Option<(usize, Kind, Duration, u64)> {
        if self.cards.is_empty() {
            let open = |at: &usize| self.left.as_ref().is_none_or(|left| left[*at] > 0);
            let plans = self.scenario.faults.iter().enumerate().filter(|(at, _)| open(at));
            self.cards = plans.flat_map(|(at, plan)| std::iter::repeat_n(at, plan.weight.max(1))).collect();
            self.cards.shuffle(&mut self.random);
        }
        let at = self.cards.pop()?;
        let plan = &self.scenario.faults[at];
        Some((at, plan.kind, plan.lasts.draw(&mut self.random), self.random.random()))
    }

    /// A fault that could not happen comes again later.
    fn put_back(&mut self, at: usize) {
        self.cards.insert(0, at);
    }

    fn count(&mut self, at: usize) {
        if let Some(left) = &mut self.left {
            left[at] = left[at].saturating_sub(1);
        }
    }
}

/// Makes faults happen until its time is over.
pub(crate) struct Nemesis {
    lanes: JoinSet<()>,
    hurry: Arc<AtomicBool>,
    arena: Arc<Arena>,
    minutes: Arc<Minutes>,
}

impl Nemesis {
    /// Begins. Faults begin before `until`, or, if all are counted, until there is none left.
    pub(crate) fn start(scenario: &Scenario, arena: Arc<Arena>, seed: u64, until: Instant) -> Nemesis {
        let deck = Arc::new(Mutex::new(Deck::new(scenario, seed)));
        let minutes = Arc::new(Minutes::default());
        let (mut lanes, hurry) = (JoinSet::new(), Arc::new(AtomicBool::new(false)));
        for lane in 0..scenario.at_once {
            let random = StdRng::seed_from_u64(seed.wrapping_add(1 + lane as u64));
            let (deck, arena, minutes) = (deck.clone(), arena.clone(), minutes.clone());
            let (pause, hurry) = (scenario.pause, hurry.clone());
            lanes.spawn(async move {
                let mut lane = Lane { deck, arena, minutes, random };
                while Instant::now() < until && !hurry.load(Ordering::Relaxed) {
                    match lane.next().await {
                        Some(true) => tokio::time::sleep(pause.draw(&mut lane.random)).await,
                        Some(false) => tokio::time::sleep(RETRY).await,
                        None => break,
                    }
                }
            });
        }
        Nemesis { lanes, hurry, arena, minutes }
    }

    /// What has happened and happens.
    pub(crate) fn minutes(&self) -> &Arc<Minutes> {
        &self.minutes
    }

    /// No further fault begins.
    pub(crate) fn hurry(&self) {
        self.hurry.store(true, Ordering::Relaxed);
    }

    /// Waits until the last fault is healed. May be dropped before it returns, and called again.
    pub(crate) async fn finish(&mut self) -> anyhow::Result<()> {
        while let Some(ended) = self.lanes.join_next().await {
            ended?;
        }
        self.arena.cluster.network().switch().heal();
        Ok(())
    }
}

struct Lane {
    deck: Arc<Mutex<Deck>>,
    arena: Arc<Arena>,
    minutes: Arc<Minutes>,
    random: StdRng,
}

impl Lane {
    /// One fault; whether it happened. Nothing when there is none left.
    async fn next(&mut self) -> Option<bool> {
        let (card, kind, lasts, seed) = self.deck.lock().draw()?;
        let (began, whom) = (self.arena.recorder.now(), String::new());
        let at = self.minutes.begin(Fault { kind, whom, began, ended: None, failed: false });
        let mut random = StdRng::seed_from_u64(seed);
        let happening = faults::happen(kind, &self.arena, lasts, &mut random);
        let happened = tokio::time::timeout(FAULT_TIMEOUT, happening).await;
        let happened = happened.unwrap_or_else(|_| Err(anyhow::anyhow!("it was not over within {FAULT_TIMEOUT:?}")));
        let ended = Some(self.arena.recorder.now());
        match happened {
            Ok(Happening::Happened(whom)) => {
                self.deck.lock().count(card);
                self.minutes.end(at, |fault| Some(Fault { whom, ended, ..fault }));
                Some(true)
            }
            Ok(Happening::NotNow(_)) => {
                self.deck.lock().put_back(card);
                self.minutes.end(at, |_| None);
                Some(false)
            }
            Err(error) => {
                let whom = format!("{error:#}");
                self.arena.recorder.violation(format!("{}: {whom}", kind.name()));
                self.deck.lock().count(card);
                self.minutes.end(at, |fault| Some(Fault { whom, ended, failed: true, ..fault }));
                Some(true)
            }
        }
    }
}
