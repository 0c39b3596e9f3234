//! The system's own tools, run one at a time: `ip`, `mount`, `mkfs`.
//!
//! Holds: a tool that fails is an error with what it said.

use std::process::{Command, Stdio};

use anyhow::{Context, bail};

/// Runs a tool with its arguments, separated by blanks; what it printed.
pub(crate) fn run(line: &str) -> anyhow::Result<String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (program, arguments) = words.split_first().context("no tool was named")?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    let output = command.output().with_context(|| format!("cannot run {program}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`{line}`: {}: {}", output.status, said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// As [`run`], off the threads that serve sockets and timers: a file system may take its time.
pub(crate) async fn run_aside(line: String) -> anyhow::Result<String> {
    tokio::task::spawn_blocking(move || run(&line)).await?
}

/// Whether a tool is installed.
pub(crate) fn exists(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}
