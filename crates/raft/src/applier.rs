//! Brings committed entries to the group's [`StateMachine`], and makes snapshots at its word.
//!
//! Because the raft log is the record log, a snapshot is only what the state machine knew as of
//! its snapshot index, and everything after that index comes by the log. Hence:
//!
//! ```text
//! purged ≤ snapshot index ≤ applied ≤ committed
//! ```
//! Holds: a replica that installs a snapshot at index T then receives T+1, T+2 … from the log;
//! nothing retained is ever skipped. Memberships are remembered as of every index from T on.

use std::io;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use futures::{Stream, StreamExt};
use openraft::entry::RaftEntry;
use openraft::storage::{EntryResponder, RaftStateMachine};
use openraft::{EntryPayload, OptionalSend, RaftSnapshotBuilder};
use parking_lot::Mutex;
use thalweg_storage::GroupLog;
use thalweg_types::NodeId;
use thalweg_types::planted::{Planted, planted};
use tokio::sync::watch;

use crate::codec::{self, Entry, LogId, Snapshot, SnapshotMeta, StoredMembers, TypeConfig};
use crate::{RestoreError, StateMachine};

/// The replicated state of one group on this node, shared by openraft and the node's mover.
#[derive(Clone)]
pub(crate) struct Applier {
    shared: Arc<Shared>,
}

struct Shared {
    log: GroupLog,
    state: Mutex<State>,
    applied: watch::Sender<u64>,
    applied_term: watch::Sender<u64>,
    snapshot_due: watch::Sender<u64>,
}

struct State {
    machine: Box<dyn StateMachine>,
    applied: Option<LogId>,
    /// Rising; the first is the one in force at the snapshot index.
    memberships: Vec<StoredMembers>,
}

impl Applier {
    /// Restores the state from the last checkpoint, or from the snapshot that a trim left behind.
    pub(crate) fn open(log: GroupLog, machine: Box<dyn StateMachine>) -> Result<Applier, RestoreError> {
        let mut state = State { machine, applied: None, memberships: Vec::new() };
        if let Some((_, checkpoint)) = log.state().checkpoint {
            state.restore(checkpoint)?;
        }
        let applied = state.applied;
        let shared = Arc::new(Shared {
            log: log.clone(),
            state: Mutex::new(state),
            applied: watch::Sender::new(applied.map_or(0, |id| id.index)),
            applied_term: watch::Sender::new(applied.map_or(0, |id| codec::term_of(&id))),
            snapshot_due: watch::Sender::new(log.state().trimmed.map_or(0, |(index, _)| index)),
        });
        let weak = Arc::downgrade(&shared);
        log.set_checkpoint_source(Arc::new(move || Some(weak.upgrade()?.state.lock().checkpoint())));
        Ok(Applier { shared })
    }

    /// Index of the last applied entry; moves after every apply.
    pub(crate) fn applied(&self) -> watch::Receiver<u64> {
        self.shared.applied.subscribe()
    }

    /// Term of the last applied entry; moves once an election has taken effect.
    pub(crate) fn applied_term(&self) -> watch::Receiver<u64> {
        self.shared.applied_term.subscribe()
    }

    /// One past the last applied entry: 0 before anything was applied.
    pub(crate) fn applied_end(&self) -> u64 {
        self.shared.state.lock().applied.map_or(0, |id| id.index + 1)
    }

    /// Nodes of the newest membership that is applied here.
    pub(crate) fn members(&self) -> Vec<NodeId> {
        let stored = self.shared.state.lock().last_membership();
        stored.membership().nodes().map(|(node, ())| NodeId(*node)).collect()
    }

    /// The newest index at which the state machine wants a snapshot.
    pub(crate) fn snapshot_due(&self) -> watch::Receiver<u64> {
        self.shared.snapshot_due.subscribe()
    }

    /// The snapshot as of the state machine's snapshot index, if it has one yet.
    pub(crate) fn current_snapshot(&self) -> io::Result<Option<Snapshot>> {
        let state = self.shared.state.lock();
        let Some(mut index) = state.machine.snapshot_index().filter(|index| *index > 0) else { return Ok(None) };
        if planted(Planted::SnapshotSkipsTheLog) {
            index = state.applied.map_or(index, |id| id.index);
        }
        let Some(term) = self.shared.log.read_term(index) else {
            return Err(io::Error::other(format!("the term of snapshot index {index} is not in the log")));
        };
        let meta =
            SnapshotMeta { last_log_id: Some(codec::log_id(term, index)), last_membership: state.membership_at(index) };
        Ok(Some(Snapshot { meta, snapshot: state.machine.snapshot() }))
    }
}

impl State {
    /// `applied log id │ count │ memberships │ the machine's own checkpoint`.
    fn checkpoint(&self) -> (u64, Bytes) {
        let mut bytes = BytesMut::new();
        codec::put_log_id(&mut bytes, self.applied.as_ref());
        bytes.put_u32_le(self.memberships.len() as u32);
        self.memberships.iter().for_each(|stored| codec::put_stored_members(&mut bytes, stored));
        bytes.put_slice(&self.machine.checkpoint());
        (self.applied.map_or(0, |id| id.index), bytes.freeze())
    }

