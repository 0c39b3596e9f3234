//! What can go wrong, and when it does.
//!
//! Only one machine a run, the *victim*, may lose what it acknowledged: no log that counts on a
//! majority survives two. Everything else may hit any machine, also several at once.

use std::fmt;

use rand::Rng;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};

use crate::extras;
use crate::plan::Plan;

/// Kinds of faults and of operations that a run may contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the names say it; `Kind::about` says it to people")]
pub enum Kind {
    Kill,
    KillAll,
    PowerCut,
    PowerCutAll,
    TornWrite,
    Restart,
    CrashLoop,
    Isolate,
    IsolateLeader,
    IsolateController,
    OneWay,
    Halves,
    Bridge,
    BlackHole,
    ClientCutOff,
    Hold,
    Delay,
    Loss,
    Reset,
    SlowDisk,
    SyncStall,
    SyncError,
    DiskFull,
    FlipLog,
    CutLog,
    LoseLog,
    CorruptRecord,
    ClockJump,
    ClockJumpFar,
    ClockDrift,
    Split,
    Merge,
    Scale,
    Retention,
    Drain,
    Transfer,
    AddNode,
    ReplaceNode,
    OtherStream,
    TimePasses,
    ClockJumpAll,
    ReturnEmpty,
    SplitTwice,
    DamagedStart,
    Flap,
    ClockFreeze,
    WriteError,
    ReadError,
    ReadOnly,
    Overload,
    PowerCutSome,
}

/// Kinds that the first seeds knew; later ones are drawn from random streams of their own.
const FIRST_KINDS: usize = 39;
/// Kinds that were known when there were extras for the first time.
const FIRST_EXTRA_KINDS: usize = 44;

impl Kind {
    /// All kinds.
    pub const ALL: [Kind; 51] = [
        Kind::Kill,
        Kind::KillAll,
        Kind::PowerCut,
        Kind::PowerCutAll,
        Kind::TornWrite,
        Kind::Restart,
        Kind::CrashLoop,
        Kind::Isolate,
        Kind::IsolateLeader,
        Kind::IsolateController,
        Kind::OneWay,
        Kind::Halves,
        Kind::Bridge,
        Kind::BlackHole,
        Kind::ClientCutOff,
        Kind::Hold,
        Kind::Delay,
        Kind::Loss,
        Kind::Reset,
        Kind::SlowDisk,
        Kind::SyncStall,
        Kind::SyncError,
        Kind::DiskFull,
        Kind::FlipLog,
        Kind::CutLog,
        Kind::LoseLog,
        Kind::CorruptRecord,
        Kind::ClockJump,
        Kind::ClockJumpFar,
        Kind::ClockDrift,
        Kind::Split,
        Kind::Merge,
        Kind::Scale,
        Kind::Retention,
        Kind::Drain,
        Kind::Transfer,
        Kind::AddNode,
        Kind::ReplaceNode,
        Kind::OtherStream,
        Kind::TimePasses,
        Kind::ClockJumpAll,
        Kind::ReturnEmpty,
        Kind::SplitTwice,
        Kind::DamagedStart,
        Kind::Flap,
        Kind::ClockFreeze,
        Kind::WriteError,
        Kind::ReadError,
        Kind::ReadOnly,
        Kind::Overload,
        Kind::PowerCutSome,
    ];

    /// Those that seeds have drawn from ever since there are seeds.
    pub(crate) fn first() -> impl Iterator<Item = Kind> {
        Kind::ALL[..FIRST_KINDS].iter().copied()
    }

    /// Those that a seed may draw from: all but what was thought of after its time.
    pub(crate) fn of_seed(seed: u64) -> impl Iterator<Item = Kind> {
        let known = match seed {
            0..extras::FIRST_SEED => FIRST_KINDS,
            extras::FIRST_SEED..extras::LATER_SEED => FIRST_EXTRA_KINDS,
            extras::LATER_SEED.. => Kind::ALL.len(),
        };
        Kind::ALL[..known].iter().copied()
    }

    /// How often it comes, compared with others.
    fn weight(self) -> u32 {
        match self {
            Kind::KillAll | Kind::PowerCutAll | Kind::ReplaceNode | Kind::AddNode | Kind::ClockJumpFar => 1,
            Kind::Drain | Kind::Retention | Kind::OtherStream | Kind::Scale | Kind::BlackHole => 2,
            _ => 4,
        }
    }

    /// The name of a kind.
    pub fn name(self) -> String {
        self.to_string()
    }

    /// The kind of a name.
    pub fn named(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.to_string() == name)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut name = String::new();
        for letter in format!("{self:?}").chars() {
            if letter.is_uppercase() && !name.is_empty() {
                name.push('-');
            }
            name.extend(letter.to_lowercase());
        }
        f.pad(&name)
    }
}

/// One thing that goes wrong, or is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its number in the schedule, the same whatever else is left out.
    pub id: u32,
    /// What.
    pub kind: Kind,
    /// When it begins, in milliseconds of the load.
    pub at_ms: u64,
    /// How long it lasts.
    pub for_ms: u64,
    /// Which node, where it is about one: counts from 1.
    pub node: u64,
    /// How much, where that makes sense; what it means is the kind's own business.
    pub dice: u64,
}

/// The schedule of a plan.
pub(crate) fn draw(random: &mut StdRng, plan: &Plan) -> Vec<Event> {
    let mut events = Vec::new();
    if plan.kinds.is_empty() {
        return events;
    }
    let total: u32 = plan.kinds.iter().map(|kind| kind.weight()).sum();
    let pause_ms_max = [2_000, 6_000, 15_000][random.random_range(0..3)];
    let lasts_ms_max = [1_000, 4_000, 12_000][random.random_range(0..3)];
    let mut at_ms = random.random_range(0..3_000);
    while at_ms < plan.load_ms {
        let mut pick = random.random_range(0..total);
        let kind = plan.kinds.iter().copied().find(|kind| {
            let found = pick < kind.weight();
            pick = pick.saturating_sub(kind.weight());
            found
        });
        let kind = kind.expect("the weights add up");
        // Only a long one outlives everybody's patience.
        let more_ms = if kind == Kind::BlackHole { random.random_range(0..40_000) } else { 0 };
        events.push(Event {
            id: events.len() as u32,
            kind,
            at_ms,
            for_ms: more_ms + random.random_range(100..lasts_ms_max),
            node: random.random_range(1..=plan.nodes),
            dice: random.random(),
        });
        at_ms += random.random_range(100..pause_ms_max);
    }
    events
}
