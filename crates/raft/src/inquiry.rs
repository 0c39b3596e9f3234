//! A fenced replica without a leader asks whether anything is missing at all.
//!
//! It does not know how much it lost: perhaps entries that only it had. Where every other voter is
//! whole and has nothing that is not here as well, nothing that was acknowledged is missing: each
//! majority that may have acknowledged it with this replica has one of them. Then the fence comes down.
//! Without this a group that nobody else can lead would wait for ever: one whose founder alone had
//! written its first entries, for instance, when its log was damaged.
//!
//! Holds: who is the only voter has nobody to ask, and stays fenced. It asks all other voters of the newest configuration in its log. A later configuration, which
//! it may have lost, was agreed to by a majority of those, who have more than this replica then.

use std::sync::Arc;

use openraft::async_runtime::WatchReceiver;
use openraft::raft::VoteRequest;
use thalweg_types::NodeId;

use crate::codec::{Vote, log_id};
use crate::fence;
use crate::group::Inner;
use crate::transport::{Reply, Request};

/// Asks everybody once. A question is a pre-vote, which changes nothing and is answered with the end of
/// the other's log, by a replica that is not fenced itself.
pub(crate) async fn inquire(inner: &Arc<Inner>) {
    let metrics = inner.raft().metrics().borrow_watched().clone();
    let me = inner.node.id;
    let voters: Vec<NodeId> = metrics.membership_config.membership().voter_ids().map(NodeId).collect();
    if !voters.contains(&me) || inner.repairer.lacks().borrow().any() {
        return;
    }
    let last_log_id = inner.log.state().last.map(|(index, term)| log_id(term, index));
    let vote = Vote::new(metrics.vote.leader_id.term + 1, me.0);
    let question = VoteRequest { vote, last_log_id, leadership_transfer: false };
    let others: Vec<NodeId> = voters.into_iter().filter(|voter| *voter != me).collect();
    if others.is_empty() {
        return;
    }
    let answers =
        others.iter().map(|voter| inner.node.peers.ask(*voter, Request::PreVote(inner.id, question.clone(), false)));
    let answers = futures::future::join_all(answers).await;
    let has_all = |last| fence::has_all_of(last, |index| inner.log.read_term(index));
    if answers.into_iter().all(|answer| matches!(answer, Ok(Reply::Vote(other)) if has_all(other.last_log_id))) {
        inner.take_fence_down();
        let mut status = inner.status.subscribe();
        let lowered = status.wait_for(|status| !status.fenced);
        let _ = tokio::time::timeout(inner.node.options.timing.rpc_timeout, lowered).await.is_ok();
    }
}

/// Whether `node` is there and its replica is not fenced. The same question, asked by a leader.
pub(crate) async fn is_trusted(inner: &Inner, node: NodeId) -> bool {
    let vote = Vote::new(inner.raft().metrics().borrow_watched().vote.leader_id.term, inner.node.id.0);
    let last_log_id = inner.log.state().last.map(|(index, term)| log_id(term, index));
    let question = VoteRequest { vote, last_log_id, leadership_transfer: false };
    matches!(inner.node.peers.ask(node, Request::PreVote(inner.id, question, false)).await, Ok(Reply::Vote(_)))
}
