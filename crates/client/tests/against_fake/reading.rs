//! Pages read one at a time: what one node says of a moment is no answer, and reading again costs
//! no new watch of the routing.

use std::time::Duration;

use thalweg_client::{
    Client, Options, Position, ReadError, ReadOptions, ReadPage, Reason, Record, ShardId, StreamName,
};
use tokio::time::Instant;

use crate::fake::Fake;

fn stream() -> StreamName {
    "s".parse().unwrap()
}

async fn read(client: &Client, shard: u32) -> Result<ReadPage, ReadError> {
    client.read_page(&stream(), ShardId(shard), Position::TrimHorizon, ReadOptions::default()).await
}

fn reason(error: &ReadError) -> Option<Reason> {
    match error {
        ReadError::Refused { error, .. } => Some(error.reason),
        _ => None,
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_has_not_heard_of_the_shard_or_stream_yet_does_not_fail_a_read() {
    for lagging in [Reason::ShardNotFound, Reason::StreamNotFound, Reason::CorruptData] {
        let fake = Fake::start(1);
        let client = fake.client();
        client.append(&stream(), vec![Record::new("k", "v")]).await.unwrap();
        fake.change(|world| world.read_refusals.extend([lagging; 3]));
        let page = read(&client, 0).await.unwrap();
        assert_eq!(page.records[0].data, "v", "{lagging}");
        assert_eq!(fake.look().read_requests, [1, 2, 3, 1], "{lagging}: another node is asked each time");
    }
}

#[tokio::test(start_paused = true)]
async fn a_read_of_a_shard_that_was_just_opened_waits_for_it() {
    let fake = Fake::start(1);
    let client = fake.client();
    let opening = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        fake.change(|world| world.split(0));
    };
    let (page, ()) = tokio::join!(read(&client, 2), opening);
    assert!(page.unwrap().records.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_read_of_a_stream_that_was_made_again_finds_the_new_one() {
    let fake = Fake::start(1);
    let client = fake.client();
    client.append(&stream(), vec![Record::new("k", "old")]).await.unwrap();
    assert_eq!(read(&client, 0).await.unwrap().records[0].data, "old");
    fake.look().create_again();
    fake.look().revision = 1;
    let telling = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        fake.change(|world| world.revision += 1);
    };
    let (page, ()) = tokio::join!(read(&client, 0), telling);
    assert!(page.unwrap().records.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_stays_unknown_is_reported_after_a_moment_and_within_the_deadline() {
    let fake = Fake::start(1);
    let began = Instant::now();
    let error = read(&fake.client(), 9).await.unwrap_err();
    assert_eq!(reason(&error), Some(Reason::ShardNotFound), "{error:?}");
    // The last wait before the bound is not begun.
    assert!((Duration::from_millis(700)..=Duration::from_secs(1)).contains(&began.elapsed()), "{:?}", began.elapsed());
    let hurried = Options { request_timeout: Duration::from_millis(300), ..fake.options(["n1:1", "n2:1", "n3:1"]) };
    let began = Instant::now();
    let error = read(&Client::connect(hurried).unwrap(), 9).await.unwrap_err();
    assert_eq!(reason(&error), Some(Reason::ShardNotFound), "{error:?}");
    assert!(began.elapsed() <= Duration::from_millis(300), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_for_good_is_not_asked_again() {
    let fake = Fake::start(1);
    fake.change(|world| world.read_refusals.push_back(Reason::InvalidArgument));
    let error = read(&fake.client(), 0).await.unwrap_err();
    assert_eq!((reason(&error), fake.look().read_requests.len()), (Some(Reason::InvalidArgument), 1));
}

#[tokio::test(start_paused = true)]
async fn reading_page_after_page_opens_one_watch_of_the_routing() {
    let fake = Fake::start(1);
    let client = fake.client();
    for _ in 0..20 {
        read(&client, 0).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(fake.look().routing_watches, 1);
}

#[tokio::test(start_paused = true)]
async fn a_batch_larger_than_the_room_for_it_does_not_come_and_a_page_ends_after_so_many_records() {
    let fake = Fake::start(1);
    let client = fake.client();
    let large = vec![b'x'; 40_000];
    client.append(&stream(), vec![Record::new("k", large.clone())]).await.unwrap();
    client.append(&stream(), (0..10).map(|_| Record::new("k", "small")).collect()).await.unwrap();
    let within = async |from, bytes, records| {
        client.read_page_within(&stream(), ShardId(0), from, (bytes, records)).await.unwrap()
    };
    for room in [10_000, 30_000, 39_999] {
        assert_eq!(within(Position::TrimHorizon, room, 100).await, None, "{room}");
    }
    assert_eq!(fake.look().read_requests, [1, 1, 1], "no other node is asked for the same");
    let first = within(Position::TrimHorizon, 41_000, 1).await.unwrap();
    assert_eq!((first.records.len(), first.records[0].data.len()), (1, large.len()));
    let second = within(Position::Index(first.next_index), 1_000, 4).await.unwrap();
    assert_eq!(second.records.len(), 4);
    assert_eq!(second.next_index, first.next_index, "it goes on at the batch that was cut");
    assert!(second.millis_behind_latest > 0 && second.end.is_none());
    let whole = within(Position::Index(first.next_index), 1_000, 10).await.unwrap();
    assert_eq!((whole.records.len(), whole.next_index > first.next_index), (10, true));
}
