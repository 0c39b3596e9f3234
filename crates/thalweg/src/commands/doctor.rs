//! `thalweg doctor`: whether this machine is fit to run a node.

use std::process::ExitCode;

use clap::Args;

/// Arguments of `thalweg doctor`.
#[derive(Args, Debug)]
pub(crate) struct DoctorArgs {}

/// Runs all checks.
pub(crate) async fn run(_args: DoctorArgs) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not there yet")
}
