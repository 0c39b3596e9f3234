//! One running replica of a shard: its group, its state, and what callers do with them.
//!
//! Holds nothing but a few hundred bytes while it is idle: no timer, no buffer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use thalweg_raft::{Group, GroupStatus, Groups};
use thalweg_types::NodeId;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::allowance::{Allowance, Charge, Charged, Rates};
use crate::append::{AppendError, Appended, Appender, NodeLimits, Ticket};
use crate::command::{Command, EntryFacts, ProducerTag};
use crate::machine::SharedState;
use crate::placement::Placed;
use crate::read::{self, Cursor, EndTeller, Page, ReadError, StartPosition, Subscription, Tail};
use crate::spec::ReplicaSpec;
use crate::state::Outcome;
use crate::subscriptions::{Rules, Subscriptions};
use crate::traffic::{Meter, WriteRate};

/// One replica that is open on this node.
pub struct Replica {
    groups: Groups,
    group: Group,
    applied: watch::Receiver<u64>,
    status: watch::Receiver<GroupStatus>,
    spec: watch::Sender<Arc<ReplicaSpec>>,
    state: Arc<SharedState>,
    appender: Appender,
    gone: watch::Sender<bool>,
    /// Asks the warden to look again; see [`Self::wants_poke`].
    pub(crate) poke: Notify,
    wants_poke: AtomicBool,
    oldest: Mutex<Option<EntryFacts>>,
    subscriptions: Mutex<Subscriptions<EndTeller>>,
    placed: Mutex<Option<Placed>>,
    meter: Mutex<Meter>,
    allowance: Mutex<Option<Box<Allowance>>>,
    node: Arc<NodeLimits>,
}

impl Replica {
    pub(crate) fn new(
        groups: Groups,
        group: Group,
        spec: Arc<ReplicaSpec>,
        state: Arc<SharedState>,
        node: Arc<NodeLimits>,
    ) -> Arc<Replica> {
        let spec = watch::Sender::new(spec);
        let appender = Appender::new(groups.node_id(), group.clone(), spec.subscribe(), state.clone(), node.clone());
        let (applied, status, gone) = (group.applied(), group.status(), watch::Sender::new(false));
        let (poke, wants_poke) = (Notify::new(), AtomicBool::new(false));
        Arc::new(Replica {
            groups,
            group,
            applied,
            status,
            spec,
            state,
            appender,
            gone,
            poke,
            wants_poke,
            oldest: Mutex::default(),
            subscriptions: Mutex::new(Subscriptions::new(Rules::of(&node.options))),
            placed: Mutex::default(),
            meter: Mutex::default(),
            allowance: Mutex::default(),
            node,
        })
    }

    /// What the catalog says of it now.
    pub fn spec(&self) -> Arc<ReplicaSpec> {
        self.spec.borrow().clone()
    }

    /// Appends one batch and waits until it is durable on a majority, at most `patience`.
    pub async fn append(
        &self,
        batch: Bytes,
        tag: Option<ProducerTag>,
        patience: Duration,
    ) -> Result<Appended, AppendError> {
        let deadline = Instant::now() + patience;
        self.submit(batch, tag, patience).await?.outcome(deadline - Instant::now()).await.map_err(|error| match error {
            AppendError::Timeout { .. } => AppendError::Timeout { waited: patience },
            error => error,
        })
    }

    /// Puts one batch into the shard's queue, behind those submitted before.
    pub async fn submit(
        &self,
        batch: Bytes,
        tag: Option<ProducerTag>,
        patience: Duration,
    ) -> Result<Ticket, AppendError> {
        if self.is_gone() {
            return Err(AppendError::NotLeader { leader: None });
        }
        let submitted = tokio::time::timeout(patience, self.appender.submit(batch, tag)).await;
        submitted.unwrap_or(Err(AppendError::Timeout { waited: patience }))
    }

    /// Where a position lies.
    pub async fn resolve(&self, position: StartPosition) -> Result<Cursor, ReadError> {
        read::resolve(self, position).await
    }

    /// Reads one page, waiting at most `wait` for a first record.
    pub async fn read(self: &Arc<Self>, from: Cursor, max_bytes: usize, wait: Duration) -> Result<Page, ReadError> {
        self.tail(from, max_bytes).next_page(wait).await
    }

    pub(crate) fn tail(self: &Arc<Self>, from: Cursor, max_bytes: usize) -> Tail {
        Tail::new(self.clone(), from, max_bytes)
    }

    /// Takes the one place that a subscriber has, if this replica leads; see [`Tail::named`].
    pub(crate) async fn subscribe(self: &Arc<Self>, subscriber: String, id: u64) -> Result<Subscription, ReadError> {
        Subscription::open(self.clone(), subscriber, id).await
    }

    /// Seals the shard: the leader's part of a reshard. Again when it is sealed already: nothing.
    pub async fn seal(&self, reshard: u64) -> Result<(), AppendError> {
        self.appender.seal(reshard).await
    }

    /// The oldest retained batch. Read once, then remembered until it is trimmed.
    pub(crate) async fn oldest(&self) -> Result<Option<EntryFacts>, ReadError> {
        let horizon = self.state.with(|state| state.horizon());
        let remembered = *self.oldest.lock();
        if let Some(oldest) = remembered.filter(|oldest| oldest.index >= horizon) {
            return Ok(Some(oldest));
        }
        let page = read::data_from(self, horizon, 1).await?;
        let oldest = page.entries.first().map(|entry| entry.facts);
        *self.oldest.lock() = oldest;
        Ok(oldest)
    }

