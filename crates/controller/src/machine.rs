//! The catalog as a Raft state machine: commands in, images out.
//!
//! A log entry's body is one encoded [`Command`]: heads are too small for the placement of a
//! thousand shards. The answer to the proposer is an encoded [`Answer`], or nothing when the
//! bytes were no command of this version.
//!
//! An entry's head is the proposer's clock, eight bytes: the time of the event that the command
//! may be. The log of events stands beside the catalog, with the controller's replicas alone: it is
//! in checkpoints and snapshots but in no image.
//!
//! Holds: apply depends on the bytes alone and never panics; bytes that are no command change
//! nothing. A snapshot is the whole catalog as of every 200th command, so that a new voter
//! starts there and the log below it may go.

use std::sync::Arc;

use bytes::Bytes;
use thalweg_catalog::{Applied, Catalog, Command, EventLog, Outcome};
use thalweg_raft::{Payload, RestoreError, StateMachine};
use thalweg_types::UnixMillis;
use tokio::sync::watch;

use crate::answer::Answer;

/// Commands between two snapshots.
const SNAPSHOT_COMMANDS: u64 = 200;
/// Bytes in front of the catalog in a checkpoint: the applied index.
const INDEX_BYTES: usize = 8;

/// The entry that carries a command, proposed at `now`.
pub(crate) fn payload(command: &Command, now: UnixMillis) -> Payload {
    Payload { head: Bytes::copy_from_slice(&now.0.to_be_bytes()), body: command.encode().into() }
}

/// When an entry was proposed; the beginning of time for those of versions that did not say.
fn proposed_at(payload: &Payload) -> UnixMillis {
    let millis = payload.head.as_ref().try_into().map(u64::from_be_bytes);
    UnixMillis(millis.unwrap_or(0))
}

/// One replica of the catalog.
pub(crate) struct CatalogMachine {
    catalog: Catalog,
    /// The catalog as it was last published: the one before the command that is being applied.
    published: Arc<Catalog>,
    log: EventLog,
    applied: u64,
    snapshot: Option<(u64, Bytes)>,
    images: watch::Sender<Arc<Catalog>>,
    events: watch::Sender<Arc<EventLog>>,
}

impl CatalogMachine {
    /// An empty catalog that publishes each change to `images`, and each event to `events`.
    pub(crate) fn new(images: watch::Sender<Arc<Catalog>>, events: watch::Sender<Arc<EventLog>>) -> CatalogMachine {
        let (catalog, published, log) = (Catalog::new(), Arc::default(), EventLog::default());
        CatalogMachine { catalog, published, log, applied: 0, snapshot: None, images, events }
    }

    fn publish(&mut self) {
        self.published = Arc::new(self.catalog.clone());
        self.images.send_replace(self.published.clone());
    }

    fn publish_events(&self) {
        self.events.send_replace(Arc::new(self.log.clone()));
    }

    fn execute(&mut self, command: &Command, at: UnixMillis) -> Outcome {
        let outcome = self.catalog.apply(command);
        if let Ok(applied) = &outcome
            && *applied != Applied::Unchanged
        {
            // Events first: who has seen a change finds it in the log.
            if self.log.note(&self.published, &self.catalog, command, applied, at) {
                self.publish_events();
            }
            self.publish();
        }
        outcome
    }

    fn take_over(&mut self, index: u64, catalog: &[u8]) -> Result<(), RestoreError> {
        let decoded = Catalog::decode_with(catalog).map_err(|error| RestoreError(error.to_string()))?;
        (self.catalog, self.log) = decoded;
        self.applied = index;
        self.snapshot = (index > 0).then(|| (index, Bytes::copy_from_slice(catalog)));
        self.publish_events();
        self.publish();
        Ok(())
    }
}

impl StateMachine for CatalogMachine {
    fn apply(&mut self, index: u64, payload: &Payload) -> Bytes {
        let command = Command::decode(&payload.body).ok();
        let outcome = command.map(|command| self.execute(&command, proposed_at(payload)));
        self.applied = index;
        if index >= self.snapshot_index().unwrap_or(0) + SNAPSHOT_COMMANDS {
            self.snapshot = Some((index, self.catalog.encode_with(&self.log).into()));
        }
        outcome.map_or_else(Bytes::new, |outcome| Answer { revision: self.catalog.revision(), outcome }.encode())
    }

    fn checkpoint(&self) -> Bytes {
        let mut bytes = self.applied.to_be_bytes().to_vec();
        bytes.extend(self.catalog.encode_with(&self.log));
        bytes.into()
    }

    fn restore(&mut self, checkpoint: &[u8]) -> Result<(), RestoreError> {
        let Some((index, catalog)) = checkpoint.split_first_chunk::<INDEX_BYTES>() else {
            return Err(RestoreError(format!("checkpoint of {} bytes has no index", checkpoint.len())));
        };
        self.take_over(u64::from_be_bytes(*index), catalog)
    }

    fn snapshot_index(&self) -> Option<u64> {
        self.snapshot.as_ref().map(|(index, _)| *index)
    }

    fn snapshot(&self) -> Bytes {
        self.snapshot.as_ref().map_or_else(|| Catalog::new().encode().into(), |(_, bytes)| bytes.clone())
    }

    fn install(&mut self, index: u64, snapshot: &[u8]) -> Result<(), RestoreError> {
        self.take_over(index, snapshot)
    }
}

#[cfg(test)]
mod tests {
    use thalweg_catalog::NodeRegistration;
    use thalweg_types::{Incarnation, NodeId};

    use super::*;

    fn machine() -> CatalogMachine {
        CatalogMachine::new(watch::channel(Arc::default()).0, watch::channel(Arc::default()).0)
    }

    fn register(node: u64) -> Payload {
        let node = NodeRegistration {
            id: NodeId(node),
            incarnation: Incarnation(node),
            peer_address: format!("node{node}:4568"),
            public_address: format!("node{node}:4567"),
            admin_address: format!("node{node}:4569"),
            zone: "a".to_owned(),
        };
        payload(&Command::RegisterNode { node, now: UnixMillis(1_000) }, UnixMillis(1_000))
    }

    #[test]
    fn restored_and_installed_replicas_answer_like_the_one_that_went_on() {
        let mut whole = machine();
        (1..=250).for_each(|i| drop(whole.apply(i, &register(i))));
        let (mut restored, mut installed) = (machine(), machine());
        restored.restore(&whole.checkpoint()).unwrap();
        let from = whole.snapshot_index().unwrap();
        installed.install(from, &whole.snapshot()).unwrap();
        (from + 1..=250).for_each(|i| drop(installed.apply(i, &register(i))));
        let next = register(999);
        let answer = whole.apply(251, &next);
        assert_eq!((restored.apply(251, &next), installed.apply(251, &next)), (answer.clone(), answer));
        assert!(restored.snapshot_index() >= Some(from), "a snapshot index never falls");
        assert_eq!((&restored.log, &installed.log), (&whole.log, &whole.log));
        assert_eq!((whole.log.last_number(), *whole.events.borrow() == Arc::new(whole.log.clone())), (251, true));
    }

    #[test]
    fn bytes_that_are_no_command_change_nothing() {
        let mut machine = machine();
        machine.apply(1, &register(1));
        let before = machine.catalog.clone();
        for junk in ["", "{}", "\"RegisterNode\"", "\u{0}\u{ff}"] {
            let payload = Payload { head: Bytes::new(), body: junk.as_bytes().to_vec().into() };
            assert!(machine.apply(2, &payload).is_empty());
        }
        assert_eq!(machine.catalog, before);
        assert!(machine.restore(b"short").is_err());
    }
}
