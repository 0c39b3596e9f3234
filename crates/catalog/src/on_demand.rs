//! When the cluster itself splits and merges shards of on-demand streams, by measured traffic.
//!
//! ```text
//!   part of what a shard is meant to take
//!   0 %         20 %                50 %                    100 %
//!   ├─ merge ────┤  ·· as it is ··   ├─ split ───────────────►
//!     two neighbours together,         one shard, for `split_after`
//!     their peaks of `merge_after`
//! ```
//! Holds, while the traffic of every key stays the same: a range that was split is never merged
//! again, because its halves together carry what made it hot; a range that was merged is never
//! split again, because it is cold. So the series of steps ends. A shard of few, busy keys is not
//! halved for ever: nothing narrower than [`Policy::narrowest`] is split. Nothing here reads a
//! clock: what was measured for how long is in [`Loads`].

mod loads;

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thalweg_types::limits::SHARDS_PER_STREAM_MAX;
use thalweg_types::{ShardId, StreamName, UnixMillis};

use crate::{Catalog, Command, ReshardCause, ReshardKind, Rules, Shard, Stream, WriteRate, placement};

pub use loads::{Load, Loads};

/// Mean ranges that the narrowest range to be split is a part of: one this much narrower and still
/// hot is hot through a few keys, which no split spreads.
const NARROWER_THAN_MEAN_MAX: u128 = 16;
/// MiB a second for which one shard is counted when warm throughput is asked for.
const WARM_MIB_PER_SHARD: u32 = 1;

/// The numbers that the rule goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// What one shard is meant to take. Default: what Kinesis allows a shard, 1 MiB/s and 1,000 records/s.
    pub shard: WriteRate,
    /// Part of it from which a shard is hot, in percent. Default 50; more than `merge_percent`.
    pub split_percent: u64,
    /// Part of it below which two neighbours together are cold, in percent. Default 20.
    pub merge_percent: u64,
    /// How long a shard is hot before it is split. Default 3 min.
    pub split_after: Duration,
    /// How long two neighbours are cold before they are merged; also how long new shards are left
    /// alone. Default 30 min; at least `split_after`.
    pub merge_after: Duration,
    /// Open shards below which nothing is merged. Default 4, with which Kinesis starts.
    pub shards_min: u32,
    /// Reshards of one stream that run at the same time. Default 4.
    pub running_max: usize,
    /// Steps that the cluster begins within a minute. Default 30.
    pub steps_per_minute_max: usize,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            shard: WriteRate { bytes_per_s: 1024 * 1024, records_per_s: 1_000 },
            split_percent: 50,
            merge_percent: 20,
            split_after: Duration::from_secs(180),
            merge_after: Duration::from_secs(1_800),
            shards_min: 4,
            running_max: 4,
            steps_per_minute_max: 30,
        }
    }
}

impl Policy {
    /// Whether this rate makes a shard hot.
    pub fn is_hot(&self, rate: WriteRate) -> bool {
        rate.permille_of(self.shard) >= self.split_percent * 10
    }

    /// Whether this rate of two neighbours together makes them cold.
    pub fn is_cold(&self, rate: WriteRate) -> bool {
        rate.permille_of(self.shard) < self.merge_percent * 10
    }

    /// Open shards that a stream keeps whatever its traffic.
    pub fn floor(&self, stream: &Stream) -> u32 {
        self.shards_min.max(warm_shards(stream)).min(SHARDS_PER_STREAM_MAX)
    }

    /// Width, less one, of the narrowest range that is split in a stream with this traffic.
    pub fn narrowest(&self, stream: &Stream, traffic: WriteRate) -> u128 {
        let needed = traffic.permille_of(self.shard).div_ceil(self.split_percent.max(1) * 10);
        let needed = u128::from(needed).max(self.floor(stream).into());
        u128::MAX / (NARROWER_THAN_MEAN_MAX * needed)
    }
}

