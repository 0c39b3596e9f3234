//! Nodes: registering, draining, giving up, removing.

use thalweg_types::planted::{Planted, planted};
use thalweg_types::{NodeId, UnixMillis};

use crate::{Applied, Catalog, Node, NodeChange, NodeRegistration, NodeState, Outcome, Refusal, StreamStatus};

impl Catalog {
    pub(super) fn register_node(&mut self, given: &NodeRegistration, now: UnixMillis) -> Outcome {
        let id = given.id;
        if id.0 == 0 {
            return Err(Refusal::NodeIdZero);
        }
        let node = match self.nodes.get(&id) {
            None => Node::registered(given, now),
            Some(known) if known.state == NodeState::Removed => return Err(Refusal::NodeRemoved { node: id }),
            Some(known) if known.incarnation != given.incarnation && !planted(Planted::NodeIdReused) => {
                return Err(Refusal::NodeIncarnation { node: id });
            }
            Some(known) => known.registered_again(given),
        };
        if self.nodes.get(&id) == Some(&node) {
            return Ok(Applied::Unchanged);
        }
        self.nodes.insert(id, node);
        Ok(Applied::Changed)
    }

    pub(super) fn change_node(&mut self, id: NodeId, change: NodeChange, now: UnixMillis) -> Outcome {
        let node = self.nodes.get_mut(&id).ok_or(Refusal::NodeUnknown { node: id })?;
        let refusal = Refusal::NodeChange { node: id, state: node.state, change };
        let state = node.state.after(change, now).ok_or(refusal)?;
        if state == node.state {
            return Ok(Applied::Unchanged);
        }
        node.state = state;
        Ok(Applied::Changed)
    }

    pub(super) fn remove_node(&mut self, id: NodeId) -> Outcome {
        let node = self.nodes.get(&id).ok_or(Refusal::NodeUnknown { node: id })?;
        if node.state == NodeState::Removed {
            return Ok(Applied::Unchanged);
        }
        let replicas = self.replicas_on(id);
        let votes = self.controller_voters.contains(&id);
        if replicas > 0 || votes {
            return Err(Refusal::NodeInUse { node: id, replicas, votes });
        }
        if let Some(node) = self.nodes.get_mut(&id) {
            node.state = NodeState::Removed;
        }
        Ok(Applied::Changed)
    }

    /// Replicas that a node has to run, those of streams being deleted left out.
    pub fn replicas_on(&self, id: NodeId) -> u32 {
        let kept = self.shards().filter(|(stream, _)| stream.status != StreamStatus::Deleting);
        kept.filter(|(_, shard)| shard.hosts().any(|host| host == id)).count() as u32
    }
}
