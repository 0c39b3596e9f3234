//! Writes down what clients see, in the form that the checker reads.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;
use thalweg_checker::{
    Hash, History, Image, ImageShard, Outcome, Parent, Place, Position, Producer, Read, Reshard, RetentionChange, Seen,
    Start, Trim, Write,
};
use thalweg_client::{ConsumedRecord, ShardDescription, ShardId};
use thalweg_types::{HashKey, HashRange};

/// A record that is about to be sent.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    /// Who sends it.
    pub client: u32,
    /// The key.
    pub key: u64,
    /// How many this client has sent with the key.
    pub serial: u64,
    /// What it is.
    pub hash: Hash,
    /// Where it goes.
    pub hash_key: HashKey,
    /// When it is sent.
    pub call: u64,
}

/// What a shard has from whom, and where it ended.
#[derive(Clone, Debug)]
pub struct Kin {
    /// Its part of the hash space.
    pub range: HashRange,
    /// None, one or two.
    pub parents: Vec<ShardId>,
    /// The highest position that it can hold, once it is closed.
    pub last: Option<Position>,
}

impl From<&ShardDescription> for Kin {
    fn from(shard: &ShardDescription) -> Kin {
        Kin { range: shard.range, parents: shard.parents().collect(), last: shard.ending.map(Position::from) }
    }
}

/// The history of one run.
#[derive(Default)]
pub struct Recorder {
    history: Mutex<History>,
    readers: AtomicU32,
    opened: Mutex<BTreeMap<ShardId, u64>>,
    /// Every shard as it was seen last: those that are forgotten by the end had children too.
    shards: Mutex<BTreeMap<ShardId, Kin>>,
    /// By shard: times of acknowledgements, and the highest index acknowledged by then.
    known: Mutex<BTreeMap<ShardId, Vec<(u64, u64)>>>,
}

impl Recorder {
    /// A number for a reader.
    pub fn reader(&self) -> u32 {
        self.readers.fetch_add(1, Ordering::Relaxed)
    }

    /// A record has its outcome.
    pub fn wrote(&self, sent: Sent, done: u64, outcome: Outcome<Place>) {
        let Sent { client, key, serial, hash, hash_key, call } = sent;
        self.history.lock().writes.push(Write {
            client,
            key,
            serial,
            hash,
            hash_key: Some(hash_key),
            producer: Producer::Idempotent,
            attempts: 1,
            call,
            done,
            outcome,
        });
    }

    /// A place was told to a client.
    pub fn acknowledged(&self, shard: ShardId, index: u64, at: u64) {
        let mut known = self.known.lock();
        let known = known.entry(shard).or_default();
        let highest = known.last().map_or(index, |(_, highest)| index.max(*highest));
        known.push((at, highest));
    }

    /// The highest index in a shard that was acknowledged before a time.
    pub fn known_before(&self, shard: ShardId, at: u64) -> Option<u64> {
        let known = self.known.lock();
        let known = known.get(&shard)?;
        let before = known.partition_point(|(time, _)| *time < at);
        before.checked_sub(1).map(|last| known[last].1)
    }

    /// A reader got something.
    #[allow(clippy::too_many_arguments, reason = "the fields of a read, each told once")]
    pub fn read(
        &self,
        reader: u32,
        shard: ShardId,
        (call, done): (u64, u64),
        start: Start,
        records: &[ConsumedRecord],
        (end, fresh, last): (bool, bool, bool),
    ) {
        let seen = |record: &ConsumedRecord| Seen {
            position: record.sequence_number.into(),
            hash: Hash::of(&record.partition_key, &record.data),
            arrived_ms: record.arrived.0,
        };
        let records = records.iter().map(seen).collect();
        self.history.lock().reads.push(Read { reader, shard, call, done, start, records, end, fresh, last });
    }

    /// An observer saw an image.
    pub fn image<'a>(&self, observer: u32, revision: u64, at: u64, shards: impl Iterator<Item = &'a ShardDescription>) {
        let mut seen = self.shards.lock();
        let shards: Vec<ImageShard> = shards
            .map(|shard| {
                meet(&mut seen, shard.id, Kin::from(shard));
                ImageShard { id: shard.id, range: shard.range, open: shard.is_open() }
            })
            .collect();
        let mut opened = self.opened.lock();
        for shard in &shards {
            opened.entry(shard.id).or_insert(at);
        }
        self.history.lock().images.push(Image { observer, revision, shards });
    }

    /// The horizon of a shard moved, no earlier than `call`; whether every replica has heard of it is
    /// not known.
    pub fn trimmed(&self, shard: ShardId, before: Position, call: u64, log_ms: u64) {
        self.history.lock().trims.push(Trim { shard, call, done: u64::MAX, before, log_ms });
    }

    /// A change of the retention.
    pub fn retention(&self, call: u64, done: u64, hours: u32) {
        let retention_ms = u64::from(hours) * 3_600_000;
        let outcome = Outcome::Ok(());
        self.history.lock().retention.push(RetentionChange { call, done, retention_ms, outcome });
    }

    /// A change of the retention of which it is not known whether it happened.
    pub fn perhaps_retention(&self, call: u64, done: u64, hours: u32) {
        let retention_ms = u64::from(hours) * 3_600_000;
        let outcome = Outcome::Indefinite;
        self.history.lock().retention.push(RetentionChange { call, done, retention_ms, outcome });
    }

    /// The cluster has a shard. Between two images that a client sees some come, are closed and forgotten:
    /// those it would take for no kin of their children.
    pub fn there_is(&self, shard: ShardId, kin: Kin) {
        meet(&mut self.shards.lock(), shard, kin);
    }

    /// How the shards came to be: those listed at the end, and those that were seen before.
    pub fn lineage(&self, listed: &[ShardDescription], now: u64) {
        let mut shards = self.shards.lock();
        listed.iter().for_each(|shard| meet(&mut shards, shard.id, Kin::from(shard)));
        let mut families: BTreeMap<&[ShardId], Vec<ShardId>> = BTreeMap::new();
        for (id, kin) in shards.iter().filter(|(_, kin)| !kin.parents.is_empty()) {
            families.entry(&kin.parents).or_default().push(*id);
        }
        let last_of = |id: &ShardId| shards.get(id).and_then(|parent| parent.last);
        let opened = self.opened.lock();
        for (parents, children) in families {
            let seen = children.iter().filter_map(|child| opened.get(child)).min();
            self.history.lock().reshards.push(Reshard {
                call: 0,
                done: seen.copied().unwrap_or(now),
                parents: parents.iter().map(|id| Parent { id: *id, last: last_of(id) }).collect(),
                children: children.into_iter().map(|child| (child, shards[&child].range)).collect(),
            });
        }
    }

    /// Records acknowledged so far.
    pub fn acked(&self) -> usize {
        self.history.lock().writes.iter().filter(|write| matches!(write.outcome, Outcome::Ok(_))).count()
    }

    /// Everything.
    pub fn take(&self) -> History {
        std::mem::take(&mut self.history.lock())
    }
}

/// Adds what is news: who saw it last need not be who knows the newest.
fn meet(shards: &mut BTreeMap<ShardId, Kin>, shard: ShardId, kin: Kin) {
    let last = kin.last;
    let known = shards.entry(shard).or_insert(kin);
    known.last = known.last.or(last);
}
