//! A cluster as a producer sees it, without any I/O: shards with logs and dedupe tables, nodes
//! with queues of requests and answers, and every fault as a method.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use thalweg_proto::convert::{producer_tag, shard_ref};
use thalweg_proto::errors::{META_LEADER_ADDRESS, Reason, WireError};
use thalweg_proto::v1::append_stream_response::Outcome;
use thalweg_proto::v1::{AppendFailure, AppendRequest, AppendResponse, AppendStreamRequest, AppendStreamResponse};
use thalweg_types::{HashRange, NodeId, ProducerId, RecordBatch, SequenceNumber, ShardId, UnixMillis};

use crate::describe::ShardDescription;
use crate::routing::Image;
use crate::testing;

/// One shard: what was applied, and what each producer did.
struct ModelShard {
    range: HashRange,
    parents: Vec<u32>,
    open: bool,
    visible_closed: bool,
    leader: u64,
    log: Vec<RecordBatch>,
    producers: HashMap<ProducerId, BTreeMap<u64, usize>>,
}

/// A fault that meets the next request that a node takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Throttle,
    UnknownThoughApplied,
    UnknownNotApplied,
}

#[derive(Default)]
struct Node {
    requests: VecDeque<(AppendStreamRequest, bool)>,
    answers: VecDeque<AppendStreamResponse>,
    fault: Option<Fault>,
}

pub(super) struct Model {
    shards: Vec<ModelShard>,
    nodes: BTreeMap<u64, Node>,
    revision: u64,
    /// Whether a producer that a shard does not know must begin with sequence 1.
    strict: bool,
}

impl Model {
    pub(super) fn new(shard_count: u32, strict: bool) -> Model {
        let nodes = (1..=3).map(|id| (id, Node::default())).collect();
        let mut model = Model { shards: Vec::new(), nodes, revision: 1, strict };
        for range in HashRange::tile(shard_count) {
            model.open(range, Vec::new());
        }
        model
    }

    fn open(&mut self, range: HashRange, parents: Vec<u32>) {
        let (leader, log) = (1 + self.shards.len() as u64 % 3, Vec::new());
        let producers = HashMap::new();
        self.shards.push(ModelShard { range, parents, open: true, visible_closed: false, leader, log, producers });
        self.revision += 1;
    }

    pub(super) fn image(&self) -> Arc<Image> {
        let describe = |(id, shard): (u32, &ModelShard)| ShardDescription {
            leader: Some(NodeId(shard.leader)),
            replicas: vec![NodeId(1), NodeId(2), NodeId(3)],
            ..testing::shard(id, shard.range, &shard.parents, shard.visible_closed)
        };
        Arc::new(testing::image(self.revision, (0..).zip(&self.shards).map(describe).collect()))
    }

    /// Requests arrive at a node.
    pub(super) fn send(&mut self, address: &str, request: AppendStreamRequest) {
        self.node(address).requests.push_back((request, true));
    }

    fn node(&mut self, address: &str) -> &mut Node {
        let id = address[1..2].parse().unwrap();
        self.nodes.get_mut(&id).unwrap()
    }

    pub(super) fn set_fault(&mut self, node: u64, fault: Fault) {
        self.nodes.get_mut(&node).unwrap().fault = Some(fault);
    }

    /// A node works on its next request.
    pub(super) fn work(&mut self, id: u64) -> bool {
        let node = self.nodes.get_mut(&id).unwrap();
        let Some((request, heard)) = node.requests.pop_front() else { return false };
        let fault = node.fault.take();
        let outcome = self.outcome(id, &request.append.unwrap(), fault);
        if heard {
            let answer = AppendStreamResponse { request_id: request.request_id, outcome: Some(outcome) };
            self.nodes.get_mut(&id).unwrap().answers.push_back(answer);
        }
        true
    }

    pub(super) fn answer(&mut self, id: u64) -> Option<AppendStreamResponse> {
        self.nodes.get_mut(&id).unwrap().answers.pop_front()
    }

    /// Whether a node has worked on none of the requests that wait for their answers.
    pub(super) fn is_untouched(&self, id: u64) -> bool {
        self.nodes[&id].answers.is_empty()
    }

    /// The link to a node breaks: answers on their way are lost; requests are lost or, as
    /// zombies, worked on later without an answer.
    pub(super) fn break_link(&mut self, id: u64, zombies: bool) {
        let node = self.nodes.get_mut(&id).unwrap();
        node.answers.clear();
        if zombies {
            node.requests.iter_mut().for_each(|(_, heard)| *heard = false);
        } else {
            node.requests.clear();
        }
    }

    fn outcome(&mut self, node: u64, request: &AppendRequest, fault: Option<Fault>) -> Outcome {
        match fault {
            Some(Fault::Throttle) => return refuse(WireError::new(Reason::Throttled, "full")),
            Some(Fault::UnknownNotApplied) => return refuse(WireError::new(Reason::OutcomeUnknown, "lost")),
            _ => {}
        }
        match self.append(node, request) {
            Ok(_) if fault == Some(Fault::UnknownThoughApplied) => {
                refuse(WireError::new(Reason::OutcomeUnknown, "lost"))
            }
            Ok(appended) => Outcome::Appended(appended),
            Err(error) => refuse(error),
        }
    }

