//! Namespaces of its own for a run: network, mounts and processes, see [`thalweg_sandbox`].
//!
//! Holds: nothing outside is changed but files in the run's directory and in the one of the results.

use std::path::Path;

pub(crate) use thalweg_sandbox::RunDir;
use thalweg_sandbox::namespaces::{self, Network};
pub(crate) use thalweg_sandbox::namespaces::{die_with_parent, is_inside, is_required};

use crate::tools;

/// Begins the names of the directories of runs.
pub(crate) const PREFIX: &str = "thalweg-chaos-";
/// Tools that only runs with a network need.
const TOOLS: [(&str, &str); 3] = [("nsenter", "util-linux"), ("ip", "iproute2"), ("ss", "iproute2")];

/// Why runs are not possible here; nothing when they are.
pub(crate) fn missing() -> Option<String> {
    if let Some(why) = namespaces::missing(Network::Own, &TOOLS) {
        return Some(why);
    }
    (!Path::new("/dev/net/tun").exists()).then(|| "there is no /dev/net/tun".to_owned())
}

/// Becomes a process that runs this program with the same arguments inside; returns only when
/// that fails.
pub(crate) fn enter() -> anyhow::Error {
    namespaces::enter(Network::Own)
}

/// A place for the names of network namespaces that only this sandbox sees.
pub(crate) fn prepare() -> anyhow::Result<()> {
    std::fs::create_dir_all("/run/netns")?;
    tools::run("mount -t tmpfs tmpfs /run/netns").map(drop)
}
