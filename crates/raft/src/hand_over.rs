//! Handing leadership to a named replica, and seeing it through.
//!
//! Once openraft has begun to hand over, its leader takes no command any more until another one is
//! elected, whatever becomes of the message. So it is begun only with a replica that has just
//! proved to be there and to hold the log, and the message is repeated, at last to others, until
//! this node leads no more.

use std::sync::Arc;
use std::time::Duration;

use openraft::ServerState;
use openraft::async_runtime::WatchReceiver;
use openraft::raft::AppendEntriesRequest;
use thalweg_types::NodeId;

use crate::group::Inner;
use crate::membership::MembershipError;
use crate::transport::{AppendResult, Reply, Request};

/// A replica that is asked to take over has won within this, or is asked again.
const TAKE_OVER_TIMEOUT: Duration = Duration::from_millis(300);
/// A replica that follows at full load may be a few entries behind at any one look.
const STANDING_CHECKS_MAX: u32 = 10;
const STANDING_CHECK_INTERVAL: Duration = Duration::from_millis(20);
/// How often it is asked before the others are.
const ASKED_MAX: u32 = 3;
/// How often anyone is asked.
const ATTEMPTS_MAX: u32 = 20;

pub(crate) async fn hand_over(group: &Arc<Inner>, to: NodeId) -> Result<(), MembershipError> {
    if !group.leads() {
        return Err(MembershipError::Refused("this node does not lead the group".to_owned()));
    }
    if to == group.node.id {
        return Ok(());
    }
    wait_standing(group, to).await?;
    let begun = group.raft().trigger().transfer_leader(to.0).await;
    begun.map_err(|fatal| MembershipError::Stopped(fatal.to_string()))?;
    for attempt in 1..=ATTEMPTS_MAX {
        if given_up(group).await {
            return Ok(());
        }
        let other = group.status.borrow().voters.iter().copied().find(|node| group.node.peers.is_up(*node));
        ask(group, if attempt <= ASKED_MAX { to } else { other.unwrap_or(to) }).await;
    }
    Err(MembershipError::Refused(format!("nobody takes over from here; {to} was asked first")))
}

/// Waits a moment for a replica that is hardly behind.
async fn wait_standing(group: &Arc<Inner>, node: NodeId) -> Result<(), MembershipError> {
    for _ in 1..STANDING_CHECKS_MAX {
        match check_standing(group, node).await {
            Err(MembershipError::StillLearning(_)) => tokio::time::sleep(STANDING_CHECK_INTERVAL).await,
            checked => return checked,
        }
    }
    check_standing(group, node).await
}

/// Whether `node` is there and has everything that is applied here.
async fn check_standing(group: &Arc<Inner>, node: NodeId) -> Result<(), MembershipError> {
    let metrics = group.raft().metrics().borrow_watched().clone();
    // Leadership may have moved since: then the vote is another's, and not ours to speak with.
    if metrics.state != ServerState::Leader || metrics.vote.leader_id.voted_for != group.node.id.0 {
        return Err(MembershipError::Refused("this node does not lead the group any more".to_owned()));
    }
    let heartbeat = AppendEntriesRequest {
        vote: metrics.vote,
        prev_log_id: metrics.last_applied,
        entries: Vec::new(),
        leader_commit: metrics.last_applied,
    };
    match group.node.peers.ask(node, Request::Append(group.id, heartbeat)).await {
        Ok(Reply::Append(AppendResult::Matched(_))) => Ok(()),
        Ok(Reply::Append(_)) => Err(MembershipError::StillLearning(node)),
        Ok(other) => Err(MembershipError::Refused(format!("{node} cannot take over: {other:?}"))),
        Err(error) => Err(MembershipError::Refused(format!("{node} cannot take over: {error}"))),
    }
}

/// Waits a moment for this node not to lead any more.
async fn given_up(group: &Inner) -> bool {
    let mut metrics = group.raft().server_metrics();
    let gone = async { while group.leads() && metrics.changed().await.is_ok() {} };
    tokio::time::timeout(TAKE_OVER_TIMEOUT, gone).await.is_ok()
}

/// Lets another replica lead, without openraft's hand-over: a leader that cannot do its part asks
/// each of the others in turn to campaign, and stays a leader in name if none of them wins.
pub(crate) async fn step_aside(group: &Arc<Inner>) {
    let voters = group.status.borrow().voters.clone();
    let others = voters.into_iter().filter(|node| *node != group.node.id && group.node.peers.is_up(*node));
    for node in others {
        if !group.is_fenced() {
            return;
        }
        ask(group, node).await;
        if given_up(group).await {
            tracing::warn!(group = %group.id, %node, "asked another replica to lead, for this one is damaged");
            return;
        }
    }
}

/// Asks `node` to campaign now.
async fn ask(group: &Inner, node: NodeId) {
    let vote = group.raft().metrics().borrow_watched().vote;
    let asked = group.node.peers.ask(node, Request::Transfer(group.id, vote, node.0, None)).await;
    tracing::debug!(group = %group.id, %node, ?asked, "asked again to take over");
}
