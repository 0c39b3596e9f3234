//! The catalog's settings, consumers and account as messages, in both directions.
//!
//! One place for both ends: this client and the controller's services. What comes from outside is
//! checked for form here; whether it is allowed is the catalog's to say. Values that a later
//! version may add are refused, not guessed.

use std::collections::BTreeSet;

use thalweg_catalog::{
    AccountPatch, AccountSettings, Catalog, Commitment, ConsumerPatch, ConsumerRef, Distribution, Edit, FanOutConsumer,
    LimitsProfile, ShardLimits, ShardMetric, StreamMode, StreamPatch, StreamSettings,
};
use thalweg_proto::errors::{Reason, WireError};
use thalweg_proto::v1;
use thalweg_types::UnixMillis;

type Result<T> = std::result::Result<T, WireError>;

/// Maps an enum of the catalog to one on the wire and back, where 0 is unspecified.
macro_rules! words {
    ($to:ident, $from:ident, $ours:ident, $what:literal, [$($word:ident),* $(,)?]) => {
        fn $to(word: $ours) -> v1::$ours {
            match word { $($ours::$word => v1::$ours::$word,)* }
        }

        fn $from(word: i32) -> Result<Option<$ours>> {
            match v1::$ours::try_from(word) {
                Ok(v1::$ours::Unspecified) => Ok(None),
                $(Ok(v1::$ours::$word) => Ok(Some($ours::$word)),)*
                Err(_) => Err(invalid(format!("{word} is no {} that this version knows", $what))),
            }
        }
    };
}

words!(to_mode, mode, StreamMode, "stream mode", [Provisioned, OnDemand]);
words!(to_distribution, distribution, Distribution, "distribution", [UserPartitionKey, Auto]);
words!(
    to_metric,
    metric,
    ShardMetric,
    "shard-level metric",
    [
        IncomingBytes,
        IncomingRecords,
        OutgoingBytes,
        OutgoingRecords,
        WriteProvisionedThroughputExceeded,
        ReadProvisionedThroughputExceeded,
        IteratorAgeMilliseconds,
    ]
);

/// The message for a stream's settings.
pub fn to_settings(settings: &StreamSettings) -> v1::StreamSettings {
    v1::StreamSettings {
        mode: to_mode(settings.mode).into(),
        tags: settings.tags.clone().into_iter().collect(),
        encryption_key: settings.encryption_key.clone().unwrap_or_default(),
        metrics: to_metrics(&settings.monitoring),
        warm_mibps: settings.warm_mibps.unwrap_or(0),
        distribution: to_distribution(settings.distribution).into(),
        policy: settings.policy.clone().unwrap_or_default(),
        limits: Some(to_limits(&settings.limits)),
        mode_changes_ms: settings.mode_changes.iter().map(|time| time.0).collect(),
    }
}

/// A stream's settings from outside; what is left out has its default.
pub fn settings(message: v1::StreamSettings) -> Result<StreamSettings> {
    Ok(StreamSettings {
        mode: mode(message.mode)?.unwrap_or_default(),
        tags: message.tags.into_iter().collect(),
        encryption_key: present(message.encryption_key),
        monitoring: metrics(&message.metrics)?,
        warm_mibps: (message.warm_mibps > 0).then_some(message.warm_mibps),
        distribution: distribution(message.distribution)?.unwrap_or_default(),
        policy: present(message.policy),
        limits: limits(message.limits)?.unwrap_or_default(),
        mode_changes: message.mode_changes_ms.into_iter().map(UnixMillis).collect(),
    })
}

/// The message for a wish to change settings.
pub fn to_patch(patch: &StreamPatch) -> v1::StreamPatch {
    v1::StreamPatch {
        mode: patch.mode.map(to_mode).unwrap_or_default().into(),
        encryption_key: to_text_edit(&patch.encryption_key),
        enable_metrics: to_metrics(&patch.enable_metrics),
        disable_metrics: to_metrics(&patch.disable_metrics),
        warm_mibps: match patch.warm_mibps {
            Edit::Keep => None,
            Edit::Clear => Some(0),
            Edit::Set(mibps) => Some(mibps),
        },
        distribution: patch.distribution.map(to_distribution).unwrap_or_default().into(),
        policy: to_text_edit(&patch.policy),
        limits: patch.limits.as_ref().map(to_limits),
        record_bytes_max: patch.record_bytes_max,
    }
}

/// A wish to change settings, from outside.
pub fn patch(message: v1::StreamPatch) -> Result<StreamPatch> {
    Ok(StreamPatch {
        mode: mode(message.mode)?,
        encryption_key: text_edit(message.encryption_key),
        enable_metrics: metrics(&message.enable_metrics)?,
        disable_metrics: metrics(&message.disable_metrics)?,
        warm_mibps: match message.warm_mibps {
            None => Edit::Keep,
            Some(0) => Edit::Clear,
            Some(mibps) => Edit::Set(mibps),
        },
        distribution: distribution(message.distribution)?,
        policy: text_edit(message.policy),
        limits: limits(message.limits)?,
        record_bytes_max: message.record_bytes_max,
    })
}

fn to_metrics<'m>(metrics: impl IntoIterator<Item = &'m ShardMetric>) -> Vec<i32> {
    metrics.into_iter().map(|metric| to_metric(*metric).into()).collect()
}

fn metrics<C: FromIterator<ShardMetric>>(message: &[i32]) -> Result<C> {
    let known = |word: &i32| metric(*word)?.ok_or_else(|| invalid("a shard-level metric is unspecified"));
    message.iter().map(known).collect()
}

