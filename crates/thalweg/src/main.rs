//! `thalweg`: one binary that is the command line, one node of a cluster, or a whole cluster.
//!
//! ```text
//!   main ─ parse ─► cli::Command ─► commands::* ─► thalweg-client / thalweg-server
//!                                       │
//!              output (tables, JSON lines) · progress (stderr) · exit (codes and next steps)
//! ```
//! Holds: results go to stdout and everything else to stderr; a reader that went away (a broken
//! pipe) is not an error; the exit code says what kind of failure it was ([`exit`]).

mod cli;
mod commands;
mod connection;
mod exit;
mod host;
mod human;
mod output;
mod progress;
mod start;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use crate::cli::Cli;

/// How long work that nobody waits for any more (a read of the terminal) may hold up the end.
const SHUTDOWN_MAX: Duration = Duration::from_millis(100);

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return exit::report(&error.into()),
    };
    let outcome = runtime.block_on(commands::run(cli));
    runtime.shutdown_timeout(SHUTDOWN_MAX);
    match outcome {
        Ok(code) => code,
        Err(error) => exit::report(&error),
    }
}
