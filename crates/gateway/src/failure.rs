//! The one mapping from the cluster's errors to the errors of the API.
//!
//! Holds: an error that may pass by itself becomes one that SDKs retry (500 or a throttle), and
//! nothing else does.

use thalweg_catalog::{Refusal, RefusalKind, Stream};
use thalweg_client::{CallError, ProduceError, ReadError, Reason, RoutingError, TailError};
use thalweg_kinesis::texts::{self, ShardDemand};
use thalweg_kinesis::{ApiError, ErrorKind};
use thalweg_types::HashRange;

use crate::call::Call;

/// Tags on one thing at most.
const TAGS_MAX: u64 = 50;

/// Why a change was not made, or perhaps made.
pub(crate) fn of_call(call: &Call, error: &CallError) -> ApiError {
    if let Some(refusal) = error.refusal() {
        return of_refusal(call, &refusal);
    }
    let kind = error.reason().map_or(ErrorKind::InternalFailure, kind_of);
    ApiError::new(kind, error.to_string())
}

/// Refusals for which the service has words of its own.
fn of_refusal(call: &Call, refusal: &Refusal) -> ApiError {
    let account = &*call.account;
    match refusal {
        Refusal::StreamExists { stream } => texts::stream_exists(stream, account),
        Refusal::StreamUnknown { stream } | Refusal::StreamReplaced { stream } => {
            texts::stream_not_found(stream, account)
        }
        Refusal::StreamIncarnation { stream, .. } => texts::stream_not_found(stream, account),
        Refusal::StreamStatus { stream, status, .. } => texts::stream_not_active(stream, account, status.as_str()),
        Refusal::ShardBusy { stream, .. }
        | Refusal::ShardOpening { stream, .. }
        | Refusal::ScalingRuns { stream, .. } => texts::stream_not_active(stream, account, "UPDATING"),
        Refusal::ShardUnknown { stream, shard } => texts::shard_not_named(shard, stream, account),
        Refusal::ShardClosed { stream, shard } => texts::shard_closed(*shard, stream, account),
        Refusal::ShardLimit { open, limit, added } => {
            let demand = ShardDemand { current: (*open).into(), limit: (*limit).into(), additional: (*added).into() };
            texts::shard_limit(account, &call.region, demand)
        }
        Refusal::RetentionTooShort { hours } => texts::retention_too_short((*hours).into()),
        Refusal::RetentionTooLong { hours } => texts::retention_too_long((*hours).into()),
        Refusal::ScalingBounds { open, target, .. } if target > open => {
            texts::scale_up_too_far((*open).into(), (*target).into())
        }
        Refusal::ScalingBounds { open, target, .. } => texts::scale_down_too_far((*open).into(), (*target).into()),
        Refusal::TagKey { .. } | Refusal::TagValue { .. } => texts::tag_characters(),
        other => ApiError::new(kind_of_refusal(other.kind()), other.to_string()),
    }
}

fn kind_of_refusal(kind: RefusalKind) -> ErrorKind {
    match kind {
        RefusalKind::NotFound => ErrorKind::ResourceNotFound,
        RefusalKind::InUse => ErrorKind::ResourceInUse,
        RefusalKind::Invalid => ErrorKind::InvalidArgument,
        RefusalKind::LimitExceeded => ErrorKind::LimitExceeded,
        RefusalKind::Overtaken => ErrorKind::InternalFailure,
    }
}

/// As [`of_call`], for refusals whose words name a stream and shards that only the caller knows.
pub(crate) fn of_reshard(call: &Call, stream: &Stream, error: &CallError) -> ApiError {
    match error.refusal() {
        Some(Refusal::SplitPoint { shard, at, low, high }) => match HashRange::new(low, high) {
            Some(range) => texts::split_key_outside(shard, &stream.name, &call.account, at.0, range),
            None => of_call(call, error),
        },
        Some(Refusal::NotAdjacent { shard, adjacent, .. }) => {
            texts::shards_not_adjacent(shard, adjacent, &stream.name, &call.account)
        }
        _ => of_call(call, error),
    }
}

