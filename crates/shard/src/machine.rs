//! The shard's side of Raft: committed entries move the state that replica and readers share.

use bytes::Bytes;
use parking_lot::Mutex;
use std::sync::Arc;
use thalweg_raft::{Payload, RestoreError, StateMachine};
use tokio::sync::watch;

use crate::command::Command;
use crate::state::{Outcome, ShardState, StateCodecError};

/// The state, and news of the rare events in it.
#[derive(Debug)]
pub(crate) struct SharedState {
    state: Mutex<ShardState>,
    landmarks: watch::Sender<u64>,
}

impl SharedState {
    pub(crate) fn new() -> Arc<SharedState> {
        Arc::new(SharedState { state: Mutex::default(), landmarks: watch::Sender::new(0) })
    }

    /// Looks at the state. The look must be short: applying waits for it.
    pub(crate) fn with<T>(&self, look: impl FnOnce(&ShardState) -> T) -> T {
        look(&self.state.lock())
    }

    /// Moves when the shard was sealed or trimmed, or its state replaced.
    pub(crate) fn landmarks(&self) -> watch::Receiver<u64> {
        self.landmarks.subscribe()
    }

    fn replace(&self, state: Result<ShardState, StateCodecError>) -> Result<(), RestoreError> {
        *self.state.lock() = state.map_err(|error| RestoreError(error.to_string()))?;
        self.landmarks.send_modify(|count| *count += 1);
        Ok(())
    }
}

/// Applies a group's committed commands to the shared state.
pub(crate) struct ShardMachine(pub(crate) Arc<SharedState>);

impl StateMachine for ShardMachine {
    fn apply(&mut self, index: u64, payload: &Payload) -> Bytes {
        let Ok(command) = Command::decode(&payload.head) else {
            // Every replica of this version takes it for nothing; newer kinds of commands are
            // proposed only once all nodes know them.
            tracing::error!(index, head = ?payload.head, "entry is no shard command");
            return Outcome::NotUnderstood.encode();
        };
        let outcome = self.0.state.lock().apply(index, &command);
        if !matches!(command, Command::Append { .. }) {
            self.0.landmarks.send_modify(|count| *count += 1);
        }
        outcome.encode()
    }

    fn checkpoint(&self) -> Bytes {
        self.0.with(ShardState::encode)
    }

    fn restore(&mut self, checkpoint: &[u8]) -> Result<(), RestoreError> {
        self.0.replace(ShardState::decode(checkpoint))
    }

    fn snapshot_index(&self) -> Option<u64> {
        self.0.with(|state| state.trim().map(|trim| trim.index))
    }

    fn snapshot(&self) -> Bytes {
        self.0.with(|state| state.as_of_trim().encode())
    }

    fn install(&mut self, index: u64, snapshot: &[u8]) -> Result<(), RestoreError> {
        let state = ShardState::decode(snapshot);
        if let Ok(state) = &state
            && state.trim().map(|trim| trim.index) != Some(index)
        {
            return Err(RestoreError(format!("snapshot of index {index} is of another trim point")));
        }
        self.0.replace(state)
    }
}
