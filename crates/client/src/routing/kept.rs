//! The routings of one client: at most one watch a stream, kept for a while between uses.
//!
//! A watch costs its opening and a whole image. Who reads page after page holds no routing in
//! between, and finds the one of the page before here.
//!
//! Holds: a routing that somebody holds is never doubled. Those that nobody holds are at most
//! [`KEPT_MAX`], and one that was not asked for within [`KEPT_FOR`] ends at the client's next
//! question for any. Finding a routing costs the same however many there are.

use std::collections::HashMap;
use std::sync::Weak;
use std::time::Duration;

use parking_lot::Mutex;
use thalweg_types::StreamName;
use tokio::time::Instant;

use super::{Routing, Shared};

/// Routings kept although nobody may hold them, at most.
pub(crate) const KEPT_MAX: usize = 1_024;
/// How long after it was asked for a routing is kept.
const KEPT_FOR: Duration = Duration::from_secs(60);
/// Between two looks for routings to let go.
const SWEEP_INTERVAL: Duration = Duration::from_secs(10);

/// All routings of a client.
#[derive(Default)]
pub(crate) struct Routings(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    by_stream: HashMap<StreamName, Entry>,
    swept: Option<Instant>,
}

struct Entry {
    shared: Weak<Shared>,
    kept: Option<Routing>,
    used: Instant,
}

impl Routings {
    /// The routing of `stream`: the one that is there, or one that `follow` begins.
    pub(crate) fn get(&self, stream: &StreamName, follow: impl FnOnce() -> Routing) -> Routing {
        let now = Instant::now();
        let mut inner = self.0.lock();
        if inner.swept.is_none_or(|swept| now >= swept + SWEEP_INTERVAL) {
            inner.sweep(now);
        }
        if let Some(routing) = inner.find(stream, now) {
            return routing;
        }
        inner.make_room();
        let routing = follow();
        let entry = Entry { shared: routing.downgrade(), kept: Some(routing.clone()), used: now };
        inner.by_stream.insert(stream.clone(), entry);
        routing
    }
}

impl Inner {
    fn find(&mut self, stream: &StreamName, now: Instant) -> Option<Routing> {
        let entry = self.by_stream.get_mut(stream)?;
        let routing = entry.shared.upgrade().map(Routing::of).filter(|routing| !routing.is_gone())?;
        entry.used = now;
        entry.kept = Some(routing.clone());
        Some(routing)
    }

    fn sweep(&mut self, now: Instant) {
        self.swept = Some(now);
        for entry in self.by_stream.values_mut() {
            if now >= entry.used + KEPT_FOR || entry.kept.as_ref().is_some_and(Routing::is_gone) {
                entry.kept = None;
            }
        }
        self.by_stream.retain(|_, entry| entry.shared.strong_count() > 0);
    }

    /// Lets go of the routing that was not asked for longest, if there are too many. Finding it
    /// costs less than the watch that makes it necessary.
    fn make_room(&mut self) {
        let kept = self.by_stream.values_mut().filter(|entry| entry.kept.is_some());
        let (mut count, mut oldest): (usize, Option<&mut Entry>) = (0, None);
        for entry in kept {
            count += 1;
            if oldest.as_ref().is_none_or(|oldest| entry.used < oldest.used) {
                oldest = Some(entry);
            }
        }
        if count >= KEPT_MAX
            && let Some(entry) = oldest
        {
            entry.kept = None;
            self.by_stream.retain(|_, entry| entry.shared.strong_count() > 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::pool::Pool;
    use crate::{Client, Options};

    fn stream(nth: usize) -> StreamName {
        format!("s{nth}").parse().unwrap()
    }

    fn routing(routings: &Routings, nth: usize) -> Routing {
        let pool = Arc::new(Pool::new(Options::new(["localhost:1"])));
        routings.get(&stream(nth), || Routing::follow(pool, stream(nth), 1))
    }

    fn kept(routings: &Routings) -> usize {
        routings.0.lock().by_stream.len()
    }

    #[tokio::test(start_paused = true)]
    async fn routings_that_nobody_holds_are_bounded_and_the_latest_asked_for_stay() {
        let routings = Routings::default();
        let held = routing(&routings, 0);
        for nth in 1..KEPT_MAX + 10 {
            if nth <= 2 {
                tokio::time::advance(Duration::from_millis(1)).await;
            }
            routing(&routings, nth);
        }
        assert_eq!(kept(&routings), KEPT_MAX + 1, "the one that is held counts for itself");
        let again = routing(&routings, 0);
        assert!(held.downgrade().ptr_eq(&again.downgrade()), "a routing that is held is not doubled");
        assert!(routings.0.lock().by_stream.contains_key(&stream(KEPT_MAX + 9)));
        assert!(!routings.0.lock().by_stream.contains_key(&stream(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_routing_that_is_not_asked_for_ends() {
        let client = Client::connect(Options::new(["localhost:1"])).unwrap();
        let first = client.routing(&stream(1)).downgrade();
        tokio::time::advance(KEPT_FOR / 2).await;
        client.routing(&stream(2));
        assert_eq!(first.strong_count(), 1, "it is kept for a while");
        tokio::time::advance(KEPT_FOR / 2).await;
        client.routing(&stream(2));
        assert_eq!(first.strong_count(), 0);
    }
}
