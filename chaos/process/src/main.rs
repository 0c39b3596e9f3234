//! `thalweg-chaos`: real servers under load and faults, judged by the checker.
//!
//! ```text
//!   thalweg-chaos run chaos/scenarios/smoke.toml --minutes 2 --seed 7
//!        │ unshare: namespaces of its own, where it is process 1 (sandbox)
//!        └─► run ── cluster ── nodes, disks, network of TAP devices and a switch
//!                 ├─ load: writers, readers ──► record: one history
//!                 ├─ nemesis ── faults: process, network, storage, clocks, operations, clients
//!                 ├─ observe, timeline, live: what is happening
//!                 └─ finale ──► verdict ──► report.html, exit code
//! ```
//! How to use it and what it covers: chaos/process/README.md.

mod cluster;
mod disk;
mod faults;
mod finale;
mod gaps;
mod live;
mod load;
mod nemesis;
mod net;
mod node;
mod observe;
mod record;
mod report;
mod run;
mod sandbox;
mod scenario;
mod timeline;
mod tools;
mod verdict;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use faults::Kind;
use run::Settings;
use scenario::Scenario;

/// Real servers under load and faults, judged by the checker
#[derive(Parser, Debug)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Run a scenario; exit code 1 when something was found
    Run(RunArguments),
    /// Say which kinds of faults there are
    Kinds,
}

#[derive(Args, Debug)]
struct RunArguments {
    /// The scenario, in TOML
    scenario: PathBuf,
    /// How long faults go on; as the scenario says unless given
    #[arg(long, value_name = "N")]
    minutes: Option<f64>,
    /// From which everything random is drawn
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// The server's program; otherwise the one beside this program
    #[arg(long, env = "THALWEG_BIN", value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Where the report, the nodes' logs and, after a failure, the history go
    #[arg(long, value_name = "DIR")]
    results: Option<PathBuf>,
    /// End when the process that started this one ends
    #[arg(long, hide = true)]
    die_with_parent: bool,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Kinds => {
            list_kinds();
            Ok(ExitCode::SUCCESS)
        }
        Command::Run(arguments) => run_scenario(&arguments),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

fn list_kinds() {
    for kind in Kind::ALL {
        println!("{:<20} {:<8} {}", kind.name(), kind.codes().join(" "), kind.about());
    }
}

fn run_scenario(arguments: &RunArguments) -> anyhow::Result<ExitCode> {
    let scenario = Scenario::load(&arguments.scenario)?;
    if !sandbox::is_inside() {
        return enter(arguments, &scenario);
    }
    let settings = settings(arguments, &scenario)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let verdict = runtime.block_on(run::run(&scenario, &settings));
    runtime.shutdown_background();
    let verdict = verdict?;
    print!("{}", verdict.summary());
    Ok(if verdict.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Starts this program again inside; returns when that is not possible here.
fn enter(arguments: &RunArguments, scenario: &Scenario) -> anyhow::Result<ExitCode> {
    let no_faketime = scenario.cluster.clocks && !node::Node::has_faketime();
    let clocks = no_faketime.then(|| "clocks cannot be set: apt-get install libfaketime".to_owned());
    if let Some(why) = sandbox::missing().or(clocks) {
        println!("not run here: {why}");
        return Ok(if sandbox::is_required() { ExitCode::FAILURE } else { ExitCode::SUCCESS });
    }
    if arguments.die_with_parent {
        sandbox::die_with_parent()?;
    }
    Err(sandbox::enter())
}

fn settings(arguments: &RunArguments, scenario: &Scenario) -> anyhow::Result<Settings> {
    let here = std::env::current_exe()?;
    let beside = |name: &str| here.parent().unwrap_or(Path::new(".")).join(name);
    let name = arguments.scenario.file_stem().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let minutes = arguments.minutes.unwrap_or(scenario.minutes).max(0.0);
    let results = format!("chaos-results/{name}-{}", arguments.seed);
    Ok(Settings {
        lasts: Duration::from_secs_f64(minutes * 60.0),
        seed: arguments.seed,
        binary: arguments.binary.clone().unwrap_or_else(|| beside("thalweg")),
        results: arguments.results.clone().unwrap_or_else(|| beside(&results)),
        name,
    })
}
