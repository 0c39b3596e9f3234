//! How RocksDB is set up, and why. Measured in `examples/move_bench.rs`.

use std::path::Path;

use rocksdb::{
    BottommostLevelCompaction, CompactOptions, DBCompressionType, LogLevel, Options, ReadOptions, WriteOptions,
};

const MIB: usize = 1024 * 1024;
/// Values below this stay in the tree.
const BLOB_BYTES_MIN: u64 = 1024;
/// Bytes of a blob file. Retention drops whole files, so smaller ones return space sooner.
const BLOB_FILE_BYTES: u64 = 128 * MIB as u64;
const WRITE_BUFFER_BYTES: usize = 64 * MIB;
const WRITE_BUFFERS_MAX: i32 = 4;

pub(super) fn database(dir: &Path) -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_atomic_flush(true);
    options.set_max_background_jobs(2);
    options.set_avoid_unnecessary_blocking_io(true);
    options.set_max_open_files(4096);
    options.set_log_level(LogLevel::Warn);
    options.set_keep_log_file_num(4);
    options.set_max_log_file_size(4 * MIB);
    options.set_stats_dump_period_sec(0);
    if supports_direct_io(dir) {
        // Otherwise the flush's dirty pages stand in front of the write-ahead log's sync.
        options.set_use_direct_io_for_flush_and_compaction(true);
    } else {
        options.set_bytes_per_sync(MIB as u64);
    }
    options
}

pub(super) fn log() -> Options {
    let mut options = tree();
    options.set_write_buffer_size(WRITE_BUFFER_BYTES);
    options.set_max_write_buffer_number(WRITE_BUFFERS_MAX);
    options.set_enable_blob_files(true);
    options.set_min_blob_size(BLOB_BYTES_MIN);
    options.set_blob_file_size(BLOB_FILE_BYTES);
    options.set_blob_compression_type(DBCompressionType::None);
    options.set_enable_blob_gc(false);
    options
}

pub(super) fn meta() -> Options {
    let mut options = tree();
    options.set_write_buffer_size(4 * MIB);
    options
}

/// What both column families share. The mover is the only writer and has its own back-pressure,
/// so RocksDB's stalls, which would hold it up for nothing, are out of the way.
fn tree() -> Options {
    let mut options = Options::default();
    options.set_compression_type(DBCompressionType::None);
    // Files hold little more than keys; merging them less often costs reads next to nothing.
    options.set_level_zero_file_num_compaction_trigger(12);
    options.set_level_zero_slowdown_writes_trigger(1 << 20);
    options.set_level_zero_stop_writes_trigger(1 << 20);
    options.set_soft_pending_compaction_bytes_limit(0);
    options.set_hard_pending_compaction_bytes_limit(0);
    options
}

pub(super) fn write() -> WriteOptions {
    let mut options = WriteOptions::default();
    options.disable_wal(true);
    options
}

/// Reads of entries. Every value carries a checksum of ours, but RocksDB must check its own all the
/// same: it takes a block apart before we see a value, and a damaged one ends the process.
pub(super) fn read() -> ReadOptions {
    let mut options = ReadOptions::default();
    options.set_verify_checksums(true);
    options.fill_cache(false);
    options.set_total_order_seek(true);
    options
}

pub(super) fn reclaim() -> CompactOptions {
    let mut options = CompactOptions::default();
    options.set_exclusive_manual_compaction(false);
    options.set_bottommost_level_compaction(BottommostLevelCompaction::Force);
    options
}

fn supports_direct_io(dir: &Path) -> bool {
    use rustix::fs::{Mode, OFlags};
    let probe = dir.join("direct-io-probe");
    let opened = rustix::fs::open(&probe, OFlags::CREATE | OFlags::WRONLY | OFlags::DIRECT, Mode::RUSR | Mode::WUSR);
    let _ = std::fs::remove_file(&probe);
    opened.is_ok()
}
