//! Settings, tags, consumers, access keys and the account: what is allowed, and what then holds.

use std::collections::{BTreeMap, BTreeSet};

use thalweg_catalog::{
    AccountPatch, Applied, Catalog, Command, CommitmentStatus, ConsumerPatch, ConsumerRef, Distribution, Edit,
    LimitsProfile, NewStream, Operation, Outcome, Refusal, Rules, Secret, ShardLimits, ShardMetric, StreamMode,
    StreamPatch, StreamSettings, StreamStatus,
};
use thalweg_types::UnixMillis;

use crate::support::{
    HOUR, START, ask, at_hour, cluster, cluster_with_stream, create_stream, finish_reshards, finish_scaling, name,
    reshard_now, split, stream,
};

fn update(catalog: &mut Catalog, patch: StreamPatch, rules: Rules, now: UnixMillis) -> Outcome {
    let outcome = ask(catalog, Operation::UpdateStream { stream: name("s"), patch: Box::new(patch), rules }, now);
    catalog.check().unwrap();
    outcome
}

fn to_mode(mode: StreamMode) -> StreamPatch {
    StreamPatch { mode: Some(mode), ..StreamPatch::default() }
}

fn tags(count: usize) -> BTreeMap<String, String> {
    (0..count).map(|i| (format!("key{i}"), "value".to_owned())).collect()
}

fn tag(catalog: &mut Catalog, set: BTreeMap<String, String>, remove: &[&str]) -> Outcome {
    let remove = remove.iter().map(|key| (*key).to_owned()).collect();
    ask(catalog, Operation::TagStream { stream: name("s"), set, remove }, START)
}

fn register(catalog: &mut Catalog, consumer: &str, now: UnixMillis) -> Result<UnixMillis, Refusal> {
    let consumer = consumer.to_owned();
    let wish = Operation::RegisterConsumer { stream: name("s"), consumer, tags: BTreeMap::new() };
    match ask(catalog, wish, now)? {
        Applied::ConsumerRegistered { created_at } => Ok(created_at),
        other => panic!("a registration came to {other:?}"),
    }
}

fn deregister(catalog: &mut Catalog, consumer: impl Into<ConsumerRef>) -> Outcome {
    ask(catalog, Operation::DeregisterConsumer { stream: name("s"), consumer: consumer.into() }, START)
}

fn commit(catalog: &mut Catalog, enable: bool, now: UnixMillis) {
    let patch = AccountPatch { commitment: Some(enable), ..AccountPatch::default() };
    ask(catalog, Operation::UpdateAccount { patch }, now).unwrap();
}

#[test]
fn a_catalog_stored_before_there_were_settings_is_still_read() {
    let catalog = cluster_with_stream(2);
    let mut stored: serde_json::Value = serde_json::from_slice(&catalog.encode()).unwrap();
    let fields = stored["catalog"].as_object_mut().unwrap();
    for added in ["account", "access_keys"] {
        fields.remove(added).expect("the field is stored");
    }
    let stream = fields["streams"]["s"].as_object_mut().unwrap();
    for added in ["settings", "consumers", "scalings"] {
        stream.remove(added).expect("the field is stored");
    }
    assert_eq!(Catalog::decode(stored.to_string().as_bytes()).unwrap(), catalog);
}

#[test]
fn commands_logged_before_there_were_settings_are_still_read() {
    let delete = Command::decode(br#"{"DeleteStream":{"stream":"s"}}"#).unwrap();
    assert_eq!(delete, Command::DeleteStream { stream: name("s"), with_consumers: false });
    let scale = Command::decode(br#"{"StartScaling":{"stream":"s","target":4,"now":9}}"#).unwrap();
    let now = UnixMillis(9);
    assert_eq!(scale, Command::StartScaling { stream: name("s"), target: 4, rules: Rules::Free, now });
    let create = br#"{"CreateStream":{"wanted":{"name":"s","shard_count":2,"replication":3,"retention_hours":24,
        "durability":"fsync","record_bytes_max":1048576},"placement":[],"now":9}}"#;
    let wanted = NewStream::named(name("s"), 2);
    assert_eq!(Command::decode(create).unwrap(), Command::CreateStream { wanted, placement: vec![], now });
}

