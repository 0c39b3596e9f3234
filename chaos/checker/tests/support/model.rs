//! A tiny cluster that is correct by construction, and the history that its clients record.
//!
//! Each step of the world happens at its own moment: sending, storing and answering are three
//! steps, so operations overlap. Storing goes to the one log of the shard that owns the key, in
//! send order for an idempotent client; failovers answer what is in flight with "not known" and
//! store some of it; reshards close parents and open children in one step. Readers lag, restart at
//! positions, and follow the lineage.

use thalweg_checker::{
    Hash, History, Image, ImageShard, Outcome, Parent, Place, Position, Producer, Read, Reshard, RetentionChange, Seen,
    Start, Trim, Write,
};
use thalweg_types::{HashKey, HashRange, ShardId};

/// A small generator of random numbers: the same seed gives the same history.
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    pub fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}

const KEYS: u64 = 6;
const RETENTION_MS: u64 = 2_000;

struct Shard {
    id: ShardId,
    range: HashRange,
    open: bool,
    log: Vec<Seen>,
    /// Records before this index are trimmed.
    trimmed: usize,
    parents: Vec<ShardId>,
    generation: u128,
}

struct Pending {
    write: usize,
    /// Attempts that may still store it.
    attempts: u32,
    stored: Option<Place>,
}

struct Reader {
    id: u32,
    shard: usize,
    next: usize,
    start: Option<Start>,
    /// A read under way: its call.
    call: Option<u64>,
    done: bool,
}

pub struct Model {
    random: Random,
    time: u64,
    pub history: History,
    shards: Vec<Shard>,
    pending: Vec<Pending>,
    readers: Vec<Reader>,
    serial: u64,
    revision: u64,
}

/// A correct history of about so many steps.
pub fn good(seed: u64, steps: u64) -> History {
    let mut model = Model::new(seed);
    for _ in 0..steps {
        model.step();
    }
    model.finish();
    model.history
}

impl Model {
    fn new(seed: u64) -> Model {
        let shards = HashRange::tile(2).into_iter().zip(0..).map(|(range, id)| {
            let (id, log, parents) = (ShardId(id), Vec::new(), Vec::new());
            Shard { id, range, open: true, log, trimmed: 0, parents, generation: 1 }
        });
        let shards = shards.collect();
        let (history, pending, readers) = (History::default(), Vec::new(), Vec::new());
        let random = Random(seed);
        let mut model = Model { random, time: 0, history, shards, pending, readers, serial: 0, revision: 0 };
        let first = RetentionChange { call: 0, done: 0, retention_ms: RETENTION_MS, outcome: Outcome::Ok(()) };
        model.history.retention.push(first);
        model.image();
        model
    }

    fn now(&mut self) -> u64 {
        self.time += 1 + self.random.below(20);
        self.time
    }

    fn log_ms(&self) -> u64 {
        1_000_000 + self.time
    }

    fn step(&mut self) {
        match self.random.below(40) {
            0..10 => self.send(),
            10..20 => self.store(),
            20..27 => self.answer(),
            27..30 => self.begin_read(),
            30..38 => self.serve_read(),
            38 if self.random.one_in(4) => self.failover(),
            39 if self.random.one_in(3) => self.reshard(),
            39 if self.random.one_in(3) => self.trim(),
            _ => {}
        }
    }

    fn send(&mut self) {
        let (key, call) = (self.random.below(KEYS), self.now());
        let client = self.random.below(3) as u32;
        let (producer, attempts) = match client {
            0 => (Producer::Plain, 1 + self.random.below(2) as u32),
            _ => (Producer::Idempotent, 1),
        };
        self.serial += 1;
        let hash = Hash::of(&key.to_string(), &self.serial.to_be_bytes());
        let hash_key = Some(HashKey::of_partition_key(&key.to_string()));
        let (serial, outcome) = (self.serial, Outcome::Indefinite);
        let write = Write { client, key, serial, hash, hash_key, producer, attempts, call, done: u64::MAX, outcome };
        self.pending.push(Pending { write: self.history.writes.len(), attempts, stored: None });
        self.history.writes.push(write);
    }

