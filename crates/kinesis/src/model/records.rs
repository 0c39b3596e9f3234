//! Records and shards: writing, reading, listing.
//!
//! Members in the order in which the service reports them where that is recorded, then in the
//! order of its model.

use super::scalar::*;
use super::shape::*;

shapes! {
    HASH_KEY_RANGE = HashKeyRange { StartingHashKey!: HASH_KEY, EndingHashKey!: HASH_KEY }
    SEQUENCE_NUMBER_RANGE = SequenceNumberRange {
        StartingSequenceNumber!: SEQUENCE_NUMBER, EndingSequenceNumber?: SEQUENCE_NUMBER,
    }
    SHARD = Shard {
        ShardId!: SHARD_ID, ParentShardId?: SHARD_ID, AdjacentParentShardId?: SHARD_ID,
        HashKeyRange!: of(&HASH_KEY_RANGE), SequenceNumberRange!: of(&SEQUENCE_NUMBER_RANGE),
    }
    PUT_RECORD_INPUT = PutRecordInput {
        SequenceNumberForOrdering?: SEQUENCE_NUMBER, PartitionKey?: PARTITION_KEY, ExplicitHashKey?: HASH_KEY,
        Data!: DATA, StreamName?: STREAM_NAME, StreamARN?: STREAM_ARN, StreamId?: STREAM_ID, DryRun?: BOOL,
    }
    PUT_RECORD_OUTPUT = PutRecordOutput {
        ShardId!: SHARD_ID, SequenceNumber!: SEQUENCE_NUMBER, EncryptionType?: ENCRYPTION_TYPE,
    }
    PUT_RECORDS_REQUEST_ENTRY = PutRecordsRequestEntry {
        PartitionKey?: PARTITION_KEY, ExplicitHashKey?: HASH_KEY, Data!: DATA,
    }
    PUT_RECORDS_INPUT = PutRecordsInput {
        Records!: list!(of PUT_RECORDS_REQUEST_ENTRY, 1..=500), StreamName?: STREAM_NAME,
        StreamARN?: STREAM_ARN, StreamId?: STREAM_ID, DryRun?: BOOL,
    }
    PUT_RECORDS_RESULT_ENTRY = PutRecordsResultEntry {
        SequenceNumber?: SEQUENCE_NUMBER, ShardId?: SHARD_ID, ErrorCode?: TEXT, ErrorMessage?: TEXT,
    }
    PUT_RECORDS_OUTPUT = PutRecordsOutput {
        FailedRecordCount?: int_from(1), Records!: list!(of PUT_RECORDS_RESULT_ENTRY, 1..=500),
        EncryptionType?: ENCRYPTION_TYPE,
    }
    GET_SHARD_ITERATOR_INPUT = GetShardIteratorInput {
        ShardId!: SHARD_ID, ShardIteratorType!: SHARD_ITERATOR_TYPE, StartingSequenceNumber?: SEQUENCE_NUMBER,
        Timestamp?: TIME, StreamName?: STREAM_NAME, StreamARN?: STREAM_ARN, StreamId?: STREAM_ID, DryRun?: BOOL,
    }
    GET_SHARD_ITERATOR_OUTPUT = GetShardIteratorOutput { ShardIterator?: SHARD_ITERATOR }
    GET_RECORDS_INPUT = GetRecordsInput {
        Limit?: int(1..=10_000), ShardIterator!: SHARD_ITERATOR, StreamARN?: STREAM_ARN, StreamId?: STREAM_ID,
        DryRun?: BOOL,
    }
    RECORD = Record {
        SequenceNumber!: SEQUENCE_NUMBER, ApproximateArrivalTimestamp?: TIME, Data!: DATA,
        PartitionKey?: PARTITION_KEY, EncryptionType?: ENCRYPTION_TYPE,
    }
    CHILD_SHARD = ChildShard { ShardId!: SHARD_ID, ParentShards!: SHARD_IDS, HashKeyRange!: of(&HASH_KEY_RANGE) }
    GET_RECORDS_OUTPUT = GetRecordsOutput {
        Records!: list!(of RECORD), NextShardIterator?: SHARD_ITERATOR, MillisBehindLatest?: long_from(0),
        ChildShards?: list!(of CHILD_SHARD),
    }
    STARTING_POSITION = StartingPosition {
        Type!: SHARD_ITERATOR_TYPE, SequenceNumber?: SEQUENCE_NUMBER, Timestamp?: TIME,
    }
    SUBSCRIBE_TO_SHARD_INPUT = SubscribeToShardInput {
        ConsumerARN!: CONSUMER_ARN, StreamId?: STREAM_ID, ShardId!: SHARD_ID,
        StartingPosition!: of(&STARTING_POSITION), DryRun?: BOOL,
    }
    SUBSCRIBE_TO_SHARD_EVENT = SubscribeToShardEvent {
        Records!: list!(of RECORD), ContinuationSequenceNumber!: SEQUENCE_NUMBER,
        MillisBehindLatest!: long_from(0), ChildShards?: list!(of CHILD_SHARD),
    }
    SUBSCRIBE_TO_SHARD_EVENT_STREAM = SubscribeToShardEventStream {
        SubscribeToShardEvent!: of(&SUBSCRIBE_TO_SHARD_EVENT),
        ResourceNotFoundException?: of(&RESOURCE_NOT_FOUND_EXCEPTION),
        ResourceInUseException?: of(&RESOURCE_IN_USE_EXCEPTION),
        KMSDisabledException?: of(&KMS_DISABLED_EXCEPTION),
        KMSInvalidStateException?: of(&KMS_INVALID_STATE_EXCEPTION),
        KMSAccessDeniedException?: of(&KMS_ACCESS_DENIED_EXCEPTION),
        KMSNotFoundException?: of(&KMS_NOT_FOUND_EXCEPTION), KMSOptInRequired?: of(&KMS_OPT_IN_REQUIRED),
        KMSThrottlingException?: of(&KMS_THROTTLING_EXCEPTION),
        InternalFailureException?: of(&INTERNAL_FAILURE_EXCEPTION),
    }
    SUBSCRIBE_TO_SHARD_OUTPUT = SubscribeToShardOutput { EventStream!: of(&SUBSCRIBE_TO_SHARD_EVENT_STREAM) }
    SHARD_FILTER = ShardFilter { Type!: SHARD_FILTER_TYPE, ShardId?: SHARD_ID, Timestamp?: TIME }
    LIST_SHARDS_INPUT = ListShardsInput {
        MaxResults?: int(1..=10_000), ExclusiveStartShardId?: SHARD_ID, StreamName?: STREAM_NAME,
        NextToken?: NEXT_TOKEN, StreamCreationTimestamp?: TIME, ShardFilter?: of(&SHARD_FILTER),
        StreamARN?: STREAM_ARN, StreamId?: STREAM_ID,
    }
    LIST_SHARDS_OUTPUT = ListShardsOutput { Shards?: list!(of SHARD), NextToken?: NEXT_TOKEN }
}

// Errors that can arrive in the middle of a subscription.
shapes! {
    RESOURCE_NOT_FOUND_EXCEPTION = ResourceNotFoundException { message?: TEXT }
    RESOURCE_IN_USE_EXCEPTION = ResourceInUseException { message?: TEXT }
    KMS_DISABLED_EXCEPTION = KMSDisabledException { message?: TEXT }
    KMS_INVALID_STATE_EXCEPTION = KMSInvalidStateException { message?: TEXT }
    KMS_ACCESS_DENIED_EXCEPTION = KMSAccessDeniedException { message?: TEXT }
    KMS_NOT_FOUND_EXCEPTION = KMSNotFoundException { message?: TEXT }
    KMS_OPT_IN_REQUIRED = KMSOptInRequired { message?: TEXT }
    KMS_THROTTLING_EXCEPTION = KMSThrottlingException { message?: TEXT }
    INTERNAL_FAILURE_EXCEPTION = InternalFailureException { message?: TEXT }
}
