//! What writers are told while nobody leads, or leadership is being handed over.
//!
//! Whoever is refused then would only ask again, and later each time. It waits here instead, outside
//! the shard's queue, until it can be told where to go. Holds: a refusal stays one, however short its
//! caller's patience. Few wait at a time and none for long: they take the room of batches that are on
//! their way, and there may be no leader for long.

use std::sync::Arc;
use std::time::Duration;

use thalweg_raft::GroupStatus;
use thalweg_types::NodeId;
use tokio::sync::{Semaphore, watch};

use super::AppendError;

/// An election that nothing hinders is over within this, and so is a hand-over.
const KNOWN_WITHIN: Duration = Duration::from_millis(250);
/// Refused batches of a node that wait at a time; half of what one call may have on its way.
pub(super) const WAITING_MAX: usize = 32;

/// Knows who leads a shard, as soon as this node does.
#[derive(Debug)]
pub(super) struct Guide {
    pub(super) status: watch::Receiver<GroupStatus>,
    pub(super) me: NodeId,
    pub(super) room: Arc<Semaphore>,
}

impl Guide {
    /// The refusal of a batch; if it leads nowhere, once it names the leader.
    pub(super) async fn direct(&self, refused: AppendError, patience: Duration) -> AppendError {
        let AppendError::NotLeader { leader: named } = refused else { return refused };
        let mut status = self.status.clone();
        let now = status.borrow_and_update().clone();
        // A leader that is refused by its own group was deposed, or has begun to hand over.
        let chosen = |status: &GroupStatus| {
            let leader = leader(status, self.me);
            leader.filter(|_| status.term > now.term || !now.leading)
        };
        let named = || AppendError::NotLeader { leader: named };
        let Ok(_room) = self.room.try_acquire() else { return named() };
        let known = status.wait_for(|status| chosen(status).is_some());
        match tokio::time::timeout(patience.min(KNOWN_WITHIN), known).await {
            Ok(Ok(status)) => AppendError::NotLeader { leader: chosen(&status) },
            _ => named(),
        }
    }
}

/// Who leads, and may be sent batches.
fn leader(status: &GroupStatus, me: NodeId) -> Option<NodeId> {
    if status.leading { Some(me) } else { status.leader.filter(|leader| *leader != me) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: NodeId = NodeId(1);
    const OTHER: NodeId = NodeId(2);
    const PATIENCE: Duration = Duration::from_secs(10);

    fn status(term: u64, leader: Option<NodeId>, leading: bool) -> GroupStatus {
        GroupStatus { leader, term, leading, ..GroupStatus::default() }
    }

    fn not_leader(leader: Option<NodeId>) -> AppendError {
        AppendError::NotLeader { leader }
    }

    /// What a refusal becomes when the status changes to each of `then`, 50 ms after one another.
    async fn told(
        refused: AppendError,
        patience: Duration,
        now: GroupStatus,
        then: Vec<GroupStatus>,
    ) -> (AppendError, Duration) {
        let began = tokio::time::Instant::now();
        let (sender, receiver) = watch::channel(now);
        let telling = async move {
            for status in then {
                tokio::time::sleep(Duration::from_millis(50)).await;
                sender.send_replace(status);
            }
            std::future::pending::<()>().await;
        };
        let guide = Guide { status: receiver, me: ME, room: Arc::new(Semaphore::new(1)) };
        tokio::select! {
            refused = guide.direct(refused, patience) => (refused, began.elapsed()),
            () = telling => unreachable!(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_asks_during_an_election_is_sent_to_its_winner() {
        let then = vec![status(4, None, false), status(4, Some(OTHER), false)];
        let answer = told(not_leader(None), PATIENCE, status(3, None, false), then).await;
        assert_eq!(answer, (not_leader(Some(OTHER)), Duration::from_millis(100)));
        let then = vec![status(4, Some(ME), false), status(4, Some(ME), true)];
        let answer = told(not_leader(None), PATIENCE, status(3, None, false), then).await;
        assert_eq!(answer, (not_leader(Some(ME)), Duration::from_millis(100)), "a winner that has taken over");
    }

    #[tokio::test(start_paused = true)]
    async fn a_leader_that_hands_over_or_is_deposed_names_its_successor_once_that_leads() {
        for named in [Some(OTHER), None] {
            let then = vec![status(4, None, false), status(4, Some(OTHER), false)];
            let answer = told(not_leader(named), PATIENCE, status(3, Some(ME), true), then).await;
            assert_eq!(answer, (not_leader(Some(OTHER)), Duration::from_millis(100)));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_long_or_for_what_is_known() {
        let answer = told(not_leader(None), PATIENCE, status(3, None, false), Vec::new()).await;
        assert_eq!(answer, (not_leader(None), KNOWN_WITHIN));
        for named in [Some(OTHER), None] {
            let answer = told(not_leader(named), PATIENCE, status(3, Some(OTHER), false), Vec::new()).await;
            assert_eq!(answer, (not_leader(Some(OTHER)), Duration::ZERO), "known since it was refused");
        }
        let answer = told(AppendError::Closed, PATIENCE, status(3, None, false), Vec::new()).await;
        assert_eq!(answer, (AppendError::Closed, Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_stays_one_when_patience_or_room_end() {
        let patience = Duration::from_millis(50);
        let answer = told(not_leader(None), patience, status(3, None, false), Vec::new()).await;
        assert_eq!(answer, (not_leader(None), patience));
        let (_sender, receiver) = watch::channel(status(3, None, false));
        let guide = Guide { status: receiver, me: ME, room: Arc::new(Semaphore::new(0)) };
        assert_eq!(guide.direct(not_leader(None), PATIENCE).await, not_leader(None));
    }
}
