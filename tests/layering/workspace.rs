//! What the workspace is: its members and dependencies as cargo sees them, its source files.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// One package of the workspace.
pub(crate) struct Member {
    /// Without the leading `thalweg-`.
    pub(crate) name: String,
    /// Where it lives.
    pub(crate) home: Home,
    /// Its folder.
    pub(crate) dir: PathBuf,
    /// Everything it names in its manifest.
    pub(crate) dependencies: Vec<Dependency>,
}

/// Which top-level folder holds a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Home {
    /// `crates/`: bound by the table.
    Crates,
    /// `tests/` or `chaos/`: free to use any crate.
    Tests,
}

/// One line of a manifest.
pub(crate) struct Dependency {
    /// The package's own name, whatever the crate calls it.
    pub(crate) name: String,
    /// What it is used for.
    pub(crate) kind: Kind,
}

/// What a dependency is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Shipped code and build scripts.
    Shipped,
    /// Tests, examples and benches.
    Test,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Kind::Test { "in its tests" } else { "in shipped code" })
    }
}

impl Dependency {
    /// The short name of the workspace crate this is, if it is one.
    pub(crate) fn workspace_crate<'a>(&'a self, members: &[&str]) -> Option<&'a str> {
        let name = short(&self.name);
        members.contains(&name).then_some(name).filter(|_| self.name.starts_with("thalweg"))
    }
}

/// The folder of the workspace.
pub(crate) fn root() -> PathBuf {
    // Where cargo runs it, not where it was built: builds of several checkouts may share a cache.
    let here = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo runs this test"));
    here.ancestors().nth(2).expect("this package lies two folders below the root").to_path_buf()
}

/// All members, as `cargo metadata` tells them. Touches neither network nor lock file.
pub(crate) fn members() -> Vec<Member> {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root())
        .output()
        .expect("cargo runs, since it runs this test");
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");
    list(&metadata["packages"]).map(member).collect()
}

fn member(package: &Value) -> Member {
    let manifest = PathBuf::from(text(&package["manifest_path"]));
    let dir = manifest.parent().expect("a manifest lies in a folder").to_path_buf();
    let home = if dir.starts_with(root().join("crates")) { Home::Crates } else { Home::Tests };
    let dependencies = list(&package["dependencies"]).map(dependency).collect();
    Member { name: short(text(&package["name"])).to_owned(), home, dir, dependencies }
}

fn dependency(entry: &Value) -> Dependency {
    let kind = if entry["kind"] == "dev" { Kind::Test } else { Kind::Shipped };
    Dependency { name: text(&entry["name"]).to_owned(), kind }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().expect("cargo metadata: a list").iter()
}

fn text(value: &Value) -> &str {
    value.as_str().expect("cargo metadata: a string")
}

fn short(package: &str) -> &str {
    package.strip_prefix("thalweg-").unwrap_or(package)
}

/// All `.rs` files of the members, sorted.
pub(crate) fn sources(members: &[Member]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    members.iter().for_each(|member| collect_sources(&member.dir, &mut found));
    found.sort();
    found
}

fn collect_sources(dir: &Path, found: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    for path in entries.map(|entry| entry.expect("a readable folder").path()) {
        if path.is_dir() && !path.ends_with("target") {
            collect_sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}
