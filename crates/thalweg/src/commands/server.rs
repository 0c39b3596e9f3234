//! `thalweg server`: one node of a real cluster.

use std::path::PathBuf;

use clap::Args;

/// Arguments of `thalweg server`.
#[derive(Args, Debug)]
pub(crate) struct ServerArgs {
    /// The configuration, in TOML
    #[arg(long, env = "THALWEG_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Runs the node until Ctrl-C or SIGTERM.
pub(crate) async fn run(args: ServerArgs) -> anyhow::Result<()> {
    let _ = args.config;
    anyhow::bail!("this build has no server yet")
}
