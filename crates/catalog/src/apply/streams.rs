//! Streams: creating, opening, deleting, retention, forgetting expired shards.

use std::collections::BTreeMap;
use std::sync::Arc;

use thalweg_types::limits::{
    RECORD_BYTES_MAX, REPLICATION_MAX, RETENTION_HOURS_MAX, RETENTION_HOURS_MIN, SHARDS_PER_STREAM_MAX,
};
use thalweg_types::{GroupId, HashRange, NodeId, ShardId, StreamId, StreamName, UnixMillis};

use super::{known_shard, wrong_status};
use crate::refusal::RECORD_BYTES_MAX_LEAST;
use crate::{
    Applied, Catalog, NewStream, Outcome, Refusal, RetentionChange, Shard, ShardState, Shards, Stream, StreamSettings,
    StreamStatus,
};

impl Catalog {
    pub(super) fn create_stream(&mut self, wanted: &NewStream, placement: &[Vec<NodeId>], now: UnixMillis) -> Outcome {
        if self.streams.get(&wanted.name).is_some() {
            return Err(Refusal::StreamExists { stream: wanted.name.clone() });
        }
        check_settings(wanted)?;
        self.check_new_mode(None, wanted.settings.mode)?;
        self.check_shard_limit(wanted.shard_count)?;
        self.check_placement(placement, wanted.shard_count as usize, wanted.replication)?;
        let id = self.next_stream;
        let stream = self.new_stream(id, wanted, placement, now);
        self.next_stream = StreamId(id.0 + 1);
        self.next_group = GroupId(self.next_group.0 + u64::from(wanted.shard_count));
        self.streams.insert(stream);
        Ok(Applied::StreamCreated { id })
    }

    fn new_stream(&self, id: StreamId, wanted: &NewStream, placement: &[Vec<NodeId>], now: UnixMillis) -> Stream {
        let ranges = HashRange::tile(wanted.shard_count).into_iter().zip(placement).enumerate();
        let shard = |(i, (range, members)): (usize, (HashRange, &Vec<NodeId>))| Shard {
            id: ShardId(i as u32),
            group: GroupId(self.next_group.0 + i as u64),
            range,
            parents: Vec::new(),
            state: ShardState::Opening,
            replicas: members.clone(),
            previous: Vec::new(),
            settled: true,
            placement: 0,
            initial_members: members.clone(),
            created_at: whole_second(now),
            opened_at: now,
        };
        let mut shards = Shards::default();
        shards.edit(|by_id| by_id.extend(ranges.map(shard).map(|shard| (shard.id, Arc::new(shard)))));
        Stream {
            id,
            name: wanted.name.clone(),
            status: StreamStatus::Creating,
            shards,
            next_shard: ShardId(wanted.shard_count),
            retention_hours: wanted.retention_hours,
            replication: wanted.replication,
            durability: wanted.durability,
            record_bytes_max: wanted.record_bytes_max,
            created_at: now,
            trimmed_until: UnixMillis(0),
            reshards: Vec::new(),
            scaling: None,
            settings: StreamSettings { mode_changes: Vec::new(), ..(*wanted.settings).clone() },
            consumers: BTreeMap::new(),
            scalings: Vec::new(),
        }
    }

    /// Whether `added` more open shards fit into the cluster.
    pub(super) fn check_shard_limit(&self, added: u32) -> Result<(), Refusal> {
        let (open, limit) = (self.open_shard_count(), self.shard_limit);
        if open.saturating_add(added) > limit { Err(Refusal::ShardLimit { open, limit, added }) } else { Ok(()) }
    }

    /// The stream, if it is still the incarnation that the proposer observed.
    fn observed_stream(&self, name: &StreamName, id: StreamId) -> Result<&Arc<Stream>, Refusal> {
        let stream = self.known_stream(name)?;
        if stream.id == id { Ok(stream) } else { Err(Refusal::StreamReplaced { stream: name.clone() }) }
    }

    pub(super) fn shards_opened(&mut self, name: &StreamName, id: StreamId) -> Outcome {
        let stream = self.observed_stream(name, id)?;
        match stream.status {
            StreamStatus::Creating => {}
            StreamStatus::Active | StreamStatus::Updating => return Ok(Applied::Unchanged),
            StreamStatus::Deleting => return Err(wrong_status(stream, "CREATING")),
        }
        let stream = self.stream_mut(name)?;
        stream.shards.edit(|by_id| {
            for shard in by_id.values_mut() {
                Arc::make_mut(shard).state = ShardState::Open;
            }
        });
        stream.status = StreamStatus::Active;
        Ok(Applied::Changed)
    }

