//! Mount, process and, if wanted, network namespaces for a program: it starts itself again inside
//! them.
//!
//! There it is process 1, so everything that it has started ends with it, however it ends; mounts,
//! loop devices and networks go with the last process.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use anyhow::Context;

use crate::tools;

/// Tells the program that it is inside.
const INSIDE: &str = "THALWEG_CHAOS_INSIDE";
/// Makes a missing capability a failure instead of a note.
const REQUIRED: &str = "THALWEG_CHAOS_REQUIRED";

/// Tools that every run needs, and the Debian packages that bring them.
const TOOLS: [(&str, &str); 6] = [
    ("unshare", "util-linux"),
    ("findmnt", "util-linux"),
    ("mount", "mount"),
    ("mkfs.ext4", "e2fsprogs"),
    ("mkfs.xfs", "xfsprogs"),
    ("xfs_io", "xfsprogs"),
];

/// Whether a program also wants a network of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// It uses the machine's.
    Shared,
    /// One of its own, empty at first.
    Own,
}

impl Network {
    fn option(self) -> &'static str {
        match self {
            Network::Shared => "",
            Network::Own => "--net",
        }
    }
}

/// Why namespaces and file systems cannot be had here; nothing when they can. `more` are further
/// tools, each with the package that brings it.
pub fn missing(network: Network, more: &[(&str, &str)]) -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("it takes root: namespaces, loop devices".to_owned());
    }
    if let Some((tool, package)) = TOOLS.iter().chain(more).find(|(tool, _)| !tools::exists(tool)) {
        return Some(format!("`{tool}` is missing: apt-get install {package}"));
    }
    if !Path::new("/dev/loop-control").exists() {
        return Some("there are no loop devices".to_owned());
    }
    let net = network.option();
    let probe = format!("unshare {net} --mount --pid --fork --mount-proc mount -t tmpfs probe /mnt");
    tools::run(&probe).err().map(|error| format!("no namespaces or mounts: {error}"))
}

/// Whether what cannot run here must fail.
pub fn is_required() -> bool {
    std::env::var_os(REQUIRED).is_some_and(|value| value == "1")
}

/// Whether this process is inside.
pub fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Becomes a process that runs this program with the same arguments inside; returns only when
/// that fails.
pub fn enter(network: Network) -> anyhow::Error {
    let enter = || {
        let program = std::env::current_exe()?;
        let mut command = Command::new("unshare");
        command.args(Some(network.option()).filter(|option| !option.is_empty()));
        command.args(["--mount", "--pid", "--fork", "--mount-proc", "--kill-child=KILL", "--"]);
        command.arg(program).args(std::env::args_os().skip(1)).env(INSIDE, "1");
        anyhow::Ok(command.exec())
    };
    match enter() {
        Ok(error) => anyhow::Error::new(error).context("cannot run unshare"),
        Err(error) => error,
    }
}

/// Ends this process when the one that started it ends.
pub fn die_with_parent() -> anyhow::Result<()> {
    let signal = Some(rustix::process::Signal::KILL);
    rustix::process::set_parent_process_death_signal(signal).context("cannot ask to end with the parent")
}
