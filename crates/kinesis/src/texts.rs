//! The exact texts of errors that depend on state: programs and tools match on them.
//!
//! One constructor a text, its parameters in the order shard, stream, account, then what the text
//! adds. Texts of tokens are in [`crate::token`], of signatures in [`crate::sign`], of types and
//! constraints in [`crate::codec`] and [`mod@crate::validate`]. Misspellings and the odd stop
//! are the service's own.

use std::fmt::Display;

use thalweg_types::{HashKey, HashRange, ShardId, StreamName, UnixMillis};

use crate::{ApiError, ErrorKind};

fn invalid(text: String) -> ApiError {
    ApiError::new(ErrorKind::InvalidArgument, text)
}

fn not_found(text: String) -> ApiError {
    ApiError::new(ErrorKind::ResourceNotFound, text)
}

fn in_use(text: String) -> ApiError {
    ApiError::new(ErrorKind::ResourceInUse, text)
}

fn limit(text: String) -> ApiError {
    ApiError::new(ErrorKind::LimitExceeded, text)
}

// Streams.

/// No stream of this name, or one that cannot be used yet.
pub fn stream_not_found(stream: &StreamName, account: &str) -> ApiError {
    not_found(format!("Stream {stream} under account {account} not found."))
}

/// CreateStream with the name of an existing stream.
pub fn stream_exists(stream: &StreamName, account: &str) -> ApiError {
    in_use(format!("Stream {stream} under account {account} already exists."))
}

/// A change that waits for another to finish; `status` is the stream's, such as `UPDATING`.
pub fn stream_not_active(stream: &StreamName, account: &str, status: &str) -> ApiError {
    in_use(format!("Stream {stream} under account {account} not ACTIVE, instead in state {status}"))
}

/// What a request would make of the account's shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardDemand {
    /// How many shards the account has.
    pub current: u64,
    /// How many it may have.
    pub limit: u64,
    /// How many the request would add.
    pub additional: u64,
}

/// More shards than the account may have.
pub fn shard_limit(account: &str, region: &str, demand: ShardDemand) -> ApiError {
    let ShardDemand { current, limit: most, additional } = demand;
    limit(format!(
        "This request would exceed the shard limit for the account {account} in {region}. Current shard count for \
         the account: {current}. Limit: {most}. Number of additional shards that would have resulted from this \
         request: {additional}. Refer to the AWS Service Limits page \
         (http://docs.aws.amazon.com/general/latest/gr/aws_service_limits.html) for current limits and how to \
         request higher limits."
    ))
}

/// UpdateShardCount to more shards than a stream may have, or from more.
pub fn shard_count_limit(limit_shards: u64, open: u64, target: u64) -> ApiError {
    limit(format!(
        "Target shard count or number of open shards cannot be greater than {limit_shards}. Current open shard \
         count: {open}, Target shard count: {target}"
    ))
}

/// UpdateShardCount to more than twice the open shards.
pub fn scale_up_too_far(open: u64, target: u64) -> ApiError {
    limit(format!(
        "UpdateShardCount cannot scale up over double your current open shard count. Current open shard count: \
         {open}, Target shard count: {target}"
    ))
}

/// UpdateShardCount to less than half the open shards.
pub fn scale_down_too_far(open: u64, target: u64) -> ApiError {
    limit(format!(
        "UpdateShardCount cannot scale down below half your current open shard count. Current open shard count: \
         {open}, Target shard count: {target}"
    ))
}

// Shards.

/// A shard id that cannot be read (`shard` as given), or, in a split or a merge, one that names no shard.
pub fn shard_not_named(shard: impl Display, stream: &StreamName, account: &str) -> ApiError {
    not_found(format!("Could not find shard {shard} in stream {stream} under account {account}."))
}

/// A shard that is not there, or whose stream is not: GetShardIterator and GetRecords do not
/// tell the two apart.
pub fn shard_not_found(shard: ShardId, stream: &StreamName, account: &str) -> ApiError {
    not_found(format!("Shard {shard} in stream {stream} under account {account} does not exist"))
}