#[test]
fn a_stream_begins_with_the_settings_it_was_created_with() {
    let mut catalog = cluster(&["a"]);
    let settings = StreamSettings {
        mode: StreamMode::OnDemand,
        tags: tags(2),
        warm_mibps: Some(100),
        distribution: Distribution::Auto,
        limits: LimitsProfile::Kinesis,
        mode_changes: vec![UnixMillis(1)],
        ..StreamSettings::default()
    };
    create_stream(
        &mut catalog,
        NewStream { settings: Box::new(settings.clone()), ..NewStream::named(name("s"), 4) },
        START,
    );
    assert_eq!(stream(&catalog).settings, StreamSettings { mode_changes: vec![], ..settings });
    assert_eq!(catalog.on_demand_stream_count(), 1);
    catalog.check().unwrap();
}

#[test]
fn a_patch_changes_what_it_names_and_nothing_else() {
    let catalog = &mut cluster_with_stream(1);
    let (incoming, outgoing) = (ShardMetric::IncomingBytes, ShardMetric::OutgoingBytes);
    let first = StreamPatch {
        encryption_key: Edit::Set("alias/orders".to_owned()),
        enable_metrics: [incoming, outgoing].into(),
        policy: Edit::Set("{}".to_owned()),
        limits: Some(LimitsProfile::Kinesis),
        record_bytes_max: Some(2 << 20),
        ..StreamPatch::default()
    };
    assert_eq!(update(catalog, first.clone(), Rules::Kinesis, START), Ok(Applied::Changed));
    assert_eq!(update(catalog, first, Rules::Kinesis, START), Ok(Applied::Unchanged));
    let second = StreamPatch { disable_metrics: [incoming].into(), policy: Edit::Clear, ..StreamPatch::default() };
    update(catalog, second, Rules::Free, START).unwrap();
    let s = stream(catalog);
    assert_eq!(s.settings.encryption_key.as_deref(), Some("alias/orders"));
    assert_eq!((&s.settings.monitoring, &s.settings.policy), (&BTreeSet::from([outgoing]), &None));
    assert_eq!((s.settings.limits.shard_limits(), s.record_bytes_max), (ShardLimits::KINESIS, 2 << 20));
}

#[test]
fn settings_of_streams_that_come_or_go_stay() {
    let catalog = &mut cluster(&["a"]);
    ask(catalog, Operation::CreateStream(NewStream::named(name("s"), 1)), START).unwrap();
    let refused = |outcome: Outcome, expected| {
        assert!(matches!(outcome, Err(Refusal::StreamStatus { status, .. }) if status == expected), "{outcome:?}");
    };
    refused(update(catalog, StreamPatch::default(), Rules::Free, START), StreamStatus::Creating);
    refused(tag(catalog, tags(1), &[]), StreamStatus::Creating);
    assert!(matches!(register(catalog, "c", START), Err(Refusal::StreamStatus { .. })));
    ask(catalog, Operation::DeleteStream { stream: name("s"), with_consumers: false }, START).unwrap();
    refused(update(catalog, StreamPatch::default(), Rules::Free, START), StreamStatus::Deleting);
    refused(tag(catalog, tags(1), &[]), StreamStatus::Deleting);
}

