//! `thalweg dev`: a whole cluster in this process.

use std::path::PathBuf;

use clap::Args;

/// Arguments of `thalweg dev`.
#[derive(Args, Debug)]
pub(crate) struct DevArgs {
    /// Nodes of the cluster
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=9))]
    nodes: u32,
    /// Where the data lies; default: a temporary folder that goes with the cluster
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Keep the temporary folder
    #[arg(long)]
    retain: bool,
    /// Public port of the first node; 0 takes a free one
    #[arg(long, default_value_t = 4567)]
    port: u16,
    /// Write one JSON line with the endpoints to this file once the cluster is ready
    #[arg(long, value_name = "PATH")]
    ready_file: Option<PathBuf>,
}

/// Runs the cluster until Ctrl-C or SIGTERM.
pub(crate) async fn run(args: DevArgs) -> anyhow::Result<()> {
    let DevArgs { nodes, data_dir, retain, port, ready_file } = args;
    let _ = (nodes, data_dir, retain, port, ready_file);
    anyhow::bail!("this build has no server yet")
}
