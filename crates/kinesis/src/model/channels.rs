//! Channels: delivery of a stream to object storage (new in 2026).
//!
//! Members in the order in which the service reports them where that is recorded, then in the
//! order of its model.

use super::scalar::*;
use super::shape::*;

shapes! {
    RECORD_CONFIGURATION = RecordConfiguration {
        RecordFormatType!: RECORD_FORMAT_TYPE, GSRSchemaARN?: GSR_SCHEMA_ARN,
    }
    CHANNEL_STREAM_CONFIGURATION = ChannelStreamConfiguration {
        StreamARN!: STREAM_ARN, RecordConfiguration!: of(&RECORD_CONFIGURATION),
    }
    DEAD_LETTER_QUEUE_S3_CONFIGURATION = DeadLetterQueueS3Configuration {
        BucketARN!: BUCKET_ARN, ExpectedBucketOwner!: EXPECTED_BUCKET_OWNER,
        ErrorOutputPrefix?: S3_ERROR_OUTPUT_PREFIX,
    }
    S3_STORAGE_CONFIGURATION = S3StorageConfiguration {
        BucketARN!: BUCKET_ARN, ExpectedBucketOwner!: EXPECTED_BUCKET_OWNER,
        OutputKeyTemplate?: S3_OUTPUT_KEY_TEMPLATE, StorageClass?: S3_STORAGE_CLASS,
        CompressionType!: S3_COMPRESSION_TYPE,
    }
    S3_DESTINATION_CONFIGURATION = S3DestinationConfiguration {
        DataFreshnessInSeconds?: INT, DeadLetterQueueS3Configuration?: of(&DEAD_LETTER_QUEUE_S3_CONFIGURATION),
        StorageConfiguration!: of(&S3_STORAGE_CONFIGURATION),
    }
    PARTITION_FIELD = PartitionField { Transform!: PARTITION_TRANSFORM, SourceName!: PARTITION_SOURCE_NAME }
    PARTITION_SPEC = PartitionSpec { PartitionFields!: list!(of PARTITION_FIELD, 1..=10) }
    S3_TABLES_CONFIGURATION = S3TablesConfiguration {
        TableBucketARN!: TABLE_BUCKET_ARN, Namespace!: S3_TABLES_NAMESPACE, TableName!: S3_TABLES_TABLE_NAME,
        CompressionType!: S3_TABLES_COMPRESSION_TYPE, PartitionSpec?: of(&PARTITION_SPEC),
    }
    S3_TABLES_DESTINATION_CONFIGURATION = S3TablesDestinationConfiguration {
        DataFreshnessInSeconds?: INT, DeadLetterQueueS3Configuration!: of(&DEAD_LETTER_QUEUE_S3_CONFIGURATION),
        S3TablesConfigurationList!: list!(of S3_TABLES_CONFIGURATION, 1..=10_000),
    }
    CHANNEL_ENCRYPTION_CONFIGURATION = ChannelEncryptionConfiguration {
        EncryptionType!: CHANNEL_ENCRYPTION_TYPE, KeyId!: KEY_ID,
    }
    CLOUD_WATCH_LOGS = CloudWatchLogs {
        Enabled!: BOOL, LogGroupName?: CLOUD_WATCH_LOG_GROUP_NAME, LogStreamName?: CLOUD_WATCH_LOG_STREAM_NAME,
    }
    CHANNEL_LOGGING_CONFIGURATION = ChannelLoggingConfiguration { CloudWatchLogs!: of(&CLOUD_WATCH_LOGS) }
    CREATE_CHANNEL_INPUT = CreateChannelInput {
        ChannelName!: CHANNEL_NAME, ServiceExecutionRoleARN!: ROLE_ARN,
        StreamConfigurationList!: list!(of CHANNEL_STREAM_CONFIGURATION, 1..=10_000),
        S3DestinationConfiguration?: of(&S3_DESTINATION_CONFIGURATION),
        S3TablesDestinationConfiguration?: of(&S3_TABLES_DESTINATION_CONFIGURATION),
        EncryptionConfiguration?: of(&CHANNEL_ENCRYPTION_CONFIGURATION), Tags?: TAGS,
        LoggingConfiguration?: of(&CHANNEL_LOGGING_CONFIGURATION),
    }
    CHANNEL_STREAM_DESCRIPTION = ChannelStreamDescription {
        StreamARN!: STREAM_ARN, StreamCreationTimestamp!: TIME, RecordConfiguration!: of(&RECORD_CONFIGURATION),
    }
    S3_DESTINATION_DESCRIPTION = S3DestinationDescription {
        DataFreshnessInSeconds!: INT, DeadLetterQueueS3Configuration!: of(&DEAD_LETTER_QUEUE_S3_CONFIGURATION),
        StorageConfiguration!: of(&S3_STORAGE_CONFIGURATION),
    }
    S3_TABLES_DESTINATION_DESCRIPTION = S3TablesDestinationDescription {
        DataFreshnessInSeconds!: INT, DeadLetterQueueS3Configuration!: of(&DEAD_LETTER_QUEUE_S3_CONFIGURATION),
        S3TablesConfigurationList!: list!(of S3_TABLES_CONFIGURATION, 1..=10_000),
    }
    CHANNEL_DESCRIPTION = ChannelDescription {
        ChannelName!: CHANNEL_NAME, ChannelARN!: CHANNEL_ARN, ChannelId!: CHANNEL_ID,
        ChannelStatus!: CHANNEL_STATUS, ChannelStatusReason?: CHANNEL_STATUS_REASON,
        ChannelCreationTimestamp!: TIME, ServiceExecutionRoleARN!: ROLE_ARN,
        StreamConfigurationList!: list!(of CHANNEL_STREAM_DESCRIPTION, 1..=10_000),
        S3DestinationConfiguration?: of(&S3_DESTINATION_DESCRIPTION),
        S3TablesDestinationConfiguration?: of(&S3_TABLES_DESTINATION_DESCRIPTION),
        EncryptionConfiguration?: of(&CHANNEL_ENCRYPTION_CONFIGURATION),
        LoggingConfiguration!: of(&CHANNEL_LOGGING_CONFIGURATION),
    }
    CREATE_CHANNEL_OUTPUT = CreateChannelOutput { ChannelDescription!: of(&CHANNEL_DESCRIPTION) }
    DELETE_CHANNEL_INPUT = DeleteChannelInput { ChannelARN!: CHANNEL_ARN }
    DESCRIBE_CHANNEL_INPUT = DescribeChannelInput { ChannelARN!: CHANNEL_ARN }
    DESCRIBE_CHANNEL_OUTPUT = DescribeChannelOutput { ChannelDescription!: of(&CHANNEL_DESCRIPTION) }
    STREAM_FILTER = StreamFilter { StreamARN!: STREAM_ARN, StreamCreationTimestamp?: TIME }
    LIST_CHANNELS_INPUT = ListChannelsInput {
        StreamFilter?: list!(of STREAM_FILTER, 1..=10_000), MaxResults?: int(1..=10_000),
        NextToken?: NEXT_TOKEN,
    }
    CHANNEL_STREAM_IDENTIFIER = ChannelStreamIdentifier { StreamARN!: STREAM_ARN, StreamCreationTimestamp!: TIME }
    CHANNEL_SUMMARY = ChannelSummary {
        ChannelName!: CHANNEL_NAME, ChannelARN!: CHANNEL_ARN, ChannelId!: CHANNEL_ID,
        ChannelStatus!: CHANNEL_STATUS, ChannelStatusReason?: CHANNEL_STATUS_REASON,
        ChannelCreationTimestamp!: TIME, ChannelDestinationType!: CHANNEL_DESTINATION_TYPE,
        Streams!: list!(of CHANNEL_STREAM_IDENTIFIER, 1..=10_000),
    }
    LIST_CHANNELS_OUTPUT = ListChannelsOutput {
        ChannelSummaries!: list!(of CHANNEL_SUMMARY), NextToken?: NEXT_TOKEN,
    }
    S3_DESTINATION_UPDATE_INPUT = S3DestinationUpdateInput { DataFreshnessInSeconds!: INT }
    S3_TABLES_DESTINATION_UPDATE_INPUT = S3TablesDestinationUpdateInput { DataFreshnessInSeconds!: INT }
    CLOUD_WATCH_LOGS_UPDATE_INPUT = CloudWatchLogsUpdateInput {
        Enabled!: BOOL, LogGroupName?: CLOUD_WATCH_LOG_GROUP_NAME, LogStreamName?: CLOUD_WATCH_LOG_STREAM_NAME,
    }
    CHANNEL_LOGGING_UPDATE_INPUT = ChannelLoggingUpdateInput { CloudWatchLogs!: of(&CLOUD_WATCH_LOGS_UPDATE_INPUT) }
    UPDATE_CHANNEL_INPUT = UpdateChannelInput {
        ChannelARN!: CHANNEL_ARN, S3DestinationConfiguration?: of(&S3_DESTINATION_UPDATE_INPUT),
        S3TablesDestinationConfiguration?: of(&S3_TABLES_DESTINATION_UPDATE_INPUT),
        LoggingConfiguration?: of(&CHANNEL_LOGGING_UPDATE_INPUT),
    }
    UPDATE_CHANNEL_OUTPUT = UpdateChannelOutput { ChannelDescription!: of(&CHANNEL_DESCRIPTION) }
}
