//! The log of nodes, on stderr.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Begins to log at `THALWEG_LOG`, or at `level` (of Raft itself only errors): lines for people on a terminal, JSON otherwise.
pub(crate) fn start(level: &str) {
    let filter =
        EnvFilter::try_from_env("THALWEG_LOG").unwrap_or_else(|_| EnvFilter::new(format!("{level},openraft=error")));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second start in one process (tests) keeps the first.
    let _ = if std::io::stderr().is_terminal() {
        builder.with_ansi(std::env::var_os("NO_COLOR").is_none()).try_init()
    } else {
        builder.json().try_init()
    };
}
