//! What goes wrong on a simulated disk, on demand, and what was done on it.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use super::SimDisk;

/// Injected failures and counts.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults {
    power_off: bool,
    operations_left: Option<u64>,
    fail_next_sync: bool,
    fail_every_nth_sync: Option<u64>,
    full_during_next_write: bool,
    fail_next_write: bool,
    read_only: bool,
    capacity_bytes: Option<u64>,
    unreadable: BTreeSet<PathBuf>,
    operations: u64,
    syncs: u64,
    written_bytes: u64,
}

/// How an operation that changes something ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    /// Power goes off in the middle of it.
    PowerFails,
}

pub(super) fn power_failed() -> io::Error {
    io::Error::other("simulated power failure")
}

impl Faults {
    pub(super) fn power(&self) -> bool {
        !self.power_off
    }

    pub(super) fn check_power(&self) -> io::Result<()> {
        if self.power_off { Err(power_failed()) } else { Ok(()) }
    }

    /// Counts an operation that changes something.
    pub(super) fn mutation(&mut self) -> io::Result<Outcome> {
        self.check_power()?;
        if self.read_only {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        self.operations += 1;
        if let Some(left) = &mut self.operations_left {
            if *left == 0 {
                self.power_off = true;
                return Ok(Outcome::PowerFails);
            }
            *left -= 1;
        }
        Ok(Outcome::Done)
    }

    pub(super) fn count_sync(&mut self) {
        self.syncs += 1;
    }

    pub(super) fn count_written(&mut self, bytes: u64) {
        self.written_bytes += bytes;
    }

    pub(super) fn sync_fails(&mut self) -> bool {
        let nth = self.fail_every_nth_sync.is_some_and(|n| self.syncs.is_multiple_of(n));
        std::mem::take(&mut self.fail_next_sync) || nth
    }

    pub(super) fn take_full_write(&mut self) -> bool {
        std::mem::take(&mut self.full_during_next_write)
    }

    /// Whether the write at hand fails.
    pub(super) fn take_failed_write(&mut self) -> bool {
        std::mem::take(&mut self.fail_next_write)
    }

    pub(super) fn check_read(&self, path: &Path) -> io::Result<()> {
        if self.unreadable.contains(path) { Err(io::Error::other("simulated unreadable sector")) } else { Ok(()) }
    }

    pub(super) fn capacity_bytes(&self) -> u64 {
        self.capacity_bytes.unwrap_or(1 << 50)
    }

    /// A new start of the machine: only capacity, bad sectors and a read-only mount outlive it.
    pub(super) fn end(&mut self) {
        self.power_off = false;
        self.operations_left = None;
        self.fail_next_sync = false;
        self.fail_every_nth_sync = None;
        self.full_during_next_write = false;
        self.fail_next_write = false;
    }
}

impl SimDisk {
    /// Lets `operations` more operations that change something succeed; power goes off in the
    /// middle of the next, and everything fails until [`SimDisk::crash`].
    pub fn power_off_after(&self, operations: u64) {
        self.lock().faults.operations_left = Some(operations);
    }

    /// Makes the next file sync fail. What it did not write stays readable but is lost in a crash.
    pub fn fail_next_sync(&self) {
        self.lock().faults.fail_next_sync = true;
    }

    /// Makes every `n`th file sync fail, or none.
    pub fn fail_every_nth_sync(&self, n: Option<u64>) {
        self.lock().faults.fail_every_nth_sync = n;
    }

    /// Makes the next write run out of space somewhere in its middle.
    pub fn fill_up_during_next_write(&self) {
        self.lock().faults.full_during_next_write = true;
    }

    /// Makes the next write fail somewhere in its middle.
    pub fn fail_next_write(&self) {
        self.lock().faults.fail_next_write = true;
    }

    /// Refuses whatever changes something, or takes it again; outlives crashes.
    pub fn set_read_only(&self, read_only: bool) {
        self.lock().faults.read_only = read_only;
    }

    /// Bounds the bytes of all files together.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.lock().faults.capacity_bytes = bytes;
    }

    /// Makes reads of a file fail, or succeed again.
    pub fn set_unreadable(&self, path: &Path, unreadable: bool) {
        let bad = &mut self.lock().faults.unreadable;
        if unreadable {
            bad.insert(path.to_path_buf())
        } else {
            bad.remove(path)
        };
    }

    /// Makes reads of all files succeed again.
    pub fn set_all_readable(&self) {
        self.lock().faults.unreadable.clear();
    }

    /// Operations so far that changed something: a crash point each.
    pub fn operations(&self) -> u64 {
        self.lock().faults.operations
    }

    /// Syncs of files and directories so far.
    pub fn syncs(&self) -> u64 {
        self.lock().faults.syncs
    }

    /// Bytes written so far.
    pub fn written_bytes(&self) -> u64 {
        self.lock().faults.written_bytes
    }
}
