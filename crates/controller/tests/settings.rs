//! Settings, fan-out consumers, access keys and the account, by the client of any node.

mod support;

use std::collections::BTreeMap;

use support::{LONG, TestCluster};
use thalweg_catalog::{
    AccountPatch, CommitmentStatus, ConsumerPatch, ConsumerRef, Distribution, Edit, LimitsProfile, Refusal,
    RetentionChange, Secret, ShardMetric, StreamMode, StreamPatch, StreamSettings,
};
use thalweg_client::{AccessKeyDescription, CallError, Client, CreateStream, NewAccessKey, Options, Reason};
use thalweg_types::{Clock, ShardId, StreamId, StreamName, SystemClock};

/// A client that knows only this node.
fn client(cluster: &TestCluster, id: u64) -> Client {
    Client::connect(Options::new([&*cluster.nodes[&id].address])).unwrap()
}

fn orders() -> StreamName {
    "orders".parse().unwrap()
}

fn tags(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

async fn with_orders(nodes: u64) -> TestCluster {
    let cluster = TestCluster::formed(nodes).await;
    client(&cluster, 1).streams().create(&orders(), CreateStream::default()).await.unwrap();
    cluster
}

#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T, CallError>, reason: Reason, refusal: &Refusal) {
    let error = result.unwrap_err();
    assert_eq!((error.reason(), error.refusal().as_ref()), (Some(reason), Some(refusal)), "{error}");
    assert!(!error.perhaps_applied());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_in_the_catalog_of_the_node_that_answered_it() {
    let cluster = with_orders(3).await;
    for (i, id) in [1, 2, 3, 2, 1].into_iter().enumerate() {
        let catalog = cluster.handle(id).catalog();
        let (streams, policy) = (client(&cluster, id).streams(), format!("{{\"change\":{i}}}"));
        let patch = StreamPatch { policy: Edit::Set(policy.clone()), ..StreamPatch::default() };
        let described = streams.update(&orders(), &patch).await.unwrap();
        let shown = catalog.borrow().stream(&orders()).unwrap().settings.clone();
        assert_eq!((&shown.policy, &described.settings), (&Some(policy), &shown));
        let consumer = streams.register_consumer(&orders(), &format!("c{i}"), tags(&[("k", "v")])).await.unwrap();
        assert_eq!(catalog.borrow().stream(&orders()).unwrap().consumer(&(&*consumer.name).into()), Some(&consumer));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_catalog_is_shared_with_the_image_and_ends_with_the_node() {
    let mut cluster = with_orders(1).await;
    let mut catalog = cluster.handle(1).catalog();
    let revision = catalog.borrow().revision();
    let image = cluster.until(1, "the newest catalog", |image| image.catalog.revision() >= revision).await;
    let shared = |shown: &thalweg_controller::Image| std::sync::Arc::ptr_eq(&shown.catalog, &catalog.borrow());
    assert!(shared(&image) || shared(&cluster.image(1)), "one copy a revision");
    cluster.shutdown(1).await;
    let ended = async { while catalog.changed().await.is_ok() {} };
    tokio::time::timeout(LONG, ended).await.expect("nobody shows a stopped node's catalog");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_is_created_with_settings_patched_and_tagged() {
    let cluster = TestCluster::formed(1).await;
    let streams = client(&cluster, 1).streams();
    let settings = StreamSettings {
        mode: StreamMode::OnDemand,
        tags: tags(&[("team", "river"), ("env", "prod")]),
        distribution: Distribution::Auto,
        limits: LimitsProfile::Kinesis,
        ..StreamSettings::default()
    };
    let wanted = CreateStream { settings: settings.clone(), ..CreateStream::default() };
    assert_eq!(streams.create(&orders(), wanted).await.unwrap().settings, settings);
    let patch = StreamPatch {
        enable_metrics: [ShardMetric::IncomingBytes].into(),
        record_bytes_max: Some(10 << 20),
        ..StreamPatch::default()
    };
    let patched = streams.update(&orders(), &patch).await.unwrap();
    assert_eq!((patched.record_bytes_max, patched.settings.monitoring), (10 << 20, patch.enable_metrics));
    let tagged = streams.tag(&orders(), tags(&[("env", "test")]), ["team".to_owned()].into()).await.unwrap();
    assert_eq!(tagged.settings.tags, tags(&[("env", "test")]));
    let bad = streams.tag(&orders(), tags(&[("env#", "")]), [].into()).await;
    refused(bad, Reason::InvalidArgument, &Refusal::TagKey { key: "env#".to_owned() });
    let back = StreamPatch { mode: Some(StreamMode::Provisioned), ..StreamPatch::default() };
    refused(streams.update(&orders(), &back).await, Reason::InvalidArgument, &Refusal::DistributionMode);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_services_own_rules_bind_only_who_asks_for_them() {
    let cluster = with_orders(1).await;
    let free = client(&cluster, 1).streams();
    let bound = free.clone().kinesis_rules();
    let bounds = Refusal::ScalingBounds { stream: orders(), open: 1, target: 3, least: 1, most: 2 };
    refused(bound.scale(&orders(), 3).await, Reason::LimitExceeded, &bounds);
    free.scale(&orders(), 3).await.unwrap();
    let scaled = |image: &thalweg_controller::Image| {
        let stream = image.catalog.stream(&orders()).unwrap();
        stream.shards.open_count() == 3 && stream.status == thalweg_catalog::StreamStatus::Active
    };
    cluster.until(1, "three shards", scaled).await;
    let on_demand = StreamPatch { mode: Some(StreamMode::OnDemand), ..StreamPatch::default() };
    bound.update(&orders(), &on_demand).await.unwrap();
    let service_alone = Refusal::OnDemandReshard { stream: orders() };
    let split = bound.split(&orders(), ShardId(0), None).await;
    refused(split, Reason::InvalidArgument, &service_alone);
    refused(bound.scale(&orders(), 4).await, Reason::InvalidArgument, &service_alone);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retention_changes_only_the_way_that_was_meant() {
    let cluster = with_orders(1).await;
    let streams = client(&cluster, 1).streams();
    let fall = Refusal::RetentionWouldRise { hours: 48, current: 24 };
    let shorter = streams.change_retention(&orders(), 48, RetentionChange::Decrease).await;
    refused(shorter, Reason::InvalidArgument, &fall);
    let longer = streams.change_retention(&orders(), 48, RetentionChange::Increase).await.unwrap();
    assert_eq!(longer.retention_hours, 48);
    let rise = Refusal::RetentionWouldFall { hours: 24, current: 48 };
    refused(streams.change_retention(&orders(), 24, RetentionChange::Increase).await, Reason::InvalidArgument, &rise);
    assert_eq!(streams.set_retention(&orders(), 24).await.unwrap().retention_hours, 24);
}

/// What was written off by a clock that was wrong would take every later record with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retention_that_is_changed_while_all_clocks_are_ahead_writes_nothing_off() {
    const DAY_MS: u64 = 24 * 3_600_000;
    let cluster = with_orders(3).await;
    let streams = client(&cluster, 1).streams();
    let written_off = || cluster.image(1).catalog.stream(&orders()).unwrap().trimmed_until.0;
    streams.set_retention(&orders(), 48).await.unwrap();
    let before = SystemClock.now().0 - DAY_MS;
    assert!((before - 60_000..=before).contains(&written_off()), "what a day was the bound for is gone");
    cluster.clock().set_ahead_ms(60 * DAY_MS);
    streams.set_retention(&orders(), 96).await.unwrap();
    assert!(written_off() <= before, "by a clock that leapt");
    cluster.clock().set_ahead_ms(0);
    streams.set_retention(&orders(), 24).await.unwrap();
    streams.set_retention(&orders(), 48).await.unwrap();
    assert!(written_off() >= before, "and by the clock again, now that it is right");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_catalog_that_is_full_says_so_and_goes_on() {
    let mut cluster = TestCluster::of(&[1]).await;
    cluster.set_catalog_bytes_max(16 * 1_024);
    cluster.start_all().await;
    cluster.all_joined().await;
    let streams = client(&cluster, 1).streams();
    let numbered = |n: u32| format!("s{n}").parse::<StreamName>().unwrap();
    let mut made = 0;
    let refused = loop {
        match streams.create(&numbered(made), CreateStream::default()).await {
            Ok(_) => made += 1,
            Err(error) => break error,
        }
    };
    assert!(made > 4 && matches!(refused.refusal(), Some(Refusal::CatalogFull { limit: 16_384, .. })), "{refused}");
    // What would be refused anyway, or changes nothing, takes no room, however often it is asked for.
    for _ in 0..20 {
        let again = streams.create(&numbered(0), CreateStream::default()).await.unwrap_err();
        assert!(matches!(again.refusal(), Some(Refusal::StreamExists { .. })), "{again}");
    }
    streams.set_retention(&numbered(0), 48).await.unwrap();
    streams.delete(&numbered(0)).await.unwrap();
    cluster.until(1, "the stream gone", |image| image.catalog.stream(&numbered(0)).is_none()).await;
    streams.create(&numbered(0), CreateStream::default()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consumers_come_change_and_go_and_keep_their_stream_from_being_deleted() {
    let cluster = with_orders(3).await;
    let (one, two) = (client(&cluster, 1).streams(), client(&cluster, 2).streams());
    let registered = one.register_consumer(&orders(), "billing", tags(&[("a", "1")])).await.unwrap();
    let again = Refusal::ConsumerExists { stream: orders(), consumer: "billing".to_owned() };
    refused(two.register_consumer(&orders(), "billing", [].into()).await, Reason::AlreadyExists, &again);
    let this = ConsumerRef { name: "billing".to_owned(), created_second: Some(registered.created_at.secs()) };
    let other = ConsumerRef { created_second: Some(7), ..this.clone() };
    let patch = ConsumerPatch {
        set_tags: tags(&[("b", "2")]),
        remove_tags: ["a".to_owned()].into(),
        policy: Edit::Set("{}".to_owned()),
    };
    let unknown = Refusal::ConsumerUnknown { stream: orders(), consumer: "billing".to_owned() };
    refused(two.update_consumer(&orders(), other.clone(), &patch).await, Reason::ConsumerNotFound, &unknown);
    let changed = two.update_consumer(&orders(), this.clone(), &patch).await.unwrap();
    assert_eq!((&changed.tags, changed.policy.as_deref()), (&tags(&[("b", "2")]), Some("{}")));
    assert_eq!(two.consumers(&orders()).await.unwrap(), [changed]);
    assert_eq!(two.describe(&orders()).await.unwrap().consumer_count, 1);
    let kept = Refusal::StreamHasConsumers { stream: orders(), consumers: 1 };
    refused(two.delete(&orders()).await, Reason::InUse, &kept);
    refused(two.deregister_consumer(&orders(), other).await, Reason::ConsumerNotFound, &unknown);
    two.deregister_consumer(&orders(), this).await.unwrap();
    let second = two.register_consumer(&orders(), "billing", [].into()).await.unwrap();
    assert!(second.created_at.secs() > registered.created_at.secs());
    two.delete_with_consumers(&orders()).await.unwrap();
    assert!(!two.exists(&orders()).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_an_incarnation_that_is_gone_is_refused() {
    let cluster = with_orders(1).await;
    let streams = client(&cluster, 1).streams();
    let id = streams.describe(&orders()).await.unwrap().id;
    let stale = streams.clone().incarnation(StreamId(id.0 + 7));
    let gone = Refusal::StreamIncarnation { stream: orders(), id: StreamId(id.0 + 7), current: id };
    let found = Reason::StreamNotFound;
    refused(stale.update(&orders(), &StreamPatch::default()).await, found, &gone);
    refused(stale.tag(&orders(), tags(&[("k", "v")]), [].into()).await, found, &gone);
    refused(stale.register_consumer(&orders(), "c", [].into()).await, found, &gone);
    refused(stale.set_retention(&orders(), 48).await, found, &gone);
    refused(stale.split(&orders(), ShardId(0), None).await, found, &gone);
    refused(stale.scale(&orders(), 2).await, found, &gone);
    refused(stale.delete(&orders()).await, found, &gone);
    streams.incarnation(id).delete(&orders()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn access_keys_are_drawn_or_imported_and_their_secrets_shown_once() {
    let cluster = TestCluster::formed(3).await;
    let (one, two) = (client(&cluster, 1).cluster(), client(&cluster, 2).cluster());
    let wanted = NewAccessKey { description: "ci".to_owned(), ..NewAccessKey::default() };
    let drawn = one.create_access_key(wanted.clone()).await.unwrap();
    let other = two.create_access_key(wanted).await.unwrap();
    assert_eq!((drawn.id.len(), drawn.secret.reveal().len()), (20, 40));
    assert!(drawn.id != other.id && drawn.secret != other.secret);
    let import = Some(("test".to_owned(), Secret::new("test")));
    let imported = two.create_access_key(NewAccessKey { import, ..NewAccessKey::default() }).await.unwrap();
    assert_eq!((&*imported.id, imported.secret.reveal()), ("test", "test"));
    let taken = NewAccessKey { import: Some(("test".to_owned(), Secret::new("else"))), ..NewAccessKey::default() };
    let exists = Refusal::AccessKeyExists { id: "test".to_owned() };
    refused(two.create_access_key(taken).await, Reason::AlreadyExists, &exists);
    let kept = cluster.handle(2).catalog().borrow().access_key("test").unwrap().secret.clone();
    assert_eq!(kept, imported.secret);

    let mut listed: Vec<String> = two.access_keys().await.unwrap().into_iter().map(|key| key.id).collect();
    listed.sort();
    let mut ids = [drawn.id.clone(), other.id, imported.id];
    ids.sort();
    assert_eq!(listed, ids);
    two.delete_access_key(&drawn.id).await.unwrap();
    assert!(cluster.handle(2).catalog().borrow().access_key(&drawn.id).is_none());
    let unknown = Refusal::AccessKeyUnknown { id: drawn.id.clone() };
    refused(two.delete_access_key(&drawn.id).await, Reason::AccessKeyNotFound, &unknown);
    let allowed = Some(["ListStreams".to_owned()].into());
    let bound = two.create_access_key(NewAccessKey { allowed: allowed.clone(), ..NewAccessKey::default() }).await;
    let bound = bound.unwrap();
    assert_eq!(bound.allowed, allowed);
    assert_eq!(cluster.handle(2).catalog().borrow().access_key(&bound.id).unwrap().allowed, allowed);
    let of = |keys: Vec<AccessKeyDescription>, id: &str| keys.into_iter().find(|key| key.id == id).unwrap().allowed;
    assert_eq!(of(two.access_keys().await.unwrap(), &bound.id), allowed);
    assert_eq!(of(two.access_keys().await.unwrap(), "test"), None);
    let half = NewAccessKey { import: Some(("id".to_owned(), Secret::new(""))), ..NewAccessKey::default() };
    assert_eq!(two.create_access_key(half).await.unwrap_err().reason(), Some(Reason::InvalidArgument));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_confirmed_revision_has_every_earlier_change_in_it() {
    let cluster = TestCluster::formed(3).await;
    for round in 0..30u64 {
        let (writer, asked) = (1 + round % 3, 1 + (round + 1) % 3);
        let patch = AccountPatch { shards_max: Some(100 + round as u32), ..AccountPatch::default() };
        client(&cluster, writer).cluster().update_account(&patch).await.unwrap();
        let changed = cluster.handle(writer).catalog().borrow().revision();
        let confirmed = client(&cluster, asked).cluster().confirmed_revision().await.unwrap();
        assert!(confirmed >= changed, "{confirmed} is older than {changed}");
        assert!(cluster.handle(asked).catalog().borrow().revision() >= confirmed, "who is asked shows it");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn confirming_a_revision_writes_nothing() {
    let cluster = TestCluster::formed(3).await;
    let patch = AccountPatch { shards_max: Some(77), ..AccountPatch::default() };
    client(&cluster, 1).cluster().update_account(&patch).await.unwrap();
    let leader = cluster.leader().await;
    let before = cluster.applied_index(leader);
    for asked in (1..=3).cycle().take(60) {
        client(&cluster, asked).cluster().confirmed_revision().await.unwrap();
    }
    let written = cluster.applied_index(leader) - before;
    assert!(written < 10, "{written} entries for 60 questions");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_account_is_changed_and_described() {
    let cluster = TestCluster::formed(1).await;
    let calls = client(&cluster, 1).cluster();
    let before = calls.describe().await.unwrap();
    let patch = AccountPatch { commitment: Some(true), on_demand_streams_max: Some(0), shards_max: Some(7) };
    let account = calls.update_account(&patch).await.unwrap();
    assert_eq!(account.commitment.status(SystemClock.now()), CommitmentStatus::Enabled);
    let after = calls.describe().await.unwrap();
    assert_eq!((after.account, after.shards_max), (account, 7));
    assert_ne!((before.account, before.shards_max), (account, 7));
    let settings = StreamSettings { mode: StreamMode::OnDemand, ..StreamSettings::default() };
    let wanted = CreateStream { settings, ..CreateStream::default() };
    let limit = Refusal::OnDemandStreams { count: 0, limit: 0 };
    refused(client(&cluster, 1).streams().create(&orders(), wanted).await, Reason::LimitExceeded, &limit);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_with_the_longest_settings_are_listed_to_the_end() {
    let cluster = TestCluster::formed(1).await;
    let streams = client(&cluster, 1).streams();
    // Four bytes a character: about 100 KB a stream.
    let long = |count: usize, i: usize| format!("{i:03}{}", "\u{10400}".repeat(count - 3));
    let settings = StreamSettings {
        tags: (0..50).map(|i| (long(128, i), long(256, i))).collect(),
        policy: Some("x".repeat(20 * 1024)),
        ..StreamSettings::default()
    };
    let names: Vec<String> = (10..25).map(|i| format!("s{i}")).collect();
    for name in &names {
        let wanted = CreateStream { settings: settings.clone(), ..CreateStream::default() };
        streams.create(&name.parse().unwrap(), wanted).await.unwrap();
    }
    let request = thalweg_proto::v1::ListStreamsRequest { page_size: 1_000, page_token: String::new() };
    let page = cluster.streams(1).list_streams(request).await.unwrap().into_inner();
    assert!((2..names.len()).contains(&page.streams.len()), "a page ends before it is too long");
    let listed = streams.list().await.unwrap();
    assert_eq!(listed.iter().map(|stream| stream.name.to_string()).collect::<Vec<_>>(), names);
}
