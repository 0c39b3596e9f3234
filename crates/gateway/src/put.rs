//! What PutRecord and PutRecords share: checking a record, placing it, telling of its number.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use thalweg_catalog::{Distribution, Stream};
use thalweg_client::{ProduceError, RecordPosition};
use thalweg_kinesis::{ApiError, ErrorKind, Struct, Value, texts, validate};
use thalweg_types::{HashKey, Record, ShardId};

use crate::call::Call;
use crate::producers::BUFFER_BYTES;
use crate::{Gateway, limits};

/// Stands for "no partition key" in a batch, where every record has one. No client can send it.
pub(crate) const NO_PARTITION_KEY: &str = "\0";

/// Where in a request a record stands, for messages about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The request is the record.
    Only,
    /// The n-th of the request's records, from 1.
    Entry(usize),
}

impl Place {
    /// The path of one of its members, as the service writes it.
    fn member(self, name: &str) -> String {
        match self {
            Place::Only => name.to_owned(),
            Place::Entry(number) => format!("records.{number}.member.{name}"),
        }
    }
}

/// A checked record with the hash key by which it is placed. Data and key are taken out of the input.
pub(crate) fn record(gateway: &Gateway, stream: &Stream, input: &mut Struct, place: Place) -> Result<Record, ApiError> {
    let data = match input.take("Data") {
        Some(Value::Blob(data)) => data,
        _ => Bytes::new(),
    };
    let explicit = input.text("ExplicitHashKey").map(hash_key).transpose()?;
    let partition_key = partition_key(stream, input, place)?;
    check_size(stream, &data, &partition_key, place)?;
    let explicit_hash_key = match stream.settings.distribution {
        Distribution::UserPartitionKey => explicit,
        Distribution::Auto => Some(HashKey(gateway.ids().hash_key())),
    };
    Ok(Record { partition_key, explicit_hash_key, data })
}

/// The key, which only a stream that places records itself can do without.
fn partition_key(stream: &Stream, input: &mut Struct, place: Place) -> Result<String, ApiError> {
    match input.take("PartitionKey") {
        Some(Value::Text(key)) if key == NO_PARTITION_KEY => {
            Err(ApiError::new(ErrorKind::InvalidArgument, "A partition key cannot be a single NUL character."))
        }
        Some(Value::Text(key)) => Ok(key),
        _ if stream.settings.distribution == Distribution::Auto => Ok(NO_PARTITION_KEY.to_owned()),
        _ => Err(member_missing(&place.member("partitionKey"))),
    }
}

fn hash_key(text: &str) -> Result<HashKey, ApiError> {
    text.parse().map_err(|_| texts::explicit_hash_key_outside(text))
}

fn check_size(stream: &Stream, data: &Bytes, partition_key: &str, place: Place) -> Result<(), ApiError> {
    let limit = stream.record_bytes_max as usize;
    match data.len() + partition_key.len() > limit {
        true => Err(data_too_long(&place.member("data"), data, limit)),
        false => Ok(()),
    }
}

/// In the words of a shape, which cannot say this itself: whether the key is needed depends on the stream.
fn member_missing(member: &str) -> ApiError {
    validate::broken(member, None, "Member must not be null")
}

/// Likewise: the shape allows the largest record that any stream may allow.
fn data_too_long(member: &str, data: &Bytes, limit: usize) -> ApiError {
    let constraint = format!("Member must have length less than or equal to {limit}");
    validate::broken(member, Some(&Value::Blob(data.clone())), &constraint)
}

/// `KMS` for a stream that was told to encrypt.
pub(crate) fn encryption_type(stream: &Stream) -> Option<&'static str> {
    stream.settings.encryption_key.as_ref().map(|_| "KMS")
}

/// What a client is told of a record that was written.
pub(crate) fn written(position: RecordPosition) -> Struct {
    Struct::new()
        .with("SequenceNumber", position.sequence_number.to_string())
        .with("ShardId", position.shard.to_string())
}

/// Why records are not let in now by the stream's limits, by their places.
pub(crate) async fn admit(
    gateway: &Gateway,
    call: &Call,
    stream: &Stream,
    records: &[Record],
) -> BTreeMap<usize, ApiError> {
    let refused = limits::admit_writes(gateway, stream, records).await.into_iter();
    let throttled = refused.map(|(place, shard)| {
        gateway.counts().count(&stream.name, shard, |counts| counts.write_throttled += 1);
        (place, texts::write_throttled(shard, &stream.name, &call.account))
    });
    throttled.collect()
}

/// Counts the records of a request that were written, with their bytes: once for each shard.
pub(crate) fn count(gateway: &Gateway, stream: &Stream, written: impl IntoIterator<Item = (RecordPosition, usize)>) {
    let mut shards: BTreeMap<ShardId, (u64, u64)> = BTreeMap::new();
    for (position, bytes) in written {
        let (all_records, all_bytes) = shards.entry(position.shard).or_default();
        *all_records += 1;
        *all_bytes += bytes as u64;
    }
    for (shard, (records, bytes)) in shards {
        gateway.counts().count(&stream.name, shard, |counts| {
            counts.incoming_records += records;
            counts.incoming_bytes += bytes;
        });
    }
}

/// How long records wait for room in their stream's buffer: with the time for their delivery still
/// less than the 10 s after which SDKs give a call up.
const ROOM_TIMEOUT: Duration = Duration::from_millis(1_500);

/// Takes records into a producer, unless its buffer stays full: then certainly nothing was written.
pub(crate) async fn with_room<T>(taken: impl Future<Output = Result<T, ProduceError>>) -> Result<T, ProduceError> {
    let full = Err(ProduceError::Full { limit_bytes: BUFFER_BYTES });
    tokio::time::timeout(ROOM_TIMEOUT, taken).await.unwrap_or(full)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_put_waits_for_room_only_so_long_and_was_then_certainly_not_written() {
        let never = std::future::pending::<Result<(), ProduceError>>();
        let error = with_room(never).await.unwrap_err();
        assert!(matches!(error, ProduceError::Full { .. }) && !error.perhaps_applied());
    }
}
