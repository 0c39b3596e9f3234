//! The producer's lane, the network, and the reshard around two shards: parent 0 and child 1.

use super::shard::{Entry, Shard, Verdict};
use super::{Bug, Dedupe};

/// How far a batch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Batch {
    /// To be sent; `doubt` when an attempt may have been applied.
    Waiting {
        /// Whether one may.
        doubt: bool,
    },
    /// Sent, and not answered.
    Sent {
        /// Whether an earlier attempt may have been applied.
        doubt: bool,
    },
    /// Written.
    Acked {
        /// In which shard.
        shard: usize,
        /// At which index.
        index: usize,
    },
}

/// A request on its way. It may arrive long after it was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Request {
    /// To which shard.
    pub shard: usize,
    /// The batch.
    pub batch: u8,
    /// Its number in the lane to that shard.
    pub sequence: Option<u8>,
}

/// All that there is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// Parent and child.
    pub shards: [Shard; 2],
    /// Whether the catalog has closed the parent and opened the child.
    pub flipped: bool,
    /// The batches that the lane to the child has, in order, once the lane to the parent is done.
    pub moved: Option<Vec<u8>>,
    /// By number.
    pub batches: Vec<Batch>,
    /// More than one may be in flight.
    pub pipelining: bool,
    /// Requests on their way, sorted.
    pub network: Vec<Request>,
    /// Requests sent so far, as far as they are counted.
    pub sent: u8,
    /// Leaders replaced so far.
    pub failovers: u8,
    /// Whether a sealed shard has recognised a retry.
    pub known_when_sealed: bool,
}

/// One step.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// The lane sends a batch.
    Send(u8),
    /// It waits no longer for the answer.
    TimeOut(u8),
    /// The lane to the parent is settled: what is left goes to the child.
    Move,
    /// A request reaches the shard's leader.
    Arrive(Request),
    /// A request reaches another replica of the parent, which has applied so many entries.
    ArriveAtFollower {
        /// The request.
        request: Request,
        /// Its entries.
        applied: usize,
    },
    /// A shard's next entry is on a majority.
    Commit(usize),
    /// A shard's leader applies the next entry, and answers for it.
    Apply(usize),
    /// Another replica of the parent leads.
    Failover {
        /// Uncommitted entries that survive.
        kept: usize,
        /// Entries that it has applied.
        applied: usize,
    },
    /// The parent's leader proposes the seal.
    Seal,
    /// The catalog flips.
    Flip,
}

impl State {
    pub(super) fn new(model: &Dedupe) -> State {
        State {
            shards: [Shard::default(), Shard::default()],
            flipped: false,
            moved: None,
            batches: vec![Batch::Waiting { doubt: false }; usize::from(model.batches)],
            pipelining: false,
            network: Vec::new(),
            sent: 0,
            failovers: 0,
            known_when_sealed: false,
        }
    }

    pub(super) fn producer_actions(&self, model: &Dedupe, actions: &mut Vec<Action>) {
        if let Some(batch) = self.next_batch(model) {
            actions.push(Action::Send(batch));
        }
        let spare = self.sent < model.sends;
        let flying = self.numbered().filter(|(_, batch)| matches!(batch, Batch::Sent { .. }));
        let overdue = flying.filter(|(number, _)| spare || !self.is_answered(*number));
        actions.extend(overdue.map(|(number, _)| Action::TimeOut(number)));
        let undecided = |batch: &Batch| match batch {
            Batch::Waiting { doubt } => *doubt && !model.has(Bug::MovedInDoubt),
            Batch::Sent { .. } => true,
            Batch::Acked { .. } => false,
        };
        if self.flipped && self.moved.is_none() && !self.batches.iter().any(undecided) {
            actions.push(Action::Move);
        }
        actions.extend(self.network.iter().map(|request| Action::Arrive(*request)));
        let to_parent = self.network.iter().filter(|request| request.shard == 0 && self.flipped);
        for &request in to_parent {
            let applied = 0..=self.shards[0].applied;
            actions.extend(applied.map(|applied| Action::ArriveAtFollower { request, applied }));
        }
    }

    /// Whether an answer may still come.
    fn is_answered(&self, number: u8) -> bool {
        let awaited = self.shards.iter().flat_map(|shard| &shard.waiting).any(|(_, batch)| *batch == number);
        awaited || self.network.iter().any(|request| request.batch == number)
    }

