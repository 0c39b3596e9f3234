//! What writers are told by a shard that ends, or has ended.
//!
//! A sealed shard takes nothing, and any replica that knows of the seal may say so: all that was ever
//! taken lies before it. Holds: closed is said only once the seal stands. A seal that is on its way may
//! be lost with its leader, and the next one may take an attempt of the same batch that is still
//! travelling.

use std::sync::Arc;
use std::time::Duration;

use thalweg_raft::GroupStatus;
use thalweg_types::NodeId;
use tokio::sync::watch;

use super::ticket::settle;
use super::{AppendError, Appended};
use crate::command::ProducerTag;
use crate::machine::SharedState;
use crate::spec::ReplicaSpec;
use crate::state::Outcome;

/// What is to be known of a replica to say how its shard ended.
pub(super) struct Ending {
    pub(super) node_id: NodeId,
    pub(super) status: watch::Receiver<GroupStatus>,
    pub(super) state: Arc<SharedState>,
    pub(super) spec: Arc<ReplicaSpec>,
}

impl Ending {
    /// The answer to a batch, if the shard is sealed.
    pub(super) fn answer(&self, tag: Option<ProducerTag>) -> Option<Result<Appended, AppendError>> {
        let verdict = self.state.with(|state| state.sealed().map(|_| tag.map(|tag| state.judge(tag))))?;
        Some(match verdict.map(Outcome::of) {
            Some(outcome @ (Outcome::Duplicate(_) | Outcome::Forgotten)) => settle(outcome, None, tag, &self.spec),
            _ => Err(AppendError::Closed),
        })
    }

    /// The same once the seal stands; if it does not within `patience`, or is lost, that.
    pub(super) async fn answer_when_sealed(
        mut self,
        tag: Option<ProducerTag>,
        patience: Duration,
    ) -> Result<Appended, AppendError> {
        let mut landmarks = self.state.landmarks();
        let (state, status) = (&self.state, &mut self.status);
        let ended = async {
            tokio::select! {
                _ = landmarks.wait_for(|_| state.with(|state| state.sealed().is_some())) => {}
                _ = status.wait_for(|status| !status.leading) => {}
            }
        };
        let _ = tokio::time::timeout(patience, ended).await;
        self.answer(tag).unwrap_or_else(|| Err(self.is_not_here()))
    }

    /// This replica has not applied how the shard ends: it cannot say which batches it holds.
    pub(super) fn is_not_here(&self) -> AppendError {
        let unavailable = || AppendError::Unavailable { reason: "its end is not applied here yet".to_owned() };
        leading_term(&self.status.borrow(), self.node_id).err().unwrap_or_else(unavailable)
    }
}

/// The term in which this node leads, or why it does not.
pub(super) fn leading_term(status: &GroupStatus, node_id: NodeId) -> Result<u64, AppendError> {
    match status.leading {
        true => Ok(status.term),
        false if status.leader == Some(node_id) => {
            Err(AppendError::Unavailable { reason: "its new leader is still taking over".to_owned() })
        }
        false => Err(AppendError::NotLeader { leader: status.leader }),
    }
}
