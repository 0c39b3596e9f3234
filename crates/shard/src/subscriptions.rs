//! Who follows a shard under a name: at most one tail a name. Pure; time is an argument.
//!
//! ```text
//!            open, same id: at once; other id: once `hold` has passed
//!               ┌─────┐
//!   free ──open─┴► held ──close, or a newer term──► free
//! ```
//! Only the shard's leader keeps this, in memory, stamped with its term: what an earlier term of
//! the same node admitted has ended, even where a stalled reader has not yet been told.
//!
//! Holds: of the tails that were admitted under one name in one term, the newest alone is not
//! told to end. Once taken over, a subscription does not come back while its name is held, so
//! that two readers which reconnect do not take the place from each other for ever.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::options::Options;

/// Subscriptions of one name that are remembered as taken over.
const TAKEN_OVER_MAX: usize = 8;

/// Bounds of a shard's named tails.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// Names at the same time.
    pub(crate) names_max: usize,
    /// How long a subscription is safe from others of its name, from when it was first admitted.
    pub(crate) hold: Duration,
}

impl Rules {
    pub(crate) fn of(options: &Options) -> Rules {
        Rules { names_max: options.subscriptions_max, hold: options.subscription_hold }
    }
}

/// Why a named tail does not begin, or ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubscriptionError {
    /// Another subscription of the name is too young to be taken over.
    #[error("the subscriber follows this shard already, since {since:.1?}: it can be taken over after {hold:?}")]
    AlreadySubscribed {
        /// Its age.
        since: Duration,
        /// The age at which it can be taken over.
        hold: Duration,
    },
    /// Another subscription of the name has the place now.
    #[error("another subscription of the same subscriber follows this shard now")]
    TakenOver,
    /// Too many names.
    #[error("the shard has {limit} subscribers, its limit")]
    TooMany {
        /// How many there may be.
        limit: usize,
    },
}

/// Names one admitted tail, so that only its own end frees its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place(u64);

/// A tail that may begin.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Admitted<H> {
    pub(crate) place: Place,
    /// The tail whose place it takes; to be told.
    pub(crate) taken_over: Option<H>,
}

#[derive(Debug)]
struct Holder<H> {
    id: u64,
    /// When this id first came.
    since: Instant,
    place: Place,
    handle: H,
    /// Ids that had the place before, oldest first.
    taken_over: Vec<u64>,
}

/// The named tails of one shard, each with a handle `H` by which it is told to end.
#[derive(Debug)]
pub(crate) struct Subscriptions<H> {
    rules: Rules,
    term: u64,
    holders: HashMap<String, Holder<H>>,
    admitted: u64,
}

impl<H> Subscriptions<H> {
    pub(crate) fn new(rules: Rules) -> Subscriptions<H> {
        Subscriptions { rules, term: 0, holders: HashMap::new(), admitted: 0 }
    }

    /// Admits a tail, or says why not. This node leads in `term`, which never falls.
    pub(crate) fn open(
        &mut self,
        term: u64,
        subscriber: &str,
        id: u64,
        handle: H,
        now: Instant,
    ) -> Result<Admitted<H>, SubscriptionError> {
        self.enter(term);
        let (rules, names) = (self.rules, self.holders.len());
        let place = Place(self.admitted);
        let Some(holder) = self.holders.get_mut(subscriber) else {
            if names >= rules.names_max {
                return Err(SubscriptionError::TooMany { limit: rules.names_max });
            }
            let holder = Holder { id, since: now, place, handle, taken_over: Vec::new() };
            self.holders.insert(subscriber.to_owned(), holder);
            self.admitted += 1;
            return Ok(Admitted { place, taken_over: None });
        };
        if id != holder.id {
            holder.yield_to(id, rules.hold, now)?;
        }
        holder.place = place;
        let taken_over = std::mem::replace(&mut holder.handle, handle);
        self.admitted += 1;
        Ok(Admitted { place, taken_over: Some(taken_over) })
    }

    /// Forgets what earlier terms admitted.
    fn enter(&mut self, term: u64) {
        if term > self.term {
            self.term = term;
            self.holders.clear();
        }
    }

    /// A tail ended. Nothing happens if its place was taken over or forgotten.
    pub(crate) fn close(&mut self, subscriber: &str, place: Place) {
        if self.holders.get(subscriber).is_some_and(|holder| holder.place == place) {
            self.holders.remove(subscriber);
        }
    }
}

impl<H> Holder<H> {
    fn yield_to(&mut self, id: u64, hold: Duration, now: Instant) -> Result<(), SubscriptionError> {
        if self.taken_over.contains(&id) {
            return Err(SubscriptionError::TakenOver);
        }
        let since = now.saturating_duration_since(self.since);
        if since < hold {
            return Err(SubscriptionError::AlreadySubscribed { since, hold });
        }
        if self.taken_over.len() == TAKEN_OVER_MAX {
            self.taken_over.remove(0);
        }
        self.taken_over.push(self.id);
        (self.id, self.since) = (id, now);
        Ok(())
    }
}

#[cfg(test)]
#[path = "subscriptions_test.rs"]
mod subscriptions_test;
