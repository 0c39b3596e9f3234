//! Many seeds, one process each, on all cores; what they found and what they covered.
//!
//! This process's clocks are replaced like those of a simulation (the same binary), so the wall time
//! comes from the kernel's own account of it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::faults::Kind;
use crate::outcome::Outcome;
use crate::world::Violation;

/// A seed that takes more CPU than this goes round in circles: most take a few seconds.
const SEED_CPU_S_MAX: u64 = 120;
/// With at least so many seeds, every kind of fault must have come.
const COVERS_ALL_FROM: usize = 100;

/// Many seeds.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Sweep {
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// How many seeds at most; without `--hours`, exactly so many. Default 16, or no bound.
    #[arg(long)]
    seeds: Option<u64>,
    /// Goes on until so many hours have been simulated.
    #[arg(long)]
    hours: Option<f64>,
    /// Ends after so many minutes, whatever has been simulated.
    #[arg(long)]
    minutes: Option<f64>,
    /// Processes at a time; default: one a core.
    #[arg(long)]
    jobs: Option<usize>,
    /// Arguments of seeds that once failed, one line each; run first.
    #[arg(long)]
    regressions: Option<PathBuf>,
    /// The first so many seeds run twice: their traces must be equal.
    #[arg(long, default_value_t = 0)]
    twice: u64,
    /// Ends at the first seed that fails.
    #[arg(long)]
    fail_fast: bool,
    /// Further arguments for every seed.
    #[arg(last = true)]
    rest: Vec<String>,
}

/// One process to run.
#[derive(Clone, Debug)]
struct Job {
    arguments: Vec<String>,
    twice: bool,
}

impl Job {
    fn command(&self) -> String {
        format!("make simulate-seed ARGS=\"{}\"", self.arguments.join(" "))
    }
}

/// What all seeds came to.
#[derive(Default)]
struct Total {
    seeds: usize,
    simulated_ms: u64,
    node_ms: u64,
    cpu_ms: u64,
    acked: u64,
    read: u64,
    compared: usize,
    coverage: BTreeMap<String, u64>,
    failed: Vec<(Job, Vec<Violation>)>,
}

/// Runs the seeds. False if any failed.
pub fn run(sweep: &Sweep) -> Result<bool, String> {
    let mut first: Vec<Job> = Vec::new();
    if let Some(path) = &sweep.regressions {
        first = regressions(path)?;
    }
    let jobs = sweep.jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let (next, total, began) = (AtomicU64::new(0), Mutex::new(Total::default()), uptime());
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                while let Some(job) = take(sweep, &first, &next, &total, began) {
                    let found = perform(&job);
                    note(&mut total.lock(), job, found);
                    progress(&total.lock(), began, sweep);
                }
            });
        }
    });
    let total = total.into_inner();
    Ok(summary(sweep, &total, uptime() - began))
}

fn take(sweep: &Sweep, first: &[Job], next: &AtomicU64, total: &Mutex<Total>, began: f64) -> Option<Job> {
    let number = next.fetch_add(1, Ordering::Relaxed);
    if let Some(job) = first.get(number as usize) {
        return Some(job.clone());
    }
    let number = number - first.len() as u64;
    let total = total.lock();
    let enough_hours = sweep.hours.is_some_and(|hours| total.simulated_ms as f64 / 3.6e6 >= hours);
    let enough_seeds = number >= sweep.seeds.unwrap_or(if sweep.hours.is_some() { u64::MAX } else { 16 });
    let late = sweep.minutes.is_some_and(|minutes| uptime() - began > minutes * 60.0);
    if enough_hours || enough_seeds || late || (sweep.fail_fast && !total.failed.is_empty()) {
        return None;
    }
    let seed = ["--seed".to_owned(), (sweep.from + number).to_string()];
    Some(Job { arguments: seed.into_iter().chain(sweep.rest.clone()).collect(), twice: number < sweep.twice })
}

/// `--seed 17 --keep 3,5   # what it once found`
fn regressions(path: &Path) -> Result<Vec<Job>, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    let arguments = lines.map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    Ok(arguments.filter(|words| !words.is_empty()).map(|arguments| Job { arguments, twice: false }).collect())
}

fn perform(job: &Job) -> Result<(Outcome, usize), Violation> {
    let outcome = one(&job.arguments)?;
    if !job.twice {
        return Ok((outcome, 0));
    }
    let again = one(&job.arguments)?;
    if again.trace != outcome.trace {
        return Err(harness(format!("two runs differ: {:?} and {:?}", outcome.trace, again.trace)));
    }
    Ok((outcome, 1))
}

