//! Changing who votes in a group.
//!
//! Holds: a node learns everything before it votes, and a majority of the new voters has learned it; one
//! joint change replaces any number of voters at once; nobody is taken out before the new set is
//! committed; only a voter changes anything, and only in the term for which it was asked: who leads
//! again may be asked for voters that another leader replaced meanwhile. Who votes already and is dead
//! stops no change.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use openraft::ChangeMembers;
use openraft::async_runtime::WatchReceiver;
use openraft::raft::Precondition;
use thalweg_types::NodeId;
use thalweg_types::planted::{Planted, planted};

use crate::codec::committed_term;
use crate::group::Inner;
use crate::inquiry;

/// Why the voters are not changed yet. Trying again is always allowed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum MembershipError {
    /// This node does not lead the group, another change is on its way, or no majority answers.
    #[error("membership cannot change now: {0}")]
    Refused(String),
    /// The new nodes have not caught up in time; what they have stays.
    #[error("{0} has not caught up yet")]
    StillLearning(NodeId),
    /// The group stopped.
    #[error("the group stopped: {0}")]
    Stopped(String),
}

/// A replica this close to the leader's end may vote.
const CAUGHT_UP_ENTRIES: u64 = 64;
const LEARN_TIMEOUT: Duration = Duration::from_secs(10);
const LEARN_POLL: Duration = Duration::from_millis(20);

pub(crate) async fn change_voters(
    group: &Arc<Inner>,
    term: u64,
    voters: BTreeSet<NodeId>,
) -> Result<(), MembershipError> {
    let refused = |error: &dyn std::fmt::Display| MembershipError::Refused(error.to_string());
    let wanted: BTreeSet<u64> = voters.iter().map(|node| node.0).collect();
    if !group.raft().voter_ids().any(|node| node == group.node.id.0) {
        return Err(refused(&"this node has left the group"));
    }
    let known: BTreeSet<u64> = group.raft().voter_ids().chain(group.raft().learner_ids()).collect();
    for node in wanted.difference(&known) {
        group.raft().add_learner(*node, (), false).await.map_err(|error| refused(&error))?;
    }
    wait_caught_up(group, &wanted).await?;
    let voters: BTreeSet<u64> = group.raft().voter_ids().collect();
    for node in wanted.difference(&voters) {
        wait_trusted(group, NodeId(*node)).await?;
    }
    let in_term = || [Precondition::CommittedLeaderId { committed_leader_id: committed_term(term) }];
    if group.raft().voter_ids().collect::<BTreeSet<_>>() != wanted {
        let change = group.raft().change_membership_if(wanted.clone(), false, in_term());
        change.await.map_err(|error| refused(&error))?;
    }
    // A leader that has taken itself out leads no more: openraft asserts that it is not asked to
    // change anything. Its successor removes the learners.
    if !wanted.contains(&group.node.id.0) {
        return Ok(());
    }
    let learners: BTreeSet<u64> = group.raft().learner_ids().filter(|node| !wanted.contains(node)).collect();
    if !learners.is_empty() {
        let removal = group.raft().change_membership_if(ChangeMembers::RemoveNodes(learners), false, in_term());
        removal.await.map_err(|error| refused(&error))?;
    }
    still_in(group, term)
}

/// Whether this replica leads in the term for which the change was asked: what it found in place may be
/// the next one's otherwise, and not committed.
fn still_in(group: &Arc<Inner>, term: u64) -> Result<(), MembershipError> {
    match group.raft().server_metrics().borrow_watched().vote.leader_id.term {
        now if now == term && group.leads() => Ok(()),
        now => Err(MembershipError::Refused(format!("this node does not lead in term {term}, but knows term {now}"))),
    }
}

/// Waits until each newcomer, and a majority of all, is there and has the log up to shortly before the
/// leader's end.
async fn wait_caught_up(group: &Arc<Inner>, wanted: &BTreeSet<u64>) -> Result<(), MembershipError> {
    if planted(Planted::VoterWithoutTheLog) {
        return Ok(());
    }
    let mut behind = group.node.id;
    let caught_up = async {
        loop {
            match who_is_behind(group, wanted)? {
                None => return Ok(()),
                Some(node) => behind = node,
            }
            tokio::time::sleep(LEARN_POLL).await;
        }
    };
    let timed = tokio::time::timeout(LEARN_TIMEOUT, caught_up).await;
    timed.unwrap_or(Err(MembershipError::StillLearning(behind)))
}

/// Waits until a newcomer is not fenced: voters that were all fenced could elect nobody, and those who
/// could are gone then.
async fn wait_trusted(group: &Arc<Inner>, node: NodeId) -> Result<(), MembershipError> {
    let trusted = async {
        while !inquiry::is_trusted(group, node).await {
            tokio::time::sleep(LEARN_POLL).await;
        }
    };
    tokio::time::timeout(LEARN_TIMEOUT, trusted).await.map_err(|_| MembershipError::StillLearning(node))
}

/// Whom the change has to wait for, if anybody.
fn who_is_behind(group: &Arc<Inner>, wanted: &BTreeSet<u64>) -> Result<Option<NodeId>, MembershipError> {
    let metrics = group.raft().metrics().borrow_watched().clone();
    let Some(replication) = metrics.replication else {
        return Err(MembershipError::Refused("this node does not lead the group".to_owned()));
    };
    let last = metrics.last_log_index.unwrap_or(0);
    let is_behind = |node: &u64| {
        // Of a log so short that all of it may be missing, a node that never answered has nothing.
        let matched = replication.get(node).and_then(|id| id.as_ref().map(|id| id.index));
        let has_most = matched.is_some_and(|matched| matched + CAUGHT_UP_ENTRIES >= last);
        *node != metrics.id && !(has_most && group.node.peers.is_up(NodeId(*node)))
    };
    let voters: BTreeSet<u64> = metrics.membership_config.membership().voter_ids().collect();
    let behind: Vec<u64> = wanted.iter().copied().filter(is_behind).collect();
    let newcomer = behind.iter().find(|node| !voters.contains(node));
    let minority = behind.len() * 2 < wanted.len();
    Ok(newcomer.or(behind.first().filter(|_| !minority)).map(|node| NodeId(*node)))
}