    /// The batch that the lane sends now: in order, and none while a later one is in flight.
    fn next_batch(&self, model: &Dedupe) -> Option<u8> {
        let is_sent = |batch: &Batch| matches!(batch, Batch::Sent { .. });
        let in_flight = self.batches.iter().filter(|batch| is_sent(batch)).count();
        let many = self.pipelining || model.has(Bug::FirstBatchNotAlone) || model.has(Bug::GapsTaken);
        if in_flight >= if many { 2 } else { 1 } {
            return None;
        }
        let retired = self.flipped && self.moved.is_none();
        let waits = |batch: &Batch| matches!(batch, Batch::Waiting { doubt } if *doubt || !retired);
        let next = self.batches.iter().position(waits)?;
        let behind_it = self.batches[next..].iter().any(is_sent);
        (!behind_it).then_some(next as u8)
    }

    pub(super) fn shard_actions(&self, model: &Dedupe, actions: &mut Vec<Action>) {
        for (id, shard) in self.shards.iter().enumerate() {
            if shard.committed < shard.log.len() {
                actions.push(Action::Commit(id));
            }
            if shard.applied < shard.committed {
                actions.push(Action::Apply(id));
            }
        }
        let parent = &self.shards[0];
        if self.failovers < model.failovers {
            let lag = if parent.committed == 0 { vec![0] } else { vec![parent.committed - 1, parent.committed] };
            for kept in 0..=parent.log.len() - parent.committed {
                actions.extend(lag.iter().map(|applied| Action::Failover { kept, applied: *applied }));
            }
        }
        if parent.leads() && !parent.log.contains(&Entry::Seal) {
            actions.push(Action::Seal);
        }
        if parent.is_sealed() && !self.flipped {
            actions.push(Action::Flip);
        }
    }

    pub(super) fn step(&mut self, model: &Dedupe, action: &Action) {
        match *action {
            Action::Send(batch) => self.send(model, batch),
            Action::TimeOut(batch) => self.failed(batch, true),
            Action::Move => {
                let left = self.numbered().filter(|(_, batch)| !matches!(batch, Batch::Acked { .. }));
                self.moved = Some(left.map(|(number, _)| number).collect());
                self.pipelining = false;
                self.batches.iter_mut().for_each(|batch| {
                    if matches!(batch, Batch::Waiting { .. }) {
                        *batch = Batch::Waiting { doubt: false };
                    }
                });
            }
            Action::Arrive(request) => self.arrive(model, request),
            Action::ArriveAtFollower { request, applied } => self.arrive_at_follower(model, request, applied),
            Action::Commit(id) => self.shards[id].committed += 1,
            Action::Apply(id) => self.apply(model, id),
            Action::Failover { kept, applied } => {
                self.failovers += 1;
                self.shards[0].replace_leader(model, kept, applied);
            }
            Action::Seal => self.shards[0].log.push(Entry::Seal),
            Action::Flip => self.flipped = true,
        }
    }

