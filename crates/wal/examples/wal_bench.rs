//! How fast one thread appends and syncs: recycled segment files against fresh ones.
//!
//! `cargo run --release -p thalweg-wal --example wal_bench [-- DIR [MEGABYTES]]`
//!
//! Each line is one log: blocks of a size, every block synced, released segments recycled or
//! removed. CPU is this process's own; MB/s is the disk's mood too, so compare lines of one run.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use thalweg_types::GroupId;
use thalweg_wal::{Kind, Options, RealDisk, Record, Wal};

type Error = Box<dyn std::error::Error>;

/// What one line measures.
struct Load {
    recycled: bool,
    records_per_block: usize,
    record_bytes: usize,
    total_bytes: usize,
}

fn main() -> Result<(), Error> {
    let mut args = std::env::args().skip(1);
    let scratch = tempfile::tempdir()?;
    let dir = args.next().map_or_else(|| scratch.path().to_path_buf(), PathBuf::from);
    let megabytes: usize = args.next().map_or(Ok(1024), |text| text.parse())?;
    println!(
        "{:<9} {:>22} {:>8} {:>9} {:>7} {:>9} {:>9}",
        "segments", "block", "MB/s", "CPU-s/GB", "syncs", "p50 us", "p99 us"
    );
    for (records_per_block, record_bytes) in [(1, 1024), (64, 1024), (1, 65_536), (16, 65_536)] {
        for recycled in [false, true] {
            let total_bytes = (megabytes << 20).min(records_per_block * record_bytes * 10_000);
            run(&dir.join("bench-wal"), &Load { recycled, records_per_block, record_bytes, total_bytes })?;
        }
    }
    Ok(())
}

fn run(dir: &Path, load: &Load) -> Result<(), Error> {
    let options = Options { recycled_max: if load.recycled { 4 } else { 0 }, ..Options::new(dir) };
    let segment_bytes = options.segment_bytes as usize;
    let (mut wal, _) = Wal::open(Arc::new(RealDisk), options, &mut |_, _| {})?;
    let block = block_of(load.records_per_block, load.record_bytes);
    if load.recycled {
        // The first round makes the files that the measured rounds reuse.
        let large = block_of(16, 65_536);
        append(&mut wal, &large, 5 * segment_bytes / block_bytes(&large), |_| {})?;
    }
    let mut latencies = Vec::new();
    let blocks = load.total_bytes / block_bytes(&block);
    let (started, cpu) = (Instant::now(), cpu_time()?);
    append(&mut wal, &block, blocks, |took| latencies.push(took))?;
    let (elapsed, cpu) = (started.elapsed(), cpu_time()? - cpu);
    wal.close()?;
    std::fs::remove_dir_all(dir)?;
    print_line(load, elapsed, cpu, &mut latencies);
    Ok(())
}

fn append(wal: &mut Wal, block: &[Record], blocks: usize, mut done: impl FnMut(Duration)) -> Result<(), Error> {
    for _ in 0..blocks {
        let started = Instant::now();
        wal.append(block)?;
        wal.sync()?;
        done(started.elapsed());
        wal.release_below(wal.current_segment())?;
    }
    Ok(())
}

fn block_of(records: usize, record_bytes: usize) -> Vec<Record> {
    let body: Bytes = (0..record_bytes).map(|at| (at * 31 % 251) as u8).collect();
    let head = Bytes::from_static(&[7; 32]);
    let record = |index| Record {
        group: GroupId(index),
        kind: Kind::Entry,
        index,
        term: 1,
        head: head.clone(),
        body: body.clone(),
    };
    (0..records as u64).map(record).collect()
}

fn block_bytes(block: &[Record]) -> usize {
    block.iter().map(|record| record.body.len()).sum()
}

/// Time this thread has spent on a CPU.
fn cpu_time() -> Result<Duration, Error> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanos = stat.split_whitespace().next().ok_or("empty schedstat")?.parse()?;
    Ok(Duration::from_nanos(nanos))
}

fn print_line(load: &Load, elapsed: Duration, cpu: Duration, latencies: &mut [Duration]) {
    latencies.sort_unstable();
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize].as_micros();
    let (megabytes, gigabytes) = (load.total_bytes as f64 / 1e6, load.total_bytes as f64 / 1e9);
    println!(
        "{:<9} {:>22} {:>8.0} {:>9.2} {:>7} {:>9} {:>9}",
        if load.recycled { "recycled" } else { "fresh" },
        format!("{} x {} B", load.records_per_block, load.record_bytes),
        megabytes / elapsed.as_secs_f64(),
        cpu.as_secs_f64() / gigabytes,
        latencies.len(),
        at(0.5),
        at(0.99),
    );
}
