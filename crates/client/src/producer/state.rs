//! All lanes of a producer: which record goes into which, which node a batch is sent to. Pure:
//! time, answers and images come in as calls, and [`Effect`]s come out.
//!
//! Holds: while a closed shard's lane still holds records, later records of its range queue
//! behind them, so that order per key survives a reshard.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use thalweg_proto::convert::{sequence_number, to_producer_tag, to_shard_ref};
use thalweg_proto::v1::append_stream_response::Outcome;
use thalweg_proto::v1::{AppendFailure, AppendRequest, AppendResponse, AppendStreamRequest, AppendStreamResponse};
use thalweg_types::{ProducerId, ShardId, StreamName};
use tokio::time::Instant;

use super::ProduceError;
use super::lane::{Attempt, Lane};
use super::limits::{Limits, SUSPECT_FOR};
use super::meaning::{self, Meaning};
use super::ticket::Pending;
use crate::routing::Image;

/// What the worker is to do.
#[derive(Debug)]
pub(super) enum Effect {
    /// Send a batch to a node.
    Send {
        /// The node.
        address: String,
        /// The batch.
        request: AppendStreamRequest,
    },
    /// Tell everyone who leads a shard.
    NoteLeader {
        /// The shard.
        shard: ShardId,
        /// Its leader.
        address: String,
    },
    /// The image is behind.
    NoteStale,
}

/// The state of one producer.
pub(super) struct State {
    stream: StreamName,
    limits: Limits,
    identity: ProducerId,
    random: StdRng,
    image: Option<Arc<Image>>,
    gone: bool,
    lanes: BTreeMap<ShardId, Lane>,
    /// Lanes of closed shards that still hold records.
    retired: BTreeSet<ShardId>,
    unrouted: VecDeque<Pending>,
    requests: HashMap<u64, (ShardId, String)>,
    next_request: u64,
    suspects: HashMap<String, Instant>,
    /// Lanes to which something happened since the last `advance`.
    touched: BTreeSet<ShardId>,
    /// No lane has anything to do before this without being touched.
    wake: Option<Instant>,
    effects: Vec<Effect>,
}

impl State {
    pub(super) fn new(stream: StreamName, limits: Limits, identity: ProducerId, seed: u64) -> State {
        State {
            stream,
            limits,
            identity,
            random: StdRng::seed_from_u64(seed),
            image: None,
            gone: false,
            lanes: BTreeMap::new(),
            retired: BTreeSet::new(),
            unrouted: VecDeque::new(),
            requests: HashMap::new(),
            next_request: 1,
            suspects: HashMap::new(),
            touched: BTreeSet::new(),
            wake: None,
            effects: Vec::new(),
        }
    }

    /// Whether every record has its outcome.
    pub(super) fn is_empty(&self) -> bool {
        self.unrouted.is_empty() && self.lanes.values().all(Lane::is_empty)
    }

    /// What is to be done since the last call.
    pub(super) fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// Takes a record.
    pub(super) fn offer(&mut self, pending: Pending, now: Instant) {
        if self.gone {
            pending.ticket.resolve(Err(self.not_found()));
        } else {
            self.place(pending, now);
        }
    }

    fn not_found(&self) -> ProduceError {
        ProduceError::StreamNotFound { stream: self.stream.clone() }
    }

    /// Puts a record into the lane of its shard, or behind those of its range that must go first.
    fn place(&mut self, pending: Pending, now: Instant) {
        let Some(image) = self.image.as_ref() else { return self.wait_for_route(pending) };
        let (bytes, limit) = (pending.record.counted_bytes(), image.stream().record_bytes_max as usize);
        if limit > 0 && bytes > limit {
            return pending.ticket.resolve(Err(ProduceError::TooLarge { bytes, limit }));
        }
        let key = pending.hash_key;
        // The oldest first: shard ids rise with creation.
        let before = |shard: &&ShardId| self.lanes[shard].range.contains(key);
        let before = self.retired.iter().find(before).copied();
        if let Some(lane) = before.and_then(|shard| self.lanes.get_mut(&shard)) {
            self.touched.insert(lane.shard);
            return lane.push(pending);
        }
        let Some(shard) = image.shard_for(key) else { return self.wait_for_route(pending) };
        self.touched.insert(shard.id);
        let (identity, random) = (self.identity, &mut self.random);
        let new = || Lane::new(shard.id, shard.range, identity, random.random(), now);
        self.lanes.entry(shard.id).or_insert_with(new).push(pending);
    }

