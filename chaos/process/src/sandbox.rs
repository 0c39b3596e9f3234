//! Namespaces of its own for a run: network, mounts and processes.
//!
//! The program starts itself again inside them. There it is process 1, so everything that it has
//! started ends with it, however it ends; mounts, loop devices and networks go with the last
//! process. What can remain of a run that was killed is its directory, and the next run removes it.
//!
//! Holds: nothing outside is changed but files in that directory and in the one of the results.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use crate::tools;

/// Tells the program that it is inside.
const INSIDE: &str = "THALWEG_CHAOS_INSIDE";
/// Begins the names of the directories of runs.
const PREFIX: &str = "thalweg-chaos-";
/// Locked while a run uses its directory.
const LOCK: &str = "in-use";

/// Tools that every run needs, and the Debian packages that bring them.
const TOOLS: [(&str, &str); 8] = [
    ("unshare", "util-linux"),
    ("nsenter", "util-linux"),
    ("mount", "mount"),
    ("ip", "iproute2"),
    ("ss", "iproute2"),
    ("mkfs.ext4", "e2fsprogs"),
    ("mkfs.xfs", "xfsprogs"),
    ("xfs_io", "xfsprogs"),
];

/// Why runs are not possible here; nothing when they are.
pub(crate) fn missing() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("it takes root: namespaces, loop devices".to_owned());
    }
    if let Some((tool, package)) = TOOLS.iter().find(|(tool, _)| !tools::exists(tool)) {
        return Some(format!("`{tool}` is missing: apt-get install {package}"));
    }
    if !Path::new("/dev/net/tun").exists() {
        return Some("there is no /dev/net/tun".to_owned());
    }
    if !Path::new("/dev/loop-control").exists() {
        return Some("there are no loop devices".to_owned());
    }
    let probe = "unshare --net --mount --pid --fork --mount-proc ip link set lo up";
    tools::run(probe).err().map(|error| format!("no namespaces: {error}"))
}

/// Whether this process is inside.
pub(crate) fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Becomes a process that runs this program with the same arguments inside; returns only when
/// that fails.
pub(crate) fn enter() -> anyhow::Error {
    let enter = || {
        let program = std::env::current_exe()?;
        let options = ["--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child=KILL", "--"];
        let mut command = Command::new("unshare");
        command.args(options).arg(program).args(std::env::args_os().skip(1)).env(INSIDE, "1");
        anyhow::Ok(command.exec())
    };
    match enter() {
        Ok(error) => anyhow::Error::new(error).context("cannot run unshare"),
        Err(error) => error,
    }
}

/// Ends this process when the one that started it ends.
pub(crate) fn die_with_parent() -> anyhow::Result<()> {
    let signal = Some(rustix::process::Signal::KILL);
    rustix::process::set_parent_process_death_signal(signal).context("cannot ask to end with the parent")
}

/// The directory of a run, removed with this value.
#[derive(Debug)]
pub(crate) struct RunDir {
    dir: tempfile::TempDir,
    _lock: File,
}

impl RunDir {
    /// A new one; those of runs that were killed are removed.
    pub(crate) fn new() -> anyhow::Result<RunDir> {
        sweep()?;
        let dir = tempfile::Builder::new().prefix(PREFIX).tempdir().context("cannot make a directory for the run")?;
        let lock = File::create(dir.path().join(LOCK))?;
        lock.try_lock().context("nobody else knows this directory")?;
        Ok(RunDir { dir, _lock: lock })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }
}

fn sweep() -> anyhow::Result<()> {
    for entry in std::fs::read_dir(std::env::temp_dir())?.flatten() {
        let ours = entry.file_name().to_string_lossy().starts_with(PREFIX);
        if ours && is_abandoned(&entry.path().join(LOCK)) {
            std::fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

fn is_abandoned(lock: &PathBuf) -> bool {
    File::open(lock).is_ok_and(|lock| lock.try_lock().is_ok())
}

/// A place for the names of network namespaces that only this sandbox sees.
pub(crate) fn prepare() -> anyhow::Result<()> {
    std::fs::create_dir_all("/run/netns")?;
    tools::run("mount -t tmpfs tmpfs /run/netns").map(drop)
}
