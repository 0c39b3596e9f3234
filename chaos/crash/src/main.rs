//! The crash suite's program: `thalweg-crash --cuts 200 --corruptions 500`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use thalweg_crash::run::{Amount, Part, run};
use thalweg_crash::sandbox::{self, Sandbox};
use thalweg_crash::{corruption, writer};

/// Cuts the power under a node's log, damages its files, fills and breaks its disk, and says whether
/// anything acknowledged was lost in silence.
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Arguments {
    /// Power cuts, half on ext4 and half on XFS.
    #[arg(long, default_value_t = 200)]
    cuts: u64,
    /// Damaged files.
    #[arg(long, default_value_t = 500)]
    corruptions: usize,
    /// Every so-many-th step of a run gets each fault that fits it; 1 for all.
    #[arg(long, default_value_t = 1)]
    stride: u64,
    /// Rounds of calls in a run that gets such a fault.
    #[arg(long, default_value_t = 30)]
    rounds: usize,
    /// How long a sync stands still.
    #[arg(long, default_value_t = 10)]
    stall_seconds: u64,
    /// What all chance follows from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only these parts, separated by commas. What never happened then fails nothing.
    #[arg(long, value_delimiter = ',')]
    parts: Vec<Part>,
    #[command(subcommand)]
    role: Option<Role>,
}

/// What the program is when it has started itself.
#[derive(Subcommand)]
enum Role {
    /// Writes as ordered.
    #[command(hide = true)]
    Writer { orders: String },
    /// Runs the cases that come in on standard input.
    #[command(hide = true)]
    CorruptionWorker { dir: PathBuf },
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    match &arguments.role {
        Some(Role::Writer { orders }) => writer::run(&serde_json::from_str(orders)?)?,
        Some(Role::CorruptionWorker { dir }) => corruption::worker::run(dir)?,
        None => return all(&arguments),
    }
    Ok(ExitCode::SUCCESS)
}

fn all(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let reason = if sandbox::is_inside() { None } else { sandbox::missing() };
    if reason.is_none() && !sandbox::is_inside() {
        sandbox::die_with_parent()?;
        return Err(sandbox::enter());
    }
    if let Some(reason) = &reason {
        println!("not run here: power cuts and bad disks: {reason}");
        if sandbox::is_required() {
            return Ok(ExitCode::FAILURE);
        }
    }
    let sandbox = reason.is_none().then(Sandbox::new).transpose()?;
    let outside = tempfile::tempdir()?;
    let dir = sandbox.as_ref().map_or(Ok(outside.path().to_owned()), |sandbox| sandbox.dir("work"))?;
    let amount = Amount {
        cuts: arguments.cuts,
        corruptions: arguments.corruptions,
        stride: arguments.stride.max(1),
        rounds: arguments.rounds,
        stall: Duration::from_secs(arguments.stall_seconds),
        seed: arguments.seed,
    };
    let parts = if arguments.parts.is_empty() { &Part::ALL[..] } else { &arguments.parts };
    let report = run(&dir, sandbox.as_ref(), parts, amount)?;
    println!("{}", report.text());
    let unmet = if arguments.parts.is_empty() { report.unmet() } else { Vec::new() };
    let broken = report.broken();
    broken.iter().for_each(|broken| println!("BROKEN: {broken}"));
    unmet.iter().for_each(|unmet| println!("never happened: {unmet}"));
    println!("seed {}: {} promises broken, {} kinds of faults never happened", amount.seed, broken.len(), unmet.len());
    Ok(if broken.is_empty() && unmet.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
