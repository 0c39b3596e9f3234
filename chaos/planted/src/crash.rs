//! Looking for a defect of the log or the record store with the storage crash suite, part by part.
//!
//! Holds: a part counts only if it breaks many more promises with the defect, twice, than without.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use thalweg_types::planted::Planted;

use crate::hunt::{Catch, Found, seconds};
use crate::layers::home_of;

/// Parts of the suite, fastest first, and how much of each.
const PARTS: &[(&str, &[&str])] = &[
    ("failpoints", &["--stride", "10"]),
    ("real-failpoints", &["--stride", "40"]),
    ("damage", &["--corruptions", "150"]),
    ("cuts", &["--cuts", "24"]),
];
/// So many times as many promises must be broken with a defect as without.
const MORE: usize = 3;
/// A line of the suite that tells of a broken promise.
const BROKEN: &str = "BROKEN: ";

/// Looks with the crash suite.
pub(crate) struct Crash {
    pub(crate) program: PathBuf,
    /// Promises that parts break without a defect: some are not steady.
    pub(crate) without: RefCell<BTreeMap<&'static str, usize>>,
}

impl Crash {
    /// Looks for a defect.
    pub(crate) fn hunt(&self, defect: Planted) -> Found {
        if !matches!(home_of(defect), "wal" | "storage") {
            return Found::OutOfReach;
        }
        let began = Instant::now();
        let caught = PARTS.iter().find_map(|(part, amount)| {
            let broken = self.broken(part, amount, Some(defect));
            let took = began.elapsed();
            let counts = |broken: usize| broken > MORE * self.without(part, amount);
            let counts = broken > 0 && counts(broken) && counts(self.broken(part, amount, Some(defect)));
            counts.then(|| Catch { by: format!("{part}: {broken} broken"), figures: vec![seconds(took)] })
        });
        caught.into()
    }

    fn without(&self, part: &'static str, amount: &[&str]) -> usize {
        *self.without.borrow_mut().entry(part).or_insert_with(|| self.broken(part, amount, None))
    }

    /// Broken promises of one part.
    fn broken(&self, part: &str, amount: &[&str], defect: Option<Planted>) -> usize {
        let mut suite = Command::new(&self.program);
        suite.args(["--parts", part]).args(amount).stdin(Stdio::null()).stderr(Stdio::null());
        // Runs of the suite sweep away each other's mount points.
        suite.env("TMPDIR", self.program.parent().expect("a program lies in a folder"));
        suite.env("THALWEG_PLANT", defect.map_or(String::new(), |defect| format!("{defect:?}")));
        let output = suite.output().expect("a program that was just built starts");
        let said = String::from_utf8_lossy(&output.stdout);
        said.lines().filter(|line| line.starts_with(BROKEN)).count()
    }
}