    fn restore(&mut self, mut bytes: Bytes) -> Result<(), RestoreError> {
        let unreadable = |error: codec::Malformed| RestoreError(error.to_string());
        self.applied = codec::get_log_id(&mut bytes).map_err(unreadable)?;
        let count = codec::get_u32(&mut bytes, "checkpoint").map_err(unreadable)?;
        self.memberships =
            (0..count).map(|_| codec::get_stored_members(&mut bytes)).collect::<Result<_, _>>().map_err(unreadable)?;
        self.machine.restore(&bytes)
    }

    fn membership_at(&self, index: u64) -> StoredMembers {
        let in_force = |stored: &&StoredMembers| stored.log_id().is_none_or(|id| id.index <= index);
        self.memberships.iter().rev().find(in_force).cloned().unwrap_or_default()
    }

    fn last_membership(&self) -> StoredMembers {
        self.memberships.last().cloned().unwrap_or_default()
    }

    fn apply(&mut self, entry: Entry) -> Bytes {
        let id = entry.log_id();
        self.applied = Some(id);
        match entry.payload {
            EntryPayload::Blank => Bytes::new(),
            EntryPayload::Normal(payload) => self.machine.apply(id.index, &payload),
            EntryPayload::Membership(members) => {
                self.memberships.push(StoredMembers::new(Some(id), members));
                self.forget_old_memberships();
                Bytes::new()
            }
        }
    }

    /// Keeps the membership in force at the snapshot index and all later ones.
    fn forget_old_memberships(&mut self) {
        let horizon = self.machine.snapshot_index().unwrap_or(0);
        let below = |stored: &StoredMembers| stored.log_id().is_none_or(|id| id.index <= horizon);
        let in_force = self.memberships.iter().rposition(below).unwrap_or(0);
        self.memberships.drain(..in_force);
    }
}

impl RaftStateMachine<TypeConfig> for Applier {
    type SnapshotData = Bytes;
    type SnapshotBuilder = Applier;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembers), io::Error> {
        let state = self.shared.state.lock();
        Ok((state.applied, state.last_membership()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> Result<(), io::Error>
    where
        S: Stream<Item = Result<EntryResponder<TypeConfig>, io::Error>> + Unpin + OptionalSend,
    {
        let (mut last, mut answers, mut outcome) = (None, Vec::new(), Ok(()));
        while let Some(next) = entries.next().await {
            let (entry, responder) = match next {
                Ok(next) => next,
                Err(error) => {
                    outcome = Err(error);
                    break;
                }
            };
            last = Some(entry.log_id());
            let response = self.shared.state.lock().apply(entry);
            answers.extend(responder.map(|responder| (responder, response)));
        }
        // Published before it is answered: who is told of a write goes on to read it.
        if let Some(last) = last {
            self.publish(last);
        }
        answers.into_iter().for_each(|(responder, response)| responder.send(response));
        outcome
    }

    async fn get_snapshot_builder(&mut self) -> Applier {
        self.clone()
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, snapshot: Bytes) -> Result<(), io::Error> {
        self.take_up(meta, snapshot).await
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, io::Error> {
        self.current_snapshot()
    }
}

impl Applier {
    /// Goes on from a snapshot, and gives up the log that it stands for.
    pub(crate) async fn take_up(&self, meta: &SnapshotMeta, snapshot: Bytes) -> io::Result<()> {
        let Some(last) = meta.last_log_id else { return Ok(()) };
        let checkpoint = {
            let mut state = self.shared.state.lock();
            state.machine.install(last.index, &snapshot).map_err(io::Error::other)?;
            state.applied = Some(last);
            state.memberships = vec![meta.last_membership.clone()];
            state.checkpoint()
        };
        // The log below is about to be given up: what stands for it must be durable before.
        crate::log_store::durable(|done| {
            self.shared.log.install(last.index, codec::term_of(&last), checkpoint.1, done)
        })
        .await?;
        self.publish(last);
        Ok(())
    }

    fn publish(&self, last: LogId) {
        let shared = &self.shared;
        shared.log.set_applied(last.index);
        shared.applied.send_replace(last.index);
        raise(&shared.applied_term, codec::term_of(&last));
        raise(&shared.snapshot_due, shared.state.lock().machine.snapshot_index().unwrap_or(0));
    }
}

/// Moves a watch upward and wakes its readers only then.
fn raise(watch: &watch::Sender<u64>, to: u64) {
    watch.send_if_modified(|value| {
        let rises = to > *value;
        *value = (*value).max(to);
        rises
    });
}

impl RaftSnapshotBuilder<TypeConfig> for Applier {
    type SnapshotData = Bytes;

    async fn build_snapshot(&mut self) -> Result<Snapshot, io::Error> {
        self.current_snapshot()?.ok_or_else(|| io::Error::other("no snapshot is due"))
    }
}
