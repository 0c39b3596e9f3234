//! Checked conversions between messages and [`thalweg_types`]: nothing unchecked gets past here.

use thalweg_types::{HashKey, ProducerId, SequenceNumber, ShardId, StreamId, StreamName};

use crate::errors::{Reason, WireError};
use crate::v1;

/// Bytes that a message takes on the wire.
pub fn encoded_len(message: &impl prost::Message) -> usize {
    message.encoded_len()
}

/// The stream and shard that a message names.
pub fn shard_ref(message: Option<&v1::ShardRef>) -> Result<(StreamId, ShardId), WireError> {
    let shard = message.ok_or_else(|| invalid("`shard` is missing: name a stream id and a shard number"))?;
    Ok((StreamId(shard.stream_id), ShardId(shard.shard)))
}

/// The incarnation that a request means; nothing when it names none.
pub fn optional_stream_id(id: u64) -> Option<StreamId> {
    (id != 0).then_some(StreamId(id))
}

/// The message that names a shard.
pub fn to_shard_ref(stream: StreamId, shard: ShardId) -> v1::ShardRef {
    v1::ShardRef { stream_id: stream.0, shard: shard.0 }
}

/// The producer and sequence of a tag.
pub fn producer_tag(tag: &v1::ProducerTag) -> Result<(ProducerId, u64), WireError> {
    let id: [u8; 16] = tag
        .producer_id
        .as_ref()
        .try_into()
        .map_err(|_| invalid(format!("`producer_id` has {} bytes; it must have 16", tag.producer_id.len())))?;
    if tag.sequence == 0 {
        return Err(invalid("a producer's `sequence` begins at 1"));
    }
    Ok((ProducerId(u128::from_be_bytes(id)), tag.sequence))
}

/// The message for a producer's batch.
pub fn to_producer_tag(producer: ProducerId, sequence: u64) -> v1::ProducerTag {
    v1::ProducerTag { producer_id: producer.0.to_be_bytes().to_vec().into(), sequence }
}

/// A stream name from outside.
pub fn stream_name(name: &str) -> Result<StreamName, WireError> {
    name.parse().map_err(invalid_by)
}

/// A shard id from outside.
pub fn shard_id(id: &str) -> Result<ShardId, WireError> {
    id.parse().map_err(invalid_by)
}

/// A hash key from outside; empty means none was given.
pub fn optional_hash_key(key: &str) -> Result<Option<HashKey>, WireError> {
    if key.is_empty() { Ok(None) } else { key.parse().map(Some).map_err(invalid_by) }
}

/// A sequence number from outside.
pub fn sequence_number(number: &str) -> Result<SequenceNumber, WireError> {
    number.parse().map_err(invalid_by)
}

fn invalid(message: impl Into<String>) -> WireError {
    WireError::new(Reason::InvalidArgument, message)
}

fn invalid_by(error: impl std::fmt::Display) -> WireError {
    invalid(error.to_string())
}
