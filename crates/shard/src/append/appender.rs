//! The one ordered queue into a shard: judged, stamped and proposed under one lock, one by one.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use thalweg_raft::{Group, GroupStatus, Payload};
use thalweg_types::planted::{Planted, planted};
use thalweg_types::{Clock, NodeId, RecordBatch, UnixMillis};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;

use super::ending::{Ending, leading_term};
use super::in_flight::{InFlight, Judgement};
use super::leaderless::{Guide, WAITING_MAX};
use super::ticket::{OnItsWay, Ticket, settle, unproposed};
use super::{AppendError, Appended, admit};
use crate::command::{Command, EntryFacts, ProducerTag};
use crate::machine::SharedState;
use crate::metrics::Metrics;
use crate::options::Options;
use crate::spec::ReplicaSpec;
use crate::state::Outcome;
use crate::traffic::Written;

/// What all shards of a node share: bounds, clock, counters.
pub(crate) struct NodeLimits {
    pub(crate) options: Options,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Arc<Metrics>,
    in_flight: Arc<Semaphore>,
    /// Refused batches that may wait for a leader.
    leaderless: Arc<Semaphore>,
}

impl NodeLimits {
    pub(crate) fn new(options: Options, clock: Arc<dyn Clock>) -> Arc<NodeLimits> {
        let in_flight = Arc::new(Semaphore::new(options.node_in_flight_bytes_max));
        let leaderless = Arc::new(Semaphore::new(WAITING_MAX));
        Arc::new(NodeLimits { options, clock, metrics: Arc::default(), in_flight, leaderless })
    }
}

