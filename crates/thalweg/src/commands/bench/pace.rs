//! When to send: moments at a fixed rate, kept by a thread because timers of the async runtime
//! come up to a millisecond late.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;

/// Yields each moment at which a call is to be made, when it has come. Moments that nobody fetches
/// in time queue up and keep their time.
pub(super) fn moments(per_second: f64, until: Instant) -> mpsc::UnboundedReceiver<Instant> {
    let (sender, receiver) = mpsc::unbounded_channel();
    let begun = Instant::now();
    std::thread::spawn(move || {
        for nth in 0u64.. {
            let due = begun + Duration::from_secs_f64(nth as f64 / per_second);
            if due >= until {
                return;
            }
            wait_until(due);
            if sender.send(due).is_err() {
                return;
            }
        }
    });
    receiver
}

fn wait_until(due: Instant) {
    loop {
        let left = due.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        std::thread::park_timeout(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn moments_come_at_the_rate_and_keep_their_time_when_fetched_late() {
        let until = Instant::now() + Duration::from_millis(100);
        let mut moments = moments(1_000.0, until);
        let mut all = Vec::new();
        while let Some(moment) = moments.recv().await {
            all.push(moment);
        }
        // Fewer when this thread was held up before the first one.
        assert!((50..=100).contains(&all.len()), "{}", all.len());
        assert!(all.windows(2).all(|pair| pair[1] - pair[0] < Duration::from_micros(1_100)));
    }
}
