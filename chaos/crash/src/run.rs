//! All parts one after the other, with progress.

use std::path::Path;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::failpoints::{Sweep, sweep};
use crate::report::Report;
use crate::sandbox::{FileSystem, Sandbox};
use crate::{corruption, cuts, errors, failpoints};

/// A part of the suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// A fault at every step, on the simulated disk.
    Failpoints,
    /// The same on the machine's file system, with RocksDB.
    RealFailpoints,
    /// Bad disks.
    Disks,
    /// Damaged files.
    Damage,
    /// Power cuts.
    Cuts,
}

impl Part {
    /// All of them.
    pub const ALL: [Part; 5] = [Part::Failpoints, Part::RealFailpoints, Part::Disks, Part::Damage, Part::Cuts];
}

/// How much of everything.
#[derive(Clone, Copy, Debug)]
pub struct Amount {
    /// Power cuts, on both file systems together.
    pub cuts: u64,
    /// Damaged files.
    pub corruptions: usize,
    /// Every so-many-th step of a run gets its faults.
    pub stride: u64,
    /// Rounds of calls in such a run.
    pub rounds: usize,
    /// How long a sync stands still.
    pub stall: Duration,
    /// What all chance follows from.
    pub seed: u64,
}

/// Runs these parts: failpoints and damaged files in `dir`, and, if there is a sandbox, power cuts and
/// bad disks.
pub fn run(dir: &Path, sandbox: Option<&Sandbox>, parts: &[Part], amount: Amount) -> anyhow::Result<Report> {
    let mut report = Report::default();
    let wanted = |part: Part| parts.contains(&part);
    if wanted(Part::Failpoints) || wanted(Part::RealFailpoints) {
        report.failpoints = Some(run_failpoints(&dir.join("failpoints"), parts, amount));
    }
    if let Some(sandbox) = sandbox.filter(|_| wanted(Part::Disks)) {
        report.errors = Some(run_errors(sandbox, amount));
    }
    if wanted(Part::Damage) {
        report.corruptions = Some(run_damage(dir, amount)?);
    }
    if let Some(sandbox) = sandbox.filter(|_| wanted(Part::Cuts)) {
        report.cuts = Some(run_cuts(sandbox, amount)?);
    }
    Ok(report)
}

fn run_damage(dir: &Path, amount: Amount) -> anyhow::Result<corruption::run::Tally> {
    let bar = bar("damaged files", amount.corruptions as u64);
    let mut progress = |at: usize, of: usize| {
        bar.set_length(of as u64);
        bar.set_position(at as u64);
    };
    let program = std::env::current_exe()?;
    let corruptions = dir.join("corruptions");
    let tally = corruption::run::run(&program, &corruptions, amount.corruptions, amount.seed, &mut progress);
    bar.finish_and_clear();
    tally
}

fn run_failpoints(dir: &Path, parts: &[Part], amount: Amount) -> failpoints::Tally {
    let mut tally = failpoints::Tally::default();
    let places = [
        (Part::Failpoints, "failpoints, simulated disk", false),
        (Part::RealFailpoints, "failpoints, real disk", true),
    ];
    for (_, name, real) in places.into_iter().filter(|(part, ..)| parts.contains(part)) {
        let bar = bar(name, 0);
        let Amount { seed, rounds, stride, .. } = amount;
        sweep(dir, Sweep { seed, rounds, stride, real }, &mut tally, &mut |at, of| {
            bar.set_length(of);
            bar.set_position(at);
        });
        bar.finish_and_clear();
    }
    tally
}

fn run_errors(sandbox: &Sandbox, amount: Amount) -> Vec<(&'static str, Option<String>)> {
    let bar = bar("bad disks", errors::SCENARIOS.len() as u64);
    let run = |scenario: &errors::Scenario| {
        let failure = scenario.run(sandbox, amount.stall).err().map(|error| format!("{error:#}"));
        bar.inc(1);
        (scenario.name, failure)
    };
    let results = errors::SCENARIOS.iter().map(run).collect();
    bar.finish_and_clear();
    results
}

fn run_cuts(sandbox: &Sandbox, amount: Amount) -> anyhow::Result<cuts::Tally> {
    let mut tally = cuts::Tally::default();
    let bar = bar("power cuts", 0);
    for (kind, share) in FileSystem::ALL.into_iter().zip([amount.cuts / 2, amount.cuts - amount.cuts / 2]) {
        // Every seventh death is of the process only.
        let deaths = (share * 7).div_ceil(6);
        bar.inc_length(deaths);
        cuts::run(sandbox, kind, deaths, amount.seed, &mut tally, &mut || bar.inc(1))?;
    }
    bar.finish_and_clear();
    Ok(tally)
}

fn bar(name: &'static str, len: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:28} {wide_bar} {pos}/{len} {eta}").expect("the template is right");
    ProgressBar::new(len).with_style(style).with_message(name)
}
