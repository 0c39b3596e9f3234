//! Following a shard: pages as they are committed, nothing held while nothing comes.
//!
//! A named tail ends when it loses its place, also while nothing comes, and gives out no page
//! from then on.

use std::sync::Arc;
use std::time::Duration;

use thalweg_types::planted::{Planted, planted};
use tokio::time::Instant;

use super::{Cursor, Page, ReadError, Subscription, read_page};
use crate::replica::Replica;

/// A reader that goes on from where it is.
pub(crate) struct Tail {
    pages: Pages,
    subscription: Option<Subscription>,
}

struct Pages {
    replica: Arc<Replica>,
    next: Cursor,
    max_bytes: usize,
}

impl Tail {
    pub(crate) fn new(replica: Arc<Replica>, from: Cursor, max_bytes: usize) -> Tail {
        Tail { pages: Pages { replica, next: from, max_bytes }, subscription: None }
    }

    /// The same tail under the name that has this place.
    pub(crate) fn named(self, subscription: Subscription) -> Tail {
        Tail { subscription: Some(subscription), ..self }
    }

    /// The next page; an empty one when nothing came within `wait`. Not to be called after an error.
    pub(crate) async fn next_page(&mut self, wait: Duration) -> Result<Page, ReadError> {
        let Some(subscription) = &mut self.subscription else { return self.pages.next(wait).await };
        tokio::select! {
            biased;
            error = subscription.lost() => Err(error),
            page = self.pages.next(wait) => page,
        }
    }
}

impl Pages {
    async fn next(&mut self, wait: Duration) -> Result<Page, ReadError> {
        let deadline = Instant::now() + wait;
        let mut news = self.replica.news();
        loop {
            news.mark_seen();
            let page = read_page(&self.replica, self.next, self.max_bytes).await;
            // What a log says while it is being deleted means nothing.
            if self.replica.is_gone() {
                return Err(ReadError::Gone);
            }
            let page = page?;
            let skipped = u64::from(planted(Planted::TailSkips) && !page.batches.is_empty());
            if !planted(Planted::TailResends) {
                self.next = Cursor { index: page.next.index + skipped, ..page.next };
            }
            if page.is_news() || Instant::now() >= deadline {
                return Ok(page);
            }
            // A time-out reads once more, so that what the caller is told is fresh.
            let _ = tokio::time::timeout_at(deadline, news.come()).await;
        }
    }
}