#[test]
fn only_on_demand_streams_are_warmed_and_placed_by_the_service() {
    let catalog = &mut cluster_with_stream(1);
    let warm = StreamPatch { warm_mibps: Edit::Set(10), ..StreamPatch::default() };
    let auto = StreamPatch { distribution: Some(Distribution::Auto), ..StreamPatch::default() };
    assert_eq!(update(catalog, warm.clone(), Rules::Free, START), Err(Refusal::WarmThroughputMode));
    assert_eq!(update(catalog, auto.clone(), Rules::Free, START), Err(Refusal::DistributionMode));
    update(catalog, to_mode(StreamMode::OnDemand), Rules::Free, START).unwrap();
    assert_eq!(update(catalog, warm.clone(), Rules::Kinesis, START), Err(Refusal::WarmThroughputCommitment));
    commit(catalog, true, START);
    update(catalog, warm, Rules::Kinesis, START).unwrap();
    update(catalog, auto, Rules::Kinesis, START).unwrap();
    assert_eq!(update(catalog, to_mode(StreamMode::Provisioned), Rules::Free, START), Err(Refusal::DistributionMode));
    let back = StreamPatch { distribution: Some(Distribution::UserPartitionKey), ..to_mode(StreamMode::Provisioned) };
    update(catalog, back, Rules::Free, START).unwrap();
    assert_eq!(stream(catalog).settings.warm_mibps, None, "a provisioned stream is not warmed");
}

#[test]
fn kinesis_changes_a_mode_twice_in_any_24_hours_and_others_as_they_like() {
    let catalog = &mut cluster_with_stream(1);
    let (on_demand, provisioned) = (to_mode(StreamMode::OnDemand), to_mode(StreamMode::Provisioned));
    let refused = Err(Refusal::ModeChanges { stream: name("s") });
    update(catalog, on_demand.clone(), Rules::Kinesis, at_hour(0)).unwrap();
    update(catalog, provisioned.clone(), Rules::Kinesis, at_hour(5)).unwrap();
    assert_eq!(update(catalog, on_demand.clone(), Rules::Kinesis, at_hour(6)), refused);
    let same = update(catalog, provisioned.clone(), Rules::Kinesis, at_hour(6));
    assert_eq!(same, Ok(Applied::Unchanged), "no change is no change of mode");
    let just_before = at_hour(24).minus_ms(1);
    assert_eq!(update(catalog, on_demand.clone(), Rules::Kinesis, just_before), refused);
    update(catalog, on_demand.clone(), Rules::Kinesis, at_hour(24)).unwrap();
    assert_eq!(update(catalog, provisioned.clone(), Rules::Kinesis, at_hour(25)), refused);
    update(catalog, provisioned, Rules::Free, at_hour(25)).unwrap();
    assert_eq!(update(catalog, on_demand, Rules::Kinesis, at_hour(30)), refused, "free changes count as well");
}

#[test]
fn kinesis_scales_between_half_and_double_and_ten_times_in_24_hours() {
    let catalog = &mut cluster_with_stream(5);
    let scale = |catalog: &mut Catalog, target, rules, now| {
        ask(catalog, Operation::UpdateShardCount { stream: name("s"), target, rules }, now)
    };
    for target in [2, 11] {
        let bounds = Refusal::ScalingBounds { stream: name("s"), open: 5, target, least: 3, most: 10 };
        assert_eq!(scale(catalog, target, Rules::Kinesis, START), Err(bounds));
    }
    for i in 0..10 {
        scale(catalog, [3, 5][i % 2], Rules::Kinesis, at_hour(i as u64)).unwrap();
        finish_scaling(catalog, 9, at_hour(i as u64));
    }
    let refused = Err(Refusal::ScalingsPerDay { stream: name("s"), count: 10 });
    assert_eq!(scale(catalog, 3, Rules::Kinesis, at_hour(23)), refused);
    assert_eq!(scale(catalog, 5, Rules::Kinesis, at_hour(23)), Ok(Applied::Unchanged));
    scale(catalog, 3, Rules::Kinesis, at_hour(24)).unwrap();
    finish_scaling(catalog, 9, at_hour(24));
    scale(catalog, 16, Rules::Free, at_hour(24)).unwrap();
    finish_scaling(catalog, 9, at_hour(24));
    catalog.check().unwrap();
}

