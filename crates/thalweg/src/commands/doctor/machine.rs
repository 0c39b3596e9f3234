//! Reading this machine. Blocking: each of these may take up to a second.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::time::{Duration, Instant};

use thalweg_types::{Clock, SystemClock};

use super::verdict::{self, Check};
use crate::host;

const SYNC_PROBE: Duration = Duration::from_millis(700);
const CLOCK_WATCH: Duration = Duration::from_millis(200);

/// How long a write with its sync takes.
pub(super) fn sync(dir: &Path, block_bytes: usize) -> Check {
    match host::sync_probe(existing(dir), block_bytes, SYNC_PROBE) {
        Ok(probe) => verdict::sync(&probe),
        Err(error) => Check::unknown("disk sync", &format!("{}: {error}", dir.display())),
    }
}

/// Room on the disk.
pub(super) fn free_space(dir: &Path) -> Check {
    match rustix::fs::statvfs(existing(dir)) {
        Ok(disk) => verdict::free_space(disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize),
        Err(error) => Check::unknown("free space", &error),
    }
}

/// The folder, or the nearest one above it that exists: a node makes its own.
fn existing(dir: &Path) -> &Path {
    dir.ancestors().find(|dir| dir.is_dir()).unwrap_or(Path::new("."))
}

/// Files that a process may have open.
pub(super) fn open_files() -> Check {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    match soft_limit(&limits, "Max open files") {
        Some(limit) => verdict::open_files(limit),
        None => Check::unknown("open files", &"/proc/self/limits does not say"),
    }
}

fn soft_limit(limits: &str, name: &str) -> Option<u64> {
    let limit = limits.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?;
    if limit == "unlimited" { Some(u64::MAX) } else { limit.parse().ok() }
}

/// Memory that a node could take.
pub(super) fn memory() -> Check {
    let info = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = info.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    match line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()) {
        Some(kib) => verdict::memory(kib * 1024),
        None => Check::unknown("memory", &"/proc/meminfo does not say"),
    }
}

/// Instructions that make checksums fast.
pub(super) fn processor() -> Check {
    verdict::processor(&missing_features())
}

#[cfg(target_arch = "x86_64")]
fn missing_features() -> Vec<&'static str> {
    let features = [
        ("sse4.2", std::is_x86_feature_detected!("sse4.2")),
        ("pclmulqdq", std::is_x86_feature_detected!("pclmulqdq")),
    ];
    features.into_iter().filter_map(|(name, present)| (!present).then_some(name)).collect()
}

#[cfg(not(target_arch = "x86_64"))]
fn missing_features() -> Vec<&'static str> {
    Vec::new()
}

/// Whether the wall clock runs as evenly as the monotonic one.
pub(super) fn clock() -> Check {
    let (wall, monotonic) = (SystemClock.now(), Instant::now());
    while monotonic.elapsed() < CLOCK_WATCH {
        std::thread::park_timeout(CLOCK_WATCH.saturating_sub(monotonic.elapsed()));
    }
    let passed = monotonic.elapsed().as_millis() as u64;
    let wall_passed = i128::from(SystemClock.now().0) - i128::from(wall.0);
    verdict::clock((wall_passed - i128::from(passed)).unsigned_abs() as u64)
}

/// Who keeps the wall clock right.
pub(super) fn time_service() -> Check {
    const SIGNS: [(&str, &str); 4] = [
        ("/run/systemd/timesync/synchronized", "systemd-timesyncd, synchronized"),
        ("/run/chrony/chronyd.pid", "chrony"),
        ("/run/chronyd.pid", "chrony"),
        ("/run/ntpd.pid", "ntpd"),
    ];
    verdict::time_service(SIGNS.iter().find(|(path, _)| Path::new(path).exists()).map(|(_, name)| *name))
}

/// Whether a port can be listened on.
pub(super) fn port(port: u16) -> Check {
    match TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)) {
        Ok(_) => verdict::port(port, None),
        Err(error) if error.kind() == ErrorKind::AddrInUse => verdict::port(port, Some("in use")),
        Err(error) => verdict::port(port, Some(&error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_as_the_kernel_writes_them() {
        let text = "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024                 4096                 files\n";
        assert_eq!(soft_limit(text, "Max open files"), Some(1024));
        assert_eq!(soft_limit("Max open files  unlimited unlimited files", "Max open files"), Some(u64::MAX));
    }

    #[test]
    fn a_folder_that_is_not_there_yet_is_judged_by_its_parent() {
        assert_eq!(existing(Path::new("/no/such/folder")), Path::new("/"));
    }
}
