//! Finds the `thalweg` binary: the one that THALWEG_BIN names, or the one that was built beside
//! this test.
//!
//! Holds: a binary that is older than the sources it was built from, or that was built from
//! another checkout, is not used but built anew.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The binary. `cargo test --workspace` has built it; for this package alone it may have to be
/// built first.
pub fn thalweg_binary() -> PathBuf {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(find).clone()
}

fn find() -> PathBuf {
    if let Some(named) = std::env::var_os("THALWEG_BIN") {
        return named.into();
    }
    let test = std::env::current_exe().expect("a running program has a path");
    // The test lies in `target/PROFILE/deps`.
    let profile = test.ancestors().nth(2).expect("tests lie three folders deep").to_path_buf();
    let binary = profile.join("thalweg");
    if !is_fresh(&binary) {
        build(profile.ends_with("release"));
    }
    binary
}

fn is_fresh(binary: &Path) -> bool {
    // Cargo lists there what it built the binary from.
    let Ok(list) = std::fs::read_to_string(binary.with_extension("d")) else { return false };
    let changed = |path: &Path| path.metadata().and_then(|metadata| metadata.modified()).ok();
    let Some(built) = changed(binary) else { return false };
    let mut sources = list.split_whitespace().skip(1).map(Path::new);
    let here = sources.clone().any(|source| source.starts_with(root().join("crates")));
    here && sources.all(|source| changed(source).is_some_and(|changed| changed <= built))
}

fn build(release: bool) {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["build", "-p", "thalweg"]).args(release.then_some("--release")).current_dir(root());
    let status = command.status().expect("cargo runs, since it runs this test");
    assert!(status.success(), "cargo build -p thalweg: {status}");
}

fn root() -> PathBuf {
    let here = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo runs this"));
    here.ancestors().nth(2).expect("this package lies two folders below the root").to_path_buf()
}
