//! A place where file systems are made, cut off and thrown away, and nothing is left behind.
//!
//! The program runs itself again in a mount and a process namespace of its own, with a tmpfs to keep
//! disk images in. When it ends, however it ends, the kernel ends its children, unmounts everything
//! and frees the loop devices.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

/// Set in the environment of the inner program: the directory that is its own.
const INSIDE: &str = "THALWEG_CRASH_INSIDE";
/// Makes a missing capability a failure instead of a note.
const REQUIRED: &str = "THALWEG_CHAOS_REQUIRED";
/// Directories of this name are mount points of sandboxes.
const PREFIX: &str = "thalweg-crash-";

/// The inner program's own directory: a tmpfs that ends with it.
#[derive(Clone, Debug)]
pub struct Sandbox(PathBuf);

/// Why a sandbox cannot be had here; nothing if it can.
pub fn missing() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("mounting needs root".into());
    }
    for tool in ["unshare", "setpriv", "mount", "mkfs.ext4", "mkfs.xfs", "xfs_io"] {
        let found = Command::new("which").arg(tool).stdout(Stdio::null()).status();
        if !found.is_ok_and(|status| status.success()) {
            return Some(format!("no `{tool}` (apt: util-linux, e2fsprogs, xfsprogs)"));
        }
    }
    let mut probe = Command::new("unshare");
    probe.args(["--mount", "--pid", "--fork", "mount", "-t", "tmpfs", "probe", "/mnt"]);
    match probe.stdout(Stdio::null()).stderr(Stdio::null()).status() {
        Ok(status) if status.success() => None,
        _ => Some("namespaces or mounts are not allowed".into()),
    }
}

/// Whether what cannot run here must fail.
pub fn is_required() -> bool {
    std::env::var(REQUIRED).is_ok_and(|value| value == "1")
}

impl Sandbox {
    /// The sandbox that this process runs in; nothing if it runs in none.
    pub fn here() -> anyhow::Result<Option<Sandbox>> {
        let Some(dir) = std::env::var_os(INSIDE) else { return Ok(None) };
        let sandbox = Sandbox(dir.into());
        // Only the program itself mounts; what it starts finds the mount.
        if fs::read_dir(&sandbox.0)?.next().is_none() {
            run(Command::new("mount").args(["-t", "tmpfs", "thalweg-crash"]).arg(&sandbox.0))?;
            fs::write(sandbox.0.join("here"), "")?;
        }
        Ok(Some(sandbox))
    }

    /// Runs this program again, with the same arguments, inside a new sandbox. Returns only if that
    /// fails, or what it returned when it was tested on the way.
    pub fn enter() -> anyhow::Result<std::process::ExitCode> {
        sweep();
        let dir = tempfile::Builder::new().prefix(PREFIX).tempdir()?;
        let mut inner = Command::new("setpriv");
        inner.args(["--pdeathsig", "KILL", "unshare", "--mount", "--propagation", "private"]);
        inner.args(["--pid", "--fork", "--kill-child=KILL", "--mount-proc", "--"]);
        inner.arg(std::env::current_exe()?).args(std::env::args_os().skip(1)).env(INSIDE, dir.path());
        let status = inner.process_group(0).status()?;
        Ok(status.code().map_or(std::process::ExitCode::FAILURE, |code| std::process::ExitCode::from(code as u8)))
    }

    /// A directory in memory.
    pub fn dir(&self, name: &str) -> anyhow::Result<PathBuf> {
        let dir = self.0.join(name);
        fs::create_dir_all(&dir)?;
        Ok(dir)
    }
}

/// Removes mount points that killed runs left; they are empty, for what was mounted is gone.
fn sweep() {
    let Ok(entries) = fs::read_dir(std::env::temp_dir()) else { return };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(PREFIX) {
            // Fails, as it should, if somebody uses it.
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// Which file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileSystem {
    /// ext4 with its default journal.
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

/// A file system in a file, mounted.
pub struct Volume {
    image: PathBuf,
    mount: PathBuf,
    mounted: bool,
}

impl Volume {
    /// Makes and mounts a file system of `bytes` (XFS takes 300 MiB and more; images are sparse).
    pub fn make(sandbox: &Sandbox, name: &str, kind: FileSystem, bytes: u64) -> anyhow::Result<Volume> {
        let image = sandbox.dir("images")?.join(name);
        fs::File::create(&image)?.set_len(bytes)?;
        run(Command::new(format!("mkfs.{}", kind.name())).arg("-q").arg(&image))?;
        let mut volume = Volume { image, mount: sandbox.dir(&format!("mnt-{name}"))?, mounted: false };
        volume.mount()?;
        Ok(volume)
    }

    /// A directory on it.
    pub fn dir(&self) -> PathBuf {
        self.mount.join("data")
    }

    /// Mounts it, which replays its journal.
    pub fn mount(&mut self) -> anyhow::Result<()> {
        run(Command::new("mount").args(["-o", "loop"]).arg(&self.image).arg(&self.mount))?;
        self.mounted = true;
        Ok(())
    }

    /// Unmounts it. Nobody may use it any more.
    pub fn unmount(&mut self) -> anyhow::Result<()> {
        run(Command::new("umount").arg(&self.mount))?;
        self.mounted = false;
        Ok(())
    }

    /// Mounts it for reading only, or for writing again, under whoever uses it.
    pub fn set_read_only(&self, read_only: bool) -> anyhow::Result<()> {
        let how = if read_only { "remount,ro" } else { "remount,rw" };
        run(Command::new("mount").args(["-o", how]).arg(&self.mount))
    }

    /// Makes ext4 meet an error of its own, after which it is read-only under whoever uses it.
    pub fn fail_into_read_only(&self) -> anyhow::Result<()> {
        run(Command::new("mount").args(["-o", "remount,errors=remount-ro"]).arg(&self.mount))?;
        let device = Command::new("findmnt").args(["-n", "-o", "SOURCE"]).arg(&self.mount).output()?;
        let device = String::from_utf8(device.stdout)?;
        let name = device.trim().trim_start_matches("/dev/");
        let trigger = Path::new("/sys/fs/ext4").join(name).join("trigger_fs_error");
        fs::write(&trigger, "thalweg-crash").with_context(|| trigger.display().to_string())
    }

    /// Cuts it off: what was not synced is lost, and everything fails until it is mounted again.
    pub fn cut(&self) -> anyhow::Result<()> {
        cut(&self.mount)
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        if self.mounted {
            let _ = self.unmount();
        }
        let _ = fs::remove_file(&self.image);
    }
}

/// Shuts down the file system mounted at `mount` without writing its log.
///
/// This is the ioctl behind `XFS_IOC_GOINGDOWN` and `EXT4_IOC_SHUTDOWN`, with NOLOGFLUSH. No safe
/// binding of it exists, so that a tool of xfsprogs makes it; it does so on ext4 as well.
pub fn cut(mount: &Path) -> anyhow::Result<()> {
    run(&mut cut_command(mount))
}

/// The command of [`cut`], for those who do not wait for it.
pub fn cut_command(mount: &Path) -> Command {
    let mut command = Command::new("xfs_io");
    command.args(["-x", "-c", "shutdown"]).arg(mount).stdin(Stdio::null());
    command
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output().with_context(|| format!("{command:?} does not start"))?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
