//! What the leader of a shard owes the catalog, as a pure decision and an effect for each.

use std::collections::BTreeSet;
use std::sync::Arc;

use thalweg_raft::GroupStatus;
use thalweg_types::NodeId;
use tokio::sync::Semaphore;

use crate::replica::Replica;
use crate::spec::ReplicaSpec;

/// Something a leader has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Duty {
    /// Make these the voters.
    Voters(BTreeSet<NodeId>),
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
            Duty::Voters(_) => Kind::Voters,
            Duty::Seal(_) => Kind::Seal,
            Duty::HandOver(_) => Kind::HandOver,
        }
    }
}

/// What is to be done now by the replica on node `me`.
pub(super) fn due(me: NodeId, status: &GroupStatus, spec: &ReplicaSpec, sealed: bool) -> Vec<Duty> {
    let mut duties = Vec::new();
    if !status.leading {
        return duties;
    }
    if let Some(reshard) = spec.seal.filter(|_| !sealed) {
        duties.push(Duty::Seal(reshard));
    }
    let settled = status.voters == spec.desired_voters && status.learners.is_empty();
    if !settled && !spec.desired_voters.is_empty() {
        duties.push(Duty::Voters(spec.desired_voters.clone()));
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
        Duty::Voters(voters) => {
            let _slot = changes.acquire_owned().await;
            replica.group().change_voters(voters).await.map_err(|error| error.to_string())
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
        GroupStatus { leading: true, voters: nodes(voters), ..GroupStatus::default() }
    }

    #[test]
    fn only_the_leader_has_duties() {
        let spec = ReplicaSpec { seal: Some(1), ..spec(1) };
        assert_eq!(due(NodeId(1), &GroupStatus::default(), &spec, false), vec![]);
    }

    #[test]
    fn a_shard_is_sealed_once() {
        let spec = ReplicaSpec { seal: Some(9), ..spec(1) };
        assert_eq!(due(NodeId(1), &leading(&[1]), &spec, false), vec![Duty::Seal(9)]);
        assert_eq!(due(NodeId(1), &leading(&[1]), &spec, true), vec![]);
    }

    #[test]
    fn leadership_is_handed_over_only_after_the_voters_are_settled() {
        let desired = nodes(&[1, 2]);
        let spec = ReplicaSpec { desired_voters: desired.clone(), preferred_leader: Some(NodeId(2)), ..spec(1) };
        assert_eq!(due(NodeId(1), &leading(&[1, 2, 3]), &spec, false), vec![Duty::Voters(desired)]);
        assert_eq!(due(NodeId(1), &leading(&[1, 2]), &spec, false), vec![Duty::HandOver(NodeId(2))]);
        assert_eq!(due(NodeId(2), &leading(&[1, 2]), &spec, false), vec![]);
    }
}
