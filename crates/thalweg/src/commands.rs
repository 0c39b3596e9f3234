//! One file a command: its arguments, and what it does with client or server.

pub(crate) mod admin;
pub(crate) mod bench;
pub(crate) mod completions;
pub(crate) mod dev;
pub(crate) mod doctor;
mod logging;
pub(crate) mod put;
pub(crate) mod server;
pub(crate) mod signals;
pub(crate) mod stream;
pub(crate) mod tail;

use std::process::ExitCode;

use crate::cli::{Cli, Command};
use crate::exit::Exit;

/// Runs the command. Ctrl-C ends those that talk to a cluster; nodes end in order on their own.
pub(crate) async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Dev(args) => dev::run(args).await.map(|()| ExitCode::SUCCESS),
        Command::Server(args) => server::run(args).await.map(|()| ExitCode::SUCCESS),
        Command::Bench(command) => bench::run(command).await.map(|()| ExitCode::SUCCESS),
        Command::Completions(args) => completions::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Doctor(args) => doctor::run(args).await,
        Command::Stream(command) => interruptible(stream::run(command)).await,
        Command::Put(args) => interruptible(put::run(args)).await,
        Command::Tail(args) => interruptible(tail::run(args)).await,
        Command::Admin(command) => interruptible(admin::run(command)).await,
    }
}

async fn interruptible(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<ExitCode> {
    tokio::select! {
        outcome = work => outcome.map(|()| ExitCode::SUCCESS),
        () = signals::asked_to_end() => Ok(Exit::Interrupted.into()),
    }
}