/// Why the cluster split or merged by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// The shard took this much for this long.
    Hot {
        /// Its rate when the step began.
        rate: WriteRate,
        /// How long it was hot, in milliseconds.
        held_ms: u64,
    },
    /// The neighbours together took no more than this for this long.
    Cold {
        /// The sum of their peaks.
        peak: WriteRate,
        /// How long that was watched, in milliseconds.
        held_ms: u64,
    },
    /// The stream is to be ready for this throughput.
    Warm {
        /// MiB a second.
        mibps: u32,
    },
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::Hot { rate, held_ms } => write!(f, "{rate} for {}", Span(*held_ms)),
            Why::Cold { peak, held_ms } => write!(f, "together at most {peak} for {}", Span(*held_ms)),
            Why::Warm { mibps } => write!(f, "warm throughput of {mibps} MiB/s"),
        }
    }
}

/// A span of time, roughly.
struct Span(u64);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 / 1000 {
            secs @ 0..100 => write!(f, "{secs} s"),
            secs @ 100..5_400 => write!(f, "{} min", secs / 60),
            secs => write!(f, "{} h", secs / 3_600),
        }
    }
}

/// A split or merge that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextStep {
    /// Whose shards.
    pub stream: StreamName,
    /// What becomes of which.
    pub kind: ReshardKind,
    /// Why.
    pub why: Why,
    /// How much it matters among others: splits by how hot the shard is, merges never before them.
    pub weight: u64,
}

impl NextStep {
    /// The command that begins it, placed by `catalog`. `seed` varies placement among equal choices.
    pub fn command(&self, catalog: &Catalog, seed: u64, now: UnixMillis) -> Command {
        let replication = catalog.stream(&self.stream).map_or(1, |stream| stream.replication);
        Command::PlanReshard {
            stream: self.stream.clone(),
            kind: self.kind,
            cause: ReshardCause::OnDemand(self.why),
            placement: placement::place(catalog, self.kind.child_count(), replication, seed),
            rules: Rules::Free,
            now,
        }
    }
}

/// What may begin now in all streams: at most one step a stream, those that matter most first,
/// as many as the budget of `loads` leaves. `at` is the time of the last look.
pub fn due(catalog: &Catalog, loads: &Loads, at: Duration, policy: &Policy) -> Vec<NextStep> {
    let mut steps: Vec<NextStep> =
        catalog.streams().filter_map(|stream| next_step(catalog, stream, loads, at, policy)).collect();
    steps.sort_by_key(|step| std::cmp::Reverse(step.weight));
    steps.truncate(policy.steps_per_minute_max.saturating_sub(loads.begun_within_a_minute(at)));
    // Steps that begin together share the room that the limit on shards leaves.
    let mut room = room(catalog);
    steps.retain(|step| match step.kind {
        ReshardKind::Merge { .. } => true,
        ReshardKind::Split { .. } => {
            let fits = room > 0;
            room = room.saturating_sub(1);
            fits
        }
    });
    steps
}

/// The one step that a stream needs most, if any: split what is hot, be ready for what was asked,
/// merge what is cold.
pub fn next_step(catalog: &Catalog, stream: &Stream, loads: &Loads, at: Duration, policy: &Policy) -> Option<NextStep> {
    let settled = stream.serves() && stream.scaling.is_none();
    if !settled || !stream.is_on_demand() || stream.reshards.len() >= policy.running_max {
        return None;
    }
    let watched = Watched { catalog, stream, loads, at, policy };
    let count = shards_to_be(catalog, stream);
    let may_split = count < SHARDS_PER_STREAM_MAX && room(catalog) > 0;
    let split = || watched.hottest().or_else(|| watched.widest().filter(|_| count < warm_shards(stream)));
    let merge = || watched.coldest().filter(|_| count > policy.floor(stream));
    let (kind, why, weight) = may_split.then(split).flatten().or_else(merge)?;
    Some(NextStep { stream: stream.name.clone(), kind, why, weight })
}

