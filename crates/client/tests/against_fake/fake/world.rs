//! What the cluster holds: streams, shards, logs, dedupe tables, leaders, and faults to come.

use std::collections::{BTreeMap, HashMap, VecDeque};

use thalweg_client::{HashRange, Reason, Record, SequenceNumber, ShardId, UnixMillis, WireError};
use thalweg_proto::convert::{producer_tag, shard_ref};
use thalweg_proto::errors::META_LEADER_ADDRESS;
use thalweg_proto::v1;
use thalweg_types::{ProducerId, RecordBatch};

const FIRST_STREAM_ID: u64 = 7;
const CREATED: UnixMillis = UnixMillis(1_000_000);
const FIRST_INDEX: u64 = 10;
// Gaps between indexes are normal: other entries lie there.
const INDEX_STEP: u64 = 3;

pub(crate) struct Shard {
    pub(crate) range: HashRange,
    pub(crate) parents: Vec<u32>,
    pub(crate) children: Vec<u32>,
    pub(crate) leader: u64,
    pub(crate) log: Vec<RecordBatch>,
    producers: HashMap<ProducerId, BTreeMap<u64, usize>>,
}

/// A fault that meets one append at one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Throttle,
    /// Applied, but the connection breaks before the answer.
    LoseReply,
    /// The connection breaks before it is applied.
    LoseRequest,
    /// Applied, but the answer says that this is not known.
    Unknown,
}

pub(crate) struct World {
    /// The incarnation of the stream.
    pub(crate) stream_id: u64,
    pub(crate) shards: Vec<Shard>,
    pub(crate) revision: u64,
    pub(crate) faults: HashMap<u64, VecDeque<Fault>>,
    /// While true, appends are not answered.
    pub(crate) holding: bool,
    /// Every tail breaks after this many pages.
    pub(crate) tail_pages_max: Option<usize>,
    /// Every tail says everything twice.
    pub(crate) repeat_pages: bool,
    /// Nodes whose tails say nothing at all.
    pub(crate) silent: Vec<u64>,
    /// Who asked whom to tail what, in order.
    pub(crate) tail_requests: Vec<(u64, v1::TailRequest)>,
    /// Refusals that the next tails meet, one each.
    pub(crate) tail_refusals: VecDeque<Reason>,
    /// Refusals that the next reads meet, one each.
    pub(crate) read_refusals: VecDeque<Reason>,
    /// Who was asked for pages, in order.
    pub(crate) read_requests: Vec<u64>,
    pub(crate) access_keys: BTreeMap<String, v1::AccessKey>,
    /// Whether the cluster has a version that knows restricted access keys.
    pub(crate) restricts_keys: bool,
    /// What nodes say of the revision that they confirm.
    pub(crate) confirmed_revision: u64,
    /// Watches of the routing that were opened.
    pub(crate) routing_watches: usize,
    /// Ends every tail that is open now.
    pub(crate) tails_end: Option<Reason>,
    /// Bytes of batches that tails have sent.
    pub(crate) tailed_bytes: usize,
    /// Attempts to create a stream.
    pub(crate) create_attempts: usize,
    /// Requests to change a stream's settings.
    pub(crate) updates: Vec<v1::UpdateStreamRequest>,
}

impl World {
    pub(crate) fn new(shard_count: u32) -> World {
        let mut world = World {
            stream_id: FIRST_STREAM_ID,
            shards: Vec::new(),
            revision: 1,
            faults: HashMap::new(),
            holding: false,
            tail_pages_max: None,
            repeat_pages: false,
            silent: Vec::new(),
            tail_requests: Vec::new(),
            tail_refusals: VecDeque::new(),
            read_refusals: VecDeque::new(),
            read_requests: Vec::new(),
            access_keys: BTreeMap::new(),
            restricts_keys: true,
            confirmed_revision: 1,
            routing_watches: 0,
            tails_end: None,
            tailed_bytes: 0,
            create_attempts: 0,
            updates: Vec::new(),
        };
        HashRange::tile(shard_count).into_iter().for_each(|range| _ = world.open(range, vec![]));
        world
    }

