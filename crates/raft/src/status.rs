//! What is known of a group on this node, for those who route, place and watch.

use std::collections::BTreeSet;

use openraft::ServerState;
use openraft::metrics::RaftServerMetrics;
use thalweg_types::NodeId;
use thalweg_types::planted::{Planted, planted};

use crate::codec::TypeConfig;

/// A group as one of its replicas sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupStatus {
    /// The leader this replica has heard from since it was opened, or itself.
    pub leader: Option<NodeId>,
    /// Its Raft term.
    pub term: u64,
    /// Whether this node leads and has applied the first entry of its own term, so that its state
    /// holds every acknowledged command and it may judge new ones.
    pub leading: bool,
    /// Nodes whose majority commits; during a change those of both configurations.
    pub voters: BTreeSet<NodeId>,
    /// Nodes that only receive.
    pub learners: BTreeSet<NodeId>,
    /// Whether this replica lost acknowledged bytes, or needs an entry that is damaged here, and has
    /// not been given them back yet.
    pub fenced: bool,
}

impl GroupStatus {
    /// `heard_term` is the newest term whose leader has spoken since the replica was opened. What
    /// openraft calls the leader may be a vote from before a restart, and lead no more.
    pub(crate) fn new(
        metrics: &RaftServerMetrics<TypeConfig>,
        heard_term: u64,
        applied_term: u64,
        fenced: bool,
    ) -> GroupStatus {
        let members = metrics.membership_config.membership();
        let leads = metrics.state == ServerState::Leader;
        let term = metrics.vote.leader_id.term;
        let heard =
            (heard_term == term || planted(Planted::OldVoteNamesLeader)) && metrics.current_leader != Some(metrics.id);
        let leader = metrics.current_leader.filter(|_| leads || heard).map(NodeId);
        GroupStatus {
            leader,
            term,
            leading: leads && !fenced && (applied_term == term || planted(Planted::LeadsBeforeItsTerm)),
            voters: members.voter_ids().map(NodeId).collect(),
            learners: members.learner_ids().map(NodeId).collect(),
            fenced,
        }
    }
}
