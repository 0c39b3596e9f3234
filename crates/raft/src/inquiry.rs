//! Asking other replicas where their logs end, and what follows from that.
//!
//! A fenced replica without a leader asks whether anything is missing at all. It does not know how much it lost: perhaps entries that only it had. Where every other voter is
//! whole and has nothing that is not here as well, nothing that was acknowledged is missing: each
//! majority that may have acknowledged it with this replica has one of them. Then the fence comes down.
//! Without this a group that nobody else can lead would wait for ever: one whose founder alone had
//! written its first entries, for instance, when its log was damaged.
//!
//! Holds: who is the only voter has nobody to ask, and stays fenced. Others ask all other voters of the
//! newest configuration in their log. A later configuration, which they may have lost, was agreed to by
//! a majority of those, who have more then.

use std::sync::Arc;

use openraft::async_runtime::WatchReceiver;
use openraft::raft::VoteRequest;
use thalweg_types::NodeId;

use crate::codec::{LogId, Vote};
use crate::fence;
use crate::group::Inner;
use crate::transport::{Reply, Request};

/// Asks everybody once.
pub(crate) async fn inquire(inner: &Arc<Inner>) {
    let me = inner.node.id;
    let voters: Vec<NodeId> = inner.raft().voter_ids().map(NodeId).collect();
    if !voters.contains(&me) || voters.len() == 1 || inner.repairer.lacks().borrow().any() {
        return;
    }
    let others = voters.iter().filter(|voter| **voter != me);
    let ends = futures::future::join_all(others.map(|node| end_of_log(inner, *node))).await;
    let has_all = |last| fence::has_all_of(last, |index| inner.log.read_term(index));
    if ends.into_iter().all(|end| end.is_some_and(has_all)) {
        inner.take_fence_down();
        let mut status = inner.status.subscribe();
        let lowered = status.wait_for(|status| !status.fenced);
        let _ = tokio::time::timeout(inner.node.options.timing.rpc_timeout, lowered).await.is_ok();
    }
}

/// Whether a majority of the first members, of which this is one, is there, is whole and has nothing yet,
/// and nobody who is there has anything.
pub(crate) async fn nobody_has_begun(inner: &Inner) -> bool {
    let members = &inner.options.initial_members;
    let others = members.iter().filter(|member| **member != inner.node.id);
    let ends = futures::future::join_all(others.map(|node| end_of_log(inner, *node))).await;
    let told: Vec<Option<LogId>> = ends.into_iter().flatten().collect();
    (told.len() + 1) * 2 > members.len() && told.iter().all(Option::is_none)
}

/// Whether `node` is there and its replica is not fenced.
pub(crate) async fn is_trusted(inner: &Inner, node: NodeId) -> bool {
    end_of_log(inner, node).await.is_some()
}

/// Where the log of another node's replica ends; nothing if it is not there, or fenced itself. The question
/// is a pre-vote, which changes nothing. It names no log, as a candidate does: else those who have more
/// would take it for a call to campaign, again and again and all at once.
async fn end_of_log(inner: &Inner, node: NodeId) -> Option<Option<LogId>> {
    let vote = Vote::new(inner.raft().metrics().borrow_watched().vote.leader_id.term, inner.node.id.0);
    let question = VoteRequest { vote, last_log_id: None, leadership_transfer: false };
    match inner.node.peers.ask(node, Request::PreVote(inner.id, question, false)).await {
        Ok(Reply::Vote(other)) => Some(other.last_log_id),
        _ => None,
    }
}
