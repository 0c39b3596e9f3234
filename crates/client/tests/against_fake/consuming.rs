//! What a consumer promises, over gRPC: every record once, parents before children, resumable.

use std::collections::HashMap;
use std::time::Duration;

use thalweg_client::{Client, ConsumeError, ConsumedRecord, Consumer, Record, StartPosition, StreamName};
use tokio::time::{Instant, timeout};

use crate::fake::Fake;

fn stream() -> StreamName {
    "s".parse().unwrap()
}

fn records(serials: std::ops::Range<u64>) -> Vec<Record> {
    serials.map(|serial| Record::new(format!("key-{}", serial % 16), serial.to_string())).collect()
}

async fn write(client: &Client, serials: std::ops::Range<u64>) {
    for serial in serials.step_by(5) {
        client.append(&stream(), records(serial..serial + 5)).await.unwrap();
    }
}

async fn begin(client: &Client, start: StartPosition) -> Consumer {
    client.consumer(&stream()).from(start).start().await.unwrap()
}

/// Takes exactly `count` records, then makes sure that no more come.
async fn take(consumer: &mut Consumer, count: usize) -> Vec<ConsumedRecord> {
    let mut taken = Vec::new();
    while taken.len() < count {
        let batch = timeout(Duration::from_secs(60), consumer.next()).await.expect("records come");
        taken.extend(batch.unwrap().unwrap().records);
    }
    while let Ok(batch) = timeout(Duration::from_secs(20), consumer.next()).await {
        let more = batch.unwrap().unwrap().records;
        assert!(more.is_empty(), "unexpected {more:?}");
    }
    assert_eq!(taken.len(), count);
    taken
}

fn serial(record: &ConsumedRecord) -> u64 {
    std::str::from_utf8(&record.data).unwrap().parse().unwrap()
}

/// Exactly the records `serials`, in order of each key, each at the place where it was written.
fn check(fake: &Fake, taken: &[ConsumedRecord], serials: std::ops::Range<u64>) {
    let mut last = HashMap::new();
    for record in taken {
        let before = last.insert(record.partition_key.clone(), serial(record));
        assert!(before.is_none_or(|before| before < serial(record)), "{record:?} came after {before:?}");
    }
    let mut all: Vec<u64> = taken.iter().map(serial).collect();
    all.sort_unstable();
    assert_eq!(all, serials.collect::<Vec<_>>());
    let written: HashMap<_, _> = fake.look().records().into_iter().collect();
    assert!(taken.iter().all(|record| written[&record.sequence_number].data == record.data));
}

#[tokio::test(start_paused = true)]
async fn parents_are_read_to_their_end_before_children_through_splits_and_merges() {
    let fake = Fake::start(2);
    let client = fake.client();
    write(&client, 0..50).await;
    fake.change(|world| world.split(0));
    write(&client, 50..100).await;
    fake.change(|world| world.merge(1));
    let mut consumer = begin(&client, StartPosition::TrimHorizon).await;
    let writing = async {
        write(&client, 100..150).await;
        fake.change(|world| world.split(1));
        write(&client, 150..200).await;
        fake.change(|world| world.merge(0));
        write(&client, 200..250).await;
    };
    let (taken, ()) = tokio::join!(take(&mut consumer, 250), writing);
    check(&fake, &taken, 0..250);
}

#[tokio::test(start_paused = true)]
async fn broken_tails_neither_skip_nor_repeat() {
    let fake = Fake::start(2);
    fake.change(|world| {
        world.tail_pages_max = Some(2);
        world.repeat_pages = true;
    });
    let client = fake.client();
    let mut consumer = begin(&client, StartPosition::TrimHorizon).await;
    let writing = async {
        for start in (0..200).step_by(20) {
            write(&client, start..start + 20).await;
            fake.network.cut(1 + start % 3);
            fake.change(|world| world.move_leader(start as usize / 20, 1 + start % 3));
        }
    };
    let (taken, ()) = tokio::join!(take(&mut consumer, 200), writing);
    check(&fake, &taken, 0..200);
}

#[tokio::test(start_paused = true)]
async fn latest_begins_with_what_is_written_after_start() {
    let fake = Fake::start(2);
    let client = fake.client();
    write(&client, 0..20).await;
    let mut consumer = begin(&client, StartPosition::Latest).await;
    write(&client, 20..40).await;
    check(&fake, &take(&mut consumer, 20).await, 20..40);
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_resumes_without_gap_or_repeat_across_a_split() {
    let fake = Fake::start(1);
    let client = fake.client();
    let mut first = begin(&client, StartPosition::Latest).await;
    write(&client, 0..30).await;
    let mut taken = first.next().await.unwrap().unwrap().records;
    let checkpoint = first.checkpoint().clone();
    drop(first);
    fake.change(|world| world.split(0));
    write(&client, 30..60).await;
    let mut second = begin(&client, StartPosition::Resume(checkpoint)).await;
    let rest = 60 - taken.len();
    taken.extend(take(&mut second, rest).await);
    check(&fake, &taken, 0..60);
}

#[tokio::test(start_paused = true)]
async fn a_silent_connection_is_left() {
    let fake = Fake::start(1);
    let client = fake.client();
    let mut consumer = begin(&client, StartPosition::TrimHorizon).await;
    write(&client, 0..5).await;
    assert_eq!(consumer.next().await.unwrap().unwrap().records.len(), 5);
    fake.change(|world| world.silent = vec![1]);
    fake.change(|world| world.move_leader(0, 2));
    write(&client, 5..10).await;
    let began = Instant::now();
    assert_eq!(consumer.next().await.unwrap().unwrap().records.len(), 5);
    assert!(began.elapsed() < Duration::from_secs(12), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_is_not_read_holds_a_bounded_number_of_bytes() {
    let fake = Fake::start(1);
    let client = fake.client();
    let large = |_| Record::new("k", vec![1; 500_000]);
    for _ in 0..40 {
        client.append(&stream(), (0..2).map(large).collect()).await.unwrap();
    }
    let builder = client.consumer(&stream()).from(StartPosition::TrimHorizon).max_buffered_bytes(2_000_000);
    let mut consumer = builder.start().await.unwrap();
    tokio::time::sleep(Duration::from_secs(30)).await;
    // Of 40 MB: what the consumer holds, and what HTTP/2's window lets travel (8 MiB) with the
    // pages around both.
    let tailed_bytes = fake.look().tailed_bytes;
    assert!(tailed_bytes < 18_000_000, "{tailed_bytes}");
    assert_eq!(take(&mut consumer, 80).await.len(), 80, "waiting for room loses nothing");
}

#[tokio::test(start_paused = true)]
async fn a_missing_stream_is_reported() {
    let client = Fake::start(1).client();
    let error = client.consumer(&"other".parse().unwrap()).start().await.unwrap_err();
    assert!(matches!(error, ConsumeError::Routing(_)), "{error:?}");
}
