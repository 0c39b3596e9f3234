//! What it costs to move entries to the record store, two ways, and write and move together.
//!
//! `cargo run --release -p thalweg-storage --example move_bench [-- DIR [MEGABYTES [WAY]]]`
//!
//! - `blob`: batches into the BlobDB column family, flushed with direct I/O ([`RocksStore`]).
//! - `sst`: a file a round, sorted by group and index ([`rocksdb::SstFileWriter`]), ingested whole.
//! - `sst/g`: a file a round and group, which never overlap, so nothing is compacted.
//! - `node`: a [`NodeLog`] with threads: write-ahead log, sync, move, flush.
//!
//! CPU is user and system time of this process, flushes and compactions included; disk bytes are
//! what the kernel was given. MB/s is the disk's mood too, so compare lines of one run.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Instant;

use bytes::Bytes;
use rocksdb::{DB, IngestExternalFileOptions, SstFileWriter};
use thalweg_storage::{Driver, LogEntry, NodeLog, Options, RecordStore, RocksStore};
use thalweg_types::{GroupId, crc32c};
use thalweg_wal::RealDisk;

type Error = Box<dyn std::error::Error>;

const GROUPS: u64 = 64;
const ROUND_BYTES: usize = 64 << 20;
/// Appends in flight in the `node` line.
const IN_FLIGHT: usize = 64;

type Way = fn(&Path, &Load) -> Result<(), Error>;
const WAYS: [(&str, Way); 4] = [("blob", blob), ("sst", sst), ("sst/g", sst_by_group), ("node", node)];

fn main() -> Result<(), Error> {
    let mut args = std::env::args().skip(1);
    let scratch = tempfile::tempdir()?;
    let dir = args.next().map_or_else(|| scratch.path().to_path_buf(), PathBuf::from).join("move-bench");
    let total = args.next().map_or(Ok(2048), |text| text.parse::<usize>())? << 20;
    let only = args.next();
    println!("{:<6} {:>9} {:>8} {:>9} {:>10} {:>10}", "way", "body", "MB/s", "CPU-s/GB", "disk B/B", "kept B/B");
    for body_bytes in [64 << 10, 1 << 10] {
        let load = Load { body: body(body_bytes), total };
        for (way, run) in WAYS {
            if only.as_deref().is_none_or(|only| only == way) {
                measure(way, &dir, &load, run)?;
            }
        }
    }
    Ok(())
}

struct Load {
    body: Bytes,
    total: usize,
}

impl Load {
    fn rounds(&self) -> u64 {
        (self.total / ROUND_BYTES) as u64
    }

    /// Entries a group gets each round.
    fn per_group(&self) -> u64 {
        (ROUND_BYTES / self.body.len()) as u64 / GROUPS
    }

    fn entries(&self, from: u64) -> Vec<LogEntry> {
        let entry = |index| LogEntry { index, term: 1, head: Bytes::from_static(&[7; 24]), body: self.body.clone() };
        (from..from + self.per_group()).map(entry).collect()
    }
}

/// Bytes that do not compress.
fn body(len: usize) -> Bytes {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..len).map(|_| next()).collect()
}

fn measure(way: &str, dir: &Path, load: &Load, run: Way) -> Result<(), Error> {
    let _ = std::fs::remove_dir_all(dir);
    std::fs::create_dir_all(dir)?;
    let (started, cpu, written) = (Instant::now(), cpu_secs()?, written_bytes()?);
    run(dir, load)?;
    let (elapsed, cpu, written) = (started.elapsed(), cpu_secs()? - cpu, written_bytes()? - written);
    let bytes = (load.rounds() * load.per_group() * GROUPS) as f64 * load.body.len() as f64;
    println!(
        "{way:<6} {:>9} {:>8.0} {:>9.2} {:>10.2} {:>10.2}",
        load.body.len(),
        bytes / 1e6 / elapsed.as_secs_f64(),
        cpu / (bytes / 1e9),
        written as f64 / bytes,
        tree_bytes(dir)? as f64 / bytes,
    );
    std::fs::remove_dir_all(dir)?;
    Ok(())
}

