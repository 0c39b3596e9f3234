//! The texts of state errors, to the letter.

use thalweg_kinesis::{ApiError, ErrorKind, texts};
use thalweg_types::{HashKey, HashRange, ShardId, StreamName, UnixMillis};

const ACCOUNT: &str = "000000000000";

fn stream() -> StreamName {
    "orders".parse().unwrap()
}

#[track_caller]
fn says(error: ApiError, kind: ErrorKind, text: &str) {
    assert_eq!(error, ApiError::new(kind, text));
}

#[test]
fn streams() {
    let stream = &stream();
    says(
        texts::stream_not_found(stream, ACCOUNT),
        ErrorKind::ResourceNotFound,
        "Stream orders under account 000000000000 not found.",
    );
    says(
        texts::stream_exists(stream, ACCOUNT),
        ErrorKind::ResourceInUse,
        "Stream orders under account 000000000000 already exists.",
    );
    says(
        texts::stream_not_active(stream, ACCOUNT, "UPDATING"),
        ErrorKind::ResourceInUse,
        "Stream orders under account 000000000000 not ACTIVE, instead in state UPDATING",
    );
    let demand = texts::ShardDemand { current: 3, limit: 10, additional: 1000 };
    says(
        texts::shard_limit(ACCOUNT, "us-east-1", demand),
        ErrorKind::LimitExceeded,
        "This request would exceed the shard limit for the account 000000000000 in us-east-1. Current shard count for the account: 3. Limit: 10. Number of additional shards that would have resulted from this request: 1000. Refer to the AWS Service Limits page (http://docs.aws.amazon.com/general/latest/gr/aws_service_limits.html) for current limits and how to request higher limits.",
    );
    says(
        texts::shard_count_limit(50, 10, 52),
        ErrorKind::LimitExceeded,
        "Target shard count or number of open shards cannot be greater than 50. Current open shard count: 10, Target shard count: 52",
    );
    says(
        texts::scale_up_too_far(2, 6),
        ErrorKind::LimitExceeded,
        "UpdateShardCount cannot scale up over double your current open shard count. Current open shard count: 2, Target shard count: 6",
    );
    says(
        texts::scale_down_too_far(6, 2),
        ErrorKind::LimitExceeded,
        "UpdateShardCount cannot scale down below half your current open shard count. Current open shard count: 6, Target shard count: 2",
    );
}

#[test]
fn shards() {
    let (stream, first) = (&stream(), ShardId(0));
    says(
        texts::shard_not_named("ABKLFD8", stream, ACCOUNT),
        ErrorKind::ResourceNotFound,
        "Could not find shard ABKLFD8 in stream orders under account 000000000000.",
    );
    says(
        texts::shard_not_found(ShardId(5), stream, ACCOUNT),
        ErrorKind::ResourceNotFound,
        "Shard shardId-000000000005 in stream orders under account 000000000000 does not exist",
    );
    let range = HashRange::new(HashKey(0), HashKey(113427455640312821154458202477256070484)).unwrap();
    says(
        texts::split_key_outside(first, stream, ACCOUNT, "999999999999999999999999999999999999999", range),
        ErrorKind::InvalidArgument,
        "NewStartingHashKey 999999999999999999999999999999999999999 used in SplitShard() on shard shardId-000000000000 in stream orders under account 000000000000 is not both greater than one plus the shard's StartingHashKey 0 and less than the shard's EndingHashKey 113427455640312821154458202477256070484.",
    );
    says(
        texts::shard_closed(first, stream, ACCOUNT),
        ErrorKind::InvalidArgument,
        "Shard shardId-000000000000 in stream orders under account 000000000000 has already been merged or split, and thus is not eligible for merging or splitting.",
    );
    says(
        texts::shards_not_adjacent(first, ShardId(2), stream, ACCOUNT),
        ErrorKind::InvalidArgument,
        "Shards shardId-000000000000 and shardId-000000000002 in stream orders under account 000000000000 are not an adjacent pair of shards eligible for merging",
    );
}

#[test]
fn retention() {
    let stream = &stream();
    let kind = ErrorKind::InvalidArgument;
    says(
        texts::retention_too_short(23),
        kind,
        "Minimum allowed retention period is 24 hours. Requested retention period (23 hours) is too short.",
    );
    says(
        texts::retention_too_long(8761),
        kind,
        "Maximum allowed retention period is 8760 hours. Requested retention period (8761 hours) is too long.",
    );
    says(
        texts::retention_not_increased(stream, 24, 25),
        kind,
        "Requested retention period (24 hours) for stream orders can not be shorter than existing retention period (25 hours). Use DecreaseRetentionPeriod API.",
    );
    says(
        texts::retention_not_decreased(stream, 26, 25),
        kind,
        "Requested retention period (26 hours) for stream orders can not be longer than existing retention period (25 hours). Use IncreaseRetentionPeriod API.",
    );
}

