//! Beginning and ending a change of the shard count. Its steps are planned by [`crate::scale`].

use thalweg_types::limits::SHARDS_PER_STREAM_MAX;
use thalweg_types::{StreamName, UnixMillis};

use crate::{Applied, Catalog, Outcome, Refusal, Scaling, Stream, scale};

impl Catalog {
    pub(super) fn start_scaling(&mut self, name: &StreamName, target: u32, now: UnixMillis) -> Outcome {
        if !(1..=SHARDS_PER_STREAM_MAX).contains(&target) {
            return Err(Refusal::ShardCount { given: target });
        }
        let stream = self.known_stream(name)?;
        if let Some(Scaling { target, .. }) = stream.scaling {
            return Err(Refusal::ScalingRuns { stream: name.clone(), target });
        }
        let stream = self.active_stream(name)?;
        let from = stream.shards.open_count() as u32;
        if scale::is_complete(stream, target) {
            return Ok(Applied::Unchanged);
        }
        self.check_shard_limit(target.saturating_sub(from))?;
        let stream = self.stream_mut(name)?;
        stream.scaling = Some(Scaling { target, from, started_at: now });
        stream.refresh_status();
        Ok(Applied::Changed)
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

impl Stream {
    /// Ends the scaling with the step that completed it, so that clients see Active at once.
    pub(super) fn end_scaling_if_complete(&mut self) {
        let complete = |scaling: &Scaling| self.reshards.is_empty() && scale::is_complete(self, scaling.target);
        if self.scaling.as_ref().is_some_and(complete) {
            self.scaling = None;
        }
    }
}
