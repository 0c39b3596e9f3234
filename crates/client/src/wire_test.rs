//! What goes over the wire arrives as it was sent, and what no version knows is refused.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn text() -> impl Strategy<Value = String> {
    "[a-zß ]{1,9}"
}

fn edit<T: Clone + std::fmt::Debug>(value: impl Strategy<Value = T>) -> impl Strategy<Value = Edit<T>> {
    prop::option::of(prop::option::of(value)).prop_map(|edit| match edit {
        None => Edit::Keep,
        Some(None) => Edit::Clear,
        Some(Some(value)) => Edit::Set(value),
    })
}

fn any_mode() -> impl Strategy<Value = StreamMode> {
    prop::sample::select(vec![StreamMode::Provisioned, StreamMode::OnDemand])
}

fn any_distribution() -> impl Strategy<Value = Distribution> {
    prop::sample::select(vec![Distribution::UserPartitionKey, Distribution::Auto])
}

fn any_metrics() -> impl Strategy<Value = BTreeSet<ShardMetric>> {
    prop::collection::btree_set(prop::sample::select(ShardMetric::ALL.to_vec()), 0..8)
}

fn any_limits() -> impl Strategy<Value = LimitsProfile> {
    let custom = any::<(Option<u64>, Option<u32>, Option<u64>, Option<u32>)>().prop_map(|(a, b, c, d)| {
        LimitsProfile::Custom(ShardLimits {
            write_bytes_per_second: a,
            write_records_per_second: b,
            read_bytes_per_second: c,
            read_calls_per_second: d,
        })
    });
    prop_oneof![Just(LimitsProfile::Unlimited), Just(LimitsProfile::Kinesis), custom]
}

fn any_settings() -> impl Strategy<Value = StreamSettings> {
    let tags = prop::collection::btree_map(text(), text(), 0..4);
    let texts = (prop::option::of(text()), prop::option::of(text()));
    let times = prop::collection::vec(any::<u64>().prop_map(UnixMillis), 0..3);
    let warm = prop::option::of(1..u32::MAX);
    (any_mode(), tags, texts, any_metrics(), warm, any_distribution(), any_limits(), times).prop_map(
        |(mode, tags, (encryption_key, policy), monitoring, warm_mibps, distribution, limits, mode_changes)| {
            StreamSettings {
                mode,
                tags,
                encryption_key,
                monitoring,
                warm_mibps,
                distribution,
                policy,
                limits,
                mode_changes,
            }
        },
    )
}

fn any_patch() -> impl Strategy<Value = StreamPatch> {
    let words = (prop::option::of(any_mode()), prop::option::of(any_distribution()), prop::option::of(any_limits()));
    let edits = (edit(text()), edit(1..u32::MAX), edit(text()));
    (words, edits, any_metrics(), any_metrics(), any::<Option<u32>>()).prop_map(
        |((mode, distribution, limits), (encryption_key, warm_mibps, policy), enable, disable, record_bytes_max)| {
            let (enable_metrics, disable_metrics) = (enable, disable);
            StreamPatch {
                mode,
                encryption_key,
                enable_metrics,
                disable_metrics,
                warm_mibps,
                distribution,
                policy,
                limits,
                record_bytes_max,
            }
        },
    )
}

proptest! {
    #[test]
    fn settings_arrive_as_they_were_sent(sent in any_settings()) {
        prop_assert_eq!(settings(to_settings(&sent)).unwrap(), sent);
    }

    #[test]
    fn patches_arrive_as_they_were_sent(sent in any_patch()) {
        prop_assert_eq!(patch(to_patch(&sent)).unwrap(), sent);
    }

    #[test]
    fn consumers_arrive_as_they_were_sent(name in text(), created: u64, policy in prop::option::of(text())) {
        let tags = [("k".to_owned(), name.clone())].into();
        let sent = FanOutConsumer { name, created_at: UnixMillis(created), tags, policy };
        prop_assert_eq!(consumer(to_consumer(&sent)), sent);
    }

    #[test]
    fn account_patches_arrive_as_they_were_sent(commitment: Option<bool>, streams: Option<u32>, shards: Option<u32>) {
        let sent = AccountPatch { commitment, on_demand_streams_max: streams, shards_max: shards };
        prop_assert_eq!(account_patch(&to_account_patch(&sent)), sent);
    }
}

#[test]
fn nothing_said_means_the_defaults() {
    assert_eq!(settings(v1::StreamSettings::default()).unwrap(), StreamSettings::default());
    assert_eq!(patch(v1::StreamPatch::default()).unwrap(), StreamPatch::default());
}

#[test]
fn words_of_a_later_version_are_refused_not_guessed() {
    let settings_with = |change: fn(&mut v1::StreamSettings)| {
        let mut message = v1::StreamSettings::default();
        change(&mut message);
        settings(message).unwrap_err().reason
    };
    assert_eq!(settings_with(|message| message.mode = 77), Reason::InvalidArgument);
    assert_eq!(settings_with(|message| message.distribution = 77), Reason::InvalidArgument);
    assert_eq!(settings_with(|message| message.metrics = vec![77]), Reason::InvalidArgument);
    assert_eq!(settings_with(|message| message.metrics = vec![0]), Reason::InvalidArgument);
    let limits = v1::Limits { kind: 77, custom: None };
    assert_eq!(
        patch(v1::StreamPatch { limits: Some(limits), ..Default::default() }).unwrap_err().reason,
        Reason::InvalidArgument
    );
}