#[test]
fn kinesis_leaves_the_shards_of_on_demand_streams_to_the_service() {
    let catalog = &mut cluster_with_stream(2);
    update(catalog, to_mode(StreamMode::OnDemand), Rules::Free, START).unwrap();
    let (stream, shard) = (name("s"), thalweg_types::ShardId(0));
    let refused = Err(Refusal::OnDemandReshard { stream: stream.clone() });
    let rules = Rules::Kinesis;
    let scale = Operation::UpdateShardCount { stream: stream.clone(), target: 3, rules };
    assert_eq!(ask(catalog, scale, START), refused);
    let at = None;
    assert_eq!(ask(catalog, Operation::SplitShard { stream: stream.clone(), shard, at, rules }, START), refused);
    let adjacent = thalweg_types::ShardId(1);
    assert_eq!(ask(catalog, Operation::MergeShards { stream, shard, adjacent, rules }, START), refused);
    reshard_now(catalog, split(0), START);
}

#[test]
fn on_demand_streams_are_as_many_as_the_account_may_have() {
    let catalog = &mut cluster_with_stream(1);
    let patch = AccountPatch { on_demand_streams_max: Some(1), ..AccountPatch::default() };
    ask(catalog, Operation::UpdateAccount { patch }, START).unwrap();
    let on_demand = StreamSettings { mode: StreamMode::OnDemand, ..StreamSettings::default() };
    let create = |stream| NewStream { settings: Box::new(on_demand.clone()), ..NewStream::named(name(stream), 1) };
    create_stream(catalog, create("t"), START);
    let refused = Err(Refusal::OnDemandStreams { count: 1, limit: 1 });
    assert_eq!(ask(catalog, Operation::CreateStream(create("u")), START), refused);
    assert_eq!(update(catalog, to_mode(StreamMode::OnDemand), Rules::Free, START), refused);
    ask(catalog, Operation::DeleteStream { stream: name("t"), with_consumers: false }, START).unwrap();
    update(catalog, to_mode(StreamMode::OnDemand), Rules::Free, START).unwrap();
}

#[test]
fn tags_are_removed_then_set_and_fifty_at_most() {
    let catalog = &mut cluster_with_stream(1);
    assert_eq!(tag(catalog, tags(51), &[]), Err(Refusal::TooManyTags { given: 51 }));
    tag(catalog, tags(50), &[]).unwrap();
    let other = || BTreeMap::from([("other".to_owned(), String::new())]);
    assert_eq!(tag(catalog, other(), &[]), Err(Refusal::TooManyTags { given: 51 }));
    tag(catalog, other(), &["key7", "unknown"]).unwrap();
    assert_eq!(tag(catalog, other(), &["other"]), Ok(Applied::Unchanged));
    let kept = &stream(catalog).settings.tags;
    assert_eq!((kept.len(), kept.contains_key("key7"), &*kept["other"]), (50, false, ""));
}

#[test]
fn tags_have_the_lengths_and_characters_of_the_service() {
    let catalog = &mut cluster_with_stream(1);
    let mut set = |key: &str, value: &str| {
        let outcome = tag(catalog, [(key.to_owned(), value.to_owned())].into(), &[]);
        tag(catalog, BTreeMap::new(), &[key]).unwrap();
        outcome
    };
    let long = |c: &str, count| c.repeat(count);
    for good in ["ärger 9", "a_./=+-%@:", "команда", &long("ü", 128)] {
        assert_eq!(set(good, good), Ok(Applied::Changed), "{good}");
    }
    set("k", &long("ü", 256)).unwrap();
    for bad in ["", "a#b", "a\u{0}", &long("ü", 129)] {
        assert!(matches!(set(bad, ""), Err(Refusal::TagKey { .. })), "{bad}");
    }
    for bad in ["a&b", &long("ü", 257)] {
        assert!(matches!(set("k", bad), Err(Refusal::TagValue { .. })), "{bad}");
    }
    let Err(Refusal::TagKey { key }) = set(&long("#", 100_000), "") else { panic!("the key is too long") };
    assert_eq!(key.len(), 256, "a refusal stays short whatever was given");
}

