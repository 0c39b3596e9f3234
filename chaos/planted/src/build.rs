//! Building with the defects, once.
//!
//! `rustc-planted` wraps the compiler for the workspace's own crates only. Cargo keeps what it
//! makes apart from ordinary builds and shares the dependencies with them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use serde_json::Value;

use crate::layers::PACKAGES;

const SIMULATION: &str = "thalweg-simulation";
const CRASH: &str = "thalweg-crash";

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

/// Programs that hunt for defects.
pub(crate) struct Programs {
    pub(crate) simulation: PathBuf,
    pub(crate) crash: PathBuf,
}

/// Where the workspace is.
pub(crate) fn root() -> PathBuf {
    let manifest = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo runs this"));
    manifest.ancestors().nth(2).expect("the crate lies two folders below the workspace").to_owned()
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
    let programs: Vec<TestProgram> = messages.lines().filter_map(test_program).collect();
    if programs.is_empty() {
        bail!("cargo names no test programs");
    }
    Ok(programs)
}

fn test_program(message: &str) -> Option<TestProgram> {
    let message: Value = serde_json::from_str(message).ok()?;
    let path = PathBuf::from(message["executable"].as_str()?);
    if message["profile"]["test"] != Value::Bool(true) {
        return None;
    }
    let manifest = Path::new(message["manifest_path"].as_str()?);
    let package = format!("thalweg-{}", manifest.parent()?.file_name()?.to_str()?);
    Some(TestProgram { package, path, dir: manifest.parent()?.to_owned() })
}

/// The simulator and the crash suite with their defects, optimised as simulations are. Built
/// together, so that their dependencies are built once.
pub(crate) fn programs() -> anyhow::Result<Programs> {
    let mut build = cargo();
    build.args(["build", "--profile", "simulation", "-p", SIMULATION, "-p", CRASH]);
    build.arg("--message-format=json-render-diagnostics");
    let output = build.stderr(Stdio::inherit()).output().context("running cargo")?;
    if !output.status.success() {
        bail!("the simulator or the crash suite does not build with its defects");
    }
    let messages = String::from_utf8(output.stdout).context("what cargo says")?;
    let built: Vec<PathBuf> = messages.lines().filter_map(executable).collect();
    let named = |name: &str| {
        let path = built.iter().find(|path| path.file_name().is_some_and(|file| file == name));
        set_aside(path.with_context(|| format!("cargo names no program `{name}`"))?)
    };
    Ok(Programs { simulation: named("thalweg-simulate")?, crash: named(CRASH)? })
}

fn executable(message: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(message).ok()?;
    message["executable"].as_str().map(PathBuf::from)
}

/// A copy that no ordinary build puts another program in the place of.
fn set_aside(program: &Path) -> anyhow::Result<PathBuf> {
    let dir = program.parent().context("a program lies in a folder")?.join("planted");
    let copy = dir.join(program.file_name().context("a program has a name")?);
    std::fs::create_dir_all(&dir)?;
    // An earlier copy may be running.
    let _ = std::fs::remove_file(&copy);
    std::fs::copy(program, &copy).with_context(|| copy.display().to_string())?;
    Ok(copy)
}
