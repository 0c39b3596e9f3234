//! A place where file systems are made, cut off and thrown away, and nothing is left behind: see
//! [`thalweg_sandbox`]. Images lie in memory.

use std::ops::Deref;
use std::path::PathBuf;

use thalweg_sandbox::namespaces::{self, Network};
pub use thalweg_sandbox::namespaces::{die_with_parent, is_inside, is_required};
use thalweg_sandbox::tools::run;
pub use thalweg_sandbox::volume::{FileSystem, cut_command};
use thalweg_sandbox::{RunDir, volume};

/// Directories of this name are those of runs.
const PREFIX: &str = "thalweg-crash-";

/// The program's own directory, with a tmpfs that ends with it.
#[derive(Debug)]
pub struct Sandbox {
    memory: PathBuf,
    _dir: RunDir,
}

/// Why a sandbox cannot be had here; nothing if it can.
pub fn missing() -> Option<String> {
    namespaces::missing(Network::Shared, &[])
}

/// Runs this program again, with the same arguments, in namespaces of its own. Returns only if that
/// fails.
pub fn enter() -> anyhow::Error {
    namespaces::enter(Network::Shared)
}

impl Sandbox {
    /// A new one, of a program that [is inside](is_inside).
    pub fn new() -> anyhow::Result<Sandbox> {
        let dir = RunDir::new(PREFIX)?;
        let memory = dir.path().join("memory");
        std::fs::create_dir(&memory)?;
        run(&format!("mount -t tmpfs thalweg-crash {}", memory.display()))?;
        Ok(Sandbox { memory, _dir: dir })
    }

    /// A directory in memory.
    pub fn dir(&self, name: &str) -> anyhow::Result<PathBuf> {
        let dir = self.memory.join(name);
        std::fs::create_dir_all(&dir)?;
        Ok(dir)
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // Lazily: what is still in use ends with this process.
        let _ = run(&format!("umount --lazy {}", self.memory.display()));
    }
}

/// A mounted file system that is gone when this value is.
pub struct Volume(volume::Volume);

impl Volume {
    /// Makes and mounts a file system of `bytes` (XFS takes 300 MiB and more; images are sparse).
    pub fn make(sandbox: &Sandbox, name: &str, kind: FileSystem, bytes: u64) -> anyhow::Result<Volume> {
        volume::Volume::create(&sandbox.dir("disks")?, name, kind, bytes).map(Volume)
    }

    /// A directory on it.
    pub fn dir(&self) -> PathBuf {
        self.mount_point().join("data")
    }
}

impl Deref for Volume {
    type Target = volume::Volume;

    fn deref(&self) -> &volume::Volume {
        &self.0
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        // It may have been unmounted before.
        let _ = self.unmount();
        let _ = std::fs::remove_file(self.image());
    }
}
