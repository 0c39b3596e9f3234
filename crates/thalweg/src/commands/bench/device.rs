//! Bytes that reach the device under a folder, whoever writes them.
//!
//! The kernel accounts writes to processes when it dirties memory, and counts a whole large folio
//! for a small overwrite in it: up to 256 times what is written. The device's own counter is
//! right, but knows no processes; on a quiet machine the two bracket the truth.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Bytes of a sector in the kernel's counters, whatever the device's own are.
const SECTOR_BYTES: u64 = 512;

/// A block device.
#[derive(Clone, Debug)]
pub(super) struct Device {
    counters: PathBuf,
}

impl Device {
    /// The device that holds a folder; nothing for file systems without one.
    pub(super) fn of(dir: &Path) -> Option<Device> {
        let device = fs::metadata(dir).ok()?.dev();
        let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
        let counters = PathBuf::from(format!("/sys/dev/block/{major}:{minor}/stat"));
        counters.exists().then_some(Device { counters })
    }

    /// Bytes written to it since it is there.
    pub(super) fn written_bytes(&self) -> Option<u64> {
        sectors_written(&fs::read_to_string(&self.counters).ok()?).map(|sectors| sectors * SECTOR_BYTES)
    }
}

fn sectors_written(counters: &str) -> Option<u64> {
    counters.split_whitespace().nth(6)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sectors_written_are_the_seventh_counter() {
        assert_eq!(sectors_written("  1 2 3 4 5 6 700 8 9 10 11"), Some(700));
        assert_eq!(sectors_written("1 2"), None);
    }
}
