//! What may be set about a stream beyond its shards: mode, tags, limits, policy and the like.
//!
//! [`StreamSettings`] is what is in force, [`StreamPatch`] a wish to change some of it. The rules
//! are here as pure checks; who may ask when is judged in [`crate::apply`].
//!
//! Holds of settings in the catalog: each part keeps its own bound, and warm throughput and record
//! placement by the service stand only on on-demand streams.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use thalweg_types::UnixMillis;

use crate::{LimitsProfile, Refusal, ShardMetric, tags};

/// Characters in the name of an encryption key at most.
pub const ENCRYPTION_KEY_CHARS_MAX: usize = 2_048;
/// Bytes of a resource policy at most.
pub const POLICY_BYTES_MAX: usize = 20 * 1024;
/// Warm throughput that may be asked of a stream, in MiB a second: 10 GiB a second.
pub const WARM_MIBPS_MAX: u32 = 10_240;
/// How long a change counts where the service allows only so many a day.
pub const RULE_DAY_MS: u64 = 24 * 3_600_000;
/// Changes of mode that the service allows a stream within 24 hours.
pub const MODE_CHANGES_PER_DAY_MAX: usize = 2;

/// What is set about a stream beyond its shards.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StreamSettings {
    /// Who decides on the number of shards.
    pub mode: StreamMode,
    /// The user's own labels; at most 50.
    pub tags: BTreeMap<String, String>,
    /// Name of the key with which the stream says it is encrypted; recorded, not used.
    pub encryption_key: Option<String>,
    /// Shard-level metrics that were asked for.
    pub monitoring: BTreeSet<ShardMetric>,
    /// Write throughput for which an on-demand stream is to be ready, in MiB a second.
    pub warm_mibps: Option<u32>,
    /// Who chooses the shard of a record.
    pub distribution: Distribution,
    /// Resource policy, as its writer gave it.
    pub policy: Option<String>,
    /// What each shard may take and give.
    pub limits: LimitsProfile,
    /// When the mode was last changed, rising; at most as many as the service counts in a day.
    pub mode_changes: Vec<UnixMillis>,
}

/// Who decides on the number of a stream's shards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamMode {
    /// The user.
    #[default]
    Provisioned,
    /// The cluster, by the traffic it sees.
    OnDemand,
}

/// Who chooses the shard of a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Distribution {
    /// The writer, by the record's partition key or explicit hash key.
    #[default]
    UserPartitionKey,
    /// The service, evenly; keys are kept but place nothing. Only for on-demand streams.
    Auto,
}

/// Whether a request is also bound by the rules that Kinesis sets for billing and protection.
///
/// The native API is free; the Kinesis front asks for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rules {
    /// Only what keeps the cluster whole.
    #[default]
    Free,
    /// Also the service's own: scaling between half and double, ten times a day; two changes of
    /// mode a day; no reshards of on-demand streams by users; warm throughput only with the
    /// account's commitment.
    Kinesis,
}

/// What becomes of a value that may be absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Edit<T> {
    /// It stays.
    #[default]
    Keep,
    /// There is none from now on.
    Clear,
    /// It is this from now on.
    Set(T),
}

impl<T: Clone> Edit<T> {
    /// What is in force after the edit.
    pub fn applied_to(&self, current: &Option<T>) -> Option<T> {
        match self {
            Edit::Keep => current.clone(),
            Edit::Clear => None,
            Edit::Set(value) => Some(value.clone()),
        }
    }
}

/// A wish to change some settings; what is not named stays. Tags have their own command.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StreamPatch {
    /// Another mode. Away from on-demand it also clears the warm throughput.
    pub mode: Option<StreamMode>,
    /// Another encryption key, or none.
    pub encryption_key: Edit<String>,
    /// Shard-level metrics to add.
    pub enable_metrics: BTreeSet<ShardMetric>,
    /// Shard-level metrics to remove, after the others were added.
    pub disable_metrics: BTreeSet<ShardMetric>,
    /// Another warm throughput, or none.
    pub warm_mibps: Edit<u32>,
    /// Another way to place records.
    pub distribution: Option<Distribution>,
    /// Another resource policy, or none.
    pub policy: Edit<String>,
    /// Other limits of each shard.
    pub limits: Option<LimitsProfile>,
    /// Another bound on the size of a record, data and partition key together.
    pub record_bytes_max: Option<u32>,
}

impl StreamPatch {
    /// The settings after the change, made at `now`; not checked yet.
    pub(crate) fn applied_to(&self, current: &StreamSettings, now: UnixMillis) -> StreamSettings {
        let mut next = current.clone();
        next.mode = self.mode.unwrap_or(current.mode);
        if next.mode != current.mode {
            note_within_day(&mut next.mode_changes, now, MODE_CHANGES_PER_DAY_MAX);
            // What an on-demand stream is to be ready for means nothing once shards are chosen.
            next.warm_mibps = next.warm_mibps.filter(|_| next.mode == StreamMode::OnDemand);
        }
        next.encryption_key = self.encryption_key.applied_to(&current.encryption_key);
        next.monitoring.extend(&self.enable_metrics);
        next.monitoring.retain(|metric| !self.disable_metrics.contains(metric));
        next.warm_mibps = self.warm_mibps.applied_to(&next.warm_mibps);
        next.distribution = self.distribution.unwrap_or(current.distribution);
        next.policy = self.policy.applied_to(&current.policy);
        next.limits = self.limits.unwrap_or(current.limits);
        next
    }
}

impl StreamSettings {
    /// Whether each part is within its bounds and the parts go together.
    pub fn check(&self) -> Result<(), Refusal> {
        tags::check(&self.tags)?;
        check_encryption_key(self.encryption_key.as_deref())?;
        check_policy(self.policy.as_deref())?;
        self.limits.check()?;
        let on_demand = self.mode == StreamMode::OnDemand;
        match self.warm_mibps {
            Some(given) if given > WARM_MIBPS_MAX => return Err(Refusal::WarmThroughput { given }),
            Some(_) if !on_demand => return Err(Refusal::WarmThroughputMode),
            _ => {}
        }
        if self.distribution == Distribution::Auto && !on_demand { Err(Refusal::DistributionMode) } else { Ok(()) }
    }
}

fn check_encryption_key(key: Option<&str>) -> Result<(), Refusal> {
    let chars = key.map_or(1, |key| key.chars().count());
    if (1..=ENCRYPTION_KEY_CHARS_MAX).contains(&chars) { Ok(()) } else { Err(Refusal::EncryptionKey { chars }) }
}

/// Whether a policy is there and not too long; what it says is judged by who obeys it.
pub(crate) fn check_policy(policy: Option<&str>) -> Result<(), Refusal> {
    let bytes = policy.map_or(1, str::len);
    if (1..=POLICY_BYTES_MAX).contains(&bytes) { Ok(()) } else { Err(Refusal::Policy { bytes }) }
}

/// How many of these times lie within the 24 hours before `now`, or after it.
pub(crate) fn within_day(times: &[UnixMillis], now: UnixMillis) -> usize {
    times.iter().filter(|time| time.0.saturating_add(RULE_DAY_MS) > now.0).count()
}

/// Adds `now`, and forgets what no rule can count any more. Keeps the times rising.
pub(crate) fn note_within_day(times: &mut Vec<UnixMillis>, now: UnixMillis, counted_max: usize) {
    let last = times.last().copied().unwrap_or_default();
    times.push(now.max(last));
    times.retain(|time| time.0.saturating_add(RULE_DAY_MS) > now.0);
    let surplus = times.len().saturating_sub(counted_max);
    times.drain(..surplus);
}