    fn numbered(&self) -> impl Iterator<Item = (u8, Batch)> + '_ {
        (0..).zip(self.batches.iter().copied())
    }

    fn send(&mut self, model: &Dedupe, batch: u8) {
        let Batch::Waiting { doubt } = self.batches[usize::from(batch)] else { return };
        self.batches[usize::from(batch)] = Batch::Sent { doubt };
        self.sent = model.sends.min(self.sent + 1);
        let (shard, sequence) = match &self.moved {
            None => (0, batch),
            Some(moved) => (1, moved.iter().position(|moved| *moved == batch).expect("it was left") as u8),
        };
        let untagged = model.has(Bug::RetryWithoutTag) && doubt;
        self.network.push(Request { shard, batch, sequence: (!untagged).then_some(sequence) });
        self.network.sort_unstable();
    }

    /// The batch goes back to the lane; `doubt` when it may have been applied.
    fn failed(&mut self, batch: u8, doubt: bool) {
        if let Batch::Sent { doubt: before } = self.batches[usize::from(batch)] {
            self.batches[usize::from(batch)] = Batch::Waiting { doubt: before || doubt };
            self.pipelining = false;
        }
    }

    /// The shard is closed and does not know the batch: no attempt was or will be applied.
    fn closed(&mut self, batch: u8) {
        if let Batch::Sent { .. } = self.batches[usize::from(batch)] {
            self.batches[usize::from(batch)] = Batch::Waiting { doubt: false };
            self.pipelining = false;
        }
    }

    fn acked(&mut self, batch: u8, shard: usize, index: usize) {
        if let Batch::Sent { .. } = self.batches[usize::from(batch)] {
            self.batches[usize::from(batch)] = Batch::Acked { shard, index };
            self.pipelining = true;
        }
    }

    fn take_from_network(&mut self, request: Request) {
        let at = self.network.iter().position(|other| *other == request).expect("it is on its way");
        self.network.remove(at);
    }

    /// A sealed shard answers at any replica that has applied the seal.
    fn answer_sealed(&mut self, model: &Dedupe, request: Request, known: Verdict) {
        match known {
            Verdict::Known(index) if !model.has(Bug::SealedShardForgets) => {
                self.known_when_sealed = true;
                self.acked(request.batch, request.shard, index);
            }
            Verdict::Forgotten => self.failed(request.batch, true),
            _ => self.closed(request.batch),
        }
    }

    fn arrive_at_follower(&mut self, model: &Dedupe, request: Request, applied: usize) {
        self.take_from_network(request);
        let follower = Shard { applied, ..self.shards[request.shard].clone() };
        let known = request.sequence.map_or(Verdict::Next, |sequence| follower.judge(model, sequence));
        if follower.is_sealed() {
            self.answer_sealed(model, request, known);
        } else if model.has(Bug::ClosedByTheImage) {
            self.closed(request.batch);
        } else {
            self.failed(request.batch, false);
        }
    }

    fn arrive(&mut self, model: &Dedupe, request: Request) {
        let Request { shard: id, batch, sequence } = request;
        self.take_from_network(request);
        let shard = &self.shards[id];
        let known = sequence.map_or(Verdict::Next, |sequence| shard.judge(model, sequence));
        if shard.is_sealed() {
            return self.answer_sealed(model, request, known);
        }
        if !shard.leads() && !model.has(Bug::JudgedBeforeTheTermBegins) {
            return self.failed(batch, false);
        }
        let looks = !model.has(Bug::InFlightIgnored);
        let on_its_way = shard.in_flight().find(|(number, _)| looks && Some(*number) == sequence);
        if let Some((_, index)) = on_its_way {
            return self.shards[id].waiting.push((index, batch));
        }
        let proposed = shard.in_flight().filter(|_| looks).map(|(number, _)| number).max();
        let verdict = match (sequence, proposed) {
            (Some(sequence), Some(last)) if sequence == last + 1 => Verdict::Next,
            (Some(sequence), Some(last)) if sequence > last => Verdict::Gap,
            _ => known,
        };
        match verdict {
            Verdict::Known(index) => self.acked(batch, id, index),
            Verdict::Forgotten => self.failed(batch, true),
            Verdict::Gap if !model.has(Bug::GapsTaken) => self.failed(batch, false),
            // Nothing is queued behind a seal. Until that stands, no more is said: another attempt
            // of this batch may be on its way to the next leader, which may know of no seal.
            _ if shard.log.contains(&Entry::Seal) && model.has(Bug::ClosedBeforeTheSealStands) => self.closed(batch),
            _ if shard.log.contains(&Entry::Seal) => self.failed(batch, false),
            _ => self.propose(model, request),
        }
    }

    fn propose(&mut self, model: &Dedupe, request: Request) {
        let Request { shard: id, batch, sequence } = request;
        let shard = &mut self.shards[id];
        shard.log.push(Entry::Append { batch, sequence });
        let index = shard.log.len();
        shard.waiting.push((index, batch));
        if model.has(Bug::AckBeforeCommit) {
            self.acked(batch, id, index);
        }
    }

    fn apply(&mut self, model: &Dedupe, id: usize) {
        let shard = &mut self.shards[id];
        shard.applied += 1;
        let index = shard.applied;
        let (due, waiting) = shard.waiting.iter().partition(|(at, _)| *at == index);
        shard.waiting = waiting;
        let due: Vec<(usize, u8)> = due;
        let data = shard.data(model, index);
        let Entry::Append { sequence, .. } = shard.log[index - 1] else { return };
        let counts = data.last().is_some_and(|(at, ..)| *at == index);
        let original = data.iter().find(|(_, number, _)| sequence.is_some() && *number == sequence);
        let sealed = shard.is_sealed();
        for (_, batch) in due {
            match original {
                _ if counts => self.acked(batch, id, index),
                Some((at, ..)) => self.acked(batch, id, *at),
                None if sealed => self.closed(batch),
                None => self.failed(batch, false),
            }
        }
    }
}

impl State {
    /// Batches that are committed as records, parent before child.
    fn written(&self, model: &Dedupe) -> Vec<(usize, usize, u8)> {
        let of = |id: usize| {
            let data = self.shards[id].data(model, self.shards[id].committed);
            data.into_iter().map(move |(index, _, batch)| (id, index, batch))
        };
        of(0).chain(of(1)).collect()
    }

    pub(super) fn nothing_twice(&self, model: &Dedupe) -> bool {
        let written = self.written(model);
        written.iter().enumerate().all(|(at, (.., batch))| !written[..at].iter().any(|(.., other)| other == batch))
    }

    pub(super) fn acked_stand(&self, model: &Dedupe) -> bool {
        let written = self.written(model);
        self.numbered().all(|(number, batch)| match batch {
            Batch::Acked { shard, index } => written.contains(&(shard, index, number)),
            _ => true,
        })
    }

    pub(super) fn in_order(&self, model: &Dedupe) -> bool {
        self.written(model).iter().map(|(.., batch)| batch).is_sorted()
    }
}
