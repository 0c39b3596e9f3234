//! The named bounds that the protocol itself sets. Tunable bounds live in each crate's options.

/// Shards a stream may have open at once.
pub const SHARDS_PER_STREAM_MAX: u32 = 10_000;
/// Characters (not bytes) in a partition key; at least one.
pub const PARTITION_KEY_CHARS_MAX: usize = 256;
/// Bytes of one record, its data and partition key together, in a stream that sets no limit.
pub const RECORD_BYTES_DEFAULT_MAX: usize = 1024 * 1024;
/// Bytes of one record that no stream may exceed (10 MiB).
pub const RECORD_BYTES_MAX: usize = 10 * 1024 * 1024;
/// Bytes of one encoded record batch: the largest record and room for its framing.
pub const BATCH_BYTES_MAX: usize = RECORD_BYTES_MAX + 64 * 1024;
/// Records in one batch: the record part of a sequence number has 20 bits, and its highest value
/// stands for "after this batch", which no record may have.
pub const BATCH_RECORDS_MAX: usize = (1 << 20) - 1;
/// Shortest retention, in hours.
pub const RETENTION_HOURS_MIN: u32 = 24;
/// Longest retention, in hours (365 days).
pub const RETENTION_HOURS_MAX: u32 = 8_760;
/// Replicas of a shard unless the stream says otherwise (never more than there are nodes).
pub const REPLICATION_DEFAULT: u32 = 3;
/// Replicas of a shard at most.
pub const REPLICATION_MAX: u32 = 7;
