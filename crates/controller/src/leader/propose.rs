//! Putting commands through Raft on the leader.

use std::time::Duration;

use thalweg_catalog::{Applied, Catalog, Command, NodeChange, Operation, Refusal, RefusalKind};
use thalweg_proto::errors::{Reason, WireError};
use thalweg_raft::ProposeError;
use thalweg_types::NodeId;

use super::living;
use crate::answer::Answer;
use crate::machine;
use crate::node::Node;

/// A command that found no majority for this long has an unknown outcome.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(8);
/// Plans may be overtaken by other commands; more often than this in a row is not bad luck.
const PLANS_MAX: usize = 5;

/// Why a command has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unanswered {
    // Not applied.
    #[error("this node does not lead the controller")]
    NotLeader { leader: Option<NodeId> },
    #[error("the controller takes no commands: {0}")]
    Unavailable(String),
    // Perhaps applied.
    #[error("the outcome is unknown: {0}")]
    Unknown(String),
}

impl From<ProposeError> for Unanswered {
    fn from(error: ProposeError) -> Unanswered {
        match error {
            ProposeError::NotLeader { leader } => Unanswered::NotLeader { leader },
            ProposeError::OutcomeUnknown { reason } => Unanswered::Unknown(reason),
            definite => Unanswered::Unavailable(definite.to_string()),
        }
    }
}

impl From<Unanswered> for WireError {
    fn from(error: Unanswered) -> WireError {
        let reason = match error {
            Unanswered::NotLeader { .. } => Reason::NotLeader,
            Unanswered::Unavailable(_) => Reason::Unavailable,
            Unanswered::Unknown(_) => Reason::OutcomeUnknown,
        };
        WireError::new(reason, error.to_string())
    }
}

/// Proposes one command and waits for what became of it.
pub(crate) async fn propose(node: &Node, command: &Command) -> Result<Answer, Unanswered> {
    let Some(seat) = node.leading_seat() else {
        return Err(Unanswered::NotLeader { leader: node.elected() });
    };
    let catalog = node.applied.borrow().clone();
    let _taken = match node.room.take(&catalog, command) {
        Ok(taken) => taken,
        Err(refusal) => return Ok(Answer { revision: catalog.revision(), outcome: Err(refusal) }),
    };
    let through = async { seat.propose(machine::payload(command, node.now())).await?.outcome().await };
    let applied = match tokio::time::timeout(COMMIT_TIMEOUT, through).await {
        Ok(applied) => applied?,
        Err(_) => return Err(Unanswered::Unknown(format!("no commit within {COMMIT_TIMEOUT:?}"))),
    };
    Answer::decode(&applied.response).map_err(|error| Unanswered::Unknown(error.to_string()))
}

/// Carries out a user's wish: plans it by the catalog as it is, and plans again when overtaken.
pub(crate) async fn execute(node: &Node, operation: &Operation) -> Result<Answer, Unanswered> {
    if operation.only_confirms() {
        return confirm(node).await;
    }
    if let Operation::RemoveNode { node: gone } = operation {
        give_up(node, *gone).await?;
    }
    let mut answer = plan_and_propose(node, operation).await?;
    for _ in 1..PLANS_MAX {
        let overtaken = |refusal: &Refusal| refusal.kind() == RefusalKind::Overtaken;
        if !answer.outcome.as_ref().is_err_and(overtaken) {
            break;
        }
        answer = plan_and_propose(node, operation).await?;
    }
    Ok(answer)
}

/// The revision at which everything is there that was agreed on before. Nothing is written for it: a
/// majority says that this node still leads.
async fn confirm(node: &Node) -> Result<Answer, Unanswered> {
    let Some(seat) = node.leading_seat() else {
        return Err(Unanswered::NotLeader { leader: node.elected() });
    };
    seat.read_barrier().await.map_err(|error| match node.leads() {
        true => Unanswered::Unavailable(error.to_string()),
        false => Unanswered::NotLeader { leader: node.elected() },
    })?;
    Ok(Answer { revision: node.applied.borrow().revision(), outcome: Ok(Applied::Unchanged) })
}

async fn plan_and_propose(node: &Node, operation: &Operation) -> Result<Answer, Unanswered> {
    if !node.leads() {
        return Err(Unanswered::NotLeader { leader: node.elected() });
    }
    let catalog = node.applied.borrow().clone();
    match plan(node, &catalog, operation) {
        Ok(command) => propose(node, &command).await,
        Err(refusal) => Ok(Answer { revision: catalog.revision(), outcome: Err(refusal) }),
    }
}

fn plan(node: &Node, catalog: &Catalog, operation: &Operation) -> Result<Command, Refusal> {
    let now = if operation.gives_up_by_time() { node.sure_time() } else { node.now() };
    let seed = node.random.seed();
    let command = operation.command(catalog, now, seed)?;
    let on = |catalog: &Catalog| operation.command(catalog, now, seed).into_iter().collect();
    Ok(living::place(catalog, &node.hub.soft().borrow().connected, on).pop().unwrap_or(command))
}

/// A node that is to be removed and is out of contact counts as dead at once: the operator has
/// said so, and its replicas are rebuilt elsewhere without waiting any longer.
async fn give_up(node: &Node, gone: NodeId) -> Result<(), Unanswered> {
    let alive = node.applied.borrow().node(gone).is_some_and(|known| known.is_alive());
    if alive && !node.hub.sight().connected.contains(&gone) {
        let command = Command::ChangeNode { node: gone, change: NodeChange::MarkDead, now: node.now() };
        propose(node, &command).await?;
    }
    Ok(())
}
