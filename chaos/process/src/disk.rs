//! A node's disk: a file system of its own in a sparse file, so that it can fill up, freeze, turn
//! read-only, or lose its power.
//!
//! Nodes take turns between ext4 and XFS, which lose different things in a power cut.
//!
//! Holds: after [`Disk::cut_power`] nothing reaches the image until it is mounted again; what was
//! not synced by then is gone.

use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::tools::{run, run_aside};

/// The file that takes up all room.
const BALLAST: &str = "ballast";

/// Which file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Ext4,
    Xfs,
}

/// One node's disk, mounted while in use.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    image: PathBuf,
    mount: PathBuf,
    format: Format,
}

impl Disk {
    /// Makes and mounts an empty one of `mib` MiB for node `id` in `dir`.
    pub(crate) async fn create(dir: &Path, id: u64, mib: u64) -> anyhow::Result<Disk> {
        let (image, mount) = (dir.join(format!("disk-{id}")), dir.join(format!("mount-{id}")));
        let format = if id % 2 == 1 { Format::Ext4 } else { Format::Xfs };
        std::fs::create_dir_all(&mount)?;
        std::fs::File::create(&image)?.set_len(mib * 1024 * 1024)?;
        let disk = Disk { image, mount, format };
        disk.make().await?;
        Ok(disk)
    }

    async fn make(&self) -> anyhow::Result<()> {
        let image = self.image.display();
        let line = match self.format {
            Format::Ext4 => format!("mkfs.ext4 -q -F -E nodiscard {image}"),
            Format::Xfs => format!("mkfs.xfs -q -f -K {image}"),
        };
        run_aside(line).await?;
        self.mount().await
    }

    /// Where the node keeps its data.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.mount.join("data")
    }

    /// The device under it: `7:3`.
    pub(crate) fn device(&self) -> anyhow::Result<String> {
        let device = run(&format!("findmnt -no MAJ:MIN {}", self.mount.display()))?;
        Ok(device.trim().to_owned())
    }

    async fn mount(&self) -> anyhow::Result<()> {
        let options = match self.format {
            Format::Ext4 => "loop,errors=remount-ro",
            Format::Xfs => "loop",
        };
        let (image, mount) = (self.image.display(), self.mount.display());
        run_aside(format!("mount -o {options} {image} {mount}")).await.map(drop)
    }

    async fn unmount(&self) -> anyhow::Result<()> {
        run_aside(format!("umount {}", self.mount.display())).await.map(drop)
    }

    /// Cuts its power: what the file system has not written to the image by now is lost. Whoever
    /// uses it gets errors from now on.
    pub(crate) fn cut_power(&self) -> anyhow::Result<()> {
        // Without -f the log is not flushed either.
        run(&format!("xfs_io -x -c shutdown {}", self.mount.display())).map(drop)
    }

    /// Mounts it again after its power was cut or it turned read-only; nobody uses it meanwhile.
    pub(crate) async fn restore(&self) -> anyhow::Result<()> {
        self.unmount().await?;
        if self.format == Format::Ext4 {
            // It ends with 1 when it has repaired something, which is what it is for.
            let image = self.image.display();
            run_aside(format!("e2fsck -fy {image}")).await.ok();
        }
        self.mount().await.context("after a power cut")
    }

    /// Makes it empty, as a new one is.
    pub(crate) async fn wipe(&self) -> anyhow::Result<()> {
        self.unmount().await?;
        self.make().await
    }

    /// Takes up all room but `left_kib`.
    pub(crate) async fn fill(&self, left_kib: u64) -> anyhow::Result<()> {
        let free = run(&format!("findmnt -bno AVAIL {}", self.mount.display()))?;
        let free: u64 = free.trim().parse().context("findmnt tells bytes")?;
        let bytes = free.saturating_sub(left_kib * 1024);
        run_aside(format!("fallocate -l {} {}", bytes.max(1), self.mount.join(BALLAST).display())).await.map(drop)
    }

    /// Gives the room back.
    pub(crate) fn empty(&self) -> anyhow::Result<()> {
        Ok(std::fs::remove_file(self.mount.join(BALLAST))?)
    }

    /// Stops all writing, syncs included, until it is thawed.
    pub(crate) async fn freeze(&self) -> anyhow::Result<()> {
        run_aside(format!("fsfreeze -f {}", self.mount.display())).await.map(drop)
    }

    /// Lets writing go on.
    pub(crate) async fn thaw(&self) -> anyhow::Result<()> {
        run_aside(format!("fsfreeze -u {}", self.mount.display())).await.map(drop)
    }

    /// Makes the kernel find an error in it and turn it read-only under its users: ext4 only.
    pub(crate) fn turn_read_only(&self) -> anyhow::Result<()> {
        anyhow::ensure!(self.can_turn_read_only(), "only ext4 turns read-only on demand");
        let device = run(&format!("findmnt -no SOURCE {}", self.mount.display()))?;
        let name = device.trim().trim_start_matches("/dev/");
        Ok(std::fs::write(format!("/sys/fs/ext4/{name}/trigger_fs_error"), "1")?)
    }

    /// Whether [`turn_read_only`](Self::turn_read_only) works.
    pub(crate) fn can_turn_read_only(&self) -> bool {
        self.format == Format::Ext4
    }
}