    fn wait_for_route(&mut self, pending: Pending) {
        self.wake_by(pending.ticket.deadline);
        self.unrouted.push_back(pending);
    }

    fn wake_by(&mut self, at: Instant) {
        self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
    }

    /// A new routing image.
    pub(super) fn image(&mut self, image: Arc<Image>, now: Instant) {
        if self.image.as_ref().is_some_and(|old| old.stream_id() != image.stream_id()) {
            self.abandon_lanes();
        }
        for lane in self.lanes.values_mut() {
            let shard = image.shard(lane.shard);
            if shard.is_none_or(|shard| !shard.is_open()) {
                lane.retire();
                self.retired.insert(lane.shard);
            }
            if shard.is_none() {
                lane.give_up_doubtful();
            }
        }
        self.image = Some(image);
        self.touched.extend(self.lanes.keys());
        for pending in std::mem::take(&mut self.unrouted) {
            self.place(pending, now);
        }
    }

    /// The stream does not exist (any more).
    pub(super) fn gone(&mut self) {
        self.gone = true;
        self.abandon_lanes();
        for pending in std::mem::take(&mut self.unrouted) {
            pending.ticket.resolve(Err(self.not_found()));
        }
    }

    fn abandon_lanes(&mut self) {
        let error = self.not_found();
        self.retired.clear();
        std::mem::take(&mut self.lanes).into_values().for_each(|lane| lane.abandon(&error));
    }

    /// A batch was answered.
    pub(super) fn answer(&mut self, answer: AppendStreamResponse, now: Instant) {
        let request = answer.request_id;
        let Some((shard, address)) = self.requests.remove(&request) else { return };
        self.touched.insert(shard);
        match answer.outcome {
            Some(Outcome::Appended(appended)) => self.appended(request, shard, address, &appended, now),
            Some(Outcome::Failed(failure)) => self.failed(request, shard, failure, now),
            None => self.lost(request, shard, true, "an answer without an outcome", now),
        }
    }

    fn appended(&mut self, request: u64, shard: ShardId, address: String, answer: &AppendResponse, now: Instant) {
        let Ok(first) = sequence_number(&answer.first_sequence_number) else {
            return self.lost(request, shard, true, "an answer without a sequence number", now);
        };
        self.suspects.remove(&address);
        let Some(lane) = self.lanes.get_mut(&shard) else { return };
        lane.appended(request, first);
        if self.image.as_ref().is_some_and(|image| image.leader_address(shard) != Some(&address)) {
            self.effects.push(Effect::NoteLeader { shard, address: address.clone() });
        }
        lane.address = Some(address);
    }

    fn failed(&mut self, request: u64, shard: ShardId, failure: AppendFailure, now: Instant) {
        let error = meaning::error(failure);
        let meaning = meaning::of(&error);
        match &meaning {
            Meaning::Elsewhere(Some(leader)) if !self.is_suspect(leader, now) => {
                self.effects.push(Effect::NoteLeader { shard, address: leader.clone() });
            }
            Meaning::Elsewhere(_) | Meaning::Closed => self.effects.push(Effect::NoteStale),
            _ => {}
        }
        let random = &mut self.random;
        let Some(lane) = self.lanes.get_mut(&shard) else { return };
        lane.failed(request, &meaning, ProduceError::Refused(error), now, &self.limits, || ProducerId(random.random()));
    }

    fn lost(&mut self, request: u64, shard: ShardId, sent: bool, why: &str, now: Instant) {
        self.touched.insert(shard);
        if let Some(lane) = self.lanes.get_mut(&shard) {
            lane.lost(request, sent, why, now, &self.limits);
        }
    }

