//! Registering a node with its cluster, each time it starts.

use thalweg_catalog::{Command, NodeRegistration, Refusal};
use thalweg_proto::peer::{JoinRequest, JoinResponse, join_response};
use thalweg_types::{Incarnation, NodeId};
use tonic::Status;

use crate::leader::propose::{Unanswered, propose};
use crate::node::Node;

/// What this node says when it asks to be registered.
pub(crate) fn request(node: &Node, cluster_id: &str) -> JoinRequest {
    let me = &node.options.advertised;
    JoinRequest {
        cluster_id: cluster_id.to_owned(),
        node_id: node.id().0,
        incarnation: node.keeper.get().incarnation.0,
        peer_address: me.peer_address.clone(),
        public_address: me.public_address.clone(),
        admin_address: me.admin_address.clone(),
        zone: me.zone.clone(),
    }
}

/// Answers another node's request to be registered.
pub(crate) async fn answer(node: &Node, request: JoinRequest) -> Result<JoinResponse, Status> {
    let mine = node.keeper.get().cluster.map(|belonging| belonging.cluster_id).unwrap_or_default();
    if mine != request.cluster_id {
        return Ok(outcome(join_response::Outcome::Refused(wrong_cluster(&request, node.id(), &mine))));
    }
    let registration = NodeRegistration {
        id: NodeId(request.node_id),
        incarnation: Incarnation(request.incarnation),
        peer_address: request.peer_address,
        public_address: request.public_address,
        admin_address: request.admin_address,
        zone: request.zone,
    };
    node.hub.expect(registration.id);
    match propose(node, &Command::RegisterNode { node: registration, now: node.now() }).await {
        Ok(answer) => Ok(outcome(match answer.outcome {
            Ok(_) => join_response::Outcome::Accepted(true),
            Err(refusal) => join_response::Outcome::Refused(refused(&refusal)),
        })),
        Err(Unanswered::NotLeader { leader }) => redirect(node, leader),
        Err(error) => Err(Status::unavailable(error.to_string())),
    }
}

fn redirect(node: &Node, leader: Option<NodeId>) -> Result<JoinResponse, Status> {
    let leader = leader.filter(|leader| *leader != node.id());
    match leader.and_then(|leader| node.peer_address(leader)) {
        Some(address) => Ok(outcome(join_response::Outcome::Redirect(address))),
        None => Err(Status::unavailable("the controller has no leader yet")),
    }
}

fn outcome(outcome: join_response::Outcome) -> JoinResponse {
    JoinResponse { outcome: Some(outcome) }
}

fn refused(refusal: &Refusal) -> String {
    match refusal {
        Refusal::NodeIncarnation { node } => format!(
            "node {node} is registered with another disk: give the new one an unused --node-id, and run \
             `thalweg admin remove {node}` if the old disk is gone"
        ),
        other => other.to_string(),
    }
}

fn wrong_cluster(request: &JoinRequest, here: NodeId, mine: &str) -> String {
    format!(
        "node {} belongs to cluster {} and node {here} to {}: start it with seeds of its own cluster, or in an \
         empty data directory to join this one",
        request.node_id,
        request.cluster_id,
        if mine.is_empty() { "none" } else { mine },
    )
}
