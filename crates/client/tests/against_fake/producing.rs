//! What a producer promises, over gRPC: no loss, no double, order per key, bounded memory, honest
//! errors, quick failover.

use std::collections::HashMap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use thalweg_client::{ProduceError, Producer, Record, RecordPosition, StreamName};
use tokio::time::{Instant, sleep, timeout};

use crate::fake::Fake;
use crate::fake::world::Fault;

fn stream() -> StreamName {
    "s".parse().unwrap()
}

fn record(serial: u64) -> Record {
    Record::new(format!("key-{}", serial % 16), format!("{serial}").into_bytes())
}

/// Sends records `0..count` and returns their outcomes in order.
async fn send_all(producer: &Producer, count: u64) -> Vec<Result<RecordPosition, ProduceError>> {
    let mut deliveries = Vec::new();
    for serial in 0..count {
        deliveries.push(producer.send(record(serial)).await.unwrap());
        if serial % 10 == 0 {
            sleep(Duration::from_millis(2)).await;
        }
    }
    futures::future::join_all(deliveries).await
}

/// One fault after another, as the seed has it.
async fn disturb(fake: &Fake, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    for _ in 0..25 {
        sleep(Duration::from_millis(random.random_range(1..40))).await;
        let (pick, node) = (random.random_range(0..8), random.random_range(1..=3));
        match random.random_range(0..9) {
            0 => fake.change(|world| world.split(pick)),
            1 => fake.change(|world| world.merge(pick)),
            2 | 3 => fake.change(|world| world.move_leader(pick, node)),
            4 => fake.network.cut(node),
            5 => {
                fake.stop(node);
                sleep(Duration::from_millis(random.random_range(1..300))).await;
                fake.network.start(node);
            }
            _ => {
                let faults = [Fault::Throttle, Fault::LoseReply, Fault::LoseRequest, Fault::Unknown];
                let fault = faults[random.random_range(0..4)];
                fake.change(|world| world.faults.entry(node).or_default().push_back(fault));
            }
        }
    }
}

/// Every record lies where its outcome says, once, and after earlier ones of its key.
fn check(fake: &Fake, outcomes: &[Result<RecordPosition, ProduceError>]) {
    let mut places: HashMap<u64, Vec<_>> = HashMap::new();
    let mut last: HashMap<String, u64> = HashMap::new();
    for (at, record) in fake.look().records() {
        let serial: u64 = std::str::from_utf8(&record.data).unwrap().parse().unwrap();
        places.entry(serial).or_default().push(at);
        let before = last.insert(record.partition_key, serial);
        assert!(before.is_none_or(|before| before < serial), "{serial} lies after {before:?}");
    }
    for (serial, outcome) in (0..).zip(outcomes) {
        let position = outcome.as_ref().unwrap();
        assert_eq!(places[&serial], [position.sequence_number], "record {serial}");
    }
}

