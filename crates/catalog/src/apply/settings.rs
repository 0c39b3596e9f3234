//! Changing what is set about a stream: its settings and its tags.

use std::collections::{BTreeMap, BTreeSet};

use thalweg_types::{StreamName, UnixMillis};

use super::streams::check_record_bytes_max;
use crate::settings::{MODE_CHANGES_PER_DAY_MAX, within_day};
use crate::{Applied, Catalog, Outcome, Refusal, Rules, Stream, StreamMode, StreamPatch, StreamSettings, tags};

impl Catalog {
    pub(super) fn update_stream(
        &mut self,
        name: &StreamName,
        patch: &StreamPatch,
        rules: Rules,
        now: UnixMillis,
    ) -> Outcome {
        let stream = self.serving_stream(name)?;
        let record_bytes_max = patch.record_bytes_max.unwrap_or(stream.record_bytes_max);
        check_record_bytes_max(record_bytes_max)?;
        let settings = patch.applied_to(&stream.settings, now);
        settings.check()?;
        self.check_new_mode(Some(stream), settings.mode)?;
        if rules == Rules::Kinesis {
            self.check_service_rules(stream, patch, &settings, now)?;
        }
        if stream.settings == settings && stream.record_bytes_max == record_bytes_max {
            return Ok(Applied::Unchanged);
        }
        let stream = self.stream_mut(name)?;
        stream.settings = settings;
        stream.record_bytes_max = record_bytes_max;
        Ok(Applied::Changed)
    }

    pub(super) fn tag_stream(
        &mut self,
        name: &StreamName,
        set: &BTreeMap<String, String>,
        remove: &BTreeSet<String>,
    ) -> Outcome {
        let stream = self.serving_stream(name)?;
        let tags = tags::changed(&stream.settings.tags, set, remove)?;
        if stream.settings.tags == tags {
            return Ok(Applied::Unchanged);
        }
        self.stream_mut(name)?.settings.tags = tags;
        Ok(Applied::Changed)
    }

    /// Whether a stream may be in `mode`, given what it is before.
    pub(super) fn check_new_mode(&self, before: Option<&Stream>, mode: StreamMode) -> Result<(), Refusal> {
        let becomes_on_demand = mode == StreamMode::OnDemand && !before.is_some_and(Stream::is_on_demand);
        let (count, limit) = (self.on_demand_stream_count(), self.account.on_demand_streams_max);
        if becomes_on_demand && count >= limit { Err(Refusal::OnDemandStreams { count, limit }) } else { Ok(()) }
    }

    /// What only the service forbids.
    fn check_service_rules(
        &self,
        stream: &Stream,
        patch: &StreamPatch,
        wanted: &StreamSettings,
        now: UnixMillis,
    ) -> Result<(), Refusal> {
        let changes_mode = wanted.mode != stream.settings.mode;
        if changes_mode && within_day(&stream.settings.mode_changes, now) >= MODE_CHANGES_PER_DAY_MAX {
            return Err(Refusal::ModeChanges { stream: stream.name.clone() });
        }
        let sets_warm = matches!(patch.warm_mibps, crate::Edit::Set(_));
        if sets_warm && !self.account.commitment.is_enabled(now) {
            return Err(Refusal::WarmThroughputCommitment);
        }
        Ok(())
    }
}
