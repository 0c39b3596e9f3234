//! What this host can do by itself: sync a recycled file, carry bytes over loopback.
//!
//! A cluster's figures mean little without these beside them, taken in the same run. Blocking:
//! call it where waiting is allowed.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

/// Blocks of the file that are written again and again, as a log with recycled segments does.
const FILE_BYTES: usize = 64 * 1024 * 1024;
const LOOPBACK_WRITE_BYTES: usize = 1024 * 1024;

/// How fast synced writes are.
#[derive(Clone, Debug)]
pub(crate) struct SyncProbe {
    /// Bytes of one write.
    pub(crate) block_bytes: usize,
    /// Decimal megabytes a second.
    pub(crate) mb_per_s: f64,
    /// Of one write with its sync.
    pub(crate) p50_us: u64,
    /// Of one write with its sync.
    pub(crate) p99_us: u64,
}

/// Writes blocks into a file that has its space already, with `fdatasync` after each.
pub(crate) fn sync_probe(dir: &Path, block_bytes: usize, duration: Duration) -> std::io::Result<SyncProbe> {
    let path = dir.join(format!(".thalweg-probe-{}", std::process::id()));
    let outcome = File::create(&path).and_then(|file| probe_file(file, block_bytes, duration));
    std::fs::remove_file(&path)?;
    outcome
}

fn probe_file(mut file: File, block_bytes: usize, duration: Duration) -> std::io::Result<SyncProbe> {
    let block: Vec<u8> = (0..block_bytes).map(|at| (at % 251) as u8).collect();
    let blocks = (FILE_BYTES / block_bytes).max(1);
    for _ in 0..blocks {
        file.write_all(&block)?;
    }
    file.sync_all()?;
    let mut latencies = microseconds();
    let begun = Instant::now();
    let mut written = 0;
    while begun.elapsed() < duration {
        if written % blocks == 0 {
            file.seek(SeekFrom::Start(0))?;
        }
        let before = Instant::now();
        file.write_all(&block)?;
        file.sync_data()?;
        latencies.saturating_record(before.elapsed().as_micros() as u64);
        written += 1;
    }
    Ok(SyncProbe {
        block_bytes,
        mb_per_s: megabytes_per_second((written * block_bytes) as u64, begun.elapsed()),
        p50_us: latencies.value_at_quantile(0.5),
        p99_us: latencies.value_at_quantile(0.99),
    })
}

/// Decimal megabytes a second over one loopback connection.
pub(crate) fn loopback_probe(duration: Duration) -> std::io::Result<f64> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let sender = std::thread::spawn(move || -> std::io::Result<()> {
        let mut stream = TcpStream::connect(address)?;
        let block = vec![7; LOOPBACK_WRITE_BYTES];
        let begun = Instant::now();
        while begun.elapsed() < duration {
            stream.write_all(&block)?;
        }
        Ok(())
    });
    let (mut stream, _) = listener.accept()?;
    let mut buffer = vec![0; LOOPBACK_WRITE_BYTES];
    let (begun, mut received) = (Instant::now(), 0);
    loop {
        match stream.read(&mut buffer)? {
            0 => break,
            bytes => received += bytes as u64,
        }
    }
    let rate = megabytes_per_second(received, begun.elapsed());
    sender.join().map_err(|_| std::io::Error::other("the sending thread panicked"))??;
    Ok(rate)
}

/// A histogram of microseconds with three digits, up to ten minutes.
pub(crate) fn microseconds() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 600_000_000, 3).expect("the bounds are constants that it accepts")
}

/// Decimal megabytes a second.
pub(crate) fn megabytes_per_second(bytes: u64, elapsed: Duration) -> f64 {
    bytes as f64 / 1e6 / elapsed.as_secs_f64().max(1e-9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probes_measure_something_and_leave_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let probe = sync_probe(dir.path(), 1024 * 1024, Duration::from_millis(20)).unwrap();
        assert!(probe.mb_per_s > 0.0 && probe.p50_us <= probe.p99_us);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        assert!(loopback_probe(Duration::from_millis(20)).unwrap() > 0.0);
    }
}
