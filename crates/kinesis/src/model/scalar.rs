//! The strings, numbers and lists that many structures share.
//!
//! Named as in the service's model; a shape that only one structure uses is written there.

use super::shape::{MapShape, Shape, bounds, choice, free_pattern, list, pattern, text};

/// Regular expressions, spelled as in the model.
mod patterns {
    use crate::model::shape::Pattern;

    pub(super) static BUCKET_ARN: Pattern = Pattern::new("arn:aws[-a-z0-9]*:s3:::[a-z0-9._-]{3,63}");
    pub(super) static CHANNEL_ARN: Pattern = Pattern::new(r"arn:aws.*:kinesis:.*:\d{12}:channel/\S+");
    pub(super) static CLOUD_WATCH_LOG_GROUP_NAME: Pattern = Pattern::new(r"[\.\-_/#A-Za-z0-9]+");
    pub(super) static CLOUD_WATCH_LOG_STREAM_NAME: Pattern = Pattern::new("[^:*]*");
    pub(super) static CONSUMER_ARN: Pattern =
        Pattern::new(r"^(arn):aws.*:kinesis:.*:\d{12}:.*stream\/[a-zA-Z0-9_.-]+\/consumer\/[a-zA-Z0-9_.-]+:[0-9]+");
    pub(super) static EXPECTED_BUCKET_OWNER: Pattern = Pattern::new(r"\d{12}");
    pub(super) static GSR_SCHEMA_ARN: Pattern =
        Pattern::new(r"arn:aws[-a-z0-9]*:glue:[-a-z0-9]+:\d{12}:schema/[-a-zA-Z0-9_$#.]+/[-a-zA-Z0-9_$#.]+");
    pub(super) static HASH_KEY: Pattern = Pattern::new(r"^(0|([1-9]\d{0,38}))$");
    pub(super) static LOWER_NAME: Pattern = Pattern::new("[0-9a-z_]+");
    pub(super) static NAME: Pattern = Pattern::new("[a-zA-Z0-9_.-]+");
    pub(super) static PARTITION_SOURCE_NAME: Pattern = Pattern::new(r"[a-zA-Z0-9\.\_]+");
    pub(super) static QUEUE_ARN: Pattern = Pattern::new(r"arn:aws.*:kinesis:.*:\d{12}:queue/\S+");
    pub(super) static RECORD_ID: Pattern = Pattern::new("^[a-z0-9]+$");
    pub(super) static RESOURCE_ARN: Pattern = Pattern::new(r"arn:aws.*:kinesis:.*:\d{12}:.*(stream|channel|queue)/\S+");
    pub(super) static ROLE_ARN: Pattern = Pattern::new(r"arn:aws[-a-z0-9]*:iam::\d{12}:role/[a-zA-Z_0-9+=,.@\-_/]+");
    pub(super) static S3_ERROR_OUTPUT_PREFIX: Pattern = Pattern::new(r"[0-9A-Za-z!\-_'.*()\/]+");
    pub(super) static S3_OUTPUT_KEY_TEMPLATE: Pattern = Pattern::new(r"[0-9A-Za-z!\-_'.*()\/=:{}]+");
    pub(super) static SEQUENCE_NUMBER: Pattern = Pattern::new(r"^(0|([1-9]\d{0,128}))$");
    pub(super) static STREAM_ARN: Pattern = Pattern::new(r"arn:aws.*:kinesis:.*:\d{12}:stream/\S+");
    pub(super) static STREAM_ID: Pattern = Pattern::new("[a-z0-9]{20}-[a-z0-9]{3}");
    pub(super) static TABLE_BUCKET_ARN: Pattern =
        Pattern::new(r"arn:aws[-a-z0-9]*:s3tables:[-a-z0-9]+:\d{12}:bucket/[a-z0-9_-]{3,63}");
}

