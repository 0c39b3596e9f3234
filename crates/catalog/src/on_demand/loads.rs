//! What has been measured of the shards of on-demand streams, and for how long it has held.
//!
//! Soft state of whoever leads the controller: a new leader watches afresh, which can only delay
//! a step. Times are those of one monotonic clock, given from outside.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use thalweg_types::GroupId;

use super::{NextStep, Policy};
use crate::{Catalog, Observations, WriteRate};

const MINUTE: Duration = Duration::from_secs(60);

/// The loads of all watched shards, and the steps that began lately.
#[derive(Clone, Debug, Default)]
pub struct Loads {
    by_group: BTreeMap<GroupId, Load>,
    begun: VecDeque<Duration>,
}

/// What has been measured of one shard.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    rate: WriteRate,
    hot_since: Option<Duration>,
    /// When the window began whose peak is being taken.
    window_since: Duration,
    window_peak: WriteRate,
    /// The peak of the window before, once there was one.
    peak_before: Option<WriteRate>,
}

impl Load {
    fn first(rate: WriteRate, at: Duration, policy: &Policy) -> Load {
        let hot_since = policy.is_hot(rate).then_some(at);
        Load { rate, hot_since, window_since: at, window_peak: rate, peak_before: None }
    }

    fn then(self, rate: WriteRate, at: Duration, policy: &Policy) -> Load {
        let hot_since = policy.is_hot(rate).then_some(self.hot_since.unwrap_or(at));
        let over = at.saturating_sub(self.window_since) >= policy.merge_after;
        if over {
            let peak_before = Some(self.window_peak.max(rate));
            return Load { rate, hot_since, window_since: at, window_peak: rate, peak_before };
        }
        Load { rate, hot_since, window_peak: self.window_peak.max(rate), ..self }
    }

    /// The newest rate.
    pub fn rate(&self) -> WriteRate {
        self.rate
    }

    /// How long it has been hot without a break; nothing unless it is.
    pub fn hot_for(&self, at: Duration) -> Option<Duration> {
        self.hot_since.map(|since| at.saturating_sub(since))
    }

    /// The most it took, in each respect, within the last one to two times `merge_after`; nothing
    /// before it has been watched for that long.
    pub fn peak(&self) -> Option<WriteRate> {
        self.peak_before.map(|before| before.max(self.window_peak))
    }
}

impl Loads {
    /// Takes what is observed now of the open shards of on-demand streams; forgets all others. A
    /// shard whose leader says nothing stays as it was.
    pub fn look(&mut self, catalog: &Catalog, observed: &Observations, at: Duration, policy: &Policy) {
        let streams = catalog.streams().filter(|stream| stream.is_on_demand());
        let groups: BTreeSet<GroupId> =
            streams.flat_map(|stream| stream.open_shards()).map(|shard| shard.group).collect();
        self.by_group.retain(|group, _| groups.contains(group));
        for group in groups {
            if let Some(rate) = observed.get(&group).and_then(|seen| seen.write) {
                let next = match self.by_group.get(&group) {
                    Some(load) => load.then(rate, at, policy),
                    None => Load::first(rate, at, policy),
                };
                self.by_group.insert(group, next);
            }
        }
    }

    /// Notes that a step is being begun: it counts against the budget, and its shards are watched
    /// afresh, so that one that comes to nothing is not tried again at once.
    pub fn begin(&mut self, catalog: &Catalog, step: &NextStep, at: Duration) {
        self.begun.push_back(at);
        while self.begun.front().is_some_and(|begun| at.saturating_sub(*begun) >= MINUTE) {
            self.begun.pop_front();
        }
        for shard in step.kind.parents() {
            if let Some(shard) = catalog.shard(&step.stream, shard) {
                self.by_group.remove(&shard.group);
            }
        }
    }

    /// What is known of a shard.
    pub fn of(&self, group: GroupId) -> Option<&Load> {
        self.by_group.get(&group)
    }

    pub(super) fn begun_within_a_minute(&self, at: Duration) -> usize {
        self.begun.iter().filter(|begun| at.saturating_sub(**begun) < MINUTE).count()
    }
}
