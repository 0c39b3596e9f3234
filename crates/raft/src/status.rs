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
    /// Nodes whose majority commits; during a change, and until that is committed, those of both
    /// configurations: as long as it is not, the group may need those that it takes out.
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
        // What a follower knows to be committed lags, and says nothing of who votes now.
        let committed =
            (metrics.state == ServerState::Leader).then(|| metrics.committed_membership_config.membership());
        let leads = metrics.state == ServerState::Leader;
        let term = metrics.vote.leader_id.term;
        let heard =
            (heard_term == term || planted(Planted::OldVoteNamesLeader)) && metrics.current_leader != Some(metrics.id);
        let leader = metrics.current_leader.filter(|_| leads || heard).map(NodeId);
        GroupStatus {
            leader,
            term,
            leading: leads && !fenced && (applied_term == term || planted(Planted::LeadsBeforeItsTerm)),
            voters: members.voter_ids().chain(committed.into_iter().flat_map(|c| c.voter_ids())).map(NodeId).collect(),
            learners: members.learner_ids().map(NodeId).collect(),
            fenced,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use openraft::Membership;

    use super::*;
    use crate::codec::{StoredMembers, Vote, log_id};

    fn stored(index: u64, configs: &[&[u64]]) -> Arc<StoredMembers> {
        let configs: Vec<BTreeSet<u64>> = configs.iter().map(|ids| ids.iter().copied().collect()).collect();
        let nodes: std::collections::BTreeMap<u64, ()> = configs.iter().flatten().map(|id| (*id, ())).collect();
        Arc::new(StoredMembers::new(Some(log_id(3, index)), Membership::new(configs, nodes).unwrap()))
    }

    /// Who were released before could not vote for it any more, and the others could not without them.
    #[test]
    fn who_is_taken_out_is_a_voter_until_that_is_committed() {
        let (joint, new) = (stored(8, &[&[1, 2], &[3, 4]]), stored(9, &[&[3, 4]]));
        let mut metrics = RaftServerMetrics::<TypeConfig> {
            id: 1,
            vote: Vote::new_committed(3, 1),
            state: ServerState::Leader,
            current_leader: Some(1),
            membership_config: new.clone(),
            committed_membership_config: joint,
        };
        let voters = |metrics: &_| GroupStatus::new(metrics, 3, 3, false).voters;
        assert_eq!(voters(&metrics), [1, 2, 3, 4].map(NodeId).into());
        metrics.committed_membership_config = new;
        assert_eq!(voters(&metrics), [3, 4].map(NodeId).into());
    }
}
