//! What a tail of one shard promises: every page once and in order, whatever breaks, and a clear
//! word where it ends.

use std::time::Duration;

use thalweg_client::{
    Client, Position, ReadOptions, ReadPage, Reason, Record, RoutingError, ShardId, StreamName, Subscriber, Tail,
    TailError, TailOptions,
};
use tokio::time::{Instant, timeout};

use crate::fake::Fake;

fn stream() -> StreamName {
    "s".parse().unwrap()
}

async fn write(client: &Client, serials: std::ops::Range<u64>) {
    for serial in serials {
        client.append(&stream(), vec![Record::new("k", serial.to_string())]).await.unwrap();
    }
}

fn begin(client: &Client, shard: u32, options: TailOptions) -> Tail {
    client.tail(&stream(), ShardId(shard), Position::TrimHorizon, options)
}

fn named(id: u64) -> TailOptions {
    TailOptions { subscriber: Some(Subscriber { name: "reader".to_owned(), id }), ..TailOptions::default() }
}

fn serials(page: &ReadPage) -> Vec<u64> {
    page.records.iter().map(|record| std::str::from_utf8(&record.data).unwrap().parse().unwrap()).collect()
}

async fn page(tail: &mut Tail) -> ReadPage {
    let page = timeout(Duration::from_secs(60), tail.next()).await.expect("pages come");
    page.expect("the tail goes on").unwrap()
}

/// Reads until `count` records came, checking that positions never fall.
async fn take(tail: &mut Tail, count: usize) -> Vec<u64> {
    let (mut taken, mut last) = (Vec::new(), None);
    while taken.len() < count {
        let page = page(tail).await;
        let reached = Some(page.next_sequence_number());
        assert!(last <= reached, "{last:?} then {reached:?}");
        assert!(page.records.last().is_none_or(|record| Some(record.sequence_number) < reached));
        last = reached;
        taken.extend(serials(&page));
    }
    taken
}

async fn refusal(tail: &mut Tail) -> TailError {
    let error = loop {
        match tail.next().await.expect("an error comes before the end") {
            Ok(page) => assert!(page.end.is_none()),
            Err(error) => break error,
        }
    };
    assert!(tail.next().await.is_none(), "nothing comes after an error");
    error
}

#[tokio::test(start_paused = true)]
async fn tails_neither_skip_nor_repeat_whatever_breaks_and_end_with_the_shard() {
    let fake = Fake::start(1);
    fake.change(|world| {
        world.tail_pages_max = Some(2);
        world.repeat_pages = true;
    });
    let client = fake.client();
    let mut tail = begin(&client, 0, named(1));
    let writing = async {
        for start in (0..100).step_by(10) {
            write(&client, start..start + 10).await;
            fake.network.cut(1 + start % 3);
            fake.change(|world| world.move_leader(0, 1 + (start / 10 + 1) % 3));
        }
    };
    let (taken, ()) = tokio::join!(take(&mut tail, 100), writing);
    assert_eq!(taken, (0..100).collect::<Vec<_>>());
    fake.change(|world| world.split(0));
    let end = loop {
        let page = page(&mut tail).await;
        assert!(page.records.is_empty());
        if page.end.is_some() {
            break page.end;
        }
    };
    assert_eq!(end, Some(vec![ShardId(1), ShardId(2)]));
    assert!(tail.next().await.is_none());
    let world = fake.look();
    assert!(world.tail_requests.len() > 10, "the tails broke");
    let mut names = world.tail_requests.iter().map(|(_, request)| (&*request.subscriber, request.subscription_id));
    assert!(names.all(|name| name == ("reader", 1)), "a reconnect has the same id");
}