/// A split outside the shard's range, or so close to its start that a child would hold one key.
/// `key` is as given: the largest 39 digits are beyond every hash key.
pub fn split_key_outside(
    shard: ShardId,
    stream: &StreamName,
    account: &str,
    key: impl Display,
    range: HashRange,
) -> ApiError {
    let (HashKey(start), HashKey(end)) = (range.start(), range.end());
    invalid(format!(
        "NewStartingHashKey {key} used in SplitShard() on shard {shard} in stream {stream} under account {account} \
         is not both greater than one plus the shard's StartingHashKey {start} and less than the shard's \
         EndingHashKey {end}."
    ))
}

/// A split or merge of a closed shard.
pub fn shard_closed(shard: ShardId, stream: &StreamName, account: &str) -> ApiError {
    invalid(format!(
        "Shard {shard} in stream {stream} under account {account} has already been merged or split, and thus is not \
         eligible for merging or splitting."
    ))
}

/// A merge of shards whose ranges do not follow each other, in this order.
pub fn shards_not_adjacent(shard: ShardId, adjacent: ShardId, stream: &StreamName, account: &str) -> ApiError {
    invalid(format!(
        "Shards {shard} and {adjacent} in stream {stream} under account {account} are not an adjacent pair of shards \
         eligible for merging"
    ))
}

// Retention.

/// Less than a day.
pub fn retention_too_short(hours: i64) -> ApiError {
    invalid(format!(
        "Minimum allowed retention period is 24 hours. Requested retention period ({hours} hours) is too short."
    ))
}

/// More than a year.
pub fn retention_too_long(hours: i64) -> ApiError {
    invalid(format!(
        "Maximum allowed retention period is 8760 hours. Requested retention period ({hours} hours) is too long."
    ))
}

/// An increase to less than there is.
pub fn retention_not_increased(stream: &StreamName, hours: i64, existing_hours: i64) -> ApiError {
    invalid(format!(
        "Requested retention period ({hours} hours) for stream {stream} can not be shorter than existing retention \
         period ({existing_hours} hours). Use DecreaseRetentionPeriod API."
    ))
}

/// A decrease to more than there is.
pub fn retention_not_decreased(stream: &StreamName, hours: i64, existing_hours: i64) -> ApiError {
    invalid(format!(
        "Requested retention period ({hours} hours) for stream {stream} can not be longer than existing retention \
         period ({existing_hours} hours). Use IncreaseRetentionPeriod API."
    ))
}

// Writing.

/// An explicit hash key of 2^128 or more; it fails a whole PutRecords.
pub fn explicit_hash_key_outside(key: &str) -> ApiError {
    invalid(format!(
        "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified value was {key}"
    ))
}

/// A `SequenceNumberForOrdering` that no record can have, or from the future.
pub fn ordering_invalid(number: &str, stream: &StreamName, account: &str) -> ApiError {
    invalid(format!(
        "ExclusiveMinimumSequenceNumber {number} used in PutRecord on stream {stream} under account {account} is \
         invalid."
    ))
}

/// A write beyond the rate of its shard: the answer of PutRecord, and in PutRecords the code and
/// message of a record.
pub fn write_throttled(shard: ShardId, stream: &StreamName, account: &str) -> ApiError {
    let text = format!("Rate exceeded for shard {shard} in stream {stream} under account {account}.");
    ApiError::new(ErrorKind::ProvisionedThroughputExceeded, text)
}

/// The `ErrorCode` of a record that PutRecords could not store. The class of the same name has a
/// suffix; the code has none.
pub const RECORD_FAILURE_CODE: &str = "InternalFailure";

/// The `ErrorMessage` that goes with [`RECORD_FAILURE_CODE`].
pub const RECORD_FAILURE_TEXT: &str = "Internal Service Failure";

// Reading.

/// A read beyond the rate of its shard.
pub fn read_throttled(shard: ShardId, stream: &StreamName, account: &str) -> ApiError {
    let text = format!("Rate exceeded for Shard - {account}/{stream}/{shard}");
    ApiError::new(ErrorKind::ProvisionedThroughputExceeded, text)
}

fn iterator_type_mismatch(iterator_type: &str, fault: &str) -> ApiError {
    invalid(format!(
        "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and StartingSequenceNumber or (2) \
         TRIM_HORIZON or LATEST and no StartingSequenceNumber. Request specified {iterator_type} and \
         {fault} StartingSequenceNumber."
    ))
}