#[test]
fn a_consumer_registered_again_in_the_same_second_gets_another_second() {
    let catalog = &mut cluster_with_stream(1);
    let first = register(catalog, "c", START).unwrap();
    assert_eq!(first, START);
    assert!(matches!(register(catalog, "c", START), Err(Refusal::ConsumerExists { .. })));
    deregister(catalog, "c").unwrap();
    let second = register(catalog, "c", START).unwrap();
    assert_eq!(second.secs(), first.secs() + 1);
    // Also when the stream itself was made anew, and when the clock has gone back.
    ask(catalog, Operation::DeleteStream { stream: name("s"), with_consumers: true }, START).unwrap();
    let id = stream(catalog).id;
    catalog.apply(&Command::FinishDelete { stream: name("s"), id }).unwrap();
    create_stream(catalog, NewStream::named(name("s"), 1), START);
    let third = register(catalog, "c", START.minus_ms(5_000)).unwrap();
    assert_eq!(third.secs(), second.secs() + 1);
    assert_eq!(register(catalog, "d", START), Ok(START), "other names have their own seconds");
    deregister(catalog, "c").unwrap();
    assert_eq!(register(catalog, "c", at_hour(2)), Ok(at_hour(2)));
}

#[test]
fn a_consumers_second_is_not_given_again_by_a_clock_that_went_back_for_hours() {
    let catalog = &mut cluster_with_stream(1);
    let first = register(catalog, "c", START).unwrap();
    deregister(catalog, "c").unwrap();
    register(catalog, "later", at_hour(5)).unwrap();
    let again = register(catalog, "c", START).unwrap();
    assert_eq!(again.secs(), first.secs() + 1);
}

#[test]
fn a_consumer_is_named_by_its_registration() {
    let catalog = &mut cluster_with_stream(1);
    let first = register(catalog, "c", START).unwrap();
    deregister(catalog, "c").unwrap();
    let second = register(catalog, "c", START).unwrap();
    let of = |created: UnixMillis| ConsumerRef { name: "c".to_owned(), created_second: Some(created.secs()) };
    let patch = ConsumerPatch { policy: Edit::Set("{}".to_owned()), set_tags: tags(1), ..ConsumerPatch::default() };
    let change = |created| Operation::UpdateConsumer { stream: name("s"), consumer: of(created), patch: patch.clone() };
    assert!(matches!(ask(catalog, change(first), START), Err(Refusal::ConsumerUnknown { .. })));
    assert!(matches!(deregister(catalog, of(first)), Err(Refusal::ConsumerUnknown { .. })));
    ask(catalog, change(second), START).unwrap();
    let consumer = stream(catalog).consumer(&"c".into()).unwrap();
    assert_eq!((consumer.policy.as_deref(), &consumer.tags), (Some("{}"), &tags(1)));
    deregister(catalog, of(second)).unwrap();
    assert!(stream(catalog).consumers.is_empty());
}

#[test]
fn a_stream_has_twenty_consumers_or_fifty_by_the_accounts_commitment() {
    let catalog = &mut cluster_with_stream(1);
    let fill = |catalog: &mut Catalog, from, to| {
        (from..to).for_each(|i| _ = register(catalog, &format!("c{i}"), START).unwrap());
        register(catalog, "more", START)
    };
    let refused = |limit| Err(Refusal::ConsumerLimit { stream: name("s"), limit });
    assert_eq!(fill(catalog, 0, 20), refused(20));
    commit(catalog, true, START);
    assert_eq!(register(catalog, "more", START), refused(20), "the commitment is about on-demand streams");
    update(catalog, to_mode(StreamMode::OnDemand), Rules::Kinesis, START).unwrap();
    assert_eq!(fill(catalog, 20, 50), refused(50));
    commit(catalog, false, START);
    assert_eq!(register(catalog, "more", at_hour(23)), refused(50), "it lasts a day at least");
    assert_eq!(register(catalog, "more", at_hour(24)), refused(20));
    catalog.check().unwrap();
}

#[test]
fn a_stream_is_deleted_with_its_consumers_or_after_them() {
    let catalog = &mut cluster_with_stream(1);
    register(catalog, "c", START).unwrap();
    let delete = |with_consumers| Operation::DeleteStream { stream: name("s"), with_consumers };
    let refused = Err(Refusal::StreamHasConsumers { stream: name("s"), consumers: 1 });
    assert_eq!(ask(catalog, delete(false), START), refused);
    assert!(stream(catalog).serves());
    ask(catalog, delete(true), START).unwrap();
    assert!(stream(catalog).consumers.is_empty());
    let other = &mut cluster_with_stream(1);
    register(other, "c", START).unwrap();
    deregister(other, "c").unwrap();
    ask(other, delete(false), START).unwrap();
}