#[tokio::test(start_paused = true)]
async fn pages_without_records_tell_where_a_tail_is_unless_they_are_not_wanted() {
    let fake = Fake::start(1);
    let client = fake.client();
    write(&client, 0..3).await;
    let mut tail = client.tail(&stream(), ShardId(0), Position::Latest, TailOptions::default());
    let began = Instant::now();
    let first = page(&mut tail).await;
    assert!(first.records.is_empty() && began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    let second = page(&mut tail).await;
    assert_eq!((second.next_index, second.millis_behind_latest), (first.next_index, 0));
    let quiet = TailOptions { heartbeats: false, ..TailOptions::default() };
    let mut tail = client.tail(&stream(), ShardId(0), Position::Index(first.next_index), quiet);
    assert!(timeout(Duration::from_secs(30), tail.next()).await.is_err(), "nothing is told while nothing comes");
    write(&client, 3..4).await;
    assert_eq!(serials(&page(&mut tail).await), [3]);
    assert_eq!(fake.look().tail_requests.len(), 2, "silence in between broke nothing");
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_for_good_ends_a_tail_with_its_meaning() {
    type Check = fn(&TailError) -> bool;
    let cases: [(Reason, Check); 4] = [
        (Reason::AlreadySubscribed, |error| matches!(error, TailError::AlreadySubscribed { .. })),
        (Reason::TakenOver, |error| matches!(error, TailError::TakenOver { .. })),
        (Reason::LimitExceeded, |error| matches!(error, TailError::LimitExceeded { .. })),
        (Reason::InvalidArgument, |error| matches!(error, TailError::Refused { .. })),
    ];
    for (reason, expected) in cases {
        let fake = Fake::start(1);
        fake.change(|world| world.tail_refusals.push_back(reason));
        let error = refusal(&mut begin(&fake.client(), 0, named(1))).await;
        assert!(expected(&error), "{reason}: {error:?}");
        assert_eq!(fake.look().tail_requests.len(), 1, "{reason} is not tried again");
    }
}

#[tokio::test(start_paused = true)]
async fn a_tail_that_is_taken_over_while_it_runs_does_not_come_back() {
    let fake = Fake::start(1);
    let client = fake.client();
    write(&client, 0..1).await;
    let mut tail = begin(&client, 0, named(1));
    assert_eq!(take(&mut tail, 1).await, [0]);
    fake.change(|world| world.tails_end = Some(Reason::TakenOver));
    assert!(matches!(refusal(&mut tail).await, TailError::TakenOver { .. }));
    assert_eq!(fake.look().tail_requests.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_leader_that_another_node_names_is_asked_next() {
    let fake = Fake::start(1);
    let client = fake.client();
    let routing = client.routing(&stream());
    routing.known(Duration::from_secs(1)).await.unwrap();
    // No image tells of it.
    fake.look().shards[0].leader = 3;
    let mut tail = client.tail(&stream(), ShardId(0), Position::Latest, named(1));
    let began = Instant::now();
    page(&mut tail).await;
    let asked: Vec<u64> = fake.look().tail_requests.iter().map(|(node, _)| *node).collect();
    assert_eq!(asked, [1, 3]);
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn refusals_of_the_moment_are_tried_again() {
    let fake = Fake::start(1);
    let client = fake.client();
    write(&client, 0..5).await;
    fake.change(|world| world.tail_refusals.extend([Reason::Unavailable, Reason::Throttled, Reason::ShardNotFound]));
    assert_eq!(take(&mut begin(&client, 0, named(1)), 5).await, [0, 1, 2, 3, 4]);
    assert_eq!(fake.look().tail_refusals.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn dropping_a_wait_loses_nothing_and_a_silent_node_is_left_all_the_same() {
    let fake = Fake::start(1);
    let client = fake.client();
    let mut tail = begin(&client, 0, TailOptions::default());
    let mut taken = Vec::new();
    let reading = async {
        while taken.len() < 20 {
            // Far less than a connection takes to be noticed as silent.
            if let Ok(page) = timeout(Duration::from_millis(100), tail.next()).await {
                taken.extend(serials(&page.unwrap().unwrap()));
            }
        }
    };
    let writing = async {
        write(&client, 0..10).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        fake.change(|world| world.silent = vec![1]);
        fake.change(|world| world.move_leader(0, 2));
        write(&client, 10..20).await;
    };
    let both = async { tokio::join!(reading, writing) };
    timeout(Duration::from_secs(15), both).await.expect("left in time");
    assert_eq!(taken, (0..20).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_shard_or_stream_that_is_not_there_is_reported() {
    let client = Fake::start(1).client();
    let error = refusal(&mut begin(&client, 9, TailOptions::default())).await;
    assert!(matches!(error, TailError::ShardNotFound { shard: ShardId(9) }), "{error:?}");
    let other: StreamName = "other".parse().unwrap();
    let error = refusal(&mut client.tail(&other, ShardId(0), Position::Latest, TailOptions::default())).await;
    assert!(matches!(error, TailError::Routing(RoutingError::StreamNotFound { .. })), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_was_just_opened_is_waited_for() {
    let fake = Fake::start(1);
    let mut tail = begin(&fake.client(), 2, TailOptions::default());
    let opening = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        fake.change(|world| world.split(0));
    };
    tokio::join!(page(&mut tail), opening);
}

#[tokio::test(start_paused = true)]
async fn a_stream_made_again_under_the_same_name_is_another_one() {
    let fake = Fake::start(1);
    let client = fake.client();
    write(&client, 0..5).await;
    let mut tail = begin(&client, 0, TailOptions::default());
    assert_eq!(take(&mut tail, 5).await.len(), 5);
    fake.change(|world| world.create_again());
    let error = refusal(&mut tail).await;
    assert!(matches!(error, TailError::Routing(RoutingError::StreamNotFound { .. })), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn tails_that_are_not_read_hold_a_bounded_number_of_bytes_and_hold_up_nobody() {
    const STALLED: usize = 12;
    let fake = Fake::start(1);
    let client = fake.client();
    let large = |_| Record::new("k", vec![1; 200_000]);
    for _ in 0..16 {
        client.append(&stream(), (0..3).map(large).collect()).await.unwrap();
    }
    let mut stalled: Vec<Tail> = (0..STALLED).map(|_| begin(&client, 0, TailOptions::default())).collect();
    for tail in &mut stalled {
        assert_eq!(page(tail).await.records.len(), 3);
    }
    // A paused clock moves only when nothing else can.
    tokio::time::sleep(Duration::from_secs(30)).await;
    // Of 9.6 MB each: the page that was read, a window of 1 MiB, and a page of 0.6 MB before and
    // behind it.
    let tailed_bytes = fake.look().tailed_bytes;
    assert!(tailed_bytes < STALLED * 3_500_000, "{tailed_bytes}");
    let others = async {
        client.append(&stream(), vec![Record::new("k", "last")]).await.unwrap();
        client.read_page(&stream(), ShardId(0), Position::TrimHorizon, ReadOptions::default()).await.unwrap();
        let mut tail = begin(&client, 0, TailOptions::default());
        let mut records = 0;
        while records < 49 {
            records += page(&mut tail).await.records.len();
        }
    };
    timeout(Duration::from_secs(10), others).await.expect("nobody waits for those that do not read");
    let mut records = 3;
    while records < 49 {
        records += page(&mut stalled[0]).await.records.len();
    }
    assert_eq!(records, 49, "waiting loses nothing");
}