    fn open(&mut self, range: HashRange, parents: Vec<u32>) -> u32 {
        let id = self.shards.len() as u32;
        parents.iter().for_each(|parent| self.shards[*parent as usize].children.push(id));
        let leader = 1 + u64::from(id) % 3;
        self.shards.push(Shard { range, parents, children: vec![], leader, log: vec![], producers: HashMap::new() });
        self.revision += 1;
        id
    }

    /// Deletes the stream and creates it again, with one empty shard.
    pub(crate) fn create_again(&mut self) {
        self.stream_id += 1;
        self.shards.clear();
        self.open(HashRange::FULL, vec![]);
    }

    /// Splits the `pick`th open shard.
    pub(crate) fn split(&mut self, pick: usize) {
        let open = self.open_shards();
        let parent = open[pick % open.len()];
        let range = self.shards[parent].range;
        let (low, high) = range.split_at(range.middle()).unwrap();
        self.open(low, vec![parent as u32]);
        self.open(high, vec![parent as u32]);
    }

    /// Merges the `pick`th open shard with the one above it.
    pub(crate) fn merge(&mut self, pick: usize) {
        let open = self.open_shards();
        if open.len() > 1 {
            let at = pick % (open.len() - 1);
            let (low, high) = (open[at], open[at + 1]);
            let range = self.shards[low].range.merged_with(&self.shards[high].range).unwrap();
            self.open(range, vec![low as u32, high as u32]);
        }
    }

    fn open_shards(&self) -> Vec<usize> {
        let mut open: Vec<usize> = (0..self.shards.len()).filter(|at| self.shards[*at].children.is_empty()).collect();
        open.sort_by_key(|at| self.shards[*at].range.start());
        open
    }

    pub(crate) fn move_leader(&mut self, pick: usize, node: u64) {
        let shard = pick % self.shards.len();
        self.shards[shard].leader = node;
        self.revision += 1;
    }

    pub(crate) fn lose_node(&mut self, node: u64) {
        let led = self.shards.iter_mut().filter(|shard| shard.leader == node);
        led.for_each(|shard| shard.leader = 1 + node % 3);
    }

    fn led_by(&mut self, node: u64, shard: Option<&v1::ShardRef>) -> Result<(ShardId, &mut Shard), WireError> {
        let (stream, id) = shard_ref(shard)?;
        if stream.0 != self.stream_id {
            return Err(WireError::new(Reason::StreamNotFound, "another incarnation"));
        }
        let shard = self.shards.get_mut(id.0 as usize).ok_or_else(|| WireError::new(Reason::ShardNotFound, ""))?;
        if shard.leader == node {
            return Ok((id, shard));
        }
        let address = format!("n{}:1", shard.leader);
        Err(WireError::new(Reason::NotLeader, "not here").with(META_LEADER_ADDRESS, address))
    }

    pub(crate) fn append(&mut self, node: u64, request: &v1::AppendRequest) -> Result<v1::AppendResponse, WireError> {
        let (id, shard) = self.led_by(node, request.shard.as_ref())?;
        let batch = RecordBatch::parse(request.batch.clone()).expect("a client sends intact batches");
        assert!(shard.range.covers(&batch.hash_range()), "a batch came to a shard that does not take its keys");
        let tag = request.producer.as_ref().map(producer_tag).transpose()?;
        let window = tag.map(|(producer, _)| shard.producers.entry(producer).or_default());
        if let Some((window, (_, sequence))) = window.zip(tag) {
            if let Some(at) = window.get(&sequence) {
                return Ok(appended(id, *at, &batch, true));
            }
            if shard.children.is_empty() && window.keys().next_back().is_some_and(|last| sequence != last + 1) {
                return Err(WireError::new(Reason::OutOfOrder, "a gap"));
            }
        }
        if !shard.children.is_empty() {
            return Err(WireError::new(Reason::ShardClosed, "sealed"));
        }
        let at = shard.log.len();
        if let Some((producer, sequence)) = tag {
            shard.producers.entry(producer).or_default().insert(sequence, at);
        }
        let answer = appended(id, at, &batch, false);
        shard.log.push(batch);
        Ok(answer)
    }

