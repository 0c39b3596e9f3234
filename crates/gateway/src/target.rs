//! Which stream, shard or consumer a request names.

use std::sync::Arc;

use thalweg_catalog::{Shard, Stream};
use thalweg_kinesis::arn::{ArnError, StreamArn};
use thalweg_kinesis::{ApiError, ErrorKind, Struct, texts};
use thalweg_types::{ShardId, StreamName};

use crate::Gateway;
use crate::call::Call;

/// The name of the stream that `StreamName` or `StreamARN` names.
pub(crate) fn stream_name(call: &Call, input: &Struct) -> Result<StreamName, ApiError> {
    let by_arn = input.text("StreamARN").map(|arn| name_in(call, arn)).transpose()?;
    let by_name = input.text("StreamName").map(parsed).transpose()?;
    let name = match (by_name, by_arn) {
        (Some(name), Some(other)) if name != other => {
            let text = format!("StreamName {name} and StreamARN, which names {other}, do not agree; give one of them");
            return Err(ApiError::new(ErrorKind::InvalidArgument, text));
        }
        (Some(name), _) | (None, Some(name)) => name,
        (None, None) => {
            return Err(ApiError::new(ErrorKind::InvalidArgument, "Either StreamName or StreamARN must be provided."));
        }
    };
    Ok(name)
}

fn parsed(name: &str) -> Result<StreamName, ApiError> {
    name.parse().map_err(|error| ApiError::new(ErrorKind::InvalidArgument, format!("{error}")))
}

/// The stream that an ARN of this account names.
pub(crate) fn name_in(call: &Call, arn: &str) -> Result<StreamName, ApiError> {
    let arn: StreamArn = arn.parse().map_err(bad_arn)?;
    owned(call, &arn)?;
    Ok(arn.stream)
}

/// A text that is no ARN of what it has to name.
pub(crate) fn bad_arn(error: ArnError) -> ApiError {
    ApiError::new(ErrorKind::Validation, error.to_string())
}

/// Of other accounts nothing is known here.
pub(crate) fn owned(call: &Call, arn: &StreamArn) -> Result<(), ApiError> {
    match arn.account == *call.account {
        true => Ok(()),
        false => Err(texts::stream_not_found(&arn.stream, &arn.account)),
    }
}

/// A stream by name, whatever its status.
pub(crate) fn stream_named(gateway: &Gateway, call: &Call, name: &StreamName) -> Result<Arc<Stream>, ApiError> {
    let found = gateway.catalog().stream(name).cloned();
    found.ok_or_else(|| texts::stream_not_found(name, &call.account))
}

/// A `StreamCreationTimestamp` beside the name means one incarnation of it.
pub(crate) fn check_created(call: &Call, stream: &Stream, input: &Struct) -> Result<(), ApiError> {
    match input.time("StreamCreationTimestamp") {
        Some(created) if created.secs() != stream.created_at.secs() => {
            Err(texts::stream_not_found(&stream.name, &call.account))
        }
        _ => Ok(()),
    }
}

/// The stream that a request names, whatever its status.
pub(crate) fn stream(gateway: &Gateway, call: &Call, input: &Struct) -> Result<Arc<Stream>, ApiError> {
    stream_named(gateway, call, &stream_name(call, input)?)
}

/// As [`stream`], but only one that records can be written to and read from.
pub(crate) fn serving_stream(gateway: &Gateway, call: &Call, input: &Struct) -> Result<Arc<Stream>, ApiError> {
    let stream = stream(gateway, call, input)?;
    match stream.serves() {
        true => Ok(stream),
        false => Err(texts::stream_not_found(&stream.name, &call.account)),
    }
}

/// As [`serving_stream`] for a request that names a shard too: without the stream there is no such
/// shard, and an id that is none is told first.
pub(crate) fn stream_of_shard(
    gateway: &Gateway,
    call: &Call,
    input: &Struct,
) -> Result<(Arc<Stream>, ShardId), ApiError> {
    let name = stream_name(call, input)?;
    let text = input.text("ShardId").unwrap_or("");
    let id = shard_id(text).ok_or_else(|| texts::shard_not_named(text, &name, &call.account))?;
    let found = gateway.catalog().stream(&name).filter(|stream| stream.serves()).cloned();
    Ok((found.ok_or_else(|| texts::shard_not_found(id, &name, &call.account))?, id))
}

/// A shard of a stream that clients may know of.
pub(crate) fn shard<'s>(call: &Call, stream: &'s Stream, text: &str) -> Result<&'s Shard, ApiError> {
    let id = shard_id(text).ok_or_else(|| texts::shard_not_named(text, &stream.name, &call.account))?;
    shard_of(call, stream, id)
}

/// As [`shard`], by its id.
pub(crate) fn shard_of<'s>(call: &Call, stream: &'s Stream, id: ShardId) -> Result<&'s Shard, ApiError> {
    stream.visible_shard(id).ok_or_else(|| texts::shard_not_found(id, &stream.name, &call.account))
}

/// As [`shard`], in the words of splits and merges.
pub(crate) fn shard_to_change<'s>(call: &Call, stream: &'s Stream, text: &str) -> Result<&'s Shard, ApiError> {
    let found = shard_id(text).and_then(|id| stream.visible_shard(id));
    found.ok_or_else(|| texts::shard_not_named(text, &stream.name, &call.account))
}

/// The shard after which a listing begins. It need not exist: it may have expired since.
pub(crate) fn start_shard(text: &str) -> Result<ShardId, ApiError> {
    let wrong = || {
        ApiError::new(ErrorKind::InvalidArgument, format!("{text} is not a shard id: expected shardId-000000000000"))
    };
    shard_id(text).ok_or_else(wrong)
}

/// A shard's id: `shardId-000000000003`, and the short forms that the service takes too.
pub(crate) fn shard_id(text: &str) -> Option<ShardId> {
    let number = text.rsplit_once('-').map_or(text, |(_, number)| number);
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| number.parse().ok().map(ShardId)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shard_ids_have_short_forms() {
        for text in ["shardId-000000000003", "shardId-3", "3", "x-000003"] {
            assert_eq!(shard_id(text), Some(ShardId(3)), "{text}");
        }
        for text in ["", "shardId-", "shard", "shardId-99999999999", "shardId-+3"] {
            assert_eq!(shard_id(text), None, "{text}");
        }
    }
}
