//! The rules of layering as pure functions: members in, complaints out.
//!
//! A complaint names the crate, what it may not do, and what to do instead.

use crate::table::{FENCES, Fence, Floor, Row, TABLE};
use crate::workspace::{Dependency, Home, Kind, Member};

/// Every crate under `crates/` has a row.
pub(crate) fn crates_without_a_row(members: &[Member]) -> Vec<String> {
    let strangers = members.iter().filter(|member| member.home == Home::Crates && row(&member.name).is_none());
    strangers
        .map(|member| {
            format!(
                "crates/{0} has no row: add `{0}` to the crate table, or put its code where it belongs",
                member.name
            )
        })
        .collect()
}

/// Every edge between workspace crates is in the table.
pub(crate) fn forbidden_edges(members: &[Member]) -> Vec<String> {
    let names: Vec<&str> = members.iter().map(|member| member.name.as_str()).collect();
    let mut complaints = Vec::new();
    for member in members.iter().filter(|member| member.home == Home::Crates) {
        let Some(row) = row(&member.name) else { continue };
        for dependency in &member.dependencies {
            let Some(to) = dependency.workspace_crate(&names) else { continue };
            // What is not shipped may use what else is not.
            let unshipped = members.iter().any(|other| other.name == to && other.home == Home::Tests);
            if row.floor == Floor::Test && unshipped {
                continue;
            }
            if !may_use(row, to, dependency.kind) {
                complaints.push(format!("{} may not depend on {to} ({})", row.name, dependency.kind));
            }
        }
    }
    complaints
}

fn may_use(row: &Row, to: &str, kind: Kind) -> bool {
    let lower = self::row(to).is_some_and(|target| target.floor < row.floor);
    row.uses.contains(&to) || (kind == Kind::Test && lower)
}

/// Every library behind a fence is named only by the crates inside it.
pub(crate) fn fence_breaches(members: &[Member]) -> Vec<String> {
    let mut complaints = Vec::new();
    for member in members {
        for dependency in &member.dependencies {
            let breached = FENCES.iter().find(|fence| breaks(fence, member, dependency));
            complaints.extend(breached.map(|fence| {
                format!(
                    "{} names `{}`: {} belongs to {}",
                    member.name,
                    dependency.name,
                    fence.what,
                    fence.only.join(", ")
                )
            }));
        }
    }
    complaints
}

fn breaks(fence: &Fence, member: &Member, dependency: &Dependency) -> bool {
    let test_code = dependency.kind == Kind::Test || member.home == Home::Tests;
    let bound = fence.tests_too || !test_code;
    bound && !fence.only.contains(&member.name.as_str()) && fence.packages.iter().any(|p| matches(p, &dependency.name))
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => name == pattern,
    }
}

/// The table itself is sound: names once, known words only, no climbing, no circle.
pub(crate) fn flaws_of_the_table(table: &[Row]) -> Vec<String> {
    let mut flaws = Vec::new();
    for (at, row) in table.iter().enumerate() {
        if table[..at].iter().any(|earlier| earlier.name == row.name) {
            flaws.push(format!("{} has two rows", row.name));
        }
        for to in row.uses {
            // A row may use only rows above it, so the order of the table proves there is no circle.
            match table[..at].iter().find(|earlier| earlier.name == *to) {
                None => flaws.push(format!("{} uses {to}, which has no row above it", row.name)),
                Some(target) if target.floor > row.floor => flaws.push(format!("{} climbs to {to}", row.name)),
                Some(target) if target.floor == Floor::Test => {
                    flaws.push(format!("{} uses {to}, a test crate", row.name))
                }
                Some(_) => {}
            }
        }
    }
    flaws
}

fn row(name: &str) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.name == name)
}
