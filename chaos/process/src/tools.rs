//! The system's own tools, also off the threads that serve sockets and timers.

pub(crate) use thalweg_sandbox::tools::run;

/// As [`run`], for a tool that may take its time.
pub(crate) async fn run_aside(line: String) -> anyhow::Result<String> {
    aside(move || run(&line)).await
}

/// Does what may take its time, off the threads that serve sockets and timers.
pub(crate) async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    tokio::task::spawn_blocking(work).await?
}
