//! Carrying a mutation to the controller's leader, wherever that is.
//!
//! Holds: an operation is sent again only when it was certainly not applied, or when applying it
//! twice is the same as once. Otherwise an unknown outcome is reported as unknown.

use std::error::Error;
use std::time::Duration;

use thalweg_catalog::Operation;
use thalweg_proto::errors::{Reason, WireError};
use thalweg_proto::peer::{ExecuteRequest, execute_response};
use tokio::time::Instant;
use tonic::{ConnectError, Status};

use crate::agent::find;
use crate::answer::Answer;
use crate::leader::propose::{Unanswered, execute as execute_here};
use crate::membership::Membership;
use crate::node::Node;

/// Between two attempts while nobody leads.
const PAUSE: Duration = Duration::from_millis(50);
/// Redirects that are followed without a pause.
const REDIRECTS_MAX: u32 = 3;

/// What one attempt came to.
enum Attempt {
    Answered(Answer),
    /// Not applied; perhaps this address would.
    Elsewhere(Option<String>),
    /// Not applied.
    NotNow(String),
    /// Perhaps applied.
    Unknown(String),
}

/// Has the controller's leader carry out `operation`.
pub(crate) async fn execute(node: &Node, operation: &Operation, deadline: Instant) -> Result<Answer, WireError> {
    must_be_member(node)?;
    let (mut hint, mut why) = (None, "the controller has no leader".to_owned());
    let (mut perhaps, mut redirects) = (false, 0);
    while Instant::now() < deadline {
        match attempt(node, operation, hint.take(), deadline).await {
            Attempt::Answered(answer) => return Ok(answer),
            Attempt::Elsewhere(address) => (hint, redirects) = (address, redirects + 1),
            Attempt::NotNow(reason) => why = reason,
            Attempt::Unknown(reason) if is_idempotent(operation) => (perhaps, why) = (true, reason),
            Attempt::Unknown(reason) => return Err(WireError::new(Reason::OutcomeUnknown, reason)),
        }
        // Nodes that send each other round in a circle do so until one of them knows better.
        if hint.is_none() || redirects % REDIRECTS_MAX == 0 {
            tokio::time::sleep(PAUSE).await;
        }
    }
    let reason = if perhaps { Reason::OutcomeUnknown } else { Reason::Unavailable };
    Err(WireError::new(reason, why))
}

/// A node that has not joined its cluster answers for nothing in it.
pub(crate) fn must_be_member(node: &Node) -> Result<(), WireError> {
    match &*node.membership.borrow() {
        Membership::Joined => Ok(()),
        Membership::Waiting { reason } | Membership::Refused { reason } => {
            Err(WireError::new(Reason::Unavailable, format!("this node has not joined its cluster: {reason}")))
        }
    }
}

async fn attempt(node: &Node, operation: &Operation, hint: Option<String>, deadline: Instant) -> Attempt {
    // Whoever was sent elsewhere goes there: this node may take itself for the leader a while longer.
    if hint.is_none() && node.leads() {
        return match execute_here(node, operation).await {
            Ok(answer) => Attempt::Answered(answer),
            Err(Unanswered::NotLeader { leader }) => {
                Attempt::Elsewhere(leader.and_then(|leader| node.peer_address(leader)))
            }
            Err(Unanswered::Unavailable(reason)) => Attempt::NotNow(reason),
            Err(Unanswered::Unknown(reason)) => Attempt::Unknown(reason),
        };
    }
    let address = match hint {
        Some(hint) => Some(hint),
        None => find_leader(node).await,
    };
    let Some(address) = address else { return Attempt::NotNow("the controller has no leader".to_owned()) };
    match tokio::time::timeout_at(deadline, ask(node, operation, &address)).await {
        Ok(attempt) => attempt,
        Err(_) => Attempt::Unknown(format!("no answer from the controller at {address}")),
    }
}

/// The peer address of the controller's leader, where anybody knows it.
pub(super) async fn find_leader(node: &Node) -> Option<String> {
    find::leader(node, &cluster_id(node), None).await
}

fn cluster_id(node: &Node) -> String {
    node.keeper.get().cluster.map(|belonging| belonging.cluster_id).unwrap_or_default()
}

async fn ask(node: &Node, operation: &Operation, address: &str) -> Attempt {
    let mut peer = match node.dialer.peer(address) {
        Ok(peer) => peer,
        Err(error) => return Attempt::NotNow(error.to_string()),
    };
    let request = ExecuteRequest { operation: operation.encode().into() };
    let outcome = match peer.execute(request).await {
        Ok(response) => response.into_inner().outcome,
        Err(status) => return failed(address, &status),
    };
    match outcome {
        Some(execute_response::Outcome::Result(bytes)) => match Answer::decode(&bytes) {
            Ok(answer) => Attempt::Answered(answer),
            Err(error) => Attempt::Unknown(error.to_string()),
        },
        Some(execute_response::Outcome::Redirect(address)) => {
            Attempt::Elsewhere((!address.is_empty()).then_some(address))
        }
        None => Attempt::Unknown("the controller gave an empty answer".to_owned()),
    }
}

fn failed(address: &str, status: &Status) -> Attempt {
    let error = WireError::from_status(status);
    let reason = format!("controller at {address}: {}", error.message);
    if never_connected(status) || !error.perhaps_applied() { Attempt::NotNow(reason) } else { Attempt::Unknown(reason) }
}

/// Whether the request never left this node.
fn never_connected(status: &Status) -> bool {
    let mut cause: Option<&dyn Error> = status.source();
    while let Some(error) = cause {
        if error.is::<ConnectError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

fn is_idempotent(operation: &Operation) -> bool {
    match operation {
        Operation::SetRetention { .. }
        | Operation::DrainNode { .. }
        | Operation::RemoveNode { .. }
        | Operation::TransferLeader { .. }
        | Operation::SetShardLimit { .. }
        | Operation::UpdateStream { .. }
        | Operation::TagStream { .. }
        | Operation::UpdateConsumer { .. }
        | Operation::CreateAccessKey { .. }
        | Operation::UpdateAccount { .. } => true,
        Operation::OfIncarnation { operation, .. } => is_idempotent(operation),
        Operation::CreateStream(_)
        | Operation::DeleteStream { .. }
        | Operation::SplitShard { .. }
        | Operation::MergeShards { .. }
        | Operation::UpdateShardCount { .. }
        | Operation::StopScaling { .. }
        | Operation::RegisterConsumer { .. }
        | Operation::DeregisterConsumer { .. }
        | Operation::DeleteAccessKey { .. } => false,
    }
}
