//! What can be typed: the commands, the options they share, and the help that explains them.
//!
//! Each command's own arguments stand in its file under [`crate::commands`].

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::commands::{admin, bench, completions, dev, doctor, put, server, stream, tail};

const ABOUT: &str = "A durable, replicated stream service: the Kinesis you run yourself";
/// Exit codes and environment, below the help of every command line.
const AFTER_HELP: &str = "\
Exit codes:
  0  done
  1  something failed; the message says what
  2  the command line or an argument is wrong
  3  no such stream, shard, node, consumer or access key
  4  in conflict with what exists (name taken, stream busy, a limit reached)
  6  no node answered, or not in time
  130  interrupted

Environment:
  THALWEG_ENDPOINT  where the cluster is: host:port, several separated by commas
  NO_COLOR          no colour, whatever its value

Start here: `thalweg dev`, then from a second terminal `thalweg stream create orders`,
`thalweg put orders hello --key k`, `thalweg tail orders --from trim-horizon`.";

/// A durable, replicated stream service: the Kinesis you run yourself.
#[derive(Debug, Parser)]
#[command(name = "thalweg", version, about = ABOUT, after_help = AFTER_HELP, subcommand_required = true)]
#[command(arg_required_else_help = true, max_term_width = 100)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a whole cluster in this process, for development
    Dev(dev::DevArgs),
    /// Run one node of a real cluster
    Server(server::ServerArgs),
    /// Create, describe, change, split, merge, scale and delete streams
    #[command(subcommand)]
    Stream(stream::StreamCommand),
    /// Write records to a stream
    Put(put::PutArgs),
    /// Read the records of a stream
    Tail(tail::TailArgs),
    /// Measure a cluster, and the limits of this host beside it
    #[command(subcommand)]
    Bench(bench::BenchCommand),
    /// Look after nodes, leaders and access keys
    #[command(subcommand)]
    Admin(admin::AdminCommand),
    /// Check whether this machine is fit to run a node
    Doctor(doctor::DoctorArgs),
    /// Print completions for a shell
    Completions(completions::CompletionsArgs),
}

/// How to reach the cluster.
#[derive(Args, Clone, Debug)]
pub(crate) struct ConnectArgs {
    /// Nodes to connect to; any will do, the others are learned from it
    #[arg(long, env = "THALWEG_ENDPOINT", value_name = "HOST:PORT", value_delimiter = ',')]
    #[arg(default_value = "127.0.0.1:4567", hide_env_values = true)]
    pub(crate) endpoint: Vec<String>,
    /// How long a call may take, with its retries
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = humantime::parse_duration)]
    pub(crate) timeout: std::time::Duration,
}

/// How to print results.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct OutputArgs {
    /// Default: a table on a terminal, JSON lines otherwise
    #[arg(short, long, value_enum)]
    pub(crate) output: Option<Format>,
}

/// The forms in which results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Aligned columns
    Table,
    /// One JSON object a line
    Json,
}

#[cfg(test)]
#[path = "cli_test.rs"]
mod cli_test;
