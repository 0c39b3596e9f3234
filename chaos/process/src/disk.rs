//! A node's disk: a file system of its own in a sparse file, so that it can fill up, freeze, turn
//! read-only, or lose its power.
//!
//! Nodes take turns between ext4 and XFS, which lose different things in a power cut.
//!
//! Holds: after [`Disk::cut_power`] nothing reaches the image until it is mounted again; what was
//! not synced by then is gone.

use std::path::{Path, PathBuf};

use anyhow::Context;
use thalweg_sandbox::{FileSystem, Volume};

use crate::tools::{aside, run_aside};

/// The file that takes up all room.
const BALLAST: &str = "ballast";

/// One node's disk, mounted while in use.
#[derive(Clone, Debug)]
pub(crate) struct Disk(Volume);

impl Disk {
    /// Makes and mounts an empty one of `mib` MiB for node `id` in `dir`.
    pub(crate) async fn create(dir: &Path, id: u64, mib: u64) -> anyhow::Result<Disk> {
        let (dir, kind) = (dir.to_owned(), FileSystem::ALL[usize::from(id.is_multiple_of(2))]);
        aside(move || Volume::create(&dir, &id.to_string(), kind, mib * 1024 * 1024)).await.map(Disk)
    }

    /// Where the node keeps its data.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.0.mount_point().join("data")
    }

    /// The device under it: `7:3`.
    pub(crate) fn device(&self) -> anyhow::Result<String> {
        self.0.find("MAJ:MIN")
    }

    async fn aside(&self, work: fn(&Volume) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let volume = self.0.clone();
        aside(move || work(&volume)).await
    }

    /// Cuts its power: what the file system has not written to the image by now is lost. Whoever
    /// uses it gets errors from now on.
    pub(crate) fn cut_power(&self) -> anyhow::Result<()> {
        self.0.cut()
    }

    /// Mounts it again after its power was cut or it turned read-only; nobody uses it meanwhile.
    pub(crate) async fn restore(&self) -> anyhow::Result<()> {
        self.aside(Volume::unmount).await?;
        if self.0.kind() == FileSystem::Ext4 {
            // It ends with 1 when it has repaired something, which is what it is for.
            run_aside(format!("e2fsck -fy {}", self.0.image().display())).await.ok();
        }
        self.aside(Volume::mount).await.context("after a power cut")
    }

    /// Makes it empty, as a new one is.
    pub(crate) async fn wipe(&self) -> anyhow::Result<()> {
        self.aside(Volume::unmount).await?;
        self.aside(Volume::make).await
    }

    /// Takes up all room but `left_kib`.
    pub(crate) async fn fill(&self, left_kib: u64) -> anyhow::Result<()> {
        let free: u64 = self.0.find("AVAIL")?.parse().context("findmnt tells bytes")?;
        let bytes = free.saturating_sub(left_kib * 1024);
        run_aside(format!("fallocate -l {} {}", bytes.max(1), self.ballast().display())).await.map(drop)
    }

    /// Gives the room back.
    pub(crate) fn empty(&self) -> anyhow::Result<()> {
        Ok(std::fs::remove_file(self.ballast())?)
    }

    fn ballast(&self) -> PathBuf {
        self.0.mount_point().join(BALLAST)
    }

    /// Stops all writing, syncs included, until it is thawed.
    pub(crate) async fn freeze(&self) -> anyhow::Result<()> {
        run_aside(format!("fsfreeze -f {}", self.0.mount_point().display())).await.map(drop)
    }

    /// Lets writing go on.
    pub(crate) async fn thaw(&self) -> anyhow::Result<()> {
        run_aside(format!("fsfreeze -u {}", self.0.mount_point().display())).await.map(drop)
    }

    /// Makes the kernel find an error in it and turn it read-only under its users: ext4 only.
    pub(crate) fn turn_read_only(&self) -> anyhow::Result<()> {
        self.0.fail_into_read_only()
    }
}
