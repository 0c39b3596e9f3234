//! What the leader of a shard owes the catalog, as a pure decision and an effect for each.

use std::collections::BTreeSet;
use std::sync::Arc;

use thalweg_raft::GroupStatus;
use thalweg_types::NodeId;
use tokio::sync::Semaphore;

use crate::placement::{self, Placed};
use crate::replica::Replica;
use crate::spec::ReplicaSpec;

/// Something a leader has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Duty {
    /// Make these the voters, by this placement and in this term.
    Voters { placed: Placed, voters: BTreeSet<NodeId> },
    /// End the log for this reshard.
    Seal(u64),
    /// Let the preferred node lead.
    HandOver(NodeId),
}

/// Duties without their arguments: one of each kind runs at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Voters,
    Seal,
    HandOver,
}

impl Duty {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Duty::Voters { .. } => Kind::Voters,
            Duty::Seal(_) => Kind::Seal,
            Duty::HandOver(_) => Kind::HandOver,
        }
    }
}

/// What the replica itself knows of what was done.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Done {
    /// Whether the log has its end.
    pub(super) sealed: bool,
    /// The newest placement in the log.
    pub(super) placement: u64,
    /// The placement that it saw to, as a leader.
    pub(super) placed: Option<Placed>,
}

/// What is to be done now by the replica on node `me`.
pub(super) fn due(me: NodeId, status: &GroupStatus, spec: &ReplicaSpec, done: Done) -> Vec<Duty> {
    let mut duties = Vec::new();
    if !status.leading {
        return duties;
    }
    if let Some(reshard) = spec.seal.filter(|_| !done.sealed) {
        duties.push(Duty::Seal(reshard));
    }
    let placed = Placed { placement: spec.placement, term: status.term };
    let they_vote = status.voters == spec.desired_voters && status.learners.is_empty();
    let settled = they_vote && (spec.settled || done.placed == Some(placed));
    let may_follow = placement::may_follow(spec.placement, done.placement);
    if !settled && may_follow && !spec.desired_voters.is_empty() {
        duties.push(Duty::Voters { placed, voters: spec.desired_voters.clone() });
    }
    // Handing over in the middle of a change of voters would only start it again elsewhere.
    let preferred = spec.preferred_leader.filter(|node| settled && *node != me && status.voters.contains(node));
    duties.extend(preferred.map(Duty::HandOver));
    duties
}

/// Does it; an error means that it is to be tried again.
pub(super) async fn perform(replica: Arc<Replica>, duty: Duty, changes: Arc<Semaphore>) -> Result<(), String> {
    match duty {
        Duty::Seal(reshard) => replica.seal(reshard).await.map_err(|error| error.to_string()),
        Duty::Voters { placed, voters } => {
            let _slot = changes.acquire_owned().await;
            placement::bring_about(&replica, placed, voters).await
        }
        Duty::HandOver(to) => {
            if !replica.peer_is_up(to) {
                return Err(format!("node {to} is not up"));
            }
            let _slot = changes.acquire_owned().await;
            replica.group().transfer_leader(to).await.map_err(|error| error.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::spec;

    fn nodes(ids: &[u64]) -> BTreeSet<NodeId> {
        ids.iter().copied().map(NodeId).collect()
    }

    fn leading(voters: &[u64]) -> GroupStatus {
        GroupStatus { leading: true, term: 4, voters: nodes(voters), ..GroupStatus::default() }
    }

    fn voters(placement: u64, ids: &[u64]) -> Duty {
        Duty::Voters { placed: Placed { placement, term: 4 }, voters: nodes(ids) }
    }

    #[test]
    fn only_the_leader_has_duties() {
        let spec = ReplicaSpec { seal: Some(1), ..spec(1) };
        assert_eq!(due(NodeId(1), &GroupStatus::default(), &spec, Done::default()), vec![]);
    }

    #[test]
    fn a_shard_is_sealed_once() {
        let spec = ReplicaSpec { seal: Some(9), ..spec(1) };
        assert_eq!(due(NodeId(1), &leading(&[1]), &spec, Done::default()), vec![Duty::Seal(9)]);
        assert_eq!(due(NodeId(1), &leading(&[1]), &spec, Done { sealed: true, ..Done::default() }), vec![]);
    }

    #[test]
    fn leadership_is_handed_over_only_after_the_voters_are_settled() {
        let spec =
            ReplicaSpec { desired_voters: nodes(&[1, 2]), preferred_leader: Some(NodeId(2)), placement: 7, ..spec(1) };
        let due = |me, who: &[u64]| due(NodeId(me), &leading(who), &spec, Done::default());
        assert_eq!(due(1, &[1, 2, 3]), vec![voters(7, &[1, 2])]);
        assert_eq!(due(1, &[1, 2]), vec![Duty::HandOver(NodeId(2))]);
        assert_eq!(due(2, &[1, 2]), vec![]);
    }

    #[test]
    fn a_leader_sees_to_a_placement_that_is_not_settled_even_if_the_voters_are_right() {
        let spec = ReplicaSpec { desired_voters: nodes(&[1, 2]), placement: 7, settled: false, ..spec(1) };
        let due = |placed| due(NodeId(1), &leading(&[1, 2]), &spec, Done { placed, ..Done::default() });
        assert_eq!(due(None), vec![voters(7, &[1, 2])]);
        assert_eq!(due(Some(Placed { placement: 7, term: 3 })), vec![voters(7, &[1, 2])], "another term's");
        assert_eq!(due(Some(Placed { placement: 7, term: 4 })), vec![]);
    }

    #[test]
    fn a_placement_older_than_the_newest_in_the_log_is_not_followed() {
        let spec = ReplicaSpec { desired_voters: nodes(&[1, 2, 3]), placement: 7, ..spec(1) };
        let due = |placement| due(NodeId(1), &leading(&[1, 3, 5]), &spec, Done { placement, ..Done::default() });
        assert_eq!(due(7), vec![voters(7, &[1, 2, 3])]);
        assert_eq!(due(8), vec![]);
    }
}