    fn append(&mut self, node: u64, request: &AppendRequest) -> Result<AppendResponse, WireError> {
        let (_, id) = shard_ref(request.shard.as_ref())?;
        let strict = self.strict;
        let shard = &mut self.shards[id.0 as usize];
        if shard.leader != node {
            let leader = format!("n{}:1", shard.leader);
            return Err(WireError::new(Reason::NotLeader, "").with(META_LEADER_ADDRESS, leader));
        }
        let batch = RecordBatch::parse(request.batch.clone()).unwrap();
        assert!(shard.range.covers(&batch.hash_range()), "a batch was sent to a shard that does not take its keys");
        let Some(tag) = &request.producer else { return shard.take(id, batch, None) };
        let (producer, sequence) = producer_tag(tag)?;
        let known = shard.producers.get(&producer);
        if let Some(index) = known.and_then(|window| window.get(&sequence)) {
            assert_eq!(shard.log[*index], batch, "a retry carried other bytes");
            return Ok(appended(id, *index, &batch, true));
        }
        if !shard.open {
            return Err(WireError::new(Reason::ShardClosed, ""));
        }
        let first = if strict { 1 } else { sequence };
        let expected = known.and_then(|window| window.keys().next_back()).map_or(first, |last| last + 1);
        if sequence != expected {
            return Err(WireError::new(Reason::OutOfOrder, format!("{sequence} after {expected}")));
        }
        shard.take(id, batch, Some((producer, sequence)))
    }

    pub(super) fn move_leader(&mut self, shard: usize, node: u64) {
        let shard = shard % self.shards.len();
        self.shards[shard].leader = node;
    }

    /// Seals a shard and opens two children; the image says so only after [`Model::publish`].
    pub(super) fn split(&mut self, pick: usize) {
        let open: Vec<usize> = (0..self.shards.len()).filter(|at| self.shards[*at].open).collect();
        let at = open[pick % open.len()];
        if let Some((low, high)) = self.shards[at].range.split_at(self.shards[at].range.middle()) {
            self.shards[at].open = false;
            self.shards[at].visible_closed = true;
            self.open(low, vec![at as u32]);
            self.open(high, vec![at as u32]);
        }
    }

    /// Seals two neighbours and opens one child.
    pub(super) fn merge(&mut self, pick: usize) {
        let mut open: Vec<usize> = (0..self.shards.len()).filter(|at| self.shards[*at].open).collect();
        open.sort_by_key(|at| self.shards[*at].range.start());
        if open.len() < 2 {
            return;
        }
        let at = pick % (open.len() - 1);
        let (low, high) = (open[at], open[at + 1]);
        let range = self.shards[low].range.merged_with(&self.shards[high].range).unwrap();
        for parent in [low, high] {
            self.shards[parent].open = false;
            self.shards[parent].visible_closed = true;
        }
        self.open(range, vec![low as u32, high as u32]);
    }

    /// Shards forget what producers did.
    pub(super) fn forget_producers(&mut self) {
        self.shards.iter_mut().for_each(|shard| shard.producers.clear());
    }

    /// Everything written, with its position: shards in order of creation (parents before
    /// children), each in log order.
    pub(super) fn records(&self) -> Vec<(SequenceNumber, String, u64)> {
        let mut all = Vec::new();
        for (id, shard) in (0..).zip(&self.shards) {
            for (index, batch) in shard.log.iter().enumerate() {
                for (place, record) in (0..).zip(batch.records()) {
                    let serial = u64::from_be_bytes(record.data.as_ref().try_into().unwrap());
                    all.push((position(ShardId(id), index, place), record.partition_key, serial));
                }
            }
        }
        all
    }
}

impl ModelShard {
    fn take(
        &mut self,
        id: ShardId,
        batch: RecordBatch,
        tag: Option<(ProducerId, u64)>,
    ) -> Result<AppendResponse, WireError> {
        if !self.open {
            return Err(WireError::new(Reason::ShardClosed, ""));
        }
        let index = self.log.len();
        let answer = appended(id, index, &batch, false);
        self.log.push(batch);
        if let Some((producer, sequence)) = tag {
            self.producers.entry(producer).or_default().insert(sequence, index);
        }
        Ok(answer)
    }
}

fn position(shard: ShardId, index: usize, place: u32) -> SequenceNumber {
    SequenceNumber::new(UnixMillis(1_000), shard, index as u64, place, UnixMillis(5_000))
}

fn appended(shard: ShardId, index: usize, batch: &RecordBatch, duplicate: bool) -> AppendResponse {
    AppendResponse {
        first_sequence_number: position(shard, index, 0).to_string(),
        record_count: batch.record_count() as u32,
        arrived_ms: 5_000,
        duplicate,
    }
}

fn refuse(error: WireError) -> Outcome {
    Outcome::Failed(AppendFailure {
        code: error.reason.code().into(),
        perhaps_applied: error.perhaps_applied(),
        reason: error.reason.to_string(),
        message: error.message,
        metadata: error.metadata.into_iter().collect(),
    })
}