    /// Gives up everything up to and including `last`.
    pub(crate) async fn trim(&self, last: EntryFacts) -> Result<(), thalweg_raft::ProposeError> {
        let head = Command::Trim { last, at: self.node.clock.now() }.encode();
        let proposal = self.group.propose(thalweg_raft::Payload { head, body: Bytes::new() }).await?;
        proposal.outcome().await.map(|_| ())
    }

    /// An index such that everything acknowledged before this call is at or below it, and applied here.
    pub(crate) async fn read_barrier(&self) -> Result<u64, ReadError> {
        self.group.read_barrier().await.map_err(|error| match self.status() {
            status if status.leading => ReadError::Unavailable { reason: error.to_string() },
            _ => self.not_leader(),
        })
    }

    /// Sends a caller to the leader, if one is known.
    pub(crate) fn not_leader(&self) -> ReadError {
        ReadError::NotLeader { leader: self.status().leader.filter(|leader| *leader != self.node_id()) }
    }

    /// Puts a placement into the group's log: whoever leads from then on follows none that is older.
    pub(crate) async fn place(&self, placed: Placed) -> Result<Outcome, thalweg_raft::ProposeError> {
        let head = Command::Place { placement: placed.placement, at: self.node.clock.now() }.encode();
        let payload = thalweg_raft::Payload { head, body: Bytes::new() };
        let proposal = self.group.propose_in(placed.term, payload).await?;
        proposal.outcome().await.map(|applied| Outcome::decode(&applied.response))
    }

    /// The placement that this replica saw to last, as a leader.
    pub(crate) fn placed(&self) -> Option<Placed> {
        *self.placed.lock()
    }

    pub(crate) fn set_placed(&self, placed: Placed) {
        *self.placed.lock() = Some(placed);
    }

    pub(crate) fn set_spec(&self, spec: &Arc<ReplicaSpec>) {
        self.spec.send_if_modified(|current| {
            let changed = current != spec;
            if changed {
                *current = spec.clone();
            }
            changed
        });
    }

    pub(crate) fn spec_changes(&self) -> watch::Receiver<Arc<ReplicaSpec>> {
        self.spec.subscribe()
    }

    pub(crate) fn group(&self) -> &Group {
        &self.group
    }

    pub(crate) fn state(&self) -> &SharedState {
        &self.state
    }

    /// Who follows this shard under a name, while the replica leads.
    pub(crate) fn subscriptions(&self) -> &Mutex<Subscriptions<EndTeller>> {
        &self.subscriptions
    }

    pub(crate) fn status_changes(&self) -> watch::Receiver<GroupStatus> {
        self.status.clone()
    }

    pub(crate) fn node(&self) -> &NodeLimits {
        &self.node
    }

    /// The node it is on.
    pub fn node_id(&self) -> NodeId {
        self.groups.node_id()
    }

    pub(crate) fn applied(&self) -> u64 {
        *self.applied.borrow()
    }

    pub(crate) fn status(&self) -> GroupStatus {
        self.status.borrow().clone()
    }

    /// Whether nothing can be committed that this replica has not heard of, as far as it can tell.
    pub(crate) fn knows_the_newest(&self) -> bool {
        self.group.entries_behind() == Some(0)
    }

    pub(crate) fn peer_is_up(&self, peer: NodeId) -> bool {
        self.groups.peers_up().borrow().contains(&peer)
    }

    /// Tells waiting readers that the replica leaves this node.
    pub(crate) fn leave(&self) {
        self.gone.send_replace(true);
    }

    pub(crate) fn is_gone(&self) -> bool {
        *self.gone.borrow()
    }

    pub(crate) fn gone(&self) -> watch::Receiver<bool> {
        self.gone.subscribe()
    }

    /// Counts use against the shard's limits, if this replica leads.
    pub(crate) fn charge(&self, rates: &Rates, charge: &Charge) -> Result<Charged, ReadError> {
        if !self.status.borrow().leading {
            return Err(self.not_leader());
        }
        Ok(Allowance::charge(&mut self.allowance.lock(), rates, charge, Instant::now().into_std()))
    }

    /// Measures what was written since the last time, `took` ago; true when the rate has changed.
    pub(crate) fn measure(&self, took: Duration) -> bool {
        let mut meter = self.meter.lock();
        if !self.status.borrow().leading {
            *meter = Meter::default();
            return false;
        }
        meter.sample(self.appender.written().counts(), took, self.node.options.rate_window)
    }

    /// What is written in a second, once this replica leads and has measured it.
    pub(crate) fn write_rate(&self) -> Option<WriteRate> {
        self.meter.lock().reported().filter(|_| self.status.borrow().leading)
    }

    /// Asks for a poke at the node's next sweep: something failed and is to be tried again.
    pub(crate) fn want_poke(&self, wanted: bool) {
        self.wants_poke.store(wanted, Ordering::Relaxed);
    }

    pub(crate) fn wants_poke(&self) -> bool {
        self.wants_poke.load(Ordering::Relaxed)
    }

    /// What wakes a waiting reader.
    pub(crate) fn news(&self) -> News {
        News { applied: self.applied.clone(), spec: self.spec.subscribe(), gone: self.gone.subscribe() }
    }
}

/// Waits for anything that may let a reader go on.
pub(crate) struct News {
    applied: watch::Receiver<u64>,
    spec: watch::Receiver<Arc<ReplicaSpec>>,
    gone: watch::Receiver<bool>,
}

impl News {
    /// What happened so far is no news.
    pub(crate) fn mark_seen(&mut self) {
        self.applied.mark_unchanged();
        self.spec.mark_unchanged();
    }

    pub(crate) async fn come(&mut self) {
        // A closed channel means that the group stopped; `gone` follows, or the caller's deadline.
        let applied = async {
            if self.applied.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = applied => {}
            _ = self.spec.changed() => {}
            _ = self.gone.wait_for(|gone| *gone) => {}
        }
    }
}
