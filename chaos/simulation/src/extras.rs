//! What was thought of later: more kinds of events and clients, from random streams of their own.
//!
//! Holds: a seed below [`FIRST_SEED`] or [`LATER_SEED`] stands for what it always stood for, and the
//! main stream of random numbers is the same for all; so seeds that once failed still show the same run.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::faults::{Event, Kind};
use crate::plan::Plan;

/// Seeds from here on have extras.
pub const FIRST_SEED: u64 = 1_000;
/// Seeds from here on have what was thought of later still.
pub const LATER_SEED: u64 = 5_000;
/// Their events count from here, so that others keep their numbers.
const FIRST_EVENT: u32 = 10_000;
const LATER_EVENT: u32 = 20_000;

/// What a seed has besides its schedule.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extras {
    /// A reader asks again and again where the newest record is.
    pub probes_latest: bool,
    /// A client sends batches to shards that do not own their keys.
    pub misdirects: bool,
}

/// Gives a plan its extras; `only` are the kinds that somebody asked for.
pub(crate) fn add(plan: &mut Plan, only: &[Kind]) {
    if plan.seed < FIRST_SEED {
        return;
    }
    let mut random = StdRng::seed_from_u64(plan.seed ^ 0x6578_7472_6173_3031);
    plan.extras = Extras { probes_latest: random.random_bool(0.6), misdirects: random.random_bool(0.4) };
    let mut drawing = Drawing { events: Vec::new(), nodes: plan.nodes, first: FIRST_EVENT };
    // Each part draws the same numbers however long the load is: a shorter run has the same beginning.
    for (kind, chance) in [(Kind::TimePasses, 0.3), (Kind::ClockJumpAll, 0.25), (Kind::ReturnEmpty, 0.12)] {
        let (comes, at_ms) = (random.random_bool(chance), random.random_range(10_000..60_000));
        let for_ms = random.random_range(2_000..20_000);
        if comes {
            drawing.event(&mut random, kind, at_ms, for_ms);
        }
    }
    if random.random_bool(0.2) {
        for _ in 0..random.random_range(2..6) {
            let (at_ms, for_ms) = (random.random_range(5_000..60_000), random.random_range(1_000..4_000));
            drawing.event(&mut random, Kind::DamagedStart, at_ms, for_ms);
        }
    }
    if random.random_bool(0.5) {
        drawing.reshards_under_fire(&mut random);
    }
    if plan.seed >= LATER_SEED {
        drawing.events.extend(later(plan));
    }
    let wanted = |event: &Event| event.at_ms < plan.load_ms && (only.is_empty() || only.contains(&event.kind));
    plan.events.extend(drawing.events.into_iter().filter(wanted));
    plan.events.sort_by_key(|event| event.at_ms);
}

/// What seeds from [`LATER_SEED`] on have besides: each kind in some of them, some times.
fn later(plan: &Plan) -> Vec<Event> {
    let mut random = StdRng::seed_from_u64(plan.seed ^ 0x6578_7472_6173_3032);
    let mut drawing = Drawing { events: Vec::new(), nodes: plan.nodes, first: LATER_EVENT };
    let kinds = [
        (Kind::ClockFreeze, 0.2, 20_000),
        (Kind::WriteError, 0.25, 100),
        (Kind::ReadError, 0.2, 8_000),
        (Kind::ReadOnly, 0.2, 8_000),
        (Kind::Overload, 0.2, 5_000),
        (Kind::PowerCutSome, 0.3, 6_000),
    ];
    for (kind, chance, lasts_ms_max) in kinds {
        let comes = random.random_bool(chance);
        for _ in 0..random.random_range(1..4) {
            let (at_ms, for_ms) = (random.random_range(3_000..90_000), random.random_range(50..=lasts_ms_max));
            if comes {
                drawing.event(&mut random, kind, at_ms, for_ms);
            }
        }
    }
    if random.random_bool(0.25) {
        drawing.flap(&mut random);
    }
    drawing.events
}

struct Drawing {
    events: Vec<Event>,
    nodes: u64,
    /// The number of the first event.
    first: u32,
}

impl Drawing {
    fn event(&mut self, random: &mut StdRng, kind: Kind, at_ms: u64, for_ms: u64) {
        let id = self.first + self.events.len() as u32;
        let node = random.random_range(1..=self.nodes);
        self.events.push(Event { id, kind, at_ms, for_ms, node, dice: random.random() });
    }

    /// A link, or all of a node's, that goes and comes.
    fn flap(&mut self, random: &mut StdRng) {
        let mut at_ms = random.random_range(3_000..60_000);
        let (node, dice) = (random.random_range(1..=self.nodes), random.random());
        for _ in 0..random.random_range(5..30) {
            let for_ms = random.random_range(20..600);
            let id = self.first + self.events.len() as u32;
            self.events.push(Event { id, kind: Kind::Flap, at_ms, for_ms, node, dice });
            at_ms += for_ms + random.random_range(20..800);
        }
    }

    /// A split or merge, and a moment later something happens to a leader.
    fn reshards_under_fire(&mut self, random: &mut StdRng) {
        let mut at_ms = random.random_range(2_000..10_000);
        for _ in 0..random.random_range(3..14) {
            let kind =
                [Kind::Split, Kind::Split, Kind::Merge, Kind::Scale, Kind::SplitTwice][random.random_range(0..5)];
            self.event(random, kind, at_ms, 1_000);
            let hit = [Kind::IsolateLeader, Kind::Kill, Kind::Reset, Kind::Transfer, Kind::SlowDisk, Kind::Restart];
            let hit = hit[random.random_range(0..6)];
            let (after, lasts) = (random.random_range(0..900), random.random_range(200..5_000));
            self.event(random, hit, at_ms + after, lasts);
            at_ms += random.random_range(2_000..12_000);
        }
    }
}
