//! strace on a running node: what it asks of the disk, and what the disk is made to answer.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};

use crate::{TestNode, eventually};

/// strace attaches and lets go within this.
const ATTACH_TIMEOUT: Duration = Duration::from_secs(20);

/// A trace of one node. The node goes on when it ends.
#[derive(Debug)]
pub struct Strace {
    child: Child,
    output: PathBuf,
}

impl Strace {
    /// Whether processes may be traced here at all.
    pub fn works() -> bool {
        let probe = Command::new("strace").args(["-o", "/dev/null", "true"]).stderr(Stdio::null()).status();
        probe.is_ok_and(|status| status.success())
    }

    /// Attaches to all threads of a node with strace's own options; returns when it has.
    pub async fn attach(node: &TestNode, options: &[&str]) -> anyhow::Result<Strace> {
        let process = node.process_id().context("the node does not run")?;
        let output = node.scratch_path("strace");
        let child = Command::new("strace")
            .args(["-f", "-ttt", "-p", &process.to_string(), "-o"])
            .arg(&output)
            .args(options)
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start strace")?;
        let strace = Strace { child, output };
        eventually("strace has attached", ATTACH_TIMEOUT, async || traced(process)).await?;
        Ok(strace)
    }

    /// Lets go of the node; what was traced, a call a line.
    pub fn finish(mut self) -> anyhow::Result<String> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        self.child.wait()?;
        Ok(std::fs::read_to_string(&self.output)?)
    }
}

impl Drop for Strace {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether every thread of a process has a tracer.
fn traced(process: u32) -> Option<()> {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).ok()?;
    let mut states = threads.flatten().map(|thread| std::fs::read_to_string(thread.path().join("status")));
    states.all(|state| state.is_ok_and(|state| !state.contains("TracerPid:\t0\n"))).then_some(())
}