/// A sequence number with an iterator type that takes none.
pub fn starting_number_unwanted(iterator_type: &str) -> ApiError {
    iterator_type_mismatch(iterator_type, "also a")
}

/// No sequence number with an iterator type that needs one.
pub fn starting_number_missing(iterator_type: &str) -> ApiError {
    iterator_type_mismatch(iterator_type, "no")
}

/// A starting sequence number that no record can have.
pub fn starting_number_invalid(number: &str, shard: ShardId, stream: &StreamName, account: &str) -> ApiError {
    invalid(format!(
        "StartingSequenceNumber {number} used in GetShardIterator on shard {shard} in stream {stream} under account \
         {account} is invalid."
    ))
}

/// A starting sequence number of another stream, or of an earlier one of this name.
pub fn starting_number_foreign(number: &str, shard: ShardId, stream: &StreamName, account: &str) -> ApiError {
    invalid(format!(
        "StartingSequenceNumber {number} used in GetShardIterator on shard {shard} in stream {stream} under account \
         {account} is invalid because it did not come from this stream."
    ))
}

/// A starting sequence number of another shard.
pub fn starting_number_of_other_shard(encoded: ShardId, shard: ShardId) -> ApiError {
    invalid(format!(
        "Invalid StartingSequenceNumber. It encodes {encoded}, while it was used in a call to a shard with {shard}"
    ))
}

/// AT_TIMESTAMP without a time.
pub fn timestamp_missing() -> ApiError {
    let text = "Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. Current request has no \
                timestamp parameter.";
    invalid(text.to_owned())
}

/// AT_TIMESTAMP with a time to come.
pub fn timestamp_in_future(timestamp: UnixMillis, now: UnixMillis) -> ApiError {
    invalid(format!(
        "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. timestampInMillis: \
         {}, currentTimestampInMillis: {}",
        timestamp.0, now.0
    ))
}

// Listing.

/// ListShards with neither a token nor a stream.
pub fn listing_unnamed() -> ApiError {
    invalid("Either NextToken or StreamName should be provided.".to_owned())
}

/// A token next to a member that the token already says, such as `StreamName`.
pub fn token_with(member: &str) -> ApiError {
    invalid(format!("NextToken and {member} cannot be provided together."))
}

// Enhanced fan-out.

/// A second subscription within five seconds of the first.
pub fn subscription_active(shard: ShardId, stream: &StreamName, account: &str, consumer: &str) -> ApiError {
    in_use(format!("Another active subscription exists for this consumer: {account}:{stream}:{shard}:{consumer}"))
}

/// A subscription by a consumer that is not ACTIVE; `created_secs` is its creation in Unix seconds.
pub fn consumer_not_active(consumer: &str, created_secs: u64, stream: &StreamName, account: &str) -> ApiError {
    in_use(format!(
        "Consumer {consumer} with creation timestamp {created_secs} under stream: {stream} , account {account} is not \
         in ACTIVE status."
    ))
}

// Tags.

/// A tag with a character outside the service's set.
pub fn tag_characters() -> ApiError {
    let text = "Some tags contain invalid characters. Valid characters: Unicode letters, digits, white space, _ . / = + \
                - % @.";
    invalid(text.to_owned())
}

fn tags_refused(action: &str, stream: &StreamName, account: &str, reason: &str) -> ApiError {
    invalid(format!("Failed to {action} stream {stream} under account {account} because {reason}"))
}

const ILLEGAL_CHARACTERS: &str = "some tags contained illegal characters. The allowed characters are Unicode letters, \
                                  white-spaces, '_',',','/','=','+','-','@'.";

/// AddTagsToStream with a `%`, which the first check lets pass.
pub fn tags_not_added(stream: &StreamName, account: &str) -> ApiError {
    tags_refused("add tags to", stream, account, ILLEGAL_CHARACTERS)
}

/// RemoveTagsFromStream with a `%`, which the first check lets pass.
pub fn tags_not_removed(stream: &StreamName, account: &str) -> ApiError {
    tags_refused("remove tags from", stream, account, ILLEGAL_CHARACTERS)
}

/// More tags than a stream may have.
pub fn too_many_tags(stream: &StreamName, account: &str, tags_max: u64) -> ApiError {
    let reason = format!("a given stream cannot have more than {tags_max} tags associated with it.");
    tags_refused("add tags to", stream, account, &reason)
}
