//! Waiting for what a process does: it can only be asked again and again.

use std::time::Duration;

use tokio::time::Instant;

/// Between two looks.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Asks until there is an answer; an error that names `what` when there is none in time.
pub async fn eventually<T>(
    what: &str,
    timeout: Duration,
    mut ask: impl AsyncFnMut() -> Option<T>,
) -> anyhow::Result<T> {
    let deadline = Instant::now() + timeout;
    loop {
        if let Some(answer) = ask().await {
            return Ok(answer);
        }
        anyhow::ensure!(Instant::now() < deadline, "not within {timeout:?}: {what}");
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}
