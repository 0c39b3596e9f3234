//! A file system in a sparse file, mounted: it can lose its power, turn read-only, or be made anew.
//!
//! Holds: after [`Volume::cut`] nothing reaches the image until it is mounted again; what was not
//! synced by then is gone.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

use crate::tools::run;

/// Which file system. The two lose different things in a power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileSystem {
    /// ext4 with its default journal; read-only after an error of its own.
    Ext4,
    /// XFS.
    Xfs,
}

impl FileSystem {
    /// Both.
    pub const ALL: [FileSystem; 2] = [FileSystem::Ext4, FileSystem::Xfs];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            FileSystem::Ext4 => "ext4",
            FileSystem::Xfs => "xfs",
        }
    }
}

/// A file system in a file, and where it is mounted.
#[derive(Clone, Debug)]
pub struct Volume {
    image: PathBuf,
    mount: PathBuf,
    kind: FileSystem,
}

impl Volume {
    /// Makes and mounts one of `bytes` in `dir` (XFS takes 300 MiB and more; images are sparse).
    pub fn create(dir: &Path, name: &str, kind: FileSystem, bytes: u64) -> anyhow::Result<Volume> {
        let (image, mount) = (dir.join(format!("disk-{name}")), dir.join(format!("mount-{name}")));
        std::fs::create_dir_all(&mount)?;
        std::fs::File::create(&image)?.set_len(bytes)?;
        let volume = Volume { image, mount, kind };
        volume.make()?;
        Ok(volume)
    }

    /// Makes it empty and mounts it.
    pub fn make(&self) -> anyhow::Result<()> {
        let image = self.image.display();
        run(&match self.kind {
            FileSystem::Ext4 => format!("mkfs.ext4 -q -F -E nodiscard {image}"),
            FileSystem::Xfs => format!("mkfs.xfs -q -f -K {image}"),
        })?;
        self.mount()
    }

    /// Which file system it is.
    pub fn kind(&self) -> FileSystem {
        self.kind
    }

    /// Where it is mounted.
    pub fn mount_point(&self) -> &Path {
        &self.mount
    }

    /// The file that holds it.
    pub fn image(&self) -> &Path {
        &self.image
    }

    /// Mounts it, which replays its journal.
    pub fn mount(&self) -> anyhow::Result<()> {
        let options = match self.kind {
            FileSystem::Ext4 => "loop,errors=remount-ro",
            FileSystem::Xfs => "loop",
        };
        run(&format!("mount -o {options} {} {}", self.image.display(), self.mount.display())).map(drop)
    }

    /// Unmounts it. Nobody may use it any more.
    pub fn unmount(&self) -> anyhow::Result<()> {
        run(&format!("umount {}", self.mount.display())).map(drop)
    }

    /// Mounts it for reading only, or for writing again.
    pub fn set_read_only(&self, read_only: bool) -> anyhow::Result<()> {
        let how = if read_only { "ro" } else { "rw" };
        run(&format!("mount -o remount,{how} {}", self.mount.display())).map(drop)
    }

    /// Makes the kernel find an error in it and turn it read-only under its users: ext4 only.
    pub fn fail_into_read_only(&self) -> anyhow::Result<()> {
        ensure!(self.kind == FileSystem::Ext4, "only ext4 turns read-only on demand");
        let device = self.find("SOURCE")?;
        let trigger = Path::new("/sys/fs/ext4").join(device.trim_start_matches("/dev/")).join("trigger_fs_error");
        std::fs::write(&trigger, "thalweg").with_context(|| trigger.display().to_string())
    }

    /// What `findmnt` tells of it in this column, in bytes where it is a size.
    pub fn find(&self, column: &str) -> anyhow::Result<String> {
        let told = run(&format!("findmnt -bno {column} {}", self.mount.display()))?;
        Ok(told.trim().to_owned())
    }

    /// Cuts its power: what was not synced is lost, and everything fails until it is mounted again.
    pub fn cut(&self) -> anyhow::Result<()> {
        let output = cut_command(&self.mount).output().context("cannot run xfs_io")?;
        ensure!(output.status.success(), "xfs_io: {}", String::from_utf8_lossy(&output.stderr).trim());
        Ok(())
    }
}

/// What cuts the power of the file system mounted at `mount`.
///
/// This is the ioctl behind `XFS_IOC_GOINGDOWN` and `EXT4_IOC_SHUTDOWN`, with NOLOGFLUSH. No safe
/// binding of it exists, so that a tool of xfsprogs makes it; it does so on ext4 as well.
pub fn cut_command(mount: &Path) -> Command {
    let mut command = Command::new("xfs_io");
    command.args(["-x", "-c", "shutdown"]).arg(mount).stdin(Stdio::null());
    command
}