#[test]
fn writing() {
    let stream = &stream();
    says(
        texts::explicit_hash_key_outside("340282366920938463463374607431768211456"),
        ErrorKind::InvalidArgument,
        "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified value was 340282366920938463463374607431768211456",
    );
    says(
        texts::ordering_invalid("7", stream, ACCOUNT),
        ErrorKind::InvalidArgument,
        "ExclusiveMinimumSequenceNumber 7 used in PutRecord on stream orders under account 000000000000 is invalid.",
    );
    says(
        texts::write_throttled(ShardId(1), stream, ACCOUNT),
        ErrorKind::ProvisionedThroughputExceeded,
        "Rate exceeded for shard shardId-000000000001 in stream orders under account 000000000000.",
    );
    assert_eq!(
        (texts::RECORD_FAILURE_CODE, texts::RECORD_FAILURE_TEXT),
        ("InternalFailure", "Internal Service Failure")
    );
}

#[test]
fn reading() {
    let (stream, shard) = (&stream(), ShardId(0));
    says(
        texts::read_throttled(shard, stream, ACCOUNT),
        ErrorKind::ProvisionedThroughputExceeded,
        "Rate exceeded for Shard - 000000000000/orders/shardId-000000000000",
    );
    let kind = ErrorKind::InvalidArgument;
    says(
        texts::starting_number_unwanted("LATEST"),
        kind,
        "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and StartingSequenceNumber or (2) TRIM_HORIZON or LATEST and no StartingSequenceNumber. Request specified LATEST and also a StartingSequenceNumber.",
    );
    says(
        texts::starting_number_missing("AT_SEQUENCE_NUMBER"),
        kind,
        "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and StartingSequenceNumber or (2) TRIM_HORIZON or LATEST and no StartingSequenceNumber. Request specified AT_SEQUENCE_NUMBER and no StartingSequenceNumber.",
    );
    says(
        texts::starting_number_invalid("7", shard, stream, ACCOUNT),
        kind,
        "StartingSequenceNumber 7 used in GetShardIterator on shard shardId-000000000000 in stream orders under account 000000000000 is invalid.",
    );
    says(
        texts::starting_number_foreign("7", shard, stream, ACCOUNT),
        kind,
        "StartingSequenceNumber 7 used in GetShardIterator on shard shardId-000000000000 in stream orders under account 000000000000 is invalid because it did not come from this stream.",
    );
    says(
        texts::starting_number_of_other_shard(ShardId(5), shard),
        kind,
        "Invalid StartingSequenceNumber. It encodes shardId-000000000005, while it was used in a call to a shard with shardId-000000000000",
    );
    says(
        texts::timestamp_missing(),
        kind,
        "Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. Current request has no timestamp parameter.",
    );
    says(
        texts::timestamp_in_future(UnixMillis(2), UnixMillis(1)),
        kind,
        "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. timestampInMillis: 2, currentTimestampInMillis: 1",
    );
    says(texts::listing_unnamed(), kind, "Either NextToken or StreamName should be provided.");
    says(texts::token_with("StreamName"), kind, "NextToken and StreamName cannot be provided together.");
}

#[test]
fn fan_out_and_tags() {
    let stream = &stream();
    says(
        texts::subscription_active(ShardId(0), stream, ACCOUNT, "billing"),
        ErrorKind::ResourceInUse,
        "Another active subscription exists for this consumer: 000000000000:orders:shardId-000000000000:billing",
    );
    says(
        texts::consumer_not_active("billing", 1_598_877_600, stream, ACCOUNT),
        ErrorKind::ResourceInUse,
        "Consumer billing with creation timestamp 1598877600 under stream: orders , account 000000000000 is not in ACTIVE status.",
    );
    let kind = ErrorKind::InvalidArgument;
    says(
        texts::tag_characters(),
        kind,
        "Some tags contain invalid characters. Valid characters: Unicode letters, digits, white space, _ . / = + - % @.",
    );
    says(
        texts::tags_not_added(stream, ACCOUNT),
        kind,
        "Failed to add tags to stream orders under account 000000000000 because some tags contained illegal characters. The allowed characters are Unicode letters, white-spaces, '_',',','/','=','+','-','@'.",
    );
    says(
        texts::tags_not_removed(stream, ACCOUNT),
        kind,
        "Failed to remove tags from stream orders under account 000000000000 because some tags contained illegal characters. The allowed characters are Unicode letters, white-spaces, '_',',','/','=','+','-','@'.",
    );
    says(
        texts::too_many_tags(stream, ACCOUNT, 50),
        kind,
        "Failed to add tags to stream orders under account 000000000000 because a given stream cannot have more than 50 tags associated with it.",
    );
}
