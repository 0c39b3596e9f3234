//! Holds the architecture: who may depend on whom, who may name which library, how files open.
//!
//! The table is data ([`table`]), the workspace is read as it is ([`workspace`]), the rules are
//! pure functions between the two ([`rules`]). Each rule is also shown a planted offence, so
//! that a rule which sees nothing does not pass for a workspace without faults.

mod rules;
mod table;
mod workspace;

use std::path::Path;

use workspace::{Dependency, Home, Kind, Member};

/// Longest source file; the aim is half of it.
const FILE_LINES_MAX: usize = 600;

#[test]
fn every_crate_has_a_row_in_the_table() {
    expect_none(rules::crates_without_a_row(&workspace::members()));
}

#[test]
fn crates_depend_only_on_what_the_table_allows() {
    expect_none(rules::forbidden_edges(&workspace::members()));
}

#[test]
fn fenced_libraries_stay_in_their_crates() {
    expect_none(rules::fence_breaches(&workspace::members()));
}

#[test]
fn the_table_has_no_circle_and_no_climbing_edge() {
    expect_none(rules::flaws_of_the_table(table::TABLE));
}

#[test]
fn the_architecture_page_describes_every_crate() {
    let page = read(&workspace::root().join("ARCHITECTURE.md"));
    let unnamed = table::TABLE.iter().filter(|row| !page.contains(&format!("| `{}` |", row.name)));
    expect_none(unnamed.map(|row| format!("ARCHITECTURE.md has no line for `{}`", row.name)).collect());
}

#[test]
fn every_member_forbids_unsafe_code() {
    let lax = workspace::members().into_iter().filter(|member| {
        let manifest = read(&member.dir.join("Cargo.toml"));
        !manifest.contains("[lints]\nworkspace = true") && !manifest.contains("unsafe_code = \"forbid\"")
    });
    expect_none(
        lax.map(|member| format!("{}: add `[lints]`, `workspace = true` to its manifest", member.name)).collect(),
    );
}

#[test]
fn every_source_file_opens_with_a_module_doc() {
    let bare = workspace::sources(&workspace::members()).into_iter().filter(|path| !read(path).starts_with("//!"));
    expect_none(bare.map(|path| format!("{}: say in `//!` what it owns and what must hold", path.display())).collect());
}

#[test]
fn no_source_file_outgrows_its_reader() {
    let sizes = workspace::sources(&workspace::members()).into_iter().map(|path| (read(&path).lines().count(), path));
    let long = sizes.filter(|(lines, _)| *lines > FILE_LINES_MAX);
    expect_none(long.map(|(lines, path)| format!("{}: {lines} lines, split it by idea", path.display())).collect());
}

#[test]
fn a_planted_offence_is_seen_by_its_rule() {
    let planted = |to: &str, kind| vec![crates_member("types", vec![]), crates_member("wal", vec![named(to, kind)])];
    assert_eq!(rules::forbidden_edges(&planted("thalweg-types", Kind::Shipped)), [""; 0]);
    assert_eq!(
        rules::fence_breaches(&planted("rocksdb", Kind::Test)),
        ["wal names `rocksdb`: RocksDB belongs to storage"]
    );
    assert_eq!(rules::fence_breaches(&planted("openraft-macros", Kind::Shipped)).len(), 1);
    assert_eq!(rules::fence_breaches(&planted("tokio", Kind::Shipped)).len(), 1);
    assert_eq!(rules::fence_breaches(&planted("tokio", Kind::Test)), [""; 0]);
}

#[test]
fn a_planted_edge_is_seen_and_tests_may_only_reach_down() {
    let with = |kind| {
        let shard = crates_member("shard", vec![named("thalweg-controller", kind), named("thalweg-wal", kind)]);
        rules::forbidden_edges(&[shard, crates_member("controller", vec![]), crates_member("wal", vec![])])
    };
    let shipped =
        ["shard may not depend on controller (in shipped code)", "shard may not depend on wal (in shipped code)"];
    assert_eq!(with(Kind::Shipped), shipped);
    assert_eq!(with(Kind::Test), ["shard may not depend on controller (in its tests)"]);
}

#[test]
fn a_crate_without_a_row_is_seen() {
    assert_eq!(rules::crates_without_a_row(&[crates_member("common", vec![])]).len(), 1);
}

#[test]
fn nothing_shipped_may_name_the_test_cluster() {
    let member = crates_member("thalweg", vec![named("thalweg-test-cluster", Kind::Test)]);
    assert_eq!(rules::forbidden_edges(&[member, crates_member("test-cluster", vec![])]).len(), 1);
}

#[test]
fn only_what_is_not_shipped_may_name_what_lies_in_chaos() {
    let checker = || Member { home: Home::Tests, ..crates_member("checker", vec![]) };
    let names_it = |name| crates_member(name, vec![named("thalweg-checker", Kind::Shipped)]);
    assert_eq!(rules::forbidden_edges(&[names_it("test-cluster"), checker()]), Vec::<String>::new());
    assert_eq!(rules::forbidden_edges(&[names_it("thalweg"), checker()]).len(), 1);
}

fn crates_member(name: &str, dependencies: Vec<Dependency>) -> Member {
    Member { name: name.to_owned(), home: Home::Crates, dir: workspace::root(), dependencies }
}

fn named(name: &str, kind: Kind) -> Dependency {
    Dependency { name: name.to_owned(), kind }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[track_caller]
fn expect_none(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "\n  {}\n", complaints.join("\n  "));
}