    pub(super) fn delete_stream(&mut self, name: &StreamName, with_consumers: bool) -> Outcome {
        let stream = self.known_stream(name)?;
        if stream.status == StreamStatus::Deleting {
            return Ok(Applied::Unchanged);
        }
        let consumers = stream.consumers.len();
        if consumers > 0 && !with_consumers {
            return Err(Refusal::StreamHasConsumers { stream: name.clone(), consumers });
        }
        self.retire_consumers(name)?;
        let stream = self.stream_mut(name)?;
        stream.status = StreamStatus::Deleting;
        stream.scaling = None;
        let ended = std::mem::take(&mut stream.reshards);
        self.reshards.retain(|id, _| !ended.contains(id));
        Ok(Applied::Changed)
    }

    pub(super) fn finish_delete(&mut self, name: &StreamName, id: StreamId) -> Outcome {
        let stream = self.observed_stream(name, id)?;
        if stream.status != StreamStatus::Deleting {
            return Err(wrong_status(stream, "DELETING"));
        }
        self.streams.remove(name);
        Ok(Applied::Changed)
    }

    pub(super) fn set_retention(
        &mut self,
        name: &StreamName,
        hours: u32,
        change: RetentionChange,
        now: UnixMillis,
    ) -> Outcome {
        check_retention(hours)?;
        let stream = self.serving_stream(name)?;
        let current = stream.retention_hours;
        match change {
            _ if hours == current => return Ok(Applied::Unchanged),
            RetentionChange::Increase if hours < current => return Err(Refusal::RetentionWouldFall { hours, current }),
            RetentionChange::Decrease if hours > current => return Err(Refusal::RetentionWouldRise { hours, current }),
            _ => {}
        }
        // What has expired until now stays gone, however long records are kept from here on.
        let expired_until = stream.expired_until(now);
        let stream = self.stream_mut(name)?;
        stream.trimmed_until = expired_until;
        stream.retention_hours = hours;
        Ok(Applied::Changed)
    }

    pub(super) fn expire_shards(&mut self, name: &StreamName, shards: &[ShardId], now: UnixMillis) -> Outcome {
        let stream = self.serving_stream(name)?;
        let horizon = stream.trim_horizon(now);
        let mut trimmed_until = stream.trimmed_until;
        let forgotten = |id: ShardId| id < stream.next_shard && stream.shards.get(id).is_none();
        let known: Vec<ShardId> = shards.iter().copied().filter(|id| !forgotten(*id)).collect();
        for &id in &known {
            let expired = known_shard(stream, id)?.closed_at().filter(|closed| *closed <= horizon);
            let refusal = || Refusal::ShardNotExpired { stream: name.clone(), shard: id };
            trimmed_until = trimmed_until.max(expired.ok_or_else(refusal)?);
        }
        if known.is_empty() {
            return Ok(Applied::Unchanged);
        }
        let stream = self.stream_mut(name)?;
        stream.trimmed_until = trimmed_until;
        stream.shards.edit(|by_id| by_id.retain(|id, _| !known.contains(id)));
        Ok(Applied::Changed)
    }
}

/// The whole second that `time` lies in: sequence numbers carry no finer creation time.
pub(super) fn whole_second(time: UnixMillis) -> UnixMillis {
    UnixMillis(time.secs() * 1000)
}

fn check_settings(wanted: &NewStream) -> Result<(), Refusal> {
    if !(1..=SHARDS_PER_STREAM_MAX).contains(&wanted.shard_count) {
        return Err(Refusal::ShardCount { given: wanted.shard_count });
    }
    if !(1..=REPLICATION_MAX).contains(&wanted.replication) {
        return Err(Refusal::Replication { given: wanted.replication });
    }
    check_record_bytes_max(wanted.record_bytes_max)?;
    wanted.settings.check()?;
    check_retention(wanted.retention_hours)
}

/// Whether a stream may set this bound on the size of a record.
pub(super) fn check_record_bytes_max(given: u32) -> Result<(), Refusal> {
    let allowed = RECORD_BYTES_MAX_LEAST..=RECORD_BYTES_MAX as u32;
    if allowed.contains(&given) { Ok(()) } else { Err(Refusal::RecordBytesMax { given }) }
}

fn check_retention(hours: u32) -> Result<(), Refusal> {
    match hours {
        ..RETENTION_HOURS_MIN => Err(Refusal::RetentionTooShort { hours }),
        RETENTION_HOURS_MIN..=RETENTION_HOURS_MAX => Ok(()),
        _ => Err(Refusal::RetentionTooLong { hours }),
    }
}
