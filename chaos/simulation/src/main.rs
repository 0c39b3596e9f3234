//! `thalweg-simulate`: one seed, or many.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use thalweg_simulation::faults::Kind;
use thalweg_simulation::{Outcome, Request, run, shrink, sweep};

/// Simulates whole clusters: real nodes on simulated network, clocks, randomness and disks.
#[derive(Parser)]
#[command(name = "thalweg-simulate", args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    one: One,
}

#[derive(Subcommand)]
enum Command {
    /// Runs many seeds, one process each, on all cores.
    Sweep(sweep::Sweep),
    /// Finds the fewest faults with which a seed still fails.
    Shrink(One),
}

/// One seed.
#[derive(clap::Args, Clone)]
struct One {
    /// Everything that chance decides follows from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Simulated seconds of load and faults; drawn from the seed when absent.
    #[arg(long)]
    seconds: Option<u64>,
    /// Only these kinds of faults, separated by commas; `none` for none.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Without the kinds and clients that only later seeds have.
    #[arg(long)]
    plain: bool,
    /// Events to leave out, by number.
    #[arg(long, value_delimiter = ',')]
    without: Vec<u32>,
    /// Events to keep, by number; all others are left out.
    #[arg(long, value_delimiter = ',')]
    keep: Option<Vec<u32>>,
    /// Writes what happened, line by line.
    #[arg(long)]
    trace: Option<PathBuf>,
    /// Writes the clients' history, as `thalweg-check` reads it.
    #[arg(long)]
    history: Option<PathBuf>,
    /// A planted bug to switch on.
    #[arg(long)]
    plant: Option<String>,
    /// Prints the outcome as one line of JSON.
    #[arg(long)]
    json: bool,
    /// Shows the nodes' own log, by the rules of `RUST_LOG`.
    #[arg(long)]
    log: Option<String>,
}

impl One {
    fn request(&self) -> Result<Request, String> {
        let kind = |name: &String| Kind::named(name).ok_or_else(|| format!("there is no fault `{name}`"));
        let none = self.only == ["none"];
        let only = if none { Vec::new() } else { self.only.iter().map(kind).collect::<Result<_, _>>()? };
        let keep = if none { Some(Vec::new()) } else { self.keep.clone() };
        Ok(Request {
            seed: self.seed,
            seconds: self.seconds,
            only,
            plain: self.plain,
            without: self.without.iter().copied().collect(),
            keep: keep.map(|keep| keep.into_iter().collect()),
            trace: self.trace.clone(),
            history: self.history.clone(),
        })
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match &cli.command {
        None => one(&cli.one),
        Some(Command::Sweep(sweep)) => sweep::run(sweep),
        Some(Command::Shrink(one)) => one.request().and_then(|request| shrink::run(&request)),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("thalweg-simulate: {why}");
            ExitCode::from(2)
        }
    }
}

fn one(one: &One) -> Result<bool, String> {
    let request = one.request()?;
    if let Some(name) = &one.plant {
        plant(name)?;
    }
    if let Some(rules) = &one.log {
        let filter = tracing_subscriber::EnvFilter::try_new(rules).map_err(|error| error.to_string())?;
        // The time of a line would ask for the clock in the middle of everything.
        tracing_subscriber::fmt().with_env_filter(filter).without_time().with_writer(std::io::stderr).init();
    }
    let outcome = run(&request);
    if one.json {
        println!("{}", serde_json::to_string(&outcome).map_err(|error| error.to_string())?);
    } else {
        print(&outcome);
    }
    Ok(outcome.is_clean())
}

/// Switches a planted bug on, see [`thalweg_types::planted`].
#[cfg(thalweg_planted)]
fn plant(name: &str) -> Result<(), String> {
    if thalweg_types::planted::plant(name.parse()?) { Ok(()) } else { Err("another bug is planted".to_owned()) }
}

#[cfg(not(thalweg_planted))]
fn plant(name: &str) -> Result<(), String> {
    Err(format!("this build has no planted bugs, so not `{name}` either; see `make planted`"))
}

fn print(outcome: &Outcome) {
    println!("seed {}", outcome.seed);
    println!(
        "  {} nodes, {:.1} s simulated in {:.2} s of CPU",
        outcome.nodes,
        outcome.simulated_ms as f64 / 1e3,
        outcome.cpu_ms as f64 / 1e3
    );
    println!(
        "  {} acknowledged, {} unknown, {} read, {} unjudged",
        outcome.acked, outcome.indefinite, outcome.records_read, outcome.acked_unjudged
    );
    println!("  trace {:016x}, {} lines", outcome.trace.0, outcome.trace.1);
    for (what, count) in &outcome.coverage {
        println!("  {count:>5} {what}");
    }
    for violation in &outcome.violations {
        println!("  VIOLATED at {} ms: {}: {}", violation.at_ms, violation.invariant, violation.detail);
    }
}
