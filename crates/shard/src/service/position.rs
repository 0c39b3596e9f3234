//! Positions and pages as messages.

use thalweg_proto::convert;
use thalweg_proto::errors::{Reason, WireError};
use thalweg_proto::v1;
use thalweg_types::UnixMillis;

use crate::read::{Page, ReadBatch, StartPosition};
use crate::spec::ReplicaSpec;

/// The position that a message names.
pub(super) fn start_position(position: Option<&v1::Position>) -> Result<StartPosition, WireError> {
    use v1::position::At;
    let at = position.and_then(|position| position.at.as_ref());
    match at {
        Some(At::TrimHorizon(_)) => Ok(StartPosition::TrimHorizon),
        Some(At::Latest(_)) => Ok(StartPosition::Latest),
        Some(At::AtSequenceNumber(number)) => Ok(StartPosition::At(convert::sequence_number(number)?)),
        Some(At::AfterSequenceNumber(number)) => Ok(StartPosition::After(convert::sequence_number(number)?)),
        Some(At::AtTimestampMs(time)) => Ok(StartPosition::AtTime(UnixMillis(*time))),
        Some(At::AtIndex(index)) => Ok(StartPosition::AtIndex(*index)),
        None => Err(WireError::new(
            Reason::InvalidArgument,
            "`position` is missing: say trim_horizon, latest, a sequence number, a time or an index",
        )),
    }
}

/// The message for a page.
pub(super) fn to_response(page: Page, spec: &ReplicaSpec) -> v1::ReadResponse {
    v1::ReadResponse {
        batches: page.batches.into_iter().map(to_stored_batch).collect(),
        next_index: page.next.index,
        millis_behind_latest: page.millis_behind_latest,
        end: page.end.map(|children| v1::ShardEnd { child_shards: children.iter().map(|shard| shard.0).collect() }),
        shard_created_ms: spec.created.0,
    }
}

fn to_stored_batch(batch: ReadBatch) -> v1::StoredBatch {
    v1::StoredBatch {
        index: batch.facts.index,
        arrived_ms: batch.facts.arrived.0,
        skip_records: batch.skip_records,
        batch: batch.batch,
    }
}
