//! A short run of the whole harness against real servers, as `make chaos SCENARIO=smoke` does it.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The server as this build makes it, unless THALWEG_BIN names another.
fn server() -> PathBuf {
    if let Some(named) = std::env::var_os("THALWEG_BIN") {
        return named.into();
    }
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "-p", "thalweg", "--bin", "thalweg"]);
    if !cfg!(debug_assertions) {
        build.arg("--release");
    }
    assert!(build.status().expect("cargo runs, since it runs this test").success(), "the server does not build");
    Path::new(env!("CARGO_BIN_EXE_thalweg-chaos")).with_file_name("thalweg")
}

fn scenario(name: &str) -> PathBuf {
    PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo runs this")).join("../scenarios").join(name)
}

#[test]
fn a_cluster_whose_nodes_die_halt_lose_power_and_are_cut_off_keeps_every_promise() {
    let results = Path::new(env!("CARGO_TARGET_TMPDIR")).join("chaos-smoke");
    let mut chaos = Command::new(env!("CARGO_BIN_EXE_thalweg-chaos"));
    chaos.arg("run").arg(scenario("smoke.toml")).arg("--die-with-parent");
    chaos.arg("--binary").arg(server()).arg("--results").arg(&results);
    let output = chaos.output().expect("the program was just built");
    let (said, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{told}{said}");
    assert!(output.status.success(), "see {}", results.display());
    if said.contains("not run here: ") {
        return;
    }
    assert!(said.contains("PASSED: smoke"), "it ended without a verdict");
    let report = std::fs::read_to_string(results.join("report.html")).expect("a run leaves a report");
    assert!(report.contains("<svg") && report.contains("power-cut") && !report.contains("http://"));
}