fn to_limits(limits: &LimitsProfile) -> v1::Limits {
    let (kind, custom) = match limits {
        LimitsProfile::Unlimited => (v1::LimitsKind::Unlimited, None),
        LimitsProfile::Kinesis => (v1::LimitsKind::Kinesis, None),
        LimitsProfile::Custom(limits) => (v1::LimitsKind::Custom, Some(to_shard_limits(limits))),
    };
    v1::Limits { kind: kind.into(), custom }
}

/// The message for the limits of each shard.
pub fn to_shard_limits(limits: &ShardLimits) -> v1::ShardLimits {
    v1::ShardLimits {
        write_bytes_per_second: limits.write_bytes_per_second,
        write_records_per_second: limits.write_records_per_second,
        read_bytes_per_second: limits.read_bytes_per_second,
        read_calls_per_second: limits.read_calls_per_second,
    }
}

/// Limits from outside; none when nothing is said of them.
fn limits(message: Option<v1::Limits>) -> Result<Option<LimitsProfile>> {
    let Some(message) = message else { return Ok(None) };
    Ok(match v1::LimitsKind::try_from(message.kind) {
        Ok(v1::LimitsKind::Unspecified) => None,
        Ok(v1::LimitsKind::Unlimited) => Some(LimitsProfile::Unlimited),
        Ok(v1::LimitsKind::Kinesis) => Some(LimitsProfile::Kinesis),
        Ok(v1::LimitsKind::Custom) => {
            let custom = message.custom.unwrap_or_default();
            Some(LimitsProfile::Custom(ShardLimits {
                write_bytes_per_second: custom.write_bytes_per_second,
                write_records_per_second: custom.write_records_per_second,
                read_bytes_per_second: custom.read_bytes_per_second,
                read_calls_per_second: custom.read_calls_per_second,
            }))
        }
        Err(_) => return Err(invalid(format!("{} are no limits that this version knows", message.kind))),
    })
}

/// The message for a consumer.
pub fn to_consumer(consumer: &FanOutConsumer) -> v1::FanOutConsumer {
    v1::FanOutConsumer {
        name: consumer.name.clone(),
        created_ms: consumer.created_at.0,
        tags: consumer.tags.clone().into_iter().collect(),
        policy: consumer.policy.clone().unwrap_or_default(),
    }
}

/// A consumer from outside.
pub fn consumer(message: v1::FanOutConsumer) -> FanOutConsumer {
    FanOutConsumer {
        name: message.name,
        created_at: UnixMillis(message.created_ms),
        tags: message.tags.into_iter().collect(),
        policy: present(message.policy),
    }
}

/// The consumer that a request names.
pub fn consumer_ref(name: String, created_second: u64) -> ConsumerRef {
    ConsumerRef { name, created_second: (created_second > 0).then_some(created_second) }
}

/// What a request wants to change about a consumer.
pub fn consumer_patch(request: &v1::UpdateConsumerRequest) -> ConsumerPatch {
    ConsumerPatch {
        set_tags: request.set_tags.clone().into_iter().collect(),
        remove_tags: request.remove_tags.iter().cloned().collect(),
        policy: text_edit(request.policy.clone()),
    }
}

/// How a message says what becomes of a text; an empty text means none.
pub(crate) fn to_text_edit(edit: &Edit<String>) -> Option<String> {
    match edit {
        Edit::Keep => None,
        Edit::Clear => Some(String::new()),
        Edit::Set(text) => Some(text.clone()),
    }
}

fn text_edit(message: Option<String>) -> Edit<String> {
    match message {
        None => Edit::Keep,
        Some(text) if text.is_empty() => Edit::Clear,
        Some(text) => Edit::Set(text),
    }
}

/// The message for what holds for all streams together.
pub fn to_account(catalog: &Catalog) -> v1::AccountSettings {
    let AccountSettings { commitment, on_demand_streams_max } = *catalog.account();
    let millis = |time: Option<UnixMillis>| time.map_or(0, |time| time.0);
    v1::AccountSettings {
        commitment: Some(v1::Commitment {
            started_ms: millis(commitment.started_at),
            ended_ms: millis(commitment.ended_at),
        }),
        on_demand_streams_max,
        shards_max: catalog.shard_limit(),
    }
}

/// What holds for all streams together, from outside.
pub fn account(message: &v1::AccountSettings) -> AccountSettings {
    let time = |millis: u64| (millis > 0).then_some(UnixMillis(millis));
    let commitment = message.commitment.unwrap_or_default();
    AccountSettings {
        commitment: Commitment { started_at: time(commitment.started_ms), ended_at: time(commitment.ended_ms) },
        on_demand_streams_max: message.on_demand_streams_max,
    }
}

/// The message for a wish to change that.
pub fn to_account_patch(patch: &AccountPatch) -> v1::UpdateAccountRequest {
    v1::UpdateAccountRequest {
        commitment: patch.commitment,
        on_demand_streams_max: patch.on_demand_streams_max,
        shards_max: patch.shards_max,
    }
}

/// A wish to change that, from outside.
pub fn account_patch(message: &v1::UpdateAccountRequest) -> AccountPatch {
    AccountPatch {
        commitment: message.commitment,
        on_demand_streams_max: message.on_demand_streams_max,
        shards_max: message.shards_max,
    }
}

/// What an access key may do, from outside.
pub fn allowed_actions(restricted: bool, actions: Vec<String>) -> Option<BTreeSet<String>> {
    restricted.then(|| actions.into_iter().collect())
}

fn present(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

fn invalid(message: impl Into<String>) -> WireError {
    WireError::new(Reason::InvalidArgument, message)
}

#[cfg(test)]
#[path = "wire_test.rs"]
mod wire_test;
