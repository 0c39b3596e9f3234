//! Looking for a defect with tests: crate by crate, until one fails because of it.
//!
//! Holds: a test counts only if it fails again with the defect, alone, and passes without it. So
//! neither a flaky test nor a loaded machine takes the credit.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use thalweg_types::planted::Planted;

use crate::build::TestProgram;
use crate::hunt::{Catch, seconds};
use crate::layers::tests_of;

/// How often a test that failed is run again, in search of a second failure.
const CONFIRMATIONS_MAX: u32 = 3;

/// Looks with tests.
pub(crate) struct Tests {
    pub(crate) programs: Vec<TestProgram>,
    /// For all tests of one program.
    pub(crate) budget: Duration,
    /// Tests that were seen to pass without a defect, or not.
    pub(crate) sound: RefCell<BTreeMap<(PathBuf, String), bool>>,
}

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    Passed,
    /// The tests that failed; where the program died or took too long, also those that still ran.
    Failed(Vec<String>),
}

/// How long a program is let run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Until {
    FirstFailure,
    End,
}

impl Tests {
    /// Looks for a defect. Nothing if all tests pass with it.
    pub(crate) fn hunt(&self, defect: Planted) -> Option<Catch> {
        tests_of(defect).into_iter().find_map(|package| self.by_tests(defect, package))
    }

    fn by_tests(&self, defect: Planted, package: &str) -> Option<Catch> {
        let programs = self.programs.iter().filter(|program| program.package == package);
        programs.into_iter().find_map(|program| {
            let began = Instant::now();
            // At the first failure; if that one has other reasons, all of them.
            [Until::FirstFailure, Until::End].into_iter().find_map(|until| {
                let suspects = match run(program, Some(defect), &[], self.budget, until) {
                    End::Passed => return None,
                    End::Failed(tests) => tests,
                };
                let took = began.elapsed();
                let noticed = suspects.into_iter().find(|test| self.is_because_of(defect, program, test))?;
                Some(Catch { by: format!("{}: {noticed}", name_of(program)), figures: vec![seconds(took)] })
            })
        })
    }

    /// Whether a test fails again with the defect, and passes without.
    fn is_because_of(&self, defect: Planted, program: &TestProgram, test: &str) -> bool {
        let alone = [test, "--exact"];
        let passes = || run(program, None, &alone, self.budget, Until::End) == End::Passed;
        let fails =
            (0..CONFIRMATIONS_MAX).any(|_| run(program, Some(defect), &alone, self.budget, Until::End) != End::Passed);
        fails && *self.sound.borrow_mut().entry((program.path.clone(), test.to_owned())).or_insert_with(passes)
    }
}

fn name_of(program: &TestProgram) -> &str {
    program.package.trim_start_matches("thalweg-")
}

/// Runs a test program, at most for as long as the budget.
fn run(program: &TestProgram, defect: Option<Planted>, args: &[&str], budget: Duration, until: Until) -> End {
    let mut child = command(program, defect, args).spawn().expect("a test program that was just built starts");
    let output = child.stdout.take().expect("it is piped");
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        let lines = BufReader::new(output).lines().map_while(Result::ok);
        lines.for_each(|line| drop(sender.send(line)));
    });
    let deadline = Instant::now() + budget;
    let (mut failed, mut passed) = (Vec::new(), Vec::new());
    while let Ok(line) = lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        match outcome(&line) {
            Some((test, true)) => passed.push(test),
            Some((test, false)) => failed.push(test),
            None => {}
        }
        if until == Until::FirstFailure && !failed.is_empty() {
            break;
        }
    }
    let cut_short = Instant::now() >= deadline || (until == Until::FirstFailure && !failed.is_empty());
    if cut_short {
        let _ = child.kill();
    }
    let good = child.wait().is_ok_and(|status| status.success());
    match (good, failed.is_empty()) {
        (true, _) => End::Passed,
        (false, false) => End::Failed(failed),
        (false, true) => End::Failed(unfinished(program, args, &passed)),
    }
}

fn command(program: &TestProgram, defect: Option<Planted>, args: &[&str]) -> Command {
    let mut command = Command::new(&program.path);
    command.args(args).arg("--test-threads=4").current_dir(&program.dir);
    command.env("THALWEG_PLANT", defect.map_or(String::new(), |defect| format!("{defect:?}")));
    // Properties shall leave no files behind, and nobody reads these backtraces.
    command.env("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "true").env("RUST_BACKTRACE", "0");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

/// A test's name and whether it passed, from a line of a test program.
fn outcome(line: &str) -> Option<(String, bool)> {
    let (test, verdict) = line.strip_prefix("test ")?.split_once(" ... ")?;
    let test = test.split(" - ").next().unwrap_or(test).trim();
    match verdict.trim() {
        "ok" => Some((test.to_owned(), true)),
        verdict if verdict.starts_with("FAILED") => Some((test.to_owned(), false)),
        _ => None,
    }
}

/// The tests of which nothing was heard.
fn unfinished(program: &TestProgram, args: &[&str], ended: &[String]) -> Vec<String> {
    let listed = Command::new(&program.path).args(args).args(["--list", "--format=terse"]).output();
    let listed = listed.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let tests = listed.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned);
    tests.filter(|test| !ended.contains(test)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_told_from_what_test_programs_print() {
        assert_eq!(outcome("test a::b ... ok"), Some(("a::b".to_owned(), true)));
        assert_eq!(outcome("test a::b - should panic ... FAILED"), Some(("a::b".to_owned(), false)));
        assert_eq!(outcome("test a::b has been running for over 60 seconds"), None);
        assert_eq!(outcome("test result: FAILED. 1 passed; 1 failed"), None);
    }
}