#[test]
fn a_change_that_names_an_incarnation_touches_no_other() {
    let catalog = &mut cluster_with_stream(1);
    let old = stream(catalog).id;
    let of = |id, operation| Operation::OfIncarnation { stream: name("s"), id, operation: Box::new(operation) };
    let split =
        || Operation::SplitShard { stream: name("s"), shard: thalweg_types::ShardId(0), at: None, rules: Rules::Free };
    ask(catalog, of(old, split()), START).unwrap();
    finish_reshards(catalog, START);
    let delete = || Operation::DeleteStream { stream: name("s"), with_consumers: false };
    ask(catalog, of(old, delete()), START).unwrap();
    catalog.apply(&Command::FinishDelete { stream: name("s"), id: old }).unwrap();
    create_stream(catalog, NewStream::named(name("s"), 1), START);
    let current = stream(catalog).id;
    let gone = Refusal::StreamIncarnation { stream: name("s"), id: old, current };
    for operation in [split(), delete()] {
        assert_eq!(ask(catalog, of(old, operation), START), Err(gone.clone()));
    }
}

#[test]
fn an_access_keys_secret_is_in_no_debug_text() {
    let catalog = &mut cluster(&["a"]);
    let secret = "correct-horse-battery-staple";
    let wish = |id: &str| Operation::CreateAccessKey {
        id: id.to_owned(),
        secret: Secret::new(secret),
        description: "ci".to_owned(),
        allowed: None,
    };
    let command = wish("k1").command(catalog, START, 0).unwrap();
    assert_eq!(catalog.apply(&command), Ok(Applied::Changed));
    assert_eq!(catalog.apply(&command), Ok(Applied::Unchanged), "asked again because an answer was lost");
    for text in [format!("{catalog:?}"), format!("{command:#?}"), format!("{:?}", wish("k1"))] {
        assert!(text.contains("k1") && !text.contains(secret), "{text}");
    }
    let kept = Catalog::decode(&catalog.encode()).unwrap();
    assert_eq!(kept.access_key("k1").unwrap().secret.reveal(), secret);
    ask(catalog, Operation::DeleteAccessKey { id: "k1".to_owned() }, START).unwrap();
    assert_eq!(catalog.access_keys().count(), 0);
}

