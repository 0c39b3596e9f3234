//! How far a replica is behind what its leader last said is committed.
//!
//! A commit index tells of everything that was acknowledged only when it is of the leader's own
//! term: before that a new leader does not know itself what its predecessors committed. What is
//! known is the leader's last word, and may be as old as a message that was held up.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::codec::{LogId, term_of};

/// A replica this close to its leader has caught up; under load it is never quite there.
const CLOSE_ENTRIES: u64 = 64;

/// What one replica knows of its place since it was opened.
pub(crate) struct Standing {
    opened: Instant,
    /// The newest commit of its leader's own term that a leader spoke of.
    committed: Mutex<Option<LogId>>,
    was_close: AtomicBool,
}

impl Standing {
    pub(crate) fn new() -> Standing {
        Standing { opened: Instant::now(), committed: Mutex::new(None), was_close: AtomicBool::new(false) }
    }

    /// The leader of `term` says what is committed.
    pub(crate) fn hear(&self, term: u64, committed: Option<LogId>) {
        let mut known = self.committed.lock();
        if committed.is_some_and(|id| term_of(&id) == term) && committed > *known {
            *known = committed;
        }
    }

    /// Committed entries that are not applied yet; nothing if no leader of `term` has told.
    pub(crate) fn behind(&self, term: u64, applied: u64) -> Option<u64> {
        let committed = (*self.committed.lock()).filter(|id| term_of(id) == term)?;
        Some(committed.index.saturating_sub(applied))
    }

    /// Remembers it when the replica is close to its leader.
    pub(crate) fn look(&self, term: u64, applied: u64) {
        if !self.was_close.load(Ordering::Relaxed) && self.behind(term, applied).is_some_and(|lag| lag <= CLOSE_ENTRIES)
        {
            self.was_close.store(true, Ordering::Relaxed);
        }
    }

    /// Whether it has yet to be close to a leader: one it knows to be ahead, or one that may still
    /// speak up within `greeting` of the opening. Without a leader there is nothing to catch up with.
    pub(crate) fn is_catching_up(&self, term: u64, applied: u64, greeting: Duration) -> bool {
        self.look(term, applied);
        let to_go = || self.behind(term, applied).map_or(self.opened.elapsed() < greeting, |lag| lag > CLOSE_ENTRIES);
        !self.was_close.load(Ordering::Relaxed) && to_go()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::log_id;

    const NOW: Duration = Duration::ZERO;

    #[test]
    fn only_a_commit_of_the_leaders_own_term_tells_how_far_behind_a_replica_is() {
        let standing = Standing::new();
        standing.hear(5, Some(log_id(4, 900)));
        assert_eq!(standing.behind(5, 10), None);
        standing.hear(5, Some(log_id(5, 1_000)));
        assert_eq!(standing.behind(5, 10), Some(990));
        standing.hear(5, Some(log_id(5, 950)));
        assert_eq!(standing.behind(5, 1_000), Some(0), "an old word takes nothing back");
        assert_eq!(standing.behind(6, 1_000), None, "the next leader has not told yet");
    }

    #[test]
    fn who_was_close_once_has_caught_up_for_good() {
        let standing = Standing::new();
        standing.hear(5, Some(log_id(5, 1_000)));
        assert!(standing.is_catching_up(5, 10, NOW));
        assert!(!standing.is_catching_up(5, 990, NOW));
        standing.hear(5, Some(log_id(5, 5_000)));
        assert!(!standing.is_catching_up(5, 1_000, NOW), "load is no return");
    }

    #[tokio::test(start_paused = true)]
    async fn a_leader_that_may_still_speak_up_is_waited_for_but_not_for_ever() {
        let standing = Standing::new();
        assert!(standing.is_catching_up(5, 10, Duration::from_secs(1)));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(!standing.is_catching_up(5, 10, Duration::from_secs(1)));
    }
}