    /// Stores one attempt; of an idempotent client only its oldest of a key.
    fn store(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let mut at = self.random.below(self.pending.len() as u64) as usize;
        let name = |write: &Write| (write.client, write.key);
        let chosen = &self.history.writes[self.pending[at].write];
        if chosen.producer == Producer::Idempotent {
            let same = |pending: &Pending| {
                let write = &self.history.writes[pending.write];
                name(write) == name(chosen) && pending.stored.is_none()
            };
            at = self.pending.iter().position(same).unwrap_or(at);
        }
        if self.pending[at].attempts == 0 {
            return;
        }
        self.time += 1;
        let write = &self.history.writes[self.pending[at].write];
        let arrived_ms = self.log_ms();
        let key = write.hash_key.expect("the model knows it");
        let shard = self.shards.iter_mut().find(|shard| shard.open && shard.range.contains(key)).expect("a tiling");
        let below = shard.log.last().map_or(shard.generation << 64, |seen| seen.position.0);
        let position = Position(below + 1 + u128::from(self.random.below(3)));
        shard.log.push(Seen { position, hash: write.hash, arrived_ms });
        self.pending[at].attempts -= 1;
        self.pending[at].stored = Some(Place { shard: shard.id, position, arrived_ms });
    }

    fn answer(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let at = self.random.below(self.pending.len() as u64) as usize;
        let outcome = match self.pending[at].stored {
            Some(_) if self.random.one_in(10) => Outcome::Indefinite,
            Some(place) => Outcome::Ok(place),
            None if self.random.one_in(3) => Outcome::Definite,
            None => return,
        };
        self.end(at, outcome);
    }

    fn end(&mut self, at: usize, outcome: Outcome<Place>) {
        let done = self.now();
        let pending = self.pending.remove(at);
        let write = &mut self.history.writes[pending.write];
        (write.outcome, write.done) = (outcome, done);
    }

    /// Everything in flight becomes unknown; some of it has been stored.
    fn failover(&mut self) {
        for _ in 0..self.random.below(4) {
            self.store();
        }
        while !self.pending.is_empty() {
            self.end(0, Outcome::Indefinite);
        }
    }

    fn reshard(&mut self) {
        let call = self.now();
        let open: Vec<usize> = (0..self.shards.len()).filter(|at| self.shards[*at].open).collect();
        let one = open[self.random.below(open.len() as u64) as usize];
        let range = self.shards[one].range;
        let beside = open.iter().copied().find(|at| range.touches(&self.shards[*at].range));
        let (parents, ranges) = match beside {
            Some(other) if self.random.one_in(2) => {
                (vec![one, other], vec![range.merged_with(&self.shards[other].range).expect("neighbours")])
            }
            _ => {
                let Some((low, high)) = range.split_at(range.middle()) else { return };
                (vec![one], vec![low, high])
            }
        };
        let generation = 1 + parents.iter().map(|at| self.shards[*at].generation).max().expect("a parent");
        let ids: Vec<ShardId> = parents.iter().map(|at| self.shards[*at].id).collect();
        let mut children = Vec::new();
        for range in ranges {
            let id = ShardId(self.shards.len() as u32);
            children.push((id, range));
            let (log, parents) = (Vec::new(), ids.clone());
            self.shards.push(Shard { id, range, open: true, log, trimmed: 0, parents, generation });
        }
        let mut told = Vec::new();
        for at in parents {
            self.shards[at].open = false;
            told.push(Parent { id: self.shards[at].id, last: self.shards[at].log.last().map(|seen| seen.position) });
        }
        let done = self.now();
        self.history.reshards.push(Reshard { call, done, parents: told, children });
        self.image();
    }

    fn image(&mut self) {
        self.revision += 1;
        let shards = self.shards.iter().map(|shard| ImageShard { id: shard.id, range: shard.range, open: shard.open });
        let image = Image { observer: 0, revision: self.revision, shards: shards.collect() };
        self.history.images.push(image);
    }

    fn trim(&mut self) {
        let at = self.random.below(self.shards.len() as u64) as usize;
        let (call, log_ms) = (self.now(), self.log_ms());
        let shard = &mut self.shards[at];
        let expired = shard.log.iter().take_while(|seen| seen.arrived_ms + RETENTION_MS <= log_ms).count();
        let Some(last) = expired.checked_sub(1) else { return };
        shard.trimmed = expired;
        let (shard, before) = (shard.id, Position(shard.log[last].position.0 + 1));
        let done = self.now();
        self.history.trims.push(Trim { shard, call, done, before, log_ms });
    }

