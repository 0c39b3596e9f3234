//! This node's replica of group 0, where it has one, or the catalog says it should.
//!
//! A founder opens it as soon as the founding is certain; any other node when the catalog names
//! it a voter; after a restart whoever has one. The catalog says who *should* vote: as long as those
//! cannot be reached, others do, and without them the group would have no majority. It is never
//! closed before the node stops: a voter taken out is left behind by the group and does no harm.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use thalweg_raft::GroupOptions;
use thalweg_types::{GroupId, NodeId};
use tracing::{error, info};

use crate::identity::{Identity, Member};
use crate::machine::CatalogMachine;
use crate::node::Node;

/// Pause before opening is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Opens the replica once there should be one; keeps peers' addresses and the identity fresh.
pub(crate) async fn run(node: Arc<Node>) {
    let mut identity = node.keeper.watch();
    let mut image = node.image.subscribe();
    introduce(&node, &identity.borrow_and_update());
    loop {
        follow_image(&node);
        if node.seat.borrow().is_none() && should_sit(&node, &identity.borrow_and_update()) {
            open(&node).await;
        }
        tokio::select! {
            changed = identity.changed() => if changed.is_err() { return },
            changed = image.changed() => if changed.is_err() { return },
        }
        introduce(&node, &identity.borrow());
    }
}

fn should_sit(node: &Node, identity: &Identity) -> bool {
    let named = node.image.borrow().catalog.controller_voters().contains(&node.id());
    may_vote(node.id(), identity, named || node.groups.holds(GroupId::CONTROLLER))
}

/// Whether a node may be one that votes: it is `known` to, or it was when last heard of.
fn may_vote(me: NodeId, identity: &Identity, known: bool) -> bool {
    let Some(belonging) = identity.cluster.as_ref().filter(|belonging| belonging.formed) else { return false };
    // The founders sit until the first image says who votes from then on.
    let last_heard = if belonging.controllers.is_empty() { &belonging.founders } else { &belonging.controllers };
    known || last_heard.iter().any(|member| member.node == me)
}

async fn open(node: &Arc<Node>) {
    let founders = node.keeper.get().cluster.map(|belonging| belonging.founders).unwrap_or_default();
    loop {
        let initial_members = founders.iter().map(|founder| founder.node).collect();
        let options = GroupOptions { initial_members, sync: true };
        let machine = CatalogMachine::new(node.applied.clone(), node.events.clone());
        match node.groups.open(GroupId::CONTROLLER, options, Box::new(machine)).await {
            Ok(group) => {
                info!(node = %node.id(), "votes in the controller");
                node.seat.send_replace(Some(group));
                return;
            }
            Err(error) => error!(%error, "cannot open the controller's group; trying again"),
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Tells the transport where the nodes of the identity are, as long as nothing newer is known.
fn introduce(node: &Node, identity: &Identity) {
    let Some(belonging) = &identity.cluster else { return };
    let known = |id: NodeId| node.image.borrow().catalog.node(id).is_some();
    for member in belonging.founders.iter().chain(&belonging.controllers) {
        if member.node != node.id() && !known(member.node) {
            node.groups.set_peer(member.node, member.peer_address.clone());
        }
    }
}

/// Takes over addresses and voters from the newest image.
fn follow_image(node: &Node) {
    let image = node.image.borrow().clone();
    let me = node.id();
    for other in image.catalog.nodes().filter(|other| other.id != me) {
        match other.state {
            thalweg_catalog::NodeState::Removed => node.groups.remove_peer(other.id),
            _ => node.groups.set_peer(other.id, other.peer_address.clone()),
        }
    }
    let voters: BTreeSet<NodeId> = image.catalog.controller_voters().iter().copied().collect();
    let addressed = voters.iter().filter_map(|voter| image.catalog.node(*voter));
    let controllers: Vec<Member> =
        addressed.map(|voter| Member { node: voter.id, peer_address: voter.peer_address.clone() }).collect();
    if controllers.len() < voters.len() || controllers.is_empty() {
        return;
    }
    let saved = node.keeper.update(|identity| {
        if let Some(belonging) = &mut identity.cluster {
            belonging.controllers = controllers;
        }
    });
    if let Err(error) = saved {
        error!(%error, "cannot remember the controller's voters");
    }
}
