//! Streams: their life, their capacity, their settings.
//!
//! Members in the order in which the service reports them where that is recorded, then in the
//! order of its model.

use super::records::SHARD;
use super::scalar::*;
use super::shape::*;

shapes! {
    STREAM_MODE_DETAILS = StreamModeDetails { StreamMode!: STREAM_MODE }
    CREATE_STREAM_INPUT = CreateStreamInput {
        ShardCount?: int_from(1), StreamName!: STREAM_NAME, StreamModeDetails?: of(&STREAM_MODE_DETAILS),
        Tags?: TAGS, WarmThroughputMiBps?: int_from(0), MaxRecordSizeInKiB?: int(1024..=10_240),
        RecordDistributionStrategy?: RECORD_DISTRIBUTION_STRATEGY,
    }
    DELETE_STREAM_INPUT = DeleteStreamInput {
        StreamName?: STREAM_NAME, EnforceConsumerDeletion?: BOOL, StreamARN?: STREAM_ARN, StreamId?: STREAM_ID,
    }
    DESCRIBE_STREAM_INPUT = DescribeStreamInput {
        Limit?: int(1..=10_000), ExclusiveStartShardId?: SHARD_ID, StreamName?: STREAM_NAME,
        StreamARN?: STREAM_ARN, StreamId?: STREAM_ID,
    }
    ENHANCED_METRICS = EnhancedMetrics { ShardLevelMetrics?: METRICS_NAMES }
    STREAM_DESCRIPTION = StreamDescription {
        StreamName!: STREAM_NAME, StreamARN!: STREAM_ARN, StreamStatus!: STREAM_STATUS,
        StreamModeDetails?: of(&STREAM_MODE_DETAILS), Shards!: list!(of SHARD), HasMoreShards!: BOOL,
        RetentionPeriodHours!: INT, StreamCreationTimestamp!: TIME,
        EnhancedMonitoring!: list!(of ENHANCED_METRICS), EncryptionType?: ENCRYPTION_TYPE, KeyId?: KEY_ID,
    }
    DESCRIBE_STREAM_OUTPUT = DescribeStreamOutput { StreamDescription!: of(&STREAM_DESCRIPTION) }
    DESCRIBE_STREAM_SUMMARY_INPUT = DescribeStreamSummaryInput {
        StreamName?: STREAM_NAME, StreamARN?: STREAM_ARN, StreamId?: STREAM_ID,
    }
    WARM_THROUGHPUT_OBJECT = WarmThroughputObject { TargetMiBps?: int_from(0), CurrentMiBps?: int_from(0) }
    STREAM_DESCRIPTION_SUMMARY = StreamDescriptionSummary {
        StreamName!: STREAM_NAME, StreamARN!: STREAM_ARN, StreamId?: STREAM_ID, StreamStatus!: STREAM_STATUS,
        StreamModeDetails?: of(&STREAM_MODE_DETAILS), RetentionPeriodHours!: INT,
        StreamCreationTimestamp!: TIME, EnhancedMonitoring!: list!(of ENHANCED_METRICS),
        EncryptionType?: ENCRYPTION_TYPE, KeyId?: KEY_ID, OpenShardCount!: int(0..=1_000_000),
        ConsumerCount?: int(0..=1_000_000), WarmThroughput?: of(&WARM_THROUGHPUT_OBJECT),
        MaxRecordSizeInKiB?: int(1024..=10_240), ChannelCount?: int(0..=1_000_000),
        RecordDistributionStrategy?: RECORD_DISTRIBUTION_STRATEGY, QueueCount?: int(0..=1_000_000),
    }
    DESCRIBE_STREAM_SUMMARY_OUTPUT = DescribeStreamSummaryOutput {
        StreamDescriptionSummary!: of(&STREAM_DESCRIPTION_SUMMARY),
    }
    LIST_STREAMS_INPUT = ListStreamsInput {
        Limit?: int(1..=10_000), ExclusiveStartStreamName?: STREAM_NAME, NextToken?: NEXT_TOKEN,
    }
    STREAM_SUMMARY = StreamSummary {
        StreamName!: STREAM_NAME, StreamARN!: STREAM_ARN, StreamStatus!: STREAM_STATUS,
        StreamModeDetails?: of(&STREAM_MODE_DETAILS), StreamCreationTimestamp?: TIME,
    }
    LIST_STREAMS_OUTPUT = ListStreamsOutput {
        StreamNames!: STREAM_NAMES, HasMoreStreams!: BOOL, NextToken?: NEXT_TOKEN,
        StreamSummaries?: list!(of STREAM_SUMMARY),
    }
    UPDATE_STREAM_MODE_INPUT = UpdateStreamModeInput {
        StreamARN!: STREAM_ARN, StreamId?: STREAM_ID, StreamModeDetails!: of(&STREAM_MODE_DETAILS),
        WarmThroughputMiBps?: int_from(0),
    }
    UPDATE_SHARD_COUNT_INPUT = UpdateShardCountInput {
        ScalingType!: SCALING_TYPE, StreamName?: STREAM_NAME, TargetShardCount!: int_from(1),
        StreamARN?: STREAM_ARN, StreamId?: STREAM_ID,
    }
    UPDATE_SHARD_COUNT_OUTPUT = UpdateShardCountOutput {
        StreamName?: STREAM_NAME, CurrentShardCount?: int_from(1), TargetShardCount?: int_from(1),
        StreamARN?: STREAM_ARN,
    }
    SPLIT_SHARD_INPUT = SplitShardInput {
        NewStartingHashKey!: HASH_KEY, StreamName?: STREAM_NAME, ShardToSplit!: SHARD_ID,
        StreamARN?: STREAM_ARN, StreamId?: STREAM_ID,
    }
    MERGE_SHARDS_INPUT = MergeShardsInput {
        ShardToMerge!: SHARD_ID, AdjacentShardToMerge!: SHARD_ID, StreamName?: STREAM_NAME,
        StreamARN?: STREAM_ARN, StreamId?: STREAM_ID,
    }
    UPDATE_STREAM_WARM_THROUGHPUT_INPUT = UpdateStreamWarmThroughputInput {
        StreamARN?: STREAM_ARN, StreamName?: STREAM_NAME, StreamId?: STREAM_ID,
        WarmThroughputMiBps!: int_from(0),
    }
    UPDATE_STREAM_WARM_THROUGHPUT_OUTPUT = UpdateStreamWarmThroughputOutput {
        StreamARN?: STREAM_ARN, StreamName?: STREAM_NAME, WarmThroughput?: of(&WARM_THROUGHPUT_OBJECT),
    }
    UPDATE_MAX_RECORD_SIZE_INPUT = UpdateMaxRecordSizeInput {
        StreamARN?: STREAM_ARN, StreamId?: STREAM_ID, MaxRecordSizeInKiB!: int(1024..=10_240),
    }
    UPDATE_STREAM_RECORD_DISTRIBUTION_STRATEGY_INPUT = UpdateStreamRecordDistributionStrategyInput {
        StreamARN!: STREAM_ARN, StreamId?: STREAM_ID, RecordDistributionStrategy!: RECORD_DISTRIBUTION_STRATEGY,
    }
    INCREASE_STREAM_RETENTION_PERIOD_INPUT = IncreaseStreamRetentionPeriodInput {
        RetentionPeriodHours!: INT, StreamName?: STREAM_NAME, StreamARN?: STREAM_ARN, StreamId?: STREAM_ID,
    }
    DECREASE_STREAM_RETENTION_PERIOD_INPUT = DecreaseStreamRetentionPeriodInput {
        RetentionPeriodHours!: INT, StreamName?: STREAM_NAME, StreamARN?: STREAM_ARN, StreamId?: STREAM_ID,
    }
    START_STREAM_ENCRYPTION_INPUT = StartStreamEncryptionInput {
        StreamName?: STREAM_NAME, EncryptionType!: ENCRYPTION_TYPE, KeyId!: KEY_ID, StreamARN?: STREAM_ARN,
        StreamId?: STREAM_ID,
    }
    STOP_STREAM_ENCRYPTION_INPUT = StopStreamEncryptionInput {
        StreamName?: STREAM_NAME, EncryptionType!: ENCRYPTION_TYPE, KeyId!: KEY_ID, StreamARN?: STREAM_ARN,
        StreamId?: STREAM_ID,
    }
    ENABLE_ENHANCED_MONITORING_INPUT = EnableEnhancedMonitoringInput {
        StreamName?: STREAM_NAME, ShardLevelMetrics!: METRICS_NAMES, StreamARN?: STREAM_ARN,
        StreamId?: STREAM_ID,
    }
    ENHANCED_MONITORING_OUTPUT = EnhancedMonitoringOutput {
        StreamName?: STREAM_NAME, CurrentShardLevelMetrics?: METRICS_NAMES,
        DesiredShardLevelMetrics?: METRICS_NAMES, StreamARN?: STREAM_ARN,
    }
    DISABLE_ENHANCED_MONITORING_INPUT = DisableEnhancedMonitoringInput {
        StreamName?: STREAM_NAME, ShardLevelMetrics!: METRICS_NAMES, StreamARN?: STREAM_ARN,
        StreamId?: STREAM_ID,
    }
}