/// Runs one process, and reads what it says.
pub(crate) fn one(arguments: &[String]) -> Result<Outcome, Violation> {
    let program = std::env::current_exe().map_err(|error| harness(format!("who am I: {error}")))?;
    let output = Command::new("sh")
        .args(["-c", &format!("ulimit -t {SEED_CPU_S_MAX} 2>/dev/null; exec \"$0\" \"$@\"")])
        .arg(program)
        .arg("--json")
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| harness(format!("cannot start: {error}")))?;
    let said = String::from_utf8_lossy(&output.stdout);
    said.lines().rev().find_map(|line| serde_json::from_str(line).ok()).ok_or_else(|| {
        let complaint = String::from_utf8_lossy(&output.stderr);
        let last: Vec<&str> = complaint.lines().rev().take(5).collect();
        harness(format!("ended with {} and no outcome; the last it said: {last:?}", output.status))
    })
}

fn harness(detail: String) -> Violation {
    Violation { invariant: "harness".to_owned(), at_ms: 0, detail }
}

fn note(total: &mut Total, job: Job, found: Result<(Outcome, usize), Violation>) {
    total.seeds += 1;
    let violations = match found {
        Ok((outcome, compared)) => {
            total.simulated_ms += outcome.simulated_ms;
            total.node_ms += outcome.simulated_ms * outcome.nodes;
            total.cpu_ms += outcome.cpu_ms;
            total.acked += outcome.acked;
            total.read += outcome.records_read;
            total.compared += compared;
            for (what, count) in outcome.coverage {
                *total.coverage.entry(what).or_default() += count;
            }
            outcome.violations
        }
        Err(violation) => vec![violation],
    };
    if let Some(first) = violations.first() {
        let line = format!("FAILED {}: {}: {}", job.arguments.join(" "), first.invariant, first.detail);
        eprintln!("\r{:<100}", line.chars().take(220).collect::<String>());
        total.failed.push((job, violations));
    }
}

fn progress(total: &Total, began: f64, sweep: &Sweep) {
    if !std::io::stderr().is_terminal() {
        return;
    }
    let hours = total.simulated_ms as f64 / 3.6e6;
    let goal = sweep.hours.map(|goal| format!(" of {goal}")).unwrap_or_default();
    eprint!(
        "\r{} seeds, {hours:.2}{goal} simulated hours, {} failed, {:.0} s ",
        total.seeds,
        total.failed.len(),
        uptime() - began
    );
    let _ = std::io::stderr().flush();
}

/// Says what was done; whether all is well.
fn summary(sweep: &Sweep, total: &Total, wall_s: f64) -> bool {
    let (hours, cpu_s) = (total.simulated_ms as f64 / 3.6e6, total.cpu_ms as f64 / 1e3);
    println!();
    println!("{} seeds, {} compared with a second run of theirs", total.seeds, total.compared);
    println!(
        "{hours:.2} simulated cluster-hours ({:.2} node-hours) in {cpu_s:.0} s of CPU ({:.0} times as fast), {wall_s:.0} s",
        total.node_ms as f64 / 3.6e6,
        hours * 3600.0 / cpu_s.max(0.01),
    );
    println!("{} records acknowledged, {} read", total.acked, total.read);
    for (what, count) in &total.coverage {
        println!("  {count:>7} {what}");
    }
    let kinds: BTreeSet<String> = kinds(sweep).map(|kind| kind.name()).collect();
    let never: Vec<&str> = kinds.iter().map(String::as_str).filter(|kind| !came(total, kind)).collect();
    println!("{} of {} kinds of faults came", kinds.len() - never.len(), kinds.len());
    let uncovered = total.seeds >= COVERS_ALL_FROM && !never.is_empty();
    if !never.is_empty() {
        println!("never: {}", never.join(", "));
    }
    by_kind(total);
    total.failed.is_empty() && !uncovered
}

/// The kinds that these seeds may draw.
fn kinds(sweep: &Sweep) -> impl Iterator<Item = Kind> {
    let plain = sweep.rest.iter().any(|argument| argument == "--plain");
    Kind::of_seed(if plain { 0 } else { sweep.from })
}

fn came(total: &Total, kind: &str) -> bool {
    total.coverage.contains_key(&format!("fault {kind}"))
}

fn by_kind(total: &Total) {
    let mut kinds: BTreeMap<&str, Vec<&Job>> = BTreeMap::new();
    for (job, violations) in &total.failed {
        let named: BTreeSet<&str> = violations.iter().map(|violation| violation.invariant.as_str()).collect();
        named.into_iter().for_each(|kind| kinds.entry(kind).or_default().push(job));
    }
    for (kind, jobs) in kinds {
        println!("FAILED {kind}: {} seeds; for one:\n    {}", jobs.len(), jobs[0].command());
        let rest: Vec<String> = jobs.iter().skip(1).take(20).map(|job| job.arguments.join(" ")).collect();
        if !rest.is_empty() {
            println!("    also {}", rest.join("; "));
        }
    }
}

/// Seconds since the machine started.
fn uptime() -> f64 {
    let text = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
    text.split_whitespace().next().and_then(|seconds| seconds.parse().ok()).unwrap_or(0.0)
}
