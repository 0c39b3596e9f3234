//! Short words for making histories by hand.

#![allow(dead_code, missing_docs, unreachable_pub)]

pub mod model;

use thalweg_checker::{
    Hash, History, Image, ImageShard, Outcome, Parent, Place, Position, Producer, Read, Reshard, RetentionChange, Seen,
    Start, Trim, Write,
};
use thalweg_types::{HashKey, HashRange, ShardId};

pub const HALF: u128 = 1 << 127;

pub fn shard(id: u32) -> ShardId {
    ShardId(id)
}

pub fn range(from: u128, to: u128) -> HashRange {
    HashRange::new(HashKey(from), HashKey(to)).expect("a range with keys")
}

/// The payload of the write with this number.
pub fn hash(id: u64) -> Hash {
    Hash::of("key", &id.to_be_bytes())
}

pub fn seen(position: u128, id: u64) -> Seen {
    Seen { position: Position(position), hash: hash(id), arrived_ms: 0 }
}

/// An acknowledged record of an idempotent producer; its key and serial are `id`.
pub fn acked(id: u64, shard: u32, position: u128, call: u64, done: u64) -> Write {
    let place = Place { shard: ShardId(shard), position: Position(position), arrived_ms: 0 };
    let (producer, outcome) = (Producer::Idempotent, Outcome::Ok(place));
    Write { client: 1, key: id, serial: id, hash: hash(id), hash_key: None, producer, attempts: 1, call, done, outcome }
}

pub fn unacked(id: u64, call: u64, done: u64, outcome: Outcome<Place>) -> Write {
    Write { outcome, ..acked(id, 0, 0, call, done) }
}

/// A read of records `(position, write)`.
pub fn read(reader: u32, shard: u32, call: u64, start: Start, records: &[(u128, u64)]) -> Read {
    let records = records.iter().map(|(position, id)| seen(*position, *id)).collect();
    let shard = ShardId(shard);
    Read { reader, shard, call, done: call + 5, start, records, end: false, fresh: false, last: false }
}

/// A read of a whole shard at the end of a run.
pub fn last(reader: u32, shard: u32, records: &[(u128, u64)]) -> Read {
    Read { last: true, fresh: true, ..read(reader, shard, 100_000, Start::Horizon, records) }
}

/// Ten records in shard 0, one after the other, at positions 10, 20, … 100, read back by one last
/// reader. Write `i` is called at `100 i` and returns at `100 i + 50`.
pub fn ten() -> History {
    let writes = (1..=10).map(|id| acked(id, 0, u128::from(id) * 10, id * 100, id * 100 + 50)).collect();
    let all: Vec<(u128, u64)> = (1..=10).map(|id| (u128::from(id) * 10, id)).collect();
    History { writes, reads: vec![last(99, 0, &all)], ..History::default() }
}

/// The same with arrivals at 1000, 2000, … ms and a retention of 5000 ms.
pub fn ten_with_time() -> History {
    let mut history = ten();
    for write in &mut history.writes {
        if let Outcome::Ok(place) = &mut write.outcome {
            place.arrived_ms = write.serial * 1000;
        }
    }
    for seen in &mut history.reads[0].records {
        seen.arrived_ms = seen.position.0 as u64 * 100;
    }
    // The last read comes so late that it would prove too much here: these are about trims.
    history.retention = vec![RetentionChange { call: 0, done: 1, retention_ms: 5000, outcome: Outcome::Ok(()) }];
    history
}

pub fn trim(call: u64, before: u128, log_ms: u64) -> Trim {
    Trim { shard: ShardId(0), call, done: call + 5, before: Position(before), log_ms }
}

/// Shard 0 is split in halves, 1 and 2, at 450..500: records 1 to 4 are in it, 5 to 10 alternate
/// between the children, whose positions begin at 1000.
pub fn split() -> History {
    let place = |id: u64| match id {
        ..5 => (0, u128::from(id) * 10),
        _ => ((id % 2) as u32 + 1, 1000 + u128::from(id) * 10),
    };
    let write = |id: u64| {
        let (shard, position) = place(id);
        let key = HashKey(if id.is_multiple_of(2) { 5 } else { HALF + 5 });
        let write =
            acked(id, shard, position, id * 100 + 1000 * u64::from(id > 4), id * 100 + 1000 * u64::from(id > 4) + 50);
        Write { hash_key: Some(key), ..write }
    };
    let writes: Vec<Write> = (1..=10).map(write).collect();
    let of = |shard: u32| -> Vec<(u128, u64)> {
        (1..=10).filter(|id| place(*id).0 == shard).map(|id| (place(id).1, id)).collect()
    };
    let mut reads: Vec<Read> = (0..3).map(|shard| last(99, shard, &of(shard))).collect();
    reads[0].end = true;
    reads[1].call += 10;
    reads[2].call += 10;
    reads[1].done += 10;
    reads[2].done += 10;
    let children = vec![(shard(1), range(0, HALF - 1)), (shard(2), range(HALF, u128::MAX))];
    let parents = vec![Parent { id: shard(0), last: Some(Position(40)) }];
    let reshards = vec![Reshard { call: 450, done: 500, parents, children }];
    let images = vec![image(1, &[(0, 0, u128::MAX, true)]), image(2, SPLIT)];
    History { writes, reads, reshards, images, ..History::default() }
}

pub const SPLIT: &[(u32, u128, u128, bool)] =
    &[(0, 0, u128::MAX, false), (1, 0, HALF - 1, true), (2, HALF, u128::MAX, true)];

pub fn image(revision: u64, shards: &[(u32, u128, u128, bool)]) -> Image {
    let shards =
        shards.iter().map(|(id, from, to, open)| ImageShard { id: shard(*id), range: range(*from, *to), open: *open });
    Image { observer: 0, revision, shards: shards.collect() }
}

/// The write with this number.
pub fn write(history: &mut History, id: u64) -> &mut Write {
    history.writes.iter_mut().find(|write| write.serial == id).expect("a write with this number")
}

pub fn move_ack(history: &mut History, id: u64, shard: u32, position: u128) {
    write(history, id).outcome =
        Outcome::Ok(Place { shard: ShardId(shard), position: Position(position), arrived_ms: 0 });
}
