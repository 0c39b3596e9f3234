//! Streams, shards, consumers and records in the words of the API.

use thalweg_catalog::{FanOutConsumer, Shard, Stream};
use thalweg_client::ConsumedRecord;
use thalweg_kinesis::arn::{ConsumerArn, StreamArn};
use thalweg_kinesis::{Struct, Value};
use thalweg_types::{HashRange, ShardId, StreamName};

use crate::call::Call;
use crate::put::{NO_PARTITION_KEY, encryption_type};
use crate::settings;

/// The ARN of a stream, in the region of the request.
pub(crate) fn stream_arn(call: &Call, stream: &Stream) -> StreamArn {
    arn_of(call, &stream.name)
}

/// The same by its name, whether there is such a stream or not.
pub(crate) fn arn_of(call: &Call, name: &StreamName) -> StreamArn {
    StreamArn {
        partition: "aws".to_owned(),
        region: call.region.clone(),
        account: call.account.to_string(),
        stream: name.clone(),
    }
}

/// The ARN of a consumer, in the region of the request.
pub(crate) fn consumer_arn(call: &Call, stream: &Stream, consumer: &FanOutConsumer) -> ConsumerArn {
    stream_arn(call, stream).consumer(&consumer.name, consumer.created_at.secs())
}

/// What both descriptions of a stream have in common.
pub(crate) fn stream(call: &Call, stream: &Stream) -> Struct {
    let key = stream.settings.encryption_key.as_deref();
    Struct::new()
        .with("StreamName", stream.name.as_str())
        .with("StreamARN", stream_arn(call, stream).to_string())
        .with("StreamStatus", stream.status.as_str())
        .with("StreamModeDetails", mode(stream))
        .with("RetentionPeriodHours", stream.retention_hours)
        .with("StreamCreationTimestamp", stream.created_at)
        .with("EnhancedMonitoring", Value::from_iter([Struct::new().with("ShardLevelMetrics", metrics(stream))]))
        .with("EncryptionType", encryption_type(stream).unwrap_or("NONE"))
        .with_some("KeyId", key)
}

/// A stream's mode.
pub(crate) fn mode(stream: &Stream) -> Struct {
    Struct::new().with("StreamMode", settings::mode_name(stream.settings.mode))
}

/// The names of the shard-level metrics that were asked for.
pub(crate) fn metrics(stream: &Stream) -> Value {
    stream.settings.monitoring.iter().map(|metric| metric.as_str()).collect()
}

/// A shard with its lineage. An open shard has no ending sequence number: that is how clients tell.
pub(crate) fn shard(shard: &Shard) -> Struct {
    let numbers = Struct::new()
        .with("StartingSequenceNumber", shard.starting().to_string())
        .with_some("EndingSequenceNumber", shard.ending().map(|number| number.to_string()));
    Struct::new()
        .with("ShardId", shard.id.to_string())
        .with_some("ParentShardId", shard.parent().map(|id| id.to_string()))
        .with_some("AdjacentParentShardId", shard.adjacent_parent().map(|id| id.to_string()))
        .with("HashKeyRange", hash_range(shard.range))
        .with("SequenceNumberRange", numbers)
}

/// A range of hash keys, both ends inclusive.
fn hash_range(range: HashRange) -> Struct {
    Struct::new().with("StartingHashKey", range.start().to_string()).with("EndingHashKey", range.end().to_string())
}

/// What took over from a closed shard, with all parents of each: that is what KCL checks.
pub(crate) fn children(stream: &Stream, parent: ShardId) -> Vec<Value> {
    let child = |child: &Shard| {
        let parents: Value = child.parents.iter().map(|parent| parent.to_string()).collect();
        Struct::new()
            .with("ShardId", child.id.to_string())
            .with("ParentShards", parents)
            .with("HashKeyRange", hash_range(child.range))
    };
    stream.children_of(parent).into_iter().map(|shard| Value::Struct(child(shard))).collect()
}

/// A record.
pub(crate) fn record(stream: &Stream, record: &ConsumedRecord) -> Struct {
    let key = (record.partition_key != NO_PARTITION_KEY).then_some(record.partition_key.as_str());
    Struct::new()
        .with("SequenceNumber", record.sequence_number.to_string())
        .with("ApproximateArrivalTimestamp", record.arrived)
        .with("Data", record.data.clone())
        .with_some("PartitionKey", key)
        .with_some("EncryptionType", encryption_type(stream))
}

/// A fan-out consumer. It can be used as soon as it is registered.
pub(crate) fn consumer(call: &Call, stream: &Stream, consumer: &FanOutConsumer) -> Struct {
    Struct::new()
        .with("ConsumerName", consumer.name.as_str())
        .with("ConsumerARN", consumer_arn(call, stream, consumer).to_string())
        .with("ConsumerStatus", "ACTIVE")
        .with("ConsumerCreationTimestamp", consumer.created_at)
}

/// Tags as a list of pairs.
pub(crate) fn tags<'t>(tags: impl IntoIterator<Item = (&'t String, &'t String)>) -> Value {
    tags.into_iter().map(|(key, value)| Struct::new().with("Key", key.as_str()).with("Value", value.as_str())).collect()
}
