//! Building the tests with their defects, once.
//!
//! `rustc-planted` wraps the compiler for the workspace's own crates only. Cargo keeps what it
//! makes apart from ordinary builds and shares the dependencies with them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use serde_json::Value;

use crate::layers::PACKAGES;

/// A test program of a package.
#[derive(Clone, Debug)]
pub(crate) struct TestProgram {
    /// The package.
    pub(crate) package: String,
    /// The program.
    pub(crate) path: PathBuf,
    /// Where cargo would run it.
    pub(crate) dir: PathBuf,
}

/// Where the workspace is.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()));
    cargo.current_dir(root()).env("RUSTC_WORKSPACE_WRAPPER", root().join("chaos/planted/rustc-planted"));
    cargo
}

/// Builds all tests with their defects and says where they are.
pub(crate) fn tests() -> anyhow::Result<Vec<TestProgram>> {
    let mut build = cargo();
    build.args(["test", "--no-run", "--message-format=json-render-diagnostics"]);
    for package in PACKAGES {
        build.args(["-p", package]);
    }
    let output = build.stderr(Stdio::inherit()).output().context("running cargo")?;
    if !output.status.success() {
        bail!("the tests do not build with their defects");
    }
    let messages = String::from_utf8(output.stdout).context("what cargo says")?;
    let programs: Vec<TestProgram> = messages.lines().filter_map(program).collect();
    if programs.is_empty() {
        bail!("cargo names no test programs");
    }
    Ok(programs)
}

fn program(message: &str) -> Option<TestProgram> {
    let message: Value = serde_json::from_str(message).ok()?;
    let path = PathBuf::from(message["executable"].as_str()?);
    if message["profile"]["test"] != Value::Bool(true) {
        return None;
    }
    let manifest = Path::new(message["manifest_path"].as_str()?);
    let package = format!("thalweg-{}", manifest.parent()?.file_name()?.to_str()?);
    Some(TestProgram { package, path, dir: manifest.parent()?.to_owned() })
}

/// The simulator with its defects, if there is one in the workspace.
pub(crate) fn simulator() -> anyhow::Result<Option<PathBuf>> {
    if !root().join("chaos/simulation/Cargo.toml").exists() {
        return Ok(None);
    }
    let mut build = cargo();
    build.args(["build", "--profile", "simulation", "-p", "thalweg-simulation"]);
    build.arg("--message-format=json-render-diagnostics");
    let output = build.stderr(Stdio::inherit()).output().context("running cargo")?;
    if !output.status.success() {
        eprintln!("the simulator does not build with its defects; going on without it");
        return Ok(None);
    }
    let messages = String::from_utf8(output.stdout).context("what cargo says")?;
    let path = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    Ok(path.filter_map(|message| message["executable"].as_str().map(PathBuf::from)).next_back())
}