/// As [`of_call`], for a change of the retention.
pub(crate) fn of_retention(call: &Call, stream: &Stream, error: &CallError) -> ApiError {
    match error.refusal() {
        Some(Refusal::RetentionWouldFall { hours, current }) => {
            texts::retention_not_increased(&stream.name, hours.into(), current.into())
        }
        Some(Refusal::RetentionWouldRise { hours, current }) => {
            texts::retention_not_decreased(&stream.name, hours.into(), current.into())
        }
        _ => of_call(call, error),
    }
}

/// As [`of_call`], for tags of a stream.
pub(crate) fn of_tags(call: &Call, stream: &Stream, error: &CallError) -> ApiError {
    match error.refusal() {
        Some(Refusal::TooManyTags { .. }) => texts::too_many_tags(&stream.name, &call.account, TAGS_MAX),
        _ => of_call(call, error),
    }
}

/// The class of a reason that needs no wording of its own.
fn kind_of(reason: Reason) -> ErrorKind {
    match reason {
        Reason::InvalidArgument | Reason::CorruptBatch => ErrorKind::InvalidArgument,
        Reason::StreamNotFound | Reason::ShardNotFound | Reason::NodeNotFound => ErrorKind::ResourceNotFound,
        Reason::AlreadyExists | Reason::InUse => ErrorKind::ResourceInUse,
        Reason::LimitExceeded => ErrorKind::LimitExceeded,
        Reason::Throttled => ErrorKind::ProvisionedThroughputExceeded,
        _ => ErrorKind::InternalFailure,
    }
}

/// Why a record was not written, or perhaps written.
pub(crate) fn of_produce(call: &Call, stream: &Stream, error: &ProduceError) -> ApiError {
    match error {
        ProduceError::StreamNotFound { .. } => texts::stream_not_found(&stream.name, &call.account),
        ProduceError::Refused(refused) if refused.reason == Reason::Throttled => {
            ApiError::new(ErrorKind::ProvisionedThroughputExceeded, refused.message.clone())
        }
        ProduceError::Full { .. } => {
            let text =
                format!("More records of stream {} are under way than this node can hold. Slow down.", stream.name);
            ApiError::new(ErrorKind::ProvisionedThroughputExceeded, text)
        }
        other => ApiError::new(ErrorKind::InternalFailure, other.to_string()),
    }
}

/// Why a shard is not followed any more.
pub(crate) fn of_tail(account: &str, stream: &Stream, error: &TailError) -> ApiError {
    match error {
        TailError::Routing(RoutingError::StreamNotFound { .. }) => texts::stream_not_found(&stream.name, account),
        TailError::ShardNotFound { shard } => texts::shard_not_found(*shard, &stream.name, account),
        TailError::AlreadySubscribed { error, .. } | TailError::TakenOver { error, .. } => {
            ApiError::new(ErrorKind::ResourceInUse, error.message.clone())
        }
        TailError::LimitExceeded { error, .. } => ApiError::new(ErrorKind::LimitExceeded, error.message.clone()),
        TailError::Refused { error, .. } => ApiError::new(kind_of(error.reason), error.message.clone()),
        other => ApiError::new(ErrorKind::InternalFailure, other.to_string()),
    }
}

/// Why a shard was not read.
pub(crate) fn of_read(call: &Call, stream: &Stream, error: &ReadError) -> ApiError {
    match error {
        ReadError::Routing(RoutingError::StreamNotFound { .. }) => texts::stream_not_found(&stream.name, &call.account),
        ReadError::Refused { error, .. } => ApiError::new(kind_of(error.reason), error.message.clone()),
        other => ApiError::new(ErrorKind::InternalFailure, other.to_string()),
    }
}
