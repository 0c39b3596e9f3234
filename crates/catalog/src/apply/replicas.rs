//! Which nodes a shard's replicas live on, and the checks that every placement passes.

use std::collections::BTreeSet;

use thalweg_types::limits::REPLICATION_MAX;
use thalweg_types::planted::{Planted, planted};
use thalweg_types::{NodeId, ShardId, StreamName};

use super::known_shard;
use crate::{Applied, Catalog, Node, NodesProblem, Outcome, Refusal, Shard, ShardState};

impl Catalog {
    pub(super) fn set_replicas(&mut self, name: &StreamName, id: ShardId, replicas: &[NodeId]) -> Outcome {
        let stream = self.known_stream(name)?;
        let shard = known_shard(stream, id)?;
        // While a group forms, its initial members alone may start it; changing them could
        // let two sets each believe they are the group.
        if shard.state == ShardState::Opening {
            return Err(Refusal::ShardOpening { stream: name.clone(), shard: id });
        }
        self.check_move(shard, replicas)?;
        if shard.replicas == replicas {
            return Ok(Applied::Unchanged);
        }
        let hosts: Vec<NodeId> = shard.hosts().collect();
        let leaves = |host: &NodeId| !replicas.contains(host) && !planted(Planted::RemovedBeforeSettled);
        let previous = hosts.into_iter().filter(leaves).collect();
        let same_voters = as_set(replicas) == as_set(&shard.replicas);
        let placement = if same_voters { shard.placement } else { self.revision + 1 };
        self.stream_mut(name)?.shards.replace_hosts(id, |shard| {
            shard.settled &= same_voters;
            shard.placement = placement;
            shard.previous = previous;
            shard.replicas = replicas.to_vec();
        });
        Ok(Applied::Changed)
    }

    pub(super) fn replicas_settled(
        &mut self,
        name: &StreamName,
        id: ShardId,
        voters: &[NodeId],
        placement: Option<u64>,
    ) -> Outcome {
        let shard = known_shard(self.known_stream(name)?, id)?;
        if as_set(voters) != as_set(&shard.replicas) {
            return Err(Refusal::ReplicasDiffer { voters: voters.to_vec(), wanted: shard.replicas.clone() });
        }
        if let Some(placement) = placement.filter(|placement| *placement != shard.placement) {
            return Err(Refusal::PlacementDiffers { placement, wanted: shard.placement });
        }
        if shard.settled {
            return Ok(Applied::Unchanged);
        }
        self.stream_mut(name)?.shards.replace_hosts(id, |shard| {
            shard.previous.clear();
            shard.settled = true;
        });
        Ok(Applied::Changed)
    }

    /// Whether a shard may move: newcomers have to be active, those that stay need not be.
    fn check_move(&self, shard: &Shard, replicas: &[NodeId]) -> Result<(), Refusal> {
        check_distinct(replicas)?;
        if replicas.len() > REPLICATION_MAX as usize {
            return Err(nodes(NodesProblem::Count { given: replicas.len(), wanted: REPLICATION_MAX as usize }));
        }
        let mut newcomers = replicas.iter().filter(|node| !shard.hosts().any(|host| host == **node));
        newcomers.try_for_each(|node| self.check_active(*node))
    }

    /// Whether each new shard got as many distinct nodes as there can be, active ones first. All active
    /// ones alone will do: logs have such sets from when nodes that are being drained took no part, and
    /// what was applied once must be applied again.
    pub(super) fn check_placement(
        &self,
        placement: &[Vec<NodeId>],
        shards: usize,
        replication: u32,
    ) -> Result<(), Refusal> {
        if placement.len() != shards {
            return Err(nodes(NodesProblem::Sets { given: placement.len(), wanted: shards }));
        }
        let wanted = self.replicas_of_new_shards(replication);
        let active_wanted = self.replicas_possible(replication);
        for members in placement {
            check_distinct(members)?;
            let active = members.iter().filter(|id| self.check_active(**id).is_ok()).count();
            let takes_part = |id: &&NodeId| active >= active_wanted && self.nodes.get(id).is_some_and(Node::is_alive);
            members.iter().filter(|id| !takes_part(id)).try_for_each(|node| self.check_active(*node))?;
            let all_active = active == members.len() && active == active_wanted;
            if members.len() != wanted && !all_active {
                return Err(nodes(NodesProblem::Count { given: members.len(), wanted }));
            }
        }
        Ok(())
    }

    fn check_active(&self, id: NodeId) -> Result<(), Refusal> {
        let node = self.nodes.get(&id).ok_or(nodes(NodesProblem::Unknown(id)))?;
        let problem = NodesProblem::NotActive { node: id, state: node.state };
        if node.may_receive() { Ok(()) } else { Err(nodes(problem)) }
    }
}

/// Whether a set of nodes is one: not empty, no node twice.
pub(super) fn check_distinct(given: &[NodeId]) -> Result<(), Refusal> {
    if given.is_empty() {
        return Err(nodes(NodesProblem::Empty));
    }
    let mut seen = BTreeSet::new();
    match given.iter().find(|node| !seen.insert(**node)) {
        Some(&twice) => Err(nodes(NodesProblem::Twice(twice))),
        None => Ok(()),
    }
}

fn as_set(nodes: &[NodeId]) -> BTreeSet<NodeId> {
    nodes.iter().copied().collect()
}

fn nodes(problem: NodesProblem) -> Refusal {
    Refusal::Nodes { problem }
}
