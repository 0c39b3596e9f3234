//! The process that runs cases: one line of JSON in, one out.

use std::io::{BufRead, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use serde::{Deserialize, Serialize};
use thalweg_storage::{Driver, Health, OpenError, StoreError};

use super::case::Case;
use super::golden::{Golden, Left, copy_tree};
use crate::heal::heal;
use crate::judge::{Finding, Start, detected, nothing_lost};
use crate::model::{Crash, History};
use crate::node::Node;

/// What a case came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// The promise was kept.
    Kept {
        /// How.
        finding: Finding,
        /// What the node said.
        said: String,
        /// Whether everything was back after peers had helped.
        healed: bool,
    },
    /// The damage changed nothing.
    NoDamage,
    /// The promise was broken.
    Broken(String),
}

/// Runs the cases that come in, in copies of the directories below `dir`.
pub fn run(dir: &Path) -> anyhow::Result<()> {
    let goldens = [Left::Closed, Left::Killed].map(|left| Golden::at(&golden_dir(dir, left)));
    let histories = [goldens[0].history()?, goldens[1].history()?];
    let scratch = dir.join("scratch");
    for line in std::io::stdin().lock().lines() {
        let case: Case = serde_json::from_str(&line?)?;
        let at = usize::from(case.left == Left::Killed);
        let ran = catch_unwind(AssertUnwindSafe(|| run_case(&case, &goldens[at], &histories[at], &scratch)));
        let outcome = ran.unwrap_or_else(|panic| Outcome::Broken(format!("panic: {}", panic_text(&*panic))));
        let mut out = std::io::stdout().lock();
        serde_json::to_writer(&mut out, &outcome)?;
        out.write_all(b"\n")?;
        out.flush()?;
    }
    Ok(())
}

/// Where the directory that was left in this way lies.
pub fn golden_dir(dir: &Path, left: Left) -> std::path::PathBuf {
    dir.join(format!("{left:?}").to_lowercase())
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

fn run_case(case: &Case, golden: &Golden, history: &History, data: &Path) -> Outcome {
    let prepared = std::fs::remove_dir_all(data).or_else(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    });
    let damaged = prepared.and_then(|()| copy_tree(&golden.data(), data)).and_then(|()| case.damage(golden, data));
    match damaged {
        Err(error) => Outcome::Broken(format!("the case could not be set up: {error}")),
        Ok(false) => Outcome::NoDamage,
        Ok(true) => judge(history, data).unwrap_or_else(Outcome::Broken),
    }
}

/// Starts a node, judges what it shows, starts it again, heals it, and starts it a third time.
fn judge(history: &History, data: &Path) -> Result<Outcome, String> {
    let node = match Node::open_whole(data, Driver::Threads) {
        Ok(node) => node,
        Err(error) => return Ok(Outcome::Kept { finding: Finding::Refused, said: error.to_string(), healed: false }),
    };
    let finding = detected(&node.log, &node.report, history, Crash::Process, Start::First)?;
    let said = node.report.damaged.clone().unwrap_or_default();
    let groups = node.log.groups();
    drop(node);

    let node = match open(data, "a second time")? {
        Ok(node) => node,
        Err(refused) => return Ok(refused),
    };
    let again = detected_again(&node, history, finding)?;
    if groups != node.log.groups() {
        return Err(format!("groups {groups:?} at first, {:?} at the second start", node.log.groups()));
    }
    let finding = finding.max(again);
    let healed = heal(&node.log, history, Crash::Process);
    let closed = node.log.close().map_err(|error| error.to_string());
    if let Err(error) = healed.and(closed) {
        return stopped(&node, error);
    }
    drop(node);

    let node = match open(data, "after healing")? {
        Ok(node) => node,
        Err(refused) => return Ok(refused),
    };
    nothing_lost(&node, &mut history.clone(), Crash::Process).map_err(|error| format!("after healing: {error}"))?;
    Ok(Outcome::Kept { finding, said, healed: finding > Finding::Whole })
}

/// A log may stop when the record store meets damage in the background: nobody can go on with such a
/// table, and the node must be rebuilt.
fn stopped(node: &Node, error: String) -> Result<Outcome, String> {
    let health = node.log.health().borrow().clone();
    match health {
        Health::Failed(said) if said.contains("Corruption") => {
            Ok(Outcome::Kept { finding: Finding::Stopped, said, healed: false })
        }
        _ => Err(format!("after healing: {error}")),
    }
}

/// Damage is reported once, so a group that is gone altogether is not judged again.
fn detected_again(node: &Node, history: &History, first: Finding) -> Result<Finding, String> {
    match detected(&node.log, &node.report, history, Crash::Process, Start::Later) {
        Ok(finding) => Ok(finding),
        Err(error) if first < Finding::Fenced => Err(format!("at the second start: {error}")),
        Err(error) => Err(format!("at the second start the damage is forgotten: {error}")),
    }
}

/// Starts a node again. The record store may meet a damaged table only now, where what was written since
/// lets its iterators stand in other blocks than before, and refuse to open; nothing else may.
fn open(data: &Path, when: &str) -> Result<Result<Node, Outcome>, String> {
    match Node::open_whole(data, Driver::Threads) {
        Ok(node) => Ok(Ok(node)),
        Err(OpenError::Store(StoreError::Failed(said))) if said.starts_with("Corruption") => {
            Ok(Err(Outcome::Kept { finding: Finding::Refused, said, healed: false }))
        }
        Err(error) => Err(format!("does not open {when}: {error}")),
    }
}
