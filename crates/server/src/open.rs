//! Requests that wait for their answer, so that a node that stops can wait for them.
//!
//! A request counts from its arrival until its answer begins. Calls that go on after that follow
//! something for as long as they are let: waiting for their end would mean waiting for ever.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// How many there are.
#[derive(Clone, Debug)]
pub(crate) struct OpenRequests(Arc<watch::Sender<usize>>);

impl Default for OpenRequests {
    fn default() -> Self {
        OpenRequests(Arc::new(watch::Sender::new(0)))
    }
}

/// One of them, until it is dropped.
#[derive(Debug)]
pub(crate) struct OpenRequest(OpenRequests);

impl OpenRequests {
    /// A request has arrived.
    pub(crate) fn begin(&self) -> OpenRequest {
        self.0.send_modify(|open| *open += 1);
        OpenRequest(self.clone())
    }

    /// Returns when there are none, and none after another `calm`, which is for answers on their
    /// way out and requests on their way in; at the latest after `patience`.
    pub(crate) async fn wait_quiet(&self, calm: Duration, patience: Duration) {
        let quiet = async {
            let mut open = self.0.subscribe();
            loop {
                let _ = open.wait_for(|open| *open == 0).await.is_ok();
                sleep(calm).await;
                if *open.borrow() == 0 {
                    return;
                }
            }
        };
        if timeout(patience, quiet).await.is_err() {
            tracing::warn!(requests = *self.0.borrow(), "not every request was answered before the end");
        }
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.0.0.send_modify(|open| *open -= 1);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    const CALM: Duration = Duration::from_millis(500);
    const PATIENCE: Duration = Duration::from_secs(5);

    #[tokio::test(start_paused = true)]
    async fn quiet_comes_after_the_last_answer_and_not_later_than_patience_lasts() {
        let (open, begun) = (OpenRequests::default(), Instant::now());
        open.wait_quiet(CALM, PATIENCE).await;
        assert_eq!(begun.elapsed(), CALM);
        let (first, late) = (open.begin(), open.clone());
        tokio::spawn(async move {
            sleep(Duration::from_secs(1)).await;
            drop(first);
            // On its way in when the first was answered.
            sleep(CALM / 2).await;
            let _late = late.begin();
            sleep(Duration::from_secs(1)).await;
        });
        let begun = Instant::now();
        open.wait_quiet(CALM, PATIENCE).await;
        assert_eq!(begun.elapsed(), Duration::from_secs(2) + CALM / 2 + CALM);
        let _hangs = open.begin();
        let begun = Instant::now();
        open.wait_quiet(CALM, PATIENCE).await;
        assert_eq!(begun.elapsed(), PATIENCE);
    }
}
