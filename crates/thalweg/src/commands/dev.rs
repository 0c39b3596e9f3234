//! `thalweg dev`: a whole cluster in this process, for a laptop or CI.
//!
//! Says where to connect as soon as every node can serve, then runs until it is asked to end.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use clap::Args;
use serde::Serialize;
use thalweg_server::Auth;
use thalweg_server::dev::{DevCluster, DevOptions, DevReady};

use super::{logging, signals};
use crate::output::print_text;

/// Arguments of `thalweg dev`.
#[derive(Args, Debug)]
#[command(
    after_help = "Environment:\n  THALWEG_LOG  what to log to stderr, for example info or thalweg_raft=debug; default warn"
)]
pub(crate) struct DevArgs {
    /// Nodes of the cluster
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=9))]
    nodes: u32,
    /// Where the data lies, from one start to the next; default: a temporary folder that goes with the cluster
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Keep the temporary folder
    #[arg(long, conflicts_with = "data_dir")]
    retain: bool,
    /// Public port of the first node; 0 takes a free one
    #[arg(long, default_value_t = 4567)]
    port: u16,
    /// Answer TLS on the public ports too, with a certificate made on the spot
    #[arg(long)]
    tls: bool,
    /// Refuse Kinesis requests that are not signed with a key of this cluster
    #[arg(long)]
    auth: bool,
    /// Write one JSON line with the endpoints to this file once the cluster is ready
    #[arg(long, value_name = "PATH")]
    ready_file: Option<PathBuf>,
}

/// Runs the cluster until Ctrl-C or SIGTERM, or until a node fails.
pub(crate) async fn run(args: DevArgs) -> anyhow::Result<()> {
    logging::start("warn");
    let begun = Instant::now();
    let options = DevOptions {
        nodes: args.nodes,
        data_dir: args.data_dir,
        retain: args.retain,
        port: args.port,
        tls: args.tls,
        auth: if args.auth { Auth::Required } else { Auth::Off },
        ..DevOptions::default()
    };
    let cluster = tokio::select! {
        cluster = DevCluster::start(options) => cluster?,
        () = signals::asked_to_end() => return Ok(()),
    };
    if let Some(path) = &args.ready_file {
        write_ready_file(path, cluster.ready())?;
    }
    print_text(&greeting(cluster.ready(), args.nodes, args.auth, begun))?;
    let failed = tokio::select! {
        () = signals::asked_to_end() => None,
        reason = cluster.failed() => Some(reason),
    };
    eprintln!("ending");
    if let Some(kept) = cluster.shutdown().await {
        eprintln!("the data is in {0}; `thalweg dev --data-dir {0}` goes on with it", kept.display());
    }
    failed.map_or(Ok(()), |reason| Err(anyhow::anyhow!("a node failed: {reason}")))
}

/// Writes the line under another name first, so that nobody reads half of it.
pub(super) fn write_ready_file(path: &Path, ready: &impl Serialize) -> anyhow::Result<()> {
    let write = || -> std::io::Result<()> {
        let partial = path.with_extension("partial");
        let mut file = std::fs::File::create(&partial)?;
        writeln!(file, "{}", serde_json::to_string(ready)?)?;
        std::fs::rename(&partial, path)
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

fn greeting(ready: &DevReady, nodes: u32, auth: bool, begun: Instant) -> String {
    let first = ready.endpoints.first().map_or("", String::as_str);
    let at = if first.ends_with(":4567") { String::new() } else { format!("  export THALWEG_ENDPOINT={first}\n") };
    let nodes = if nodes == 1 { "1 node is".to_owned() } else { format!("{nodes} nodes are") };
    format!(
        "{nodes} ready after {:.0} ms\n\
         \n\
         clients   {}\n\
         admin     {}\n\
         data      {}\n\
         \n\
         Try this in a second terminal:\n{at}\
         \u{20} thalweg stream create orders --shards 4\n\
         \u{20} thalweg put orders hello --key k\n\
         \u{20} thalweg tail orders --from trim-horizon\n\
         \n\
         Or point any AWS SDK, or the AWS CLI, at it:\n{}\
         \n\
         Ctrl-C ends the cluster.\n",
        begun.elapsed().as_secs_f64() * 1e3,
        ready.endpoints.join("  "),
        ready.admin.iter().map(|address| format!("http://{address}")).collect::<Vec<_>>().join("  "),
        ready.data_dir.display(),
        sdk_lines(ready, first, auth),
    )
}

/// The environment with which an AWS SDK finds this cluster.
fn sdk_lines(ready: &DevReady, first: &str, auth: bool) -> String {
    let scheme = if ready.certificate.is_some() { "https" } else { "http" };
    let mut lines = format!("  export AWS_ENDPOINT_URL_KINESIS={scheme}://{first} AWS_REGION=us-east-1\n");
    lines += match auth {
        true => {
            "  thalweg admin access-key create   # the id and secret for AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY\n"
        }
        false => "  export AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any\n",
    };
    if let Some(certificate) = &ready.certificate {
        lines += &format!("  export AWS_CA_BUNDLE={}\n", certificate.display());
    }
    lines
}