#[test]
fn a_restricted_key_says_what_it_may_and_an_old_key_may_everything() {
    let catalog = &mut cluster(&["a"]);
    let mut create = |id: &str, allowed: Option<&[&str]>| {
        let allowed = allowed.map(|actions| actions.iter().map(|action| (*action).to_owned()).collect());
        let (id, secret, description) = (id.to_owned(), Secret::new("s"), String::new());
        ask(catalog, Operation::CreateAccessKey { id, secret, description, allowed }, START)
    };
    create("free", None).unwrap();
    create("bound", Some(&["Describe*", "ListStreams"])).unwrap();
    create("nothing", Some(&[])).unwrap();
    for bad in ["", "kinesis:Get*", "Get Records", &"x".repeat(65)] {
        assert!(matches!(create("bad", Some(&[bad])), Err(Refusal::AllowedAction { .. })), "{bad}");
    }
    let many: Vec<String> = (0..65).map(|i| format!("Get{i}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(create("bad", Some(&many)), Err(Refusal::AllowedActions { count: 65 }));
    assert_eq!(create("free", Some(&[])), Err(Refusal::AccessKeyExists { id: "free".to_owned() }));

    let kept = Catalog::decode(&catalog.encode()).unwrap();
    let allowed = |id: &str| kept.access_key(id).unwrap().allowed.clone().map(Vec::from_iter);
    assert_eq!(allowed("bound"), Some(vec!["Describe*".to_owned(), "ListStreams".to_owned()]));
    assert_eq!((allowed("nothing"), allowed("free")), (Some(Vec::new()), None));
    let text = String::from_utf8(catalog.encode()).unwrap();
    assert_eq!(text.matches("allowed").count(), 2, "a key as older versions wrote it has no such field");
}

#[test]
fn a_stream_is_found_by_its_id_until_it_is_forgotten() {
    let catalog = &mut cluster(&["a", "b", "c"]);
    let create = |catalog: &mut Catalog, stream: &str| {
        create_stream(catalog, NewStream::named(name(stream), 1), START);
        catalog.check().unwrap();
        catalog.stream(&name(stream)).unwrap().id
    };
    let ids = ["s1", "s2"].map(|stream| create(catalog, stream));
    for id in &ids {
        assert_eq!(catalog.stream_by_id(*id).unwrap().id, *id);
    }
    let read = Catalog::decode(&catalog.encode()).unwrap();
    assert_eq!((&read, read.stream_by_id(ids[0]).unwrap().id), (&*catalog, ids[0]));
    catalog.apply(&Command::DeleteStream { stream: name("s1"), with_consumers: false }).unwrap();
    assert!(catalog.stream_by_id(ids[0]).is_some(), "it is being deleted");
    catalog.apply(&Command::FinishDelete { stream: name("s1"), id: ids[0] }).unwrap();
    assert!(catalog.stream_by_id(ids[0]).is_none());
    assert_eq!(catalog.stream_by_id(ids[1]).unwrap().name, name("s2"));
    let again = create(catalog, "s1");
    assert_eq!(catalog.stream_by_id(again).unwrap().name, name("s1"));
}

#[test]
fn access_keys_have_clean_ids_and_are_a_thousand_at_most() {
    let catalog = &mut cluster(&["a"]);
    let mut create = |id: &str, secret: &str, description: &str| {
        let (id, secret, description) = (id.to_owned(), Secret::new(secret), description.to_owned());
        ask(catalog, Operation::CreateAccessKey { id, secret, description, allowed: None }, START)
    };
    for bad in ["", "a/b", "ä", &"x".repeat(129)] {
        assert!(matches!(create(bad, "s", ""), Err(Refusal::AccessKeyId { .. })), "{bad}");
    }
    for bad in ["", "a b", "ä", &"x".repeat(257)] {
        assert_eq!(create("k", bad, ""), Err(Refusal::AccessKeySecret), "{bad}");
    }
    assert_eq!(create("k", "s", &"x".repeat(257)), Err(Refusal::Description { chars: 257 }));
    (0..1_000).for_each(|i| drop(create(&format!("k{i}"), "s", "").unwrap()));
    assert_eq!(create("more", "s", ""), Err(Refusal::AccessKeyLimit));
    assert_eq!(create("k7", "other", ""), Err(Refusal::AccessKeyExists { id: "k7".to_owned() }));
}

#[test]
fn a_commitment_ends_after_a_day_at_the_earliest() {
    let catalog = &mut cluster(&["a"]);
    let status = |catalog: &Catalog, now| catalog.account().commitment.status(now);
    assert_eq!(status(catalog, START), CommitmentStatus::Disabled);
    commit(catalog, true, START);
    assert_eq!(catalog.account().commitment.earliest_end_at(), Some(at_hour(24)));
    commit(catalog, false, at_hour(3));
    assert_eq!(status(catalog, at_hour(23)), CommitmentStatus::EnabledUntilEarliestEnd);
    commit(catalog, true, at_hour(23));
    assert_eq!(status(catalog, at_hour(30)), CommitmentStatus::Enabled);
    commit(catalog, false, at_hour(30));
    assert_eq!(status(catalog, at_hour(30)), CommitmentStatus::Disabled);
    assert_eq!(catalog.account().commitment.ended_at, Some(at_hour(30)));
    commit(catalog, true, at_hour(31));
    assert_eq!(catalog.account().commitment.started_at, Some(UnixMillis(START.0 + 31 * HOUR)));
}
