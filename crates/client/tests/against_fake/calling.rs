//! Calls to any node: which are repeated, and where.

use std::time::Duration;

use thalweg_client::{
    CallError, Charge, Client, ConnectError, CreateStream, ListShards, NewAccessKey, Options, Position, ReadOptions,
    Reason, Record, Refusal, Secret, ShardId, ShardLimits, StreamId, StreamMode, StreamName, StreamPatch, wire,
};
use tokio::time::Instant;

use crate::fake::Fake;

fn stream() -> StreamName {
    "s".parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_call_finds_a_node_that_is_up() {
    let fake = Fake::start(1);
    fake.stop(1);
    fake.stop(2);
    let described = fake.client().streams().describe(&stream()).await.unwrap();
    assert_eq!(described.name, stream());
}

#[tokio::test(start_paused = true)]
async fn nodes_that_the_cluster_named_are_asked_when_the_endpoints_are_gone() {
    let fake = Fake::start(1);
    let client = fake.client_of(["n1:1"]);
    client.cluster().describe().await.unwrap();
    fake.stop(1);
    client.streams().describe(&stream()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_node_that_does_not_say_what_it_confirms_confirms_nothing() {
    let fake = Fake::start(1);
    fake.change(|world| world.confirmed_revision = 17);
    assert_eq!(fake.client().cluster().confirmed_revision().await.unwrap(), 17);
    fake.change(|world| world.confirmed_revision = 0);
    let error = fake.client().cluster().confirmed_revision().await.unwrap_err();
    assert!(matches!(error, CallError::BadAnswer(_)), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_creation_of_unknown_outcome_is_not_repeated() {
    let fake = Fake::start(1);
    let error = fake.client().streams().create(&"new".parse().unwrap(), CreateStream::default()).await.unwrap_err();
    assert!(error.perhaps_applied(), "{error:?}");
    assert_eq!(fake.look().create_attempts, 1);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_final_and_names_its_reason() {
    let fake = Fake::start(1);
    let error = fake.client().streams().describe(&"other".parse().unwrap()).await.unwrap_err();
    assert_eq!((error.reason(), error.perhaps_applied()), (Some(Reason::StreamNotFound), false));
    assert!(!fake.client().streams().exists(&"other".parse().unwrap()).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn without_any_node_a_call_ends_at_its_deadline() {
    let fake = Fake::start(1);
    (1..=3).for_each(|node| fake.network.stop(node));
    let began = Instant::now();
    let error = fake.client().streams().describe(&stream()).await.unwrap_err();
    assert!(matches!(error, CallError::Unreachable { .. }), "{error:?}");
    assert!(began.elapsed() <= Duration::from_secs(11));
}

#[tokio::test(start_paused = true)]
async fn shards_are_listed_across_pages() {
    let shards = Fake::start(5).client().streams().list_shards(&stream(), ListShards::default()).await.unwrap();
    assert_eq!(shards.iter().map(|shard| shard.id.0).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
}

#[tokio::test(start_paused = true)]
async fn a_page_is_read_from_whoever_leads() {
    let fake = Fake::start(1);
    let client = fake.client();
    client.append(&stream(), vec![Record::new("k", "v")]).await.unwrap();
    fake.change(|world| world.move_leader(0, 3));
    let page = client.read_page(&stream(), ShardId(0), Position::TrimHorizon, ReadOptions::default()).await.unwrap();
    assert_eq!(page.records[0].data, "v");
    let next = Position::Index(page.next_index);
    let page = client.read_page(&stream(), ShardId(0), next, ReadOptions::default()).await.unwrap();
    assert!(page.records.is_empty() && page.end.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_change_of_settings_is_repeated_with_the_incarnation_and_the_rules_that_were_asked() {
    let fake = Fake::start(1);
    let patch = StreamPatch { mode: Some(StreamMode::OnDemand), ..StreamPatch::default() };
    let streams = fake.client().streams().incarnation(StreamId(7)).kinesis_rules();
    streams.update(&stream(), &patch).await.unwrap();
    let updates = fake.look().updates.clone();
    assert_eq!(updates.len(), 2, "the first answer was lost");
    for request in updates {
        assert_eq!((request.stream_id, request.kinesis_rules), (7, true));
        assert_eq!(wire::patch(request.patch.unwrap()).unwrap(), patch);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_the_catalog_arrives_whole() {
    let error = Fake::start(1).client().streams().register_consumer(&stream(), "c", [].into()).await.unwrap_err();
    assert_eq!(error.refusal(), Some(Refusal::ConsumerLimit { stream: stream(), limit: 20 }));
    assert_eq!(error.reason(), Some(Reason::LimitExceeded));
    let other = Fake::start(1).client().streams().describe(&"other".parse().unwrap()).await.unwrap_err();
    assert_eq!(other.refusal(), None, "not every refusal is the catalog's");
}

#[tokio::test(start_paused = true)]
async fn a_secret_is_revealed_but_never_printed() {
    let wanted = NewAccessKey { description: "ci".to_owned(), ..NewAccessKey::default() };
    let key = Fake::start(1).client().cluster().create_access_key(wanted).await.unwrap();
    assert_eq!((&*key.id, key.secret.reveal(), &*key.description), ("drawn", "hush", "ci"));
    assert!(!format!("{key:?}").contains("hush"));
}

#[test]
fn endpoints_are_checked_before_anything_is_sent() {
    assert_eq!(Client::connect(Options::new([""; 0])).unwrap_err(), ConnectError::NoEndpoint);
    let given = "localhost".to_owned();
    assert_eq!(Client::connect(Options::new(["localhost"])).unwrap_err(), ConnectError::BadEndpoint { given });
}

#[tokio::test(start_paused = true)]
async fn a_key_that_a_cluster_of_an_earlier_version_did_not_restrict_is_not_given_out() {
    let fake = Fake::start(1);
    let calls = fake.client().cluster();
    let wanted = |id: Option<&str>, allowed: Option<&str>| NewAccessKey {
        import: id.map(|id| (id.to_owned(), Secret::new("known"))),
        allowed: allowed.map(|action| [action.to_owned()].into()),
        ..NewAccessKey::default()
    };
    for allowed in [None, Some("List*")] {
        assert!(calls.create_access_key(wanted(None, allowed)).await.is_ok(), "{allowed:?}");
        fake.look().access_keys.clear();
    }
    fake.look().restricts_keys = false;
    for id in [None, Some("theirs")] {
        let error = calls.create_access_key(wanted(id, Some("List*"))).await.unwrap_err();
        assert!(!error.perhaps_applied() && error.to_string().contains("deleted again"), "{error}");
        assert_eq!(fake.look().access_keys.len(), 0, "nobody can sign with it");
    }
    calls.create_access_key(wanted(Some("theirs"), None)).await.unwrap();
    let error = calls.create_access_key(wanted(Some("theirs"), Some("List*"))).await.unwrap_err();
    assert!(!error.perhaps_applied(), "{error}");
    assert_eq!(fake.look().access_keys.len(), 1, "what was there before is not taken away");
}

#[tokio::test(start_paused = true)]
async fn patience_covers_the_time_that_connecting_takes() {
    let fake = Fake::start(1);
    let request_timeout = Duration::from_millis(400);
    let client = Client::connect(Options { request_timeout, ..fake.options(["n2:1", "n1:1", "n3:1"]) }).unwrap();
    client.routing(&stream()).known(request_timeout).await.unwrap();
    for node in 1..=3 {
        fake.network.hang(node);
    }
    let (limits, charge) = (ShardLimits::default(), Charge { reads: true, ..Charge::default() });
    let begun = Instant::now();
    let patience = Duration::from_millis(300);
    client.charge(&stream(), ShardId(0), &limits, charge, patience).await.unwrap_err();
    assert!(begun.elapsed() <= patience, "charged for {:?}", begun.elapsed());
    let begun = Instant::now();
    let read = client.read_page(&stream(), ShardId(0), Position::TrimHorizon, ReadOptions::default()).await;
    assert!(read.is_err() && begun.elapsed() <= request_timeout, "read for {:?}", begun.elapsed());
    let begun = Instant::now();
    client.cluster().describe().await.unwrap_err();
    assert!(begun.elapsed() <= request_timeout, "described for {:?}", begun.elapsed());
}
