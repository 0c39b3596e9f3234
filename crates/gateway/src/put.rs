//! What PutRecord and PutRecords share: checking a record, placing it, telling of its number.

use bytes::Bytes;
use thalweg_catalog::{Distribution, Stream};
use thalweg_client::{ProduceError, RecordPosition};
use thalweg_kinesis::{ApiError, ErrorKind, Struct, texts};
use thalweg_types::{HashKey, Record};

use crate::Gateway;
use crate::call::Call;
use crate::failure;

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

/// A checked record with the hash key by which it is placed.
pub(crate) fn record(gateway: &Gateway, stream: &Stream, input: &Struct, place: Place) -> Result<Record, ApiError> {
    let data = input.blob("Data").cloned().unwrap_or_default();
    let explicit = input.text("ExplicitHashKey").map(hash_key).transpose()?;
    let key = partition_key(stream, input, place)?;
    check_size(stream, &data, key, place)?;
    let explicit_hash_key = match stream.settings.distribution {
        Distribution::UserPartitionKey => explicit,
        Distribution::Auto => Some(HashKey(gateway.ids().hash_key())),
    };
    Ok(Record { partition_key: key.to_owned(), explicit_hash_key, data })
}

/// The key, which only a stream that places records itself can do without.
fn partition_key<'i>(stream: &Stream, input: &'i Struct, place: Place) -> Result<&'i str, ApiError> {
    match input.text("PartitionKey") {
        Some(NO_PARTITION_KEY) => {
            Err(ApiError::new(ErrorKind::InvalidArgument, "A partition key cannot be a single NUL character."))
        }
        Some(key) => Ok(key),
        None if stream.settings.distribution == Distribution::Auto => Ok(NO_PARTITION_KEY),
        None => Err(member_missing(&place.member("partitionKey"))),
    }
}

fn hash_key(text: &str) -> Result<HashKey, ApiError> {
    text.parse().map_err(|_| texts::explicit_hash_key_outside(text))
}

fn check_size(stream: &Stream, data: &Bytes, partition_key: &str, place: Place) -> Result<(), ApiError> {
    let limit = stream.record_bytes_max as usize;
    match data.len() + partition_key.len() > limit {
        true => Err(data_too_long(&place.member("data"), data.len(), limit)),
        false => Ok(()),
    }
}

/// In the words of a shape, which cannot say this itself: whether the key is needed depends on the stream.
fn member_missing(member: &str) -> ApiError {
    broken(member, "null", "Member must not be null")
}

/// Likewise: the shape allows the largest record that any stream may allow.
fn data_too_long(member: &str, bytes: usize, limit: usize) -> ApiError {
    let shown = format!("'java.nio.HeapByteBuffer[pos=0 lim={bytes} cap={bytes}]'");
    broken(member, &shown, &format!("Member must have length less than or equal to {limit}"))
}

fn broken(member: &str, shown: &str, constraint: &str) -> ApiError {
    let text =
        format!("1 validation error detected: Value {shown} at '{member}' failed to satisfy constraint: {constraint}");
    ApiError::new(ErrorKind::Validation, text)
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

/// Whether the stream's limits let a record in now.
pub(crate) fn admit(gateway: &Gateway, call: &Call, stream: &Stream, record: &Record) -> Result<(), ApiError> {
    gateway.limits().admit_write(call, stream, record).inspect_err(|_| {
        if let Some(shard) = stream.shard_for(record.hash_key()) {
            gateway.counts().count(&stream.name, shard.id, |counts| counts.write_throttled += 1);
        }
    })
}

/// Counts a record that was written.
pub(crate) fn count(gateway: &Gateway, stream: &Stream, position: RecordPosition, bytes: usize) {
    gateway.counts().count(&stream.name, position.shard, |counts| {
        counts.incoming_bytes += bytes as u64;
        counts.incoming_records += 1;
    });
}

/// Why a record was not written, or perhaps written.
pub(crate) fn failed(call: &Call, stream: &Stream, error: &ProduceError) -> ApiError {
    failure::of_produce(call, stream, error)
}
