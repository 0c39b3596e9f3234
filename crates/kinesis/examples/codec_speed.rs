//! How fast bodies are read and written: `cargo run --release -p thalweg-kinesis --example codec_speed`.
//!
//! Prints MB of body and of record data a CPU second, for the hot requests and answers. Time is
//! the thread's own, so that other work on the machine does not count (on Linux; elsewhere it is
//! the clock's).

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use thalweg_kinesis::{Format, Operation, Struct, Value, decode, encode, validate};
use thalweg_types::UnixMillis;

const MEASURED: Duration = Duration::from_secs(1);
const ROUNDS_MIN: u32 = 20;

fn main() {
    for format in Format::ALL {
        put_records(format);
        get_records(format);
    }
}

fn put_records(format: Format) {
    let shape = Operation::PutRecords.input();
    let body = Bytes::from(encode(format, &put_records_request()));
    let data = 500 * 1024;
    measure(&format!("{format:?} read PutRecords 500 x 1 KiB"), body.len(), data, || decode(format, shape, &body));
    let request = decode(format, shape, &body).expect("it was written by us");
    measure(&format!("{format:?} check PutRecords 500 x 1 KiB"), body.len(), data, || {
        validate(Operation::PutRecords, &request)
    });
    let answer = put_records_answer();
    let size = encode(format, &answer).len();
    measure(&format!("{format:?} write the answer to PutRecords"), size, data, || encode(format, &answer));
}

fn get_records(format: Format) {
    let answer = get_records_answer(10 << 10);
    let body = Bytes::from(encode(format, &answer));
    let shape = Operation::GetRecords.output().expect("it has an answer");
    measure(&format!("{format:?} write GetRecords 10240 x 1 KiB"), body.len(), 10 << 20, || encode(format, &answer));
    measure(&format!("{format:?} read GetRecords 10240 x 1 KiB"), body.len(), 10 << 20, || {
        decode(format, shape, &body)
    });
}

fn measure<T>(what: &str, body_bytes: usize, data_bytes: usize, mut run: impl FnMut() -> T) {
    let started = Instant::now();
    let before = cpu_time(started);
    let mut rounds = 0u32;
    while rounds < ROUNDS_MIN || started.elapsed() < MEASURED {
        black_box(run());
        rounds += 1;
    }
    let secs = (cpu_time(started) - before).as_secs_f64();
    let rate = |bytes: usize| bytes as f64 * f64::from(rounds) / secs / 1e6;
    let micros = secs * 1e6 / f64::from(rounds);
    println!("{what:<42} {micros:>10.1} us  {:>8.0} MB/s body  {:>8.0} MB/s data", rate(body_bytes), rate(data_bytes));
}

/// The processor time of this thread: the first number of its `schedstat`, in nanoseconds.
fn cpu_time(started: Instant) -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = stat.and_then(|stat| stat.split(' ').next()?.parse().ok());
    nanos.map_or_else(|| started.elapsed(), Duration::from_nanos)
}

fn data(seed: usize) -> Bytes {
    (0..1024).map(|at| (at * 31 + seed * 17) as u8).collect()
}

fn put_records_request() -> Struct {
    let record =
        |at| Value::from(Struct::new().with("Data", data(at)).with("PartitionKey", format!("customer-{at:08}")));
    Struct::new().with("StreamName", "orders").with("Records", Value::List((0..500).map(record).collect()))
}

fn put_records_answer() -> Struct {
    let number = "49590338271490256608559692538361571095921575989136588898";
    let entry = |_| Value::from(Struct::new().with("SequenceNumber", number).with("ShardId", "shardId-000000000000"));
    Struct::new().with("FailedRecordCount", 0i64).with("Records", Value::List((0..500).map(entry).collect()))
}

fn get_records_answer(records: usize) -> Struct {
    let record = |at| {
        let record = Struct::new()
            .with("SequenceNumber", "49590338271490256608559692538361571095921575989136588898")
            .with("ApproximateArrivalTimestamp", UnixMillis(1_459_799_926_480))
            .with("Data", data(at))
            .with("PartitionKey", format!("customer-{at:08}"));
        Value::from(record)
    };
    Struct::new()
        .with("Records", Value::List((0..records).map(record).collect()))
        .with("NextShardIterator", "A".repeat(200))
        .with("MillisBehindLatest", 0i64)
}
