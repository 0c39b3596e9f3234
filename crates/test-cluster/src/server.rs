//! What a node process runs: `thalweg server`, without the rest of the command line.

use std::sync::Arc;

use anyhow::{Context, bail};
use thalweg_server::{Config, Listeners, Node, Overrides};
use thalweg_types::{Clock, SystemClock, UnixMillis};
use tokio::signal::unix::{SignalKind, signal};

/// By how many hours the test node's clock is ahead; a setting that `thalweg server` does not have.
pub const CLOCK_AHEAD_HOURS: &str = "TEST_CLOCK_AHEAD_HOURS";

/// Runs the node that this process's arguments describe, until SIGTERM or until it must not go
/// on. The arguments are those of `thalweg server`.
pub fn run_node() -> anyhow::Result<()> {
    let filter = std::env::var("RUST_LOG").unwrap_or_else(|_| "info,openraft=warn".to_owned());
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(std::io::stderr).init();
    let config = Config::load(None, &overrides()?)?;
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(serve(config))
}

fn overrides() -> anyhow::Result<Overrides> {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() != Some("server") {
        bail!("usage: server --node-id N --data-dir DIR ...");
    }
    let mut overrides = Overrides::default();
    while let Some(flag) = arguments.next() {
        let value = arguments.next().with_context(|| format!("{flag} takes a value"))?;
        match flag.as_str() {
            "--node-id" => overrides.node_id = Some(value.parse()?),
            "--data-dir" => overrides.data_dir = Some(value.into()),
            "--public-address" => overrides.public_address = Some(value),
            "--peer-address" => overrides.peer_address = Some(value),
            "--admin-address" => overrides.admin_address = Some(value),
            "--seeds" => overrides.seeds = value.split(',').map(str::to_owned).collect(),
            "--zone" => overrides.zone = Some(value),
            "--node-dead-after" => overrides.node_dead_after = Some(value),
            _ => bail!("unknown flag {flag}"),
        }
    }
    Ok(overrides)
}

/// Runs ahead of the machine's clock by a constant, so that days pass from one start to the next.
struct ClockAhead {
    by_ms: u64,
}

impl Clock for ClockAhead {
    fn now(&self) -> UnixMillis {
        UnixMillis(SystemClock.now().0 + self.by_ms)
    }
}

fn clock() -> anyhow::Result<ClockAhead> {
    let hours: u64 = std::env::var(CLOCK_AHEAD_HOURS).map_or(Ok(0), |hours| hours.parse())?;
    Ok(ClockAhead { by_ms: hours * 3_600_000 })
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let listeners = Listeners::bind(&config).await?;
    let node = Node::start_with(config, listeners, Arc::new(clock()?)).await?;
    let failed = tokio::select! {
        _ = terminate.recv() => None,
        reason = node.failed() => Some(reason),
    };
    node.shutdown().await;
    failed.map_or(Ok(()), |reason| bail!("the node failed: {reason}"))
}