fn blob(dir: &Path, load: &Load) -> Result<(), Error> {
    let store = RocksStore::open(dir)?;
    for round in 0..load.rounds() {
        for group in 0..GROUPS {
            store.put(GroupId(group), &load.entries(round * load.per_group()))?;
        }
        store.commit(&[])?;
    }
    Ok(())
}

fn sst(dir: &Path, load: &Load) -> Result<(), Error> {
    ingest(dir, load, GROUPS)
}

fn sst_by_group(dir: &Path, load: &Load) -> Result<(), Error> {
    ingest(dir, load, 1)
}

fn ingest(dir: &Path, load: &Load, groups_per_file: u64) -> Result<(), Error> {
    let mut options = rocksdb::Options::default();
    options.create_if_missing(true);
    options.set_compression_type(rocksdb::DBCompressionType::None);
    options.set_use_direct_io_for_flush_and_compaction(true);
    options.set_max_background_jobs(2);
    let db = DB::open(&options, dir.join("db"))?;
    let mut value = Vec::new();
    for round in 0..load.rounds() {
        let mut paths = Vec::new();
        for first in (0..GROUPS).step_by(groups_per_file as usize) {
            let path = dir.join(format!("{round}-{first}.sst"));
            let mut writer = SstFileWriter::create(&options);
            writer.open(&path)?;
            for group in first..first + groups_per_file {
                for entry in load.entries(round * load.per_group()) {
                    encode(&entry, &mut value);
                    writer.put([group.to_be_bytes(), entry.index.to_be_bytes()].concat(), &value)?;
                }
            }
            writer.finish()?;
            paths.push(path);
        }
        let mut ingest = IngestExternalFileOptions::default();
        ingest.set_move_files(true);
        db.ingest_external_file_opts(&ingest, paths)?;
    }
    db.wait_for_compact(&rocksdb::WaitForCompactOptions::default())?;
    Ok(())
}

/// The value as the record store has it, near enough for its cost.
fn encode(entry: &LogEntry, value: &mut Vec<u8>) {
    value.clear();
    value.extend_from_slice(&[0; 16]);
    value.extend_from_slice(&entry.head);
    value.extend_from_slice(&entry.body);
    let checksum = crc32c(&value[4..]);
    value[..4].copy_from_slice(&checksum.to_le_bytes());
}

fn node(dir: &Path, load: &Load) -> Result<(), Error> {
    let store = Arc::new(RocksStore::open(&dir.join("records"))?);
    let (log, _) = NodeLog::open(Options::new(dir.join("wal")), Arc::new(RealDisk), store, Driver::Threads)?;
    let (sender, answers) = channel();
    let mut in_flight = 0;
    for round in 0..load.rounds() {
        for group in 0..GROUPS {
            let group = log.group(GroupId(group));
            for chunk in load.entries(round * load.per_group()).chunks((64 << 10) / load.body.len()) {
                if in_flight == IN_FLIGHT {
                    answers.recv()?;
                    in_flight -= 1;
                }
                let (sender, applied, last) = (sender.clone(), group.clone(), chunk[chunk.len() - 1].index);
                let done = move |result: Result<(), _>| {
                    result.expect("the disk is well");
                    applied.set_applied(last);
                    let _ = sender.send(());
                };
                group.append(chunk.to_vec(), true, Box::new(done));
                in_flight += 1;
            }
        }
    }
    log.close()?;
    Ok(())
}

/// User and system time of this process.
fn cpu_secs() -> Result<f64, Error> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
    Ok(ticks / 100.0)
}

fn written_bytes() -> Result<u64, Error> {
    let io = std::fs::read_to_string("/proc/self/io")?;
    let line = io.lines().find_map(|line| line.strip_prefix("write_bytes: ")).ok_or("no write_bytes")?;
    Ok(line.parse()?)
}

fn tree_bytes(dir: &Path) -> Result<u64, Error> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        bytes += if entry.file_type()?.is_dir() { tree_bytes(&entry.path())? } else { entry.metadata()?.len() };
    }
    Ok(bytes)
}
