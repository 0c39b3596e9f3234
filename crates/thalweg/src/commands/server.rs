//! `thalweg server`: one node of a real cluster.
//!
//! Settings come from a file, the environment and these flags, in rising order of precedence;
//! what they mean and which are valid is the server's to say.

use std::path::PathBuf;

use clap::Args;
use thalweg_server::{Config, Listeners, Node, Overrides};

use super::{logging, signals};
use crate::exit::Failure;

/// Arguments of `thalweg server`.
#[derive(Args, Debug)]
#[command(after_help = "\
Every setting is a key of the file in TOML and an environment variable, for example
`node_id = 1` and THALWEG_NODE_ID=1; flags win over the environment, the environment over the
file. Settings without a flag (unit, default, bound):
  advertise_public    host:port that clients are told, when it differs from the one listened on
  advertise_peer      host:port that other nodes are told, when it differs
  auth                whether Kinesis requests have to be signed: off (default), optional, required
  region, account     of Kinesis requests that name none: us-east-1, 000000000000
  account_limits      rates of Kinesis control operations: unlimited (default), kinesis
  tls.certificate, tls.key  PEM files with which the public port answers TLS too; default none
  retention_interval  how often expired records are looked for: 60s, at least 1s
  cache_bytes         recent records kept in memory: 134217728 (128 MiB)
  reserve_bytes       disk that appends leave free: 268435456 (256 MiB)
  segment_bytes       a segment of the write-ahead log: 67108864 (64 MiB), at least 50331648
  hot_tail_bytes      write-ahead log above which records are moved on at once: 268435456 (256 MiB)

THALWEG_LOG says what to log to stderr: info by default, JSON unless that is a terminal.

Ctrl-C or SIGTERM hands over leaders and ends the node in order.")]
pub(crate) struct ServerArgs {
    /// The configuration, in TOML
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// This node's id: 1 or above, never given to another disk
    #[arg(long, env = "THALWEG_NODE_ID", hide_env_values = true, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    node_id: Option<u64>,
    /// Where this node keeps its data; made when missing
    #[arg(long, env = "THALWEG_DATA_DIR", hide_env_values = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Where to listen for clients; default 127.0.0.1:4567
    #[arg(long, env = "THALWEG_PUBLIC_ADDRESS", hide_env_values = true, value_name = "HOST:PORT")]
    public_address: Option<String>,
    /// Where to listen for other nodes; default 127.0.0.1:4568
    #[arg(long, env = "THALWEG_PEER_ADDRESS", hide_env_values = true, value_name = "HOST:PORT")]
    peer_address: Option<String>,
    /// Where to listen for health and metrics; default 127.0.0.1:4569
    #[arg(long, env = "THALWEG_ADMIN_ADDRESS", hide_env_values = true, value_name = "HOST:PORT")]
    admin_address: Option<String>,
    /// Peer addresses of the nodes to form or join a cluster with; none: a cluster of its own
    #[arg(long, env = "THALWEG_SEEDS", hide_env_values = true, value_name = "HOST:PORT", value_delimiter = ',')]
    seeds: Vec<String>,
    /// Failure domain; replicas are spread over zones
    #[arg(long, env = "THALWEG_ZONE", hide_env_values = true, value_name = "ZONE")]
    zone: Option<String>,
    /// How long a node may be gone before its replicas are rebuilt; default 5min
    #[arg(long, env = "THALWEG_NODE_DEAD_AFTER", hide_env_values = true, value_name = "DURATION")]
    node_dead_after: Option<String>,
    /// Write one JSON line with this node's addresses to this file once it can serve
    #[arg(long, value_name = "PATH")]
    ready_file: Option<PathBuf>,
}

/// Runs the node until Ctrl-C or SIGTERM, or until it must not go on.
pub(crate) async fn run(args: ServerArgs) -> anyhow::Result<()> {
    logging::start("info");
    let ready_file = args.ready_file.clone();
    let config = load(args)?;
    let listeners = Listeners::bind(&config).await?;
    let ready = serde_json::json!({
        "endpoints": [listeners.public().to_string()],
        "peer": [listeners.peer().to_string()],
        "admin": [listeners.admin().to_string()],
        "data_dir": config.data_dir,
        "pid": std::process::id(),
    });
    let node = Node::start(config, listeners).await?;
    let failed = tokio::select! {
        () = signals::asked_to_end() => None,
        reason = serve(&node, &ready, ready_file.as_deref()) => Some(reason),
    };
    node.shutdown().await;
    failed.map_or(Ok(()), Err)
}

fn load(args: ServerArgs) -> Result<Config, Failure> {
    let overrides = Overrides {
        node_id: args.node_id,
        data_dir: args.data_dir,
        public_address: args.public_address,
        peer_address: args.peer_address,
        admin_address: args.admin_address,
        seeds: args.seeds,
        zone: args.zone,
        node_dead_after: args.node_dead_after,
    };
    Config::load(args.config.as_deref(), &overrides).map_err(|error| Failure::usage(error.to_string()))
}

/// Announces the node once it can serve; returns why it cannot go on.
async fn serve(node: &Node, ready: &serde_json::Value, ready_file: Option<&std::path::Path>) -> anyhow::Error {
    let announce = async {
        if let Err(reason) = node.wait_ready().await {
            return Err(anyhow::anyhow!("{reason}"));
        }
        if let Some(path) = ready_file {
            super::dev::write_ready_file(path, ready)?;
        }
        eprintln!("ready: {ready}");
        std::future::pending::<anyhow::Result<()>>().await
    };
    tokio::select! {
        Err(error) = announce => error,
        reason = node.failed() => anyhow::anyhow!("the node failed: {reason}"),
    }
}
