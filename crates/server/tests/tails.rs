//! Tails against a whole cluster in this process: one reader a name, failover, stalled readers.

use std::time::Duration;

use thalweg_client::{
    Client, CreateStream, ListShards, NodeId, Options, Position, ReadOptions, ReadPage, Record, ShardId, StreamName,
    Subscriber, Tail, TailError, TailOptions,
};
use thalweg_server::dev::{DevCluster, DevOptions};
use tokio::time::{Instant, timeout};

const PATIENCE: Duration = Duration::from_secs(60);
const SHARD: ShardId = ShardId(0);

fn stream() -> StreamName {
    "orders".parse().unwrap()
}

async fn start() -> (DevCluster, Client) {
    let _ = tracing_subscriber::fmt().with_env_filter(tracing_subscriber::EnvFilter::from_default_env()).try_init();
    let cluster = DevCluster::start(DevOptions { port: 0, ..DevOptions::default() }).await.unwrap();
    let client = client_of(&cluster, 0);
    client.streams().create(&stream(), CreateStream::default()).await.unwrap();
    (cluster, client)
}

/// A client that first asks one node.
fn client_of(cluster: &DevCluster, node: usize) -> Client {
    Client::connect(Options::new([cluster.ready().endpoints[node].clone()])).unwrap()
}

fn tail(client: &Client, id: u64) -> Tail {
    let subscriber = Some(Subscriber { name: "reader".to_owned(), id });
    client.tail(&stream(), SHARD, Position::TrimHorizon, TailOptions { subscriber, ..TailOptions::default() })
}

async fn write(client: &Client, serials: std::ops::Range<u64>) {
    for serial in serials {
        client.append(&stream(), vec![Record::new("k", serial.to_string())]).await.unwrap();
    }
}

fn serials(page: &ReadPage) -> impl Iterator<Item = u64> {
    page.records.iter().map(|record| std::str::from_utf8(&record.data).unwrap().parse().unwrap())
}

async fn next(tail: &mut Tail) -> Result<ReadPage, TailError> {
    timeout(PATIENCE, tail.next()).await.expect("a tail is never silent for long").expect("an open shard has no end")
}

/// Reads until `count` records came.
async fn take(tail: &mut Tail, count: usize) -> Vec<u64> {
    let mut taken = Vec::new();
    while taken.len() < count {
        taken.extend(serials(&next(tail).await.unwrap()));
    }
    taken
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_has_one_tail_in_the_cluster_which_can_be_taken_over_after_five_seconds() {
    let (cluster, client) = start().await;
    write(&client, 0..10).await;
    let mut first = tail(&client, 1);
    let began = Instant::now();
    assert_eq!(take(&mut first, 10).await, (0..10).collect::<Vec<_>>());
    // Whichever node is asked.
    let mut refused = 0;
    let mut second = 'taken: loop {
        for node in 0..3 {
            let mut second = tail(&client_of(&cluster, node), 2);
            match next(&mut second).await {
                Ok(page) => {
                    assert_eq!(serials(&page).collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
                    break 'taken second;
                }
                Err(TailError::AlreadySubscribed { .. }) => refused += 1,
                Err(error) => panic!("{error:?}"),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    assert!(refused >= 3 && began.elapsed() >= Duration::from_secs(5), "{refused} after {:?}", began.elapsed());
    let told = loop {
        if let Err(error) = next(&mut first).await {
            break error;
        }
    };
    assert!(matches!(told, TailError::TakenOver { .. }), "{told:?}");
    write(&client, 10..20).await;
    assert_eq!(take(&mut second, 10).await, (10..20).collect::<Vec<_>>());
    cluster.shutdown().await;
}

/// Hands the shard over to another node and waits until it leads.
async fn hand_over(client: &Client) {
    let leader = async || client.streams().list_shards(&stream(), ListShards::default()).await.unwrap()[0].leader;
    let led = async || loop {
        if let Some(node) = leader().await {
            return node;
        }
    };
    let to = NodeId(1 + led().await.0 % 3);
    client.cluster().transfer_leader(&stream(), SHARD, to).await.unwrap();
    let led_there = async { while led().await != to {} };
    timeout(PATIENCE, led_there).await.expect("the leader hands over");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_goes_on_under_its_id_when_the_leader_hands_over_and_its_positions_hold() {
    const RECORDS: u64 = 200;
    let (cluster, client) = start().await;
    let mut following = tail(&client, 1);
    let reader = tokio::spawn(async move {
        let (mut taken, mut reached) = (Vec::new(), Vec::new());
        while taken.len() < RECORDS as usize {
            let page = next(&mut following).await.unwrap();
            taken.extend(serials(&page));
            reached.push((taken.len() as u64, page.next_sequence_number()));
        }
        (taken, reached)
    });
    for part in 0..4 {
        let serials = part * RECORDS / 4..(part + 1) * RECORDS / 4;
        tokio::join!(write(&client, serials), hand_over(&client));
    }
    let (taken, reached) = timeout(PATIENCE, reader).await.expect("reads on").unwrap();
    assert_eq!(taken, (0..RECORDS).collect::<Vec<_>>(), "nothing is missed or repeated");
    for (read, number) in reached.into_iter().step_by(10) {
        for position in [Position::At(number), Position::After(number)] {
            let page = client.read_page(&stream(), SHARD, position, ReadOptions::default()).await.unwrap();
            assert_eq!(serials(&page).next(), (read < RECORDS).then_some(read), "{position:?}");
        }
    }
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tails_that_are_not_read_hold_up_nobody() {
    let (cluster, client) = start().await;
    for _ in 0..16 {
        let large: Vec<Record> = (0..2).map(|_| Record::new("k", vec![7; 500_000])).collect();
        client.append(&stream(), large).await.unwrap();
    }
    let mut stalled: Vec<Tail> = (0..8)
        .map(|id| {
            let subscriber = Some(Subscriber { name: format!("stalled-{id}"), id });
            client.tail(&stream(), SHARD, Position::TrimHorizon, TailOptions { subscriber, ..TailOptions::default() })
        })
        .collect();
    for tail in &mut stalled {
        assert!(!next(tail).await.unwrap().records.is_empty());
    }
    let others = async {
        let mut records = 0;
        let mut reading = tail(&client, 1);
        while records < 32 {
            records += next(&mut reading).await.unwrap().records.len();
        }
        for _ in 0..20 {
            client.append(&stream(), vec![Record::new("k", "small")]).await.unwrap();
        }
    };
    timeout(PATIENCE, others).await.expect("nobody waits for those that do not read");
    cluster.shutdown().await;
}
