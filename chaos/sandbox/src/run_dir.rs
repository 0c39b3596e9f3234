//! The directory of a run.
//!
//! Holds: a directory that a run uses is locked and nobody removes it, although it may look empty from
//! outside, where its mounts are not seen. Removing it there would unmount them.

use std::fs::File;
use std::path::Path;

use anyhow::Context;

/// Locked while a run uses its directory.
const LOCK: &str = "in-use";

/// The directory of a run, removed with this value.
#[derive(Debug)]
pub struct RunDir {
    dir: tempfile::TempDir,
    _lock: File,
}

impl RunDir {
    /// A new one, whose name begins with `prefix`; those of runs that were killed are removed.
    pub fn new(prefix: &str) -> anyhow::Result<RunDir> {
        sweep(prefix)?;
        let dir = tempfile::Builder::new().prefix(prefix).tempdir().context("cannot make a directory for the run")?;
        let lock = File::create(dir.path().join(LOCK))?;
        lock.try_lock().context("nobody else knows this directory")?;
        Ok(RunDir { dir, _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }
}

fn sweep(prefix: &str) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(std::env::temp_dir())?.flatten() {
        let ours = entry.file_name().to_string_lossy().starts_with(prefix);
        if ours && is_abandoned(&entry.path().join(LOCK)) {
            std::fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

fn is_abandoned(lock: &Path) -> bool {
    File::open(lock).is_ok_and(|lock| lock.try_lock().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_in_use_stays_and_one_whose_run_died_is_removed() {
        let used = RunDir::new("thalweg-run-dir-test-").unwrap();
        let RunDir { dir, _lock: lock } = RunDir::new("thalweg-run-dir-test-").unwrap();
        let left = dir.keep();
        drop(lock);
        drop(RunDir::new("thalweg-run-dir-test-").unwrap());
        assert!(used.path().exists() && !left.exists());
    }
}
