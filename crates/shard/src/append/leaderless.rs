//! What writers are told while nobody leads, or leadership is being handed over.
//!
//! Whoever is refused then would only ask again, and later each time. It waits here instead, outside
//! the shard's queue, until it can be told where to go; not for long, for there may be no leader for
//! long.

use std::time::Duration;

use thalweg_raft::GroupStatus;
use thalweg_types::NodeId;
use tokio::sync::watch;

use super::AppendError;

/// An election that nothing hinders is over within this, and so is a hand-over.
const KNOWN_WITHIN: Duration = Duration::from_millis(250);

/// The refusal of a batch, as soon as it can name the leader if none is known now.
pub(super) async fn refusal(mut status: watch::Receiver<GroupStatus>, me: NodeId, refused: AppendError) -> AppendError {
    let now = status.borrow_and_update().clone();
    if !names_nobody(&refused, &now, me) {
        return refused;
    }
    let chosen = |status: &GroupStatus| (status.term > now.term || !now.leading) && leader(status, me).is_some();
    let known = tokio::time::timeout(KNOWN_WITHIN, status.wait_for(chosen)).await;
    match known {
        Ok(Ok(status)) => AppendError::NotLeader { leader: leader(&status, me) },
        _ => refused,
    }
}

/// Whether a refusal leads nowhere: no leader is known, or it names one that has yet to take over.
pub(super) fn names_nobody(refused: &AppendError, status: &GroupStatus, me: NodeId) -> bool {
    match refused {
        AppendError::NotLeader { leader: named } if status.leading => named.is_some(),
        AppendError::NotLeader { .. } => leader(status, me).is_none(),
        _ => false,
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

    fn status(term: u64, leader: Option<NodeId>, leading: bool) -> GroupStatus {
        GroupStatus { leader, term, leading, ..GroupStatus::default() }
    }

    fn not_leader(leader: Option<NodeId>) -> AppendError {
        AppendError::NotLeader { leader }
    }

    /// What a refusal becomes when the status changes to each of `then`, 50 ms after one another.
    async fn after(refused: AppendError, now: GroupStatus, then: Vec<GroupStatus>) -> (AppendError, Duration) {
        let began = tokio::time::Instant::now();
        let (sender, receiver) = watch::channel(now);
        let telling = async move {
            for status in then {
                tokio::time::sleep(Duration::from_millis(50)).await;
                sender.send_replace(status);
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            refused = refusal(receiver, ME, refused) => (refused, began.elapsed()),
            () = telling => unreachable!(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_asks_during_an_election_is_sent_to_its_winner() {
        let then = vec![status(4, None, false), status(4, Some(OTHER), false)];
        let told = after(not_leader(None), status(3, None, false), then).await;
        assert_eq!(told, (not_leader(Some(OTHER)), Duration::from_millis(100)));
        let then = vec![status(4, Some(ME), false), status(4, Some(ME), true)];
        let told = after(not_leader(None), status(3, None, false), then).await;
        assert_eq!(told, (not_leader(Some(ME)), Duration::from_millis(100)), "a winner that has taken over");
    }

    #[tokio::test(start_paused = true)]
    async fn a_leader_that_hands_over_names_its_successor_once_that_leads() {
        let then = vec![status(4, None, false), status(4, Some(OTHER), false)];
        let told = after(not_leader(Some(OTHER)), status(3, Some(ME), true), then).await;
        assert_eq!(told, (not_leader(Some(OTHER)), Duration::from_millis(100)));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_long_or_for_what_is_known() {
        let told = after(not_leader(None), status(3, None, false), Vec::new()).await;
        assert_eq!(told, (not_leader(None), KNOWN_WITHIN));
        let told = after(not_leader(Some(OTHER)), status(3, Some(OTHER), false), Vec::new()).await;
        assert_eq!(told, (not_leader(Some(OTHER)), Duration::ZERO));
        let told = after(not_leader(None), status(3, Some(ME), true), Vec::new()).await;
        assert_eq!(told, (not_leader(None), Duration::ZERO), "a leader in doubt of its majority");
        let told = after(AppendError::Closed, status(3, None, false), Vec::new()).await;
        assert_eq!(told, (AppendError::Closed, Duration::ZERO));
    }
}
