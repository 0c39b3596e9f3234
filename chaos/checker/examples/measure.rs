//! How fast the checker is: `cargo run --release -p thalweg-checker --example measure [WRITES]`.
//!
//! Makes a clean history (default: 1,000,000 acknowledged writes of eight clients, interleaved over
//! 16 shards; a live reader and a last reader in pages of 100) and judges it on one core. An
//! operation is a record written or a record read. The history is also judged from its JSON lines.

use std::time::{Duration, Instant};

use thalweg_checker::{
    Hash, History, Options, Outcome, Place, Position, Producer, Read, Seen, Start, Write, check, json,
};
use thalweg_types::ShardId;

const SHARDS: u64 = 16;
const CLIENTS: u64 = 8;
const PAGE: usize = 100;

fn main() {
    let writes = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(1_000_000);
    let history = history(writes);
    let operations = (history.writes.len() + history.reads.iter().map(|read| read.records.len()).sum::<usize>()) as f64;
    println!("{operations} operations: {writes} records written, the others read");
    for _ in 0..3 {
        let (report, took) = timed(|| check(&history, &Options::default()).expect("a well-formed history"));
        assert!(report.is_clean(), "{report:#?}");
        println!("check: {took:.2?}, {:.2} million operations a second", operations / took.as_secs_f64() / 1e6);
    }
    let mut lines = Vec::new();
    json::write(&history, &mut lines).expect("memory takes it");
    let (read, took) = timed(|| json::read(&lines[..]).expect("what was just written"));
    assert_eq!(read, history);
    let megabytes = lines.len() as f64 / 1e6;
    println!(
        "read {megabytes:.0} MB of lines: {took:.2?}, {:.2} million a second",
        operations / took.as_secs_f64() / 1e6
    );
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let begin = Instant::now();
    let result = work();
    (result, begin.elapsed())
}

fn history(count: u64) -> History {
    let mut history = History::default();
    let mut logs = vec![Vec::new(); SHARDS as usize];
    for id in 0..count {
        let shard = id.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 60;
        let log: &mut Vec<Seen> = &mut logs[shard as usize];
        let (hash, position) = (Hash::of("key", &id.to_be_bytes()), Position(1 << 64 | log.len() as u128));
        let (call, arrived_ms) = (id * 1000, 1_700_000_000_000 + id / 1000);
        let place = Place { shard: ShardId(shard as u32), position, arrived_ms };
        let (client, key, serial) = ((id % CLIENTS) as u32, shard * 100 + id % 97, id);
        let (producer, outcome) = (Producer::Idempotent, Outcome::Ok(place));
        log.push(Seen { position, hash, arrived_ms });
        let (attempts, done, hash_key) = (1, call + 900, None);
        history.writes.push(Write { client, key, serial, hash, hash_key, producer, attempts, call, done, outcome });
    }
    for (reader, log) in [1, 2].into_iter().flat_map(|reader| logs.iter().zip(0..).map(move |log| (reader, log))) {
        read(&mut history, reader, log.1, log.0, count * 1000);
    }
    history
}

fn read(history: &mut History, reader: u32, shard: u32, log: &[Seen], after: u64) {
    for (page, records) in log.chunks(PAGE).enumerate() {
        let start = if page == 0 { Start::Horizon } else { Start::Continue };
        let call = after + u64::from(reader) * 1_000_000_000 + page as u64 * 10;
        let last = reader == 2 && (page + 1) * PAGE >= log.len();
        let (records, shard) = (records.to_vec(), ShardId(shard));
        history.reads.push(Read { reader, shard, call, done: call + 5, start, records, end: false, fresh: last, last });
    }
}