    fn begin_read(&mut self) {
        let idle = self.readers.iter().filter(|reader| !reader.done && reader.call.is_none()).count() as u64;
        if idle == 0 || (self.readers.len() < 6 && self.random.one_in(4)) {
            self.new_reader();
            return;
        }
        let call = self.now();
        let chosen = self.random.below(idle) as usize;
        let reader = self.readers.iter_mut().filter(|reader| !reader.done && reader.call.is_none()).nth(chosen);
        reader.expect("counted").call = Some(call);
    }

    /// A reader of one shard, or one that begins with a shard and goes on with its children.
    fn new_reader(&mut self) {
        let shard = self.random.below(self.shards.len() as u64) as usize;
        let start = match self.random.below(3) {
            0 => Start::Latest,
            1 if !self.shards[shard].log.is_empty() => {
                let log = &self.shards[shard].log;
                let at = self.random.below((log.len()) as u64) as usize;
                if self.random.one_in(2) { Start::At(log[at].position) } else { Start::After(log[at].position) }
            }
            _ => Start::Horizon,
        };
        let id = self.readers.len() as u32;
        self.readers.push(Reader { id, shard, next: 0, start: Some(start), call: None, done: false });
    }

    fn serve_read(&mut self) {
        let Some(at) = self.readers.iter().position(|reader| reader.call.is_some()) else { return };
        self.time += 1;
        let (random, reader) = (&mut self.random, &mut self.readers[at]);
        let shard = &self.shards[reader.shard];
        let start = reader.start.take().unwrap_or_default();
        let below = |bound: u128| shard.log.partition_point(|seen| seen.position.0 < bound);
        reader.next = match start {
            Start::Continue => reader.next,
            Start::Horizon => shard.trimmed,
            Start::Latest => shard.log.len(),
            Start::At(position) => below(position.0),
            Start::After(position) => below(position.0 + 1),
        };
        let from = reader.next.max(shard.trimmed);
        let fresh = random.one_in(3);
        let to =
            if fresh { shard.log.len() } else { from + random.below((shard.log.len() - from) as u64 + 1) as usize };
        let end = to == shard.log.len() && !shard.open;
        reader.next = to;
        reader.done = end;
        let (call, records) = (reader.call.take().expect("chosen for it"), shard.log[from..to].to_vec());
        let (reader, shard) = (reader.id, shard.id);
        let done = self.now();
        self.history.reads.push(Read { reader, shard, call, done, start, records, end, fresh, last: false });
        if end {
            self.follow(reader, shard);
        }
    }

    /// After a shard's end its reader goes on with the children, if it has read all their parents.
    fn follow(&mut self, id: u32, parent: ShardId) {
        let children: Vec<usize> =
            (0..self.shards.len()).filter(|at| self.shards[*at].parents.contains(&parent)).collect();
        for child in children {
            let known = |shard: usize| self.readers.iter().find(|reader| reader.id == id && reader.shard == shard);
            // A parent that this reader will come to by itself has to be over first.
            let over = |parent: &ShardId| match known(parent.0 as usize) {
                Some(reader) => reader.done,
                None => !self.readers.iter().any(|reader| reader.id == id && self.descends(*parent, reader.shard)),
            };
            let ready = self.shards[child].parents.iter().all(over);
            if ready && known(child).is_none() {
                self.readers.push(Reader {
                    id,
                    shard: child,
                    next: 0,
                    start: Some(Start::Horizon),
                    call: None,
                    done: false,
                });
            }
        }
    }

    fn descends(&self, shard: ShardId, ancestor: usize) -> bool {
        let parents = &self.shards[shard.0 as usize].parents;
        parents.iter().any(|parent| parent.0 as usize == ancestor || self.descends(*parent, ancestor))
    }

    /// Heals, and reads every shard on two replicas.
    fn finish(&mut self) {
        self.failover();
        self.time += 1_000;
        for reader in [1_000, 1_001] {
            for at in 0..self.shards.len() {
                let call = self.now();
                let shard = &self.shards[at];
                let (id, end, records) = (shard.id, !shard.open, shard.log[shard.trimmed..].to_vec());
                let done = self.now();
                let (start, fresh, last) = (Start::Horizon, true, true);
                self.history.reads.push(Read { reader, shard: id, call, done, start, records, end, fresh, last });
            }
        }
    }
}