    pub(crate) fn read(
        &mut self,
        node: u64,
        shard: Option<&v1::ShardRef>,
        position: &v1::Position,
    ) -> Result<v1::ReadResponse, WireError> {
        const PAGE_BATCHES: usize = 3;
        let (_, shard) = self.led_by(node, shard)?;
        let from = match position.at.as_ref().unwrap() {
            v1::position::At::TrimHorizon(_) => 0,
            v1::position::At::Latest(_) => shard.log.len(),
            v1::position::At::AtIndex(index) => index.saturating_sub(FIRST_INDEX).div_ceil(INDEX_STEP) as usize,
            other => panic!("the fake does not know {other:?}"),
        };
        let to = shard.log.len().min(from + PAGE_BATCHES);
        let store = |at: usize| v1::StoredBatch {
            index: index_of(at),
            arrived_ms: 5_000_000,
            skip_records: 0,
            batch: shard.log[at].bytes().clone(),
        };
        let ended = to == shard.log.len() && !shard.children.is_empty();
        Ok(v1::ReadResponse {
            batches: (from..to).map(store).collect(),
            next_index: index_of(to.max(from)),
            millis_behind_latest: 0,
            end: ended.then(|| v1::ShardEnd { child_shards: shard.children.clone() }),
            shard_created_ms: CREATED.0,
        })
    }

    /// The image that nodes give out.
    pub(crate) fn image(&self) -> v1::WatchRoutingResponse {
        let summary = v1::StreamSummary {
            name: "s".to_owned(),
            stream_id: self.stream_id,
            record_bytes_max: 1 << 20,
            status: v1::StreamStatus::Active.into(),
            ..Default::default()
        };
        let node = |node_id| v1::Node { node_id, public_address: format!("n{node_id}:1"), ..Default::default() };
        v1::WatchRoutingResponse {
            revision: self.revision,
            stream: Some(summary),
            shards: (0..).zip(&self.shards).map(|(id, shard)| describe(id, shard)).collect(),
            nodes: (1..=3).map(node).collect(),
        }
    }

    /// Everything written: shards by id (parents before children), each in log order.
    pub(crate) fn records(&self) -> Vec<(SequenceNumber, Record)> {
        let mut all = Vec::new();
        for (id, shard) in (0..).zip(&self.shards) {
            for (at, batch) in shard.log.iter().enumerate() {
                for (place, record) in (0..).zip(batch.records()) {
                    all.push((position(ShardId(id), at, place), record));
                }
            }
        }
        all
    }
}

fn describe(id: u32, shard: &Shard) -> v1::Shard {
    let start = SequenceNumber::shard_start(CREATED, ShardId(id)).to_string();
    let parent = |at: usize| shard.parents.get(at).map(|id| ShardId(*id).to_string()).unwrap_or_default();
    let closed = !shard.children.is_empty();
    v1::Shard {
        shard_id: ShardId(id).to_string(),
        starting_hash_key: shard.range.start().to_string(),
        ending_hash_key: shard.range.end().to_string(),
        parent_shard_id: parent(0),
        adjacent_parent_shard_id: parent(1),
        ending_sequence_number: if closed { start.clone() } else { String::new() },
        starting_sequence_number: start,
        created_ms: CREATED.0,
        closed_ms: if closed { 2_000_000 } else { 0 },
        replicas: vec![1, 2, 3],
        leader: shard.leader,
    }
}

fn index_of(at: usize) -> u64 {
    FIRST_INDEX + at as u64 * INDEX_STEP
}

fn position(shard: ShardId, at: usize, place: u32) -> SequenceNumber {
    SequenceNumber::new(CREATED, shard, index_of(at), place, UnixMillis(5_000_000))
}

fn appended(shard: ShardId, at: usize, batch: &RecordBatch, duplicate: bool) -> v1::AppendResponse {
    v1::AppendResponse {
        first_sequence_number: position(shard, at, 0).to_string(),
        record_count: batch.record_count() as u32,
        arrived_ms: 5_000_000,
        duplicate,
    }
}