pub(super) const STREAM_MODE: Shape = choice(&["PROVISIONED", "ON_DEMAND"]);
pub(super) const STREAM_NAME: Shape = pattern(1..=128, &patterns::NAME);
/// Tags: names and values.
pub(super) const TAGS: Shape =
    Shape::Map(&MapShape { key: bounds(1..=128), value: bounds(0..=256), size: bounds(1..=200) });
pub(super) const TAG_KEY: Shape = text(1..=128);
pub(super) const RECORD_DISTRIBUTION_STRATEGY: Shape = choice(&["AUTO", "USER_PARTITION_KEY"]);
pub(super) const STREAM_ARN: Shape = pattern(1..=2048, &patterns::STREAM_ARN);
pub(super) const STREAM_ID: Shape = pattern(1..=24, &patterns::STREAM_ID);
pub(super) const SHARD_ID: Shape = pattern(1..=128, &patterns::NAME);
pub(super) const METRICS_NAME: Shape = choice(&[
    "IncomingBytes",
    "IncomingRecords",
    "OutgoingBytes",
    "OutgoingRecords",
    "WriteProvisionedThroughputExceeded",
    "ReadProvisionedThroughputExceeded",
    "IteratorAgeMilliseconds",
    "ALL",
]);
pub(super) const METRICS_NAMES: Shape = list!(METRICS_NAME, 1..=7);
pub(super) const STREAM_STATUS: Shape = choice(&["CREATING", "DELETING", "ACTIVE", "UPDATING"]);
pub(super) const ENCRYPTION_TYPE: Shape = choice(&["NONE", "KMS"]);
pub(super) const KEY_ID: Shape = text(1..=2048);
pub(super) const NEXT_TOKEN: Shape = text(1..=1_048_576);
pub(super) const STREAM_NAMES: Shape = list!(STREAM_NAME);
pub(super) const SCALING_TYPE: Shape = choice(&["UNIFORM_SCALING"]);
pub(super) const HASH_KEY: Shape = free_pattern(&patterns::HASH_KEY);
pub(super) const SEQUENCE_NUMBER: Shape = free_pattern(&patterns::SEQUENCE_NUMBER);
pub(super) const PARTITION_KEY: Shape = text(1..=256);
pub(super) const DATA: Shape = Shape::Blob(bounds(0..=10_485_760));
pub(super) const SHARD_ITERATOR_TYPE: Shape =
    choice(&["AFTER_SEQUENCE_NUMBER", "LATEST", "AT_TIMESTAMP", "AT_SEQUENCE_NUMBER", "TRIM_HORIZON"]);
pub(super) const SHARD_ITERATOR: Shape = text(1..=512);
pub(super) const SHARD_IDS: Shape = list!(SHARD_ID);
pub(super) const CONSUMER_ARN: Shape = pattern(1..=2048, &patterns::CONSUMER_ARN);
pub(super) const SHARD_FILTER_TYPE: Shape =
    choice(&["AFTER_SHARD_ID", "AT_TRIM_HORIZON", "FROM_TRIM_HORIZON", "AT_LATEST", "AT_TIMESTAMP", "FROM_TIMESTAMP"]);
pub(super) const CONSUMER_NAME: Shape = pattern(1..=128, &patterns::NAME);
pub(super) const CONSUMER_STATUS: Shape = choice(&["CREATING", "DELETING", "ACTIVE"]);
pub(super) const COMMITMENT_OUTPUT_STATUS: Shape =
    choice(&["ENABLED", "DISABLED", "ENABLED_UNTIL_EARLIEST_ALLOWED_END"]);