    /// The link to a node is gone; `sent` when requests may have arrived there.
    pub(super) fn link_lost(&mut self, address: &str, sent: bool, why: &str, now: Instant) {
        self.suspects.insert(address.to_owned(), now + SUSPECT_FOR);
        self.effects.push(Effect::NoteStale);
        let gone = |(_, at): &(ShardId, String)| at == address;
        let mut requests: Vec<_> =
            self.requests.iter().filter(|(_, to)| gone(to)).map(|(id, to)| (*id, to.0)).collect();
        requests.sort_unstable();
        for (request, shard) in requests {
            self.requests.remove(&request);
            self.lost(request, shard, sent, why, now);
        }
    }

    fn is_suspect(&self, address: &str, now: Instant) -> bool {
        self.suspects.get(address).is_some_and(|until| now < *until)
    }

    /// Does what is due: gives up what is overdue, moves what a reshard left, sends what may go.
    pub(super) fn advance(&mut self, now: Instant) {
        if self.wake.is_some_and(|wake| wake <= now) {
            self.wake = None;
            self.touched.extend(self.lanes.keys());
            self.expire_unrouted(now);
        }
        // Moving a lane's records touches the lanes that take them.
        while let Some(shard) = self.touched.pop_first() {
            self.advance_lane(shard, now);
        }
    }

    fn advance_lane(&mut self, shard: ShardId, now: Instant) {
        let Some(lane) = self.lanes.get_mut(&shard) else { return };
        lane.expire(now, &self.limits);
        if lane.is_settled() {
            let lane = self.lanes.remove(&shard);
            self.retired.remove(&shard);
            return lane.into_iter().flat_map(Lane::into_records).for_each(|pending| self.place(pending, now));
        }
        self.send_due(shard, now);
        if let Some(at) = self.lanes.get(&shard).and_then(|lane| lane.wake_at(&self.limits)) {
            self.wake_by(at);
        }
    }

    fn expire_unrouted(&mut self, now: Instant) {
        while self.unrouted.front().is_some_and(|pending| pending.ticket.deadline <= now) {
            let last = "the stream's routing is not known".to_owned();
            let error = ProduceError::DeadlineExceeded { waited: self.limits.delivery_deadline, last };
            self.unrouted.pop_front().into_iter().for_each(|pending| pending.ticket.resolve(Err(error.clone())));
        }
        if let Some(deadline) = self.unrouted.front().map(|pending| pending.ticket.deadline) {
            self.wake_by(deadline);
        }
    }

    fn send_due(&mut self, shard: ShardId, now: Instant) {
        while let Some(address) = self.target(shard, now) {
            let Some(lane) = self.lanes.get_mut(&shard) else { return };
            let Some(at) = lane.next_batch(now, &self.limits) else { return };
            let request = self.next_request;
            self.next_request += 1;
            let attempt = lane.send(at, request, now, &self.limits);
            self.requests.insert(request, (shard, address.clone()));
            let request = self.request(request, shard, attempt);
            self.effects.push(Effect::Send { address, request });
        }
    }

    /// Whom to ask: the proven or named leader, or the next candidate; not one that just failed.
    fn target(&self, shard: ShardId, now: Instant) -> Option<String> {
        let lane = self.lanes.get(&shard).filter(|lane| !lane.is_empty())?;
        if let Some(address) = lane.address.as_ref().filter(|address| !self.is_suspect(address, now)) {
            return Some(address.clone());
        }
        let all = self.image.as_ref()?.candidates(shard);
        let good: Vec<_> = all.iter().filter(|address| !self.is_suspect(address, now)).collect();
        if good.is_empty() {
            return all.get(lane.turn % all.len().max(1)).cloned();
        }
        Some(good[lane.turn % good.len()].clone())
    }

    fn request(&self, request_id: u64, shard: ShardId, attempt: Attempt) -> AppendStreamRequest {
        let stream = self.image.as_ref().expect("a lane exists only after an image").stream_id();
        let append = AppendRequest {
            shard: Some(to_shard_ref(stream, shard)),
            batch: attempt.batch.bytes().clone(),
            producer: attempt.tag.map(|(producer, sequence)| to_producer_tag(producer, sequence)),
            timeout_ms: u32::try_from(self.limits.attempt_timeout.as_millis()).unwrap_or(u32::MAX),
        };
        AppendStreamRequest { request_id, append: Some(append) }
    }

    /// When [`State::advance`] may have something to do without an event.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        self.wake
    }
}