#[tokio::test(start_paused = true)]
async fn records_are_written_once_and_in_order_whatever_breaks() {
    for seed in 0..12 {
        let fake = Fake::start(2);
        let producer = fake.client().producer(&stream()).batch_records(7).build();
        let (outcomes, ()) = tokio::join!(send_all(&producer, 600), disturb(&fake, seed));
        check(&fake, &outcomes);
        let report = producer.close().await;
        assert_eq!((report.delivered, report.failed, report.unknown), (600, 0, 0), "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn send_waits_while_the_buffer_is_full() {
    let fake = Fake::start(1);
    fake.change(|world| world.holding = true);
    let producer = fake.client().producer(&stream()).max_buffered_bytes(64 * 1024).build();
    let kilobyte = || Record::new("k", vec![7; 1024]);
    let mut deliveries = Vec::new();
    while let Ok(sent) = timeout(Duration::from_secs(1), producer.send(kilobyte())).await {
        deliveries.push(sent.unwrap());
        assert!(deliveries.len() <= 64, "more than the buffer holds was taken");
    }
    assert!(deliveries.len() > 50, "the buffer holds {} records only", deliveries.len());
    assert_eq!(producer.try_send(kilobyte()).unwrap_err(), ProduceError::Full { limit_bytes: 64 * 1024 });
    fake.change(|world| world.holding = false);
    deliveries.push(producer.send(kilobyte()).await.unwrap());
    for delivery in deliveries {
        delivery.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_leader_costs_less_than_300_ms() {
    let fake = Fake::start(1);
    let producer = fake.client().producer(&stream()).build();
    producer.send(record(0)).await.unwrap().await.unwrap();
    fake.stop(1);
    let began = Instant::now();
    producer.send(record(1)).await.unwrap().await.unwrap();
    assert!(began.elapsed() < Duration::from_millis(300), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_leader_behind_a_black_hole_is_left_after_two_missed_pings() {
    let fake = Fake::start(1);
    let producer = fake.client().producer(&stream()).build();
    producer.send(record(0)).await.unwrap().await.unwrap();
    fake.network.freeze(1);
    fake.change(|world| world.lose_node(1));
    let began = Instant::now();
    producer.send(record(1)).await.unwrap().await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_missing_stream_is_reported_at_once() {
    let client = Fake::start(1).client();
    let producer = client.producer(&"other".parse().unwrap()).build();
    let began = Instant::now();
    let outcome = producer.send(record(0)).await.unwrap().await;
    assert!(matches!(outcome, Err(ProduceError::StreamNotFound { .. })), "{outcome:?}");
    assert!(began.elapsed() < Duration::from_secs(1));
    assert!(!producer.is_running());
    assert!(matches!(producer.send(record(1)).await, Err(ProduceError::Closed)));
}

#[tokio::test(start_paused = true)]
async fn without_any_node_the_deadline_passes_and_nothing_was_written() {
    let fake = Fake::start(1);
    (1..=3).for_each(|node| fake.network.stop(node));
    let deadline = Duration::from_secs(3);
    let producer = fake.client().producer(&stream()).delivery_deadline(deadline).build();
    let began = Instant::now();
    let error = producer.send(record(0)).await.unwrap().await.unwrap_err();
    assert!(matches!(error, ProduceError::DeadlineExceeded { .. }) && !error.perhaps_applied(), "{error:?}");
    assert!(began.elapsed() >= deadline && began.elapsed() < deadline * 2);
}

#[tokio::test(start_paused = true)]
async fn a_record_in_doubt_at_its_deadline_is_reported_as_unknown() {
    let fake = Fake::start(1);
    fake.change(|world| world.holding = true);
    let producer = fake.client().producer(&stream()).delivery_deadline(Duration::from_secs(3)).build();
    let error = producer.send(record(0)).await.unwrap().await.unwrap_err();
    assert!(error.perhaps_applied(), "{error:?}");
    assert_eq!(producer.close().await.unknown, 1);
}

#[tokio::test(start_paused = true)]
async fn without_idempotence_a_lost_reply_is_unknown_and_not_written_again() {
    let fake = Fake::start(1);
    fake.change(|world| world.faults.entry(1).or_default().push_back(Fault::LoseReply));
    let producer = fake.client().producer(&stream()).idempotent(false).build();
    let error = producer.send(record(0)).await.unwrap().await.unwrap_err();
    assert!(error.perhaps_applied(), "{error:?}");
    producer.send(record(16)).await.unwrap().await.unwrap();
    assert_eq!(fake.look().records().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_record_larger_than_the_stream_allows_is_refused_alone() {
    let fake = Fake::start(1);
    let producer = fake.client().producer(&stream()).build();
    let large = producer.send(Record::new("k", vec![0; (1 << 20) + 1])).await.unwrap();
    let small = producer.send(record(0)).await.unwrap();
    assert!(matches!(large.await, Err(ProduceError::TooLarge { limit: 1_048_576, .. })));
    small.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn flush_returns_when_all_that_was_sent_is_written() {
    let fake = Fake::start(2);
    let producer = fake.client().producer(&stream()).build();
    for serial in 0..100 {
        drop(producer.send(record(serial)).await.unwrap());
    }
    producer.flush().await;
    assert_eq!(fake.look().records().len(), 100);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_producer_still_writes_what_it_took() {
    let fake = Fake::start(1);
    let delivery = fake.client().producer(&stream()).build().send(record(0)).await.unwrap();
    delivery.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn append_gives_positions_in_the_order_of_the_records() {
    let fake = Fake::start(4);
    let client = fake.client();
    let positions = client.append(&stream(), (0..50).map(record).collect()).await.unwrap();
    let outcomes: Vec<_> = positions.into_iter().map(Ok).collect();
    check(&fake, &outcomes);
    let error = client.append(&stream(), vec![record(50), Record::new("", "x")]).await.unwrap_err();
    assert!(error.outcomes[0].is_ok() && !error.perhaps_applied());
    assert_eq!(error.first(), &ProduceError::PartitionKey { chars: 0 });
}