pub(super) const COMMITMENT_INPUT_STATUS: Shape = choice(&["ENABLED", "DISABLED"]);
pub(super) const TAG_KEYS: Shape = list!(TAG_KEY, 1..=50);
pub(super) const TAG_VALUE: Shape = text(0..=256);
pub(super) const RESOURCE_ARN: Shape = pattern(1..=2048, &patterns::RESOURCE_ARN);
pub(super) const RECEIPT_HANDLE: Shape = text(1..=1024);
pub(super) const QUEUE_ARN: Shape = pattern(1..=2048, &patterns::QUEUE_ARN);
pub(super) const QUEUE_STARTING_POSITION_TYPE: Shape = choice(&["TRIM_HORIZON", "LATEST", "AT_TIMESTAMP"]);
pub(super) const TARGET_TYPE: Shape = choice(&["BUILT_IN", "NONE"]);
pub(super) const QUEUE_NAME: Shape = pattern(1..=128, &patterns::NAME);
pub(super) const QUEUE_STATUS: Shape = choice(&["CREATING", "ACTIVE", "UPDATING", "DELETING"]);
pub(super) const RECORD_ID: Shape = pattern(1..=64, &patterns::RECORD_ID);
pub(super) const RECORD_FORMAT_TYPE: Shape = choice(&["GSR_JSON", "JSON", "STRING", "BYTE_ARRAY"]);
pub(super) const GSR_SCHEMA_ARN: Shape = pattern(1..=512, &patterns::GSR_SCHEMA_ARN);
pub(super) const BUCKET_ARN: Shape = pattern(1..=2048, &patterns::BUCKET_ARN);
pub(super) const EXPECTED_BUCKET_OWNER: Shape = pattern(12..=12, &patterns::EXPECTED_BUCKET_OWNER);
pub(super) const S3_ERROR_OUTPUT_PREFIX: Shape = pattern(1..=512, &patterns::S3_ERROR_OUTPUT_PREFIX);
pub(super) const S3_OUTPUT_KEY_TEMPLATE: Shape = pattern(1..=1024, &patterns::S3_OUTPUT_KEY_TEMPLATE);
pub(super) const S3_STORAGE_CLASS: Shape = choice(&["STANDARD", "INTELLIGENT_TIERING", "GLACIER_IR"]);
pub(super) const S3_COMPRESSION_TYPE: Shape = choice(&["NONE", "GZIP", "ZSTD"]);
pub(super) const PARTITION_TRANSFORM: Shape = choice(&["TIME_HOUR"]);
pub(super) const PARTITION_SOURCE_NAME: Shape = pattern(1..=255, &patterns::PARTITION_SOURCE_NAME);
pub(super) const TABLE_BUCKET_ARN: Shape = pattern(1..=2048, &patterns::TABLE_BUCKET_ARN);
pub(super) const S3_TABLES_NAMESPACE: Shape = pattern(1..=255, &patterns::LOWER_NAME);
pub(super) const S3_TABLES_TABLE_NAME: Shape = pattern(1..=255, &patterns::LOWER_NAME);
pub(super) const S3_TABLES_COMPRESSION_TYPE: Shape = choice(&["NONE", "ZSTD", "SNAPPY"]);
pub(super) const CHANNEL_ENCRYPTION_TYPE: Shape = choice(&["KMS"]);
pub(super) const CLOUD_WATCH_LOG_GROUP_NAME: Shape = pattern(1..=512, &patterns::CLOUD_WATCH_LOG_GROUP_NAME);
pub(super) const CLOUD_WATCH_LOG_STREAM_NAME: Shape = pattern(1..=512, &patterns::CLOUD_WATCH_LOG_STREAM_NAME);
pub(super) const CHANNEL_NAME: Shape = pattern(1..=128, &patterns::NAME);
pub(super) const ROLE_ARN: Shape = pattern(1..=512, &patterns::ROLE_ARN);
pub(super) const CHANNEL_ARN: Shape = pattern(1..=2048, &patterns::CHANNEL_ARN);
pub(super) const CHANNEL_ID: Shape = text(1..=64);
pub(super) const CHANNEL_STATUS: Shape = choice(&["CREATING", "ACTIVE", "UPDATING", "DELETING", "FAILED"]);
pub(super) const CHANNEL_STATUS_REASON: Shape = text(1..=2048);
pub(super) const CHANNEL_DESTINATION_TYPE: Shape = choice(&["S3", "S3_TABLES"]);