/// Bytes on their way, given back on drop.
pub(super) struct Permits(#[allow(dead_code, reason = "held, not read")] [OwnedSemaphorePermit; 2]);

/// Takes batches into one shard. Locks are taken in the order `order`, `in_flight`, `state`.
pub(crate) struct Appender {
    node_id: NodeId,
    group: Group,
    status: watch::Receiver<GroupStatus>,
    spec: watch::Receiver<Arc<ReplicaSpec>>,
    state: Arc<SharedState>,
    node: Arc<NodeLimits>,
    bytes: Arc<Semaphore>,
    order: tokio::sync::Mutex<()>,
    in_flight: Arc<Mutex<InFlight>>,
    written: Arc<Written>,
    guide: Arc<Guide>,
}

impl Appender {
    pub(crate) fn new(
        node_id: NodeId,
        group: Group,
        spec: watch::Receiver<Arc<ReplicaSpec>>,
        state: Arc<SharedState>,
        node: Arc<NodeLimits>,
    ) -> Appender {
        let bytes = Arc::new(Semaphore::new(node.options.shard_in_flight_bytes_max));
        let status = group.status();
        let (order, in_flight, written) = Default::default();
        let guide = Arc::new(Guide { status: status.clone(), me: node_id, room: node.leaderless.clone() });
        Appender { node_id, group, status, spec, state, node, bytes, order, in_flight, written, guide }
    }

    /// What was acknowledged here so far.
    pub(crate) fn written(&self) -> &Written {
        &self.written
    }

    /// Puts a batch into the shard's queue. Batches submitted one after the other keep that order.
    pub(crate) async fn submit(&self, batch: Bytes, tag: Option<ProducerTag>) -> Result<Ticket, AppendError> {
        let batch = RecordBatch::parse(batch)?;
        admit(&batch, &self.spec.borrow())?;
        let _order = self.order.lock().await;
        let submitted = self.submit_in_order(batch, tag).await;
        if let (Err(error), Some(tag)) = (&submitted, tag)
            && !matches!(error, AppendError::OutOfOrder { .. } | AppendError::TooOld { .. } | AppendError::Closed)
        {
            let mut in_flight = self.in_flight.lock();
            self.state.with(|state| in_flight.note_refusal(tag, state));
        }
        match submitted {
            Err(refused @ AppendError::NotLeader { .. }) => Ok(Ticket::refused(refused, self.guide.clone())),
            submitted => submitted,
        }
    }

    async fn submit_in_order(&self, batch: RecordBatch, tag: Option<ProducerTag>) -> Result<Ticket, AppendError> {
        if let Some(answer) = self.answer_if_ended(tag) {
            return answer.map(Ticket::known);
        }
        self.wait_until_open().await?;
        self.wait_while_taking_over().await;
        let term = self.leading_term()?;
        // What a new leader applied meanwhile may have been the seal.
        if let Some(answer) = self.answer_if_ended(tag) {
            return answer.map(Ticket::known);
        }
        let judgement = self.judge(term, tag);
        let is_new = matches!(judgement, Judgement::Propose | Judgement::Answer(Outcome::Gap { .. }));
        if is_new && self.in_flight.lock().sealing() {
            return self.answer_when_sealed(tag);
        }
        match judgement {
            Judgement::Attach(receipt) => {
                return Ok(Ticket { receipt, duplicate: true, guide: Some(self.guide.clone()) });
            }
            Judgement::Answer(outcome) => return self.settle(outcome, None, tag).map(Ticket::known),
            Judgement::Propose => {}
        }
        let permits = self.take_room(batch.bytes().len())?;
        self.propose(term, batch, tag, permits).await
    }

    /// Costs next to nothing as long as the shard takes batches.
    fn answer_if_ended(&self, tag: Option<ProducerTag>) -> Option<Result<Appended, AppendError>> {
        self.state.with(|state| state.sealed())?;
        self.ending().answer(tag)
    }

    fn ending(&self) -> Ending {
        let (status, state) = (self.status.clone(), self.state.clone());
        Ending { node_id: self.node_id, status, state, spec: self.spec.borrow().clone() }
    }

    /// Nothing is queued behind a seal that is on its way, and what it means for a batch is known
    /// once it stands or is lost. That is waited for outside of the queue: those behind have to wait
    /// for the same.
    fn answer_when_sealed(&self, tag: Option<ProducerTag>) -> Result<Ticket, AppendError> {
        if planted(Planted::ClosedBeforeTheSeal) {
            return Err(AppendError::Closed);
        }
        if let Some(tag) = tag {
            // Should the seal be lost, none of its successors may overtake it.
            let mut in_flight = self.in_flight.lock();
            self.state.with(|state| in_flight.note_refusal(tag, state));
        }
        let (ending, patience) = (self.ending(), self.node.options.opening_wait_max);
        Ok(Ticket::later(ending.answer_when_sealed(tag, patience)))
    }

    /// The catalog's word that a shard is open reaches its leader and its writers independently;
    /// writers that are early wait, in order, for a moment.
    async fn wait_until_open(&self) -> Result<(), AppendError> {
        if self.spec.borrow().takes_appends() {
            return Ok(());
        }
        let (mut spec, mut status) = (self.spec.clone(), self.status.clone());
        let opened = async {
            tokio::select! {
                _ = spec.wait_for(|spec| spec.takes_appends() || spec.closed) => {}
                _ = status.wait_for(|status| !status.leading) => {}
            }
        };
        let waited = tokio::time::timeout(self.node.options.opening_wait_max, opened).await;
        let spec = self.spec.borrow();
        match waited {
            _ if spec.takes_appends() => Ok(()),
            Ok(()) if spec.closed && planted(Planted::ClosedByTheImage) => Err(AppendError::Closed),
            Ok(()) if spec.closed => Err(self.ending().is_not_here()),
            Ok(()) => self.leading_term().map(|_| ()),
            Err(_) => Err(AppendError::Unavailable { reason: "it is not open for writes yet".to_owned() }),
        }
    }

    /// A leader just elected judges batches once it has applied all that was before it.
    async fn wait_while_taking_over(&self) {
        if self.status.borrow().leading {
            return;
        }
        let me = self.node_id;
        let mut status = self.status.clone();
        let settled = status.wait_for(|status| status.leading || status.leader != Some(me));
        let _ = tokio::time::timeout(self.node.options.opening_wait_max, settled).await;
    }

    fn leading_term(&self) -> Result<u64, AppendError> {
        leading_term(&self.status.borrow(), self.node_id)
    }

    fn judge(&self, term: u64, tag: Option<ProducerTag>) -> Judgement {
        let mut in_flight = self.in_flight.lock();
        in_flight.enter_term(term);
        tag.map_or(Judgement::Propose, |tag| self.state.with(|state| in_flight.judge(tag, state)))
    }

    fn take_room(&self, bytes: usize) -> Result<Permits, AppendError> {
        let options = &self.node.options;
        let take = |from: &Arc<Semaphore>, scope, limit_bytes| {
            let taken = from.clone().try_acquire_many_owned(bytes as u32);
            taken.map_err(|_| AppendError::Throttled { scope, limit_bytes })
        };
        let shard = take(&self.bytes, "the shard", options.shard_in_flight_bytes_max)?;
        Ok(Permits([shard, take(&self.node.in_flight, "the node", options.node_in_flight_bytes_max)?]))
    }

    async fn propose(
        &self,
        term: u64,
        batch: RecordBatch,
        tag: Option<ProducerTag>,
        permits: Permits,
    ) -> Result<Ticket, AppendError> {
        let record_count = batch.record_count() as u32;
        let (sender, receipt) = watch::channel(None);
        let now = self.now();
        let arrived = {
            let mut in_flight = self.in_flight.lock();
            if let Some(tag) = tag {
                in_flight.insert(tag, receipt.clone());
            }
            self.state.with(|state| in_flight.stamp(now, state))
        };
        let head = Command::Append { arrived, record_count, tag }.encode();
        let entry = OnItsWay {
            term,
            tag,
            facts: EntryFacts { index: 0, arrived, record_count },
            bytes: batch.bytes().len(),
            since: Instant::now(),
            applied: self.group.applied(),
            in_flight: self.in_flight.clone(),
            written: self.written.clone(),
            sender,
            _permits: permits,
        };
        let proposal = self.group.propose(Payload { head, body: batch.bytes().clone() }).await.map_err(unproposed)?;
        let (spec, metrics) = (self.spec.borrow().clone(), self.node.metrics.clone());
        tokio::spawn(entry.follow(proposal, spec, metrics));
        Ok(Ticket { receipt, duplicate: false, guide: Some(self.guide.clone()) })
    }

    fn settle(
        &self,
        outcome: Outcome,
        facts: Option<EntryFacts>,
        tag: Option<ProducerTag>,
    ) -> Result<Appended, AppendError> {
        settle(outcome, facts, tag, &self.spec.borrow())
    }

    /// Proposes the end of the shard. From here on nothing is queued behind it.
    pub(crate) async fn seal(&self, reshard: u64) -> Result<(), AppendError> {
        let (term, proposal) = {
            let _order = self.order.lock().await;
            if self.state.with(|state| state.sealed().is_some()) {
                return Ok(());
            }
            let term = self.leading_term()?;
            let head = Command::Seal { reshard, at: self.start_sealing(term) }.encode();
            (term, self.group.propose(Payload { head, body: Bytes::new() }).await)
        };
        let sealed = match proposal {
            Ok(proposal) => proposal.outcome().await.map(|_| ()),
            Err(error) => Err(error),
        };
        if sealed.is_err() {
            self.in_flight.lock().set_sealing(term, false);
        }
        sealed.map_err(unproposed)
    }

    /// The time by which entries are stamped.
    fn now(&self) -> UnixMillis {
        let now = self.node.clock.now();
        self.spec.borrow().time_of_entry(now)
    }

    fn start_sealing(&self, term: u64) -> UnixMillis {
        let now = self.now();
        let mut in_flight = self.in_flight.lock();
        in_flight.enter_term(term);
        in_flight.set_sealing(term, true);
        self.state.with(|state| in_flight.stamp(now, state))
    }
}