/// Open shards that warm throughput asks for; none unless it was set.
fn warm_shards(stream: &Stream) -> u32 {
    let mibps = stream.settings.warm_mibps.unwrap_or(0);
    mibps.div_ceil(WARM_MIB_PER_SHARD).min(SHARDS_PER_STREAM_MAX)
}

/// Open shards once all running reshards have ended.
fn shards_to_be(catalog: &Catalog, stream: &Stream) -> u32 {
    let running = stream.reshards.iter().filter_map(|id| catalog.reshard(*id));
    let change: i64 = running.map(|reshard| reshard.children.len() as i64 - reshard.parents.len() as i64).sum();
    stream.shards.open_count().saturating_add_signed(change as isize) as u32
}

/// Splits that the limit on all open shards still allows.
fn room(catalog: &Catalog) -> u32 {
    let splitting = catalog.reshards().filter(|reshard| matches!(reshard.kind, ReshardKind::Split { .. })).count();
    catalog.shard_limit().saturating_sub(catalog.open_shard_count()).saturating_sub(splitting as u32)
}

type Choice = (ReshardKind, Why, u64);

/// A stream and what is known of its traffic.
struct Watched<'a> {
    catalog: &'a Catalog,
    stream: &'a Stream,
    loads: &'a Loads,
    at: Duration,
    policy: &'a Policy,
}

impl Watched<'_> {
    fn is_idle(&self, shard: &Shard) -> bool {
        self.catalog.reshard_of(self.stream, shard.id).is_none()
    }

    fn load(&self, shard: &Shard) -> Option<&Load> {
        self.loads.of(shard.group)
    }

    /// The hottest shard that has been hot for long enough, cut in the middle.
    fn hottest(&self) -> Option<Choice> {
        let traffic = self.stream.open_shards().filter_map(|shard| self.load(shard));
        let traffic = traffic.fold(WriteRate::default(), |sum, load| sum.plus(load.rate()));
        let narrowest = self.policy.narrowest(self.stream, traffic);
        let hot = |shard: &Shard| {
            let load = self.load(shard)?;
            let held = load.hot_for(self.at).filter(|held| *held >= self.policy.split_after)?;
            let why = Why::Hot { rate: load.rate(), held_ms: held.as_millis() as u64 };
            Some((split(shard.id), why, 1 + load.rate().permille_of(self.policy.shard)))
        };
        let wide = |shard: &&Shard| shard.range.width_minus_one() >= narrowest.max(4) && self.is_idle(shard);
        self.stream.open_shards().filter(wide).filter_map(hot).max_by_key(|(_, _, weight)| *weight)
    }

    /// The shard with the most hash keys, cut in the middle.
    fn widest(&self) -> Option<Choice> {
        let mibps = self.stream.settings.warm_mibps?;
        let idle = self.stream.open_shards().filter(|shard| self.is_idle(shard));
        let widest = idle.max_by_key(|shard| shard.range.width_minus_one())?;
        Some((split(widest.id), Why::Warm { mibps }, 1))
    }

    /// The two neighbours that together were the coldest, if they were for long enough.
    fn coldest(&self) -> Option<Choice> {
        let open: Vec<&Shard> = self.stream.open_shards().collect();
        let pairs = open.windows(2).filter_map(|pair| {
            let [lower, upper] = pair else { return None };
            let peak = self.peak(lower)?.plus(self.peak(upper)?);
            self.policy.is_cold(peak).then_some((lower.id, upper.id, peak))
        });
        let (shard, adjacent, peak) = pairs.min_by_key(|(_, _, peak)| peak.permille_of(self.policy.shard))?;
        let held_ms = self.policy.merge_after.as_millis() as u64;
        Some((ReshardKind::Merge { shard, adjacent }, Why::Cold { peak, held_ms }, 0))
    }

    /// The peak of a shard that nothing changes and that was watched for long enough.
    fn peak(&self, shard: &Shard) -> Option<WriteRate> {
        if self.is_idle(shard) { self.load(shard)?.peak() } else { None }
    }
}

fn split(shard: ShardId) -> ReshardKind {
    ReshardKind::Split { shard, at: None }
}
