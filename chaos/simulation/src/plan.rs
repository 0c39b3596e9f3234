//! What a seed stands for: the cluster, the load, and the schedule of faults.
//!
//! Swarm testing: each seed switches kinds of faults on and off and draws how often and how long
//! they come, so that rare combinations are met and no kind drowns the others. The schedule is
//! drawn before the run; events that make no sense when their time has come are passed over.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::extras::{self, Extras};
use crate::faults::{Event, Kind, draw};

/// What somebody wants simulated.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The seed.
    pub seed: u64,
    /// Simulated seconds of load and faults; drawn from the seed when absent.
    pub seconds: Option<u64>,
    /// Only faults of these kinds, all of them switched on; as the seed has it when empty.
    pub only: Vec<Kind>,
    /// Without what was thought of later, see [`extras`].
    pub plain: bool,
    /// Events to leave out.
    pub without: BTreeSet<u32>,
    /// Events to keep, all others left out.
    pub keep: Option<BTreeSet<u32>>,
    /// Where to write what happened.
    pub trace: Option<PathBuf>,
    /// Where to write the history that the checker judged.
    pub history: Option<PathBuf>,
}

/// A cluster, a load and a schedule.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// Nodes that form the cluster: 1 … n.
    pub nodes: u64,
    /// Machines that may join later: n + 1 … n + spares.
    pub spares: u64,
    /// Load and faults go on for this long.
    pub load_ms: u64,
    /// Shards of the stream at first.
    pub shards: u32,
    /// Limits and intervals of the nodes.
    pub tuning: Tuning,
    /// What clients do.
    pub load: Load,
    /// Messages take at most this long, in milliseconds, when nothing is wrong.
    pub latency_ms_max: u64,
    /// The node whose disk may lose what it acknowledged: one a seed.
    pub victim: u64,
    /// How far clocks are wrong from the beginning, by node, in milliseconds.
    pub skew_ms: Vec<i64>,
    /// Kinds of faults that are switched on.
    pub kinds: Vec<Kind>,
    /// What goes wrong, in the order of time.
    pub events: Vec<Event>,
    /// What later seeds have besides.
    pub extras: Extras,
}

/// Settings of the nodes that a seed varies.
#[derive(Clone, Copy, Debug)]
pub struct Tuning {
    /// Bytes of a segment of the log.
    pub segment_bytes: u64,
    /// Bytes of recent entries in memory.
    pub cache_bytes: u64,
    /// Bytes that wait before they are moved.
    pub move_bytes: u64,
    /// Bytes of disk that appends leave free.
    pub reserve_bytes: u64,
    /// How long a node may be gone.
    pub node_dead_after: Duration,
    /// How often retention is looked at.
    pub retention_interval: Duration,
}

/// What clients do.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Idempotent producers.
    pub producers: u32,
    /// Records a second of each.
    pub records_per_second: u32,
    /// Partition keys.
    pub keys: u64,
    /// Of a hundred records, so many go to one key.
    pub hot_percent: u32,
    /// Bytes of a record at most.
    pub record_bytes_max: usize,
    /// How long a record is tried.
    pub delivery_deadline: Duration,
    /// Readers that follow the stream.
    pub tails: u32,
    /// Readers that read everything, again and again.
    pub catch_ups: u32,
    /// Between two pages of a slow reader, in milliseconds.
    pub slow_reader_ms: u64,
}

impl Plan {
    /// The plan of a seed.
    pub fn of(request: &Request) -> Plan {
        let mut random = StdRng::seed_from_u64(request.seed ^ 0x7468_616c_7765_6701);
        let nodes = [3, 3, 3, 4, 5][random.random_range(0..5)];
        let drawn_seconds = random.random_range(60..=180);
        let load_ms = request.seconds.unwrap_or(drawn_seconds) * 1_000;
        let mut plan = Plan {
            seed: request.seed,
            nodes,
            spares: 2,
            load_ms,
            shards: random.random_range(1..=4),
            tuning: tuning(&mut random),
            load: load(&mut random),
            latency_ms_max: random.random_range(1..=8),
            victim: random.random_range(1..=nodes),
            skew_ms: Vec::new(),
            kinds: Vec::new(),
            events: Vec::new(),
            extras: Extras::default(),
        };
        let skewed = random.random_bool(0.3);
        plan.skew_ms =
            (0..nodes + plan.spares).map(|_| if skewed { random.random_range(-3_000..3_000) } else { 0 }).collect();
        plan.kinds = if request.only.is_empty() { swarm(&mut random) } else { request.only.clone() };
        plan.events = draw(&mut random, &plan);
        if !request.plain {
            extras::add(&mut plan, &request.only);
        }
        plan.events.retain(|event| !request.without.contains(&event.id));
        if let Some(keep) = &request.keep {
            plan.events.retain(|event| keep.contains(&event.id));
        }
        plan
    }
}

fn swarm(random: &mut StdRng) -> Vec<Kind> {
    let share = random.random_range(0.1..0.6);
    Kind::first().filter(|_| random.random_bool(share)).collect()
}

fn tuning(random: &mut StdRng) -> Tuning {
    const KIB: u64 = 1024;
    Tuning {
        segment_bytes: [512, 768, 1024][random.random_range(0..3)] * KIB,
        cache_bytes: [8, 64, 1024][random.random_range(0..3)] * KIB,
        move_bytes: [16, 64, 256][random.random_range(0..3)] * KIB,
        reserve_bytes: 256 * KIB,
        node_dead_after: Duration::from_secs(random.random_range(15..60)),
        retention_interval: Duration::from_secs(random.random_range(2..20)),
    }
}

fn load(random: &mut StdRng) -> Load {
    Load {
        producers: random.random_range(1..=3),
        records_per_second: [2, 5, 10, 20][random.random_range(0..4)],
        keys: [1, 8, 32][random.random_range(0..3)],
        hot_percent: [0, 0, 90][random.random_range(0..3)],
        record_bytes_max: [40, 200, 2_000][random.random_range(0..3)],
        delivery_deadline: Duration::from_secs([2, 10, 60][random.random_range(0..3)]),
        tails: random.random_range(1..=2),
        catch_ups: random.random_range(0..=1),
        slow_reader_ms: [0, 0, 500][random.random_range(0..3)],
    }
}
