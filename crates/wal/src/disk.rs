//! The small trait through which everything reaches the disk.
//!
//! The same log runs on [`RealDisk`] and on [`SimDisk`], which loses, tears and flips on demand.
//!
//! # To ensure correctness
//! - Bytes written to a file survive a crash once `sync_data` has returned, not before. After a
//!   failed `sync_data` nothing is known about them, and trying again proves nothing.
//! - A created, renamed or removed name survives a crash once `sync_dir` has returned for its
//!   directory; before, changes of one directory may be lost, but only the latest ones.
//! - A crash leaves each 512-byte sector old or new, in any mixture.

mod real;
mod sim;

use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;

pub use real::RealDisk;
pub use sim::SimDisk;

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// An existing file, for reading only.
    Read,
    /// An existing file, for reading and writing.
    ReadWrite,
    /// A new file, for reading and writing; an error if the name is taken.
    CreateNew,
}

/// A file system as far as a data directory needs one.
pub trait Disk: Send + Sync + 'static {
    /// Makes a directory and those above it, durably. Existing ones are fine.
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;
    /// Opens a file.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>>;
    /// Names of the files in a directory, sorted.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Moves a file, replacing what had the new name. Atomic, durable after `sync_dir`.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file. Durable after `sync_dir`.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes creations, renames and removals in a directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Bytes that can still be allocated on the file system of `dir`.
    fn free_bytes(&self, dir: &Path) -> io::Result<u64>;
}

/// An open file. Offsets are explicit, so it can be shared between threads.
pub trait DiskFile: Send + Sync {
    /// Writes all parts one behind the other from `offset` on. On an error any of the bytes may
    /// have been written.
    fn write_vectored_at(&self, parts: &[IoSlice<'_>], offset: u64) -> io::Result<()>;
    /// Fills `buf` from `offset` on; returns fewer bytes only where the file ends.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Returns when everything written and the length are on stable storage.
    fn sync_data(&self) -> io::Result<()>;
    /// Reserves space for the first `len` bytes and extends the file to them. Contents stay.
    fn allocate(&self, len: u64) -> io::Result<()>;
    /// Bytes of the file.
    fn len(&self) -> io::Result<u64>;
    /// Cuts or extends the file; new bytes read as zero.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Whether the file has no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}

/// Whether an error means that space ran out, so that nothing but space is wrong.
pub(crate) fn is_disk_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
