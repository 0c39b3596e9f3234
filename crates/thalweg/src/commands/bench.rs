//! `thalweg bench`: measures a cluster, and the limits of this host beside it.

use clap::{Args, Subcommand};

/// What to measure.
#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// Writing
    Produce(ProduceArgs),
}

/// Arguments of `thalweg bench produce`.
#[derive(Args, Debug)]
pub(crate) struct ProduceArgs {}

/// Runs the measurement.
pub(crate) async fn run(command: BenchCommand) -> anyhow::Result<()> {
    let BenchCommand::Produce(_) = command;
    anyhow::bail!("not there yet")
}
