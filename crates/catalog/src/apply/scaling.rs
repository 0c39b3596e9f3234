//! Beginning and ending a change of the shard count. Its steps are planned by [`crate::scale`].

use thalweg_types::limits::SHARDS_PER_STREAM_MAX;
use thalweg_types::{StreamName, UnixMillis};

use crate::settings::{note_within_day, within_day};
use crate::{Applied, Catalog, Outcome, Refusal, Rules, Scaling, Stream, scale};

/// Changes of the shard count that the service allows a stream within 24 hours.
const SCALINGS_PER_DAY_MAX: usize = 10;

impl Catalog {
    pub(super) fn start_scaling(&mut self, name: &StreamName, target: u32, rules: Rules, now: UnixMillis) -> Outcome {
        if !(1..=SHARDS_PER_STREAM_MAX).contains(&target) {
            return Err(Refusal::ShardCount { given: target });
        }
        let stream = self.known_stream(name)?;
        if let Some(Scaling { target, .. }) = stream.scaling {
            return Err(Refusal::ScalingRuns { stream: name.clone(), target });
        }
        let stream = self.active_stream(name)?;
        let from = stream.shards.open_count() as u32;
        self.check_reshard_rules(name, rules)?;
        if rules == Rules::Kinesis {
            check_service_bounds(stream, from, target)?;
        }
        if scale::is_complete(stream, target) {
            return Ok(Applied::Unchanged);
        }
        if rules == Rules::Kinesis {
            check_scalings_per_day(stream, now)?;
        }
        self.check_shard_limit(target.saturating_sub(from))?;
        let stream = self.stream_mut(name)?;
        note_within_day(&mut stream.scalings, now, SCALINGS_PER_DAY_MAX);
        stream.scaling = Some(Scaling { target, from, started_at: now });
        stream.refresh_status();
        Ok(Applied::Changed)
    }

    /// Whether a user may change the shards of this stream.
    pub(super) fn check_reshard_rules(&self, name: &StreamName, rules: Rules) -> Result<(), Refusal> {
        let service_alone = rules == Rules::Kinesis && self.known_stream(name)?.is_on_demand();
        if service_alone { Err(Refusal::OnDemandReshard { stream: name.clone() }) } else { Ok(()) }
    }

    pub(super) fn end_scaling(&mut self, name: &StreamName) -> Outcome {
        let stream = self.stream_mut(name)?;
        if stream.scaling.take().is_none() {
            return Err(Refusal::NoScaling { stream: name.clone() });
        }
        stream.refresh_status();
        Ok(Applied::Changed)
    }
}

fn check_service_bounds(stream: &Stream, open: u32, target: u32) -> Result<(), Refusal> {
    let bounds = scale::service_bounds(open);
    if bounds.contains(&target) {
        return Ok(());
    }
    let (least, most) = bounds.into_inner();
    Err(Refusal::ScalingBounds { stream: stream.name.clone(), open, target, least, most })
}

fn check_scalings_per_day(stream: &Stream, now: UnixMillis) -> Result<(), Refusal> {
    let count = within_day(&stream.scalings, now);
    let refusal = || Refusal::ScalingsPerDay { stream: stream.name.clone(), count };
    if count < SCALINGS_PER_DAY_MAX { Ok(()) } else { Err(refusal()) }
}

impl Stream {
    /// Ends the scaling with the step that completed it, so that clients see Active at once.
    pub(super) fn end_scaling_if_complete(&mut self) {
        let complete = |scaling: &Scaling| self.reshards.is_empty() && scale::is_complete(self, scaling.target);
        if self.scaling.as_ref().is_some_and(complete) {
            self.scaling = None;
        }
    }
}
