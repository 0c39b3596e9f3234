//! Proposing a command: queued in order first, its outcome awaited later.
//!
//! Holds: an error says whether the command was certainly not applied. openraft's refusal before
//! the entry is appended is definite; an entry that was appended and then discarded on a change
//! of leader may still be committed by another, so its outcome is unknown.

use bytes::Bytes;
use openraft::errors::{ClientWriteError, ForwardReason, ForwardToLeader};
use openraft::raft::ClientWriteResult;
use thalweg_types::NodeId;
use tokio::sync::{oneshot, watch};

use crate::codec::TypeConfig;
use crate::status::GroupStatus;

/// Why a command has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    // Not applied: safe to propose again.
    /// This node does not lead the group.
    #[error("this node does not lead the group")]
    NotLeader {
        /// Who does, if known.
        leader: Option<NodeId>,
    },
    /// The group cannot take commands now.
    #[error("the group cannot take commands: {reason}")]
    Unavailable {
        /// Why.
        reason: String,
    },
    /// The disk has no room for writes.
    #[error("the disk has no room for writes")]
    DiskFull,
    // Perhaps applied.
    /// Leadership was lost, or the group stopped, while the command was on its way.
    #[error("the outcome is unknown: {reason}")]
    OutcomeUnknown {
        /// Why.
        reason: String,
    },
}

/// A command that was committed and applied here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Its index in the group's log.
    pub index: u64,
    /// What the state machine answered.
    pub response: Bytes,
}

/// A command in the group's queue. Dropping it abandons the answer, not the command.
#[must_use = "the outcome must be awaited"]
#[derive(Debug)]
pub struct Proposal {
    pub(crate) receiver: oneshot::Receiver<ClientWriteResult<TypeConfig>>,
    /// Names the leader where openraft, which waits for the leader's first word to commit, does not yet.
    pub(crate) status: watch::Receiver<GroupStatus>,
}

impl Proposal {
    /// Waits until the command is committed and applied, or its fate is sealed or unknown.
    pub async fn outcome(self) -> Result<Applied, ProposeError> {
        let Ok(result) = self.receiver.await else {
            return Err(ProposeError::OutcomeUnknown { reason: "the group stopped".to_owned() });
        };
        match result {
            Ok(response) => Ok(Applied { index: response.log_id.index, response: response.data }),
            Err(error) => Err(propose_error(error, other_leader(&self.status.borrow()))),
        }
    }
}

/// The leader that a replica knows, unless it takes itself for it.
fn other_leader(status: &GroupStatus) -> Option<NodeId> {
    status.leader.filter(|_| !status.leading)
}

fn propose_error(error: ClientWriteError<TypeConfig>, known: Option<NodeId>) -> ProposeError {
    match error {
        // It may lead or not: nobody knows before a majority has spoken.
        ClientWriteError::ForwardToLeader(forward) if forward.reason == ForwardReason::LeaseExpired => {
            ProposeError::Unavailable { reason: "its leader has not heard from a majority lately".to_owned() }
        }
        ClientWriteError::ForwardToLeader(forward) => ProposeError::NotLeader { leader: leader_of(&forward).or(known) },
        ClientWriteError::LogEntryDiscarded(_) => {
            ProposeError::OutcomeUnknown { reason: "leadership changed while the command was on its way".to_owned() }
        }
        other => ProposeError::OutcomeUnknown { reason: other.to_string() },
    }
}

fn leader_of(forward: &ForwardToLeader<TypeConfig>) -> Option<NodeId> {
    forward.leader_id.map(NodeId)
}
