//! The operations: one handler file each, or one for what is done and undone.

mod account_settings;
mod begun;
mod change_retention;
mod consumers;
mod create_stream;
mod delete_stream;
mod describe_limits;
mod describe_stream;
mod encryption;
mod enhanced_monitoring;
mod get_records;
mod get_shard_iterator;
mod list_shards;
mod list_streams;
mod merge_shards;
mod put_record;
mod put_records;
mod resource_policy;
mod split_shard;
mod subscribe_to_shard;
mod tags;
mod update_shard_count;
mod update_stream;

use thalweg_client::RetentionChange;
use thalweg_kinesis::{ApiError, ErrorKind, Struct};

use crate::Gateway;
use crate::answer::Answer;
use crate::call::Call;

/// Carries out a request that has passed every check of its form.
pub(crate) async fn perform(gateway: &Gateway, call: &Call, input: Struct) -> Result<Answer, ApiError> {
    gateway.limits().admit_call(call, &input)?;
    match call.operation.name() {
        "PutRecord" => put_record::handle(gateway, call, input).await,
        "PutRecords" => put_records::handle(gateway, call, input).await,
        "GetShardIterator" => get_shard_iterator::handle(gateway, call, input).await,
        "GetRecords" => get_records::handle(gateway, call, input).await,
        "SubscribeToShard" => subscribe_to_shard::handle(gateway, call, input).await,
        _ => control(gateway, call, &input).await,
    }
}

async fn control(gateway: &Gateway, call: &Call, input: &Struct) -> Result<Answer, ApiError> {
    match call.operation.name() {
        "CreateStream" => create_stream::handle(gateway, call, input).await,
        "DeleteStream" => delete_stream::handle(gateway, call, input).await,
        "DescribeStream" => describe_stream::handle(gateway, call, input),
        "DescribeStreamSummary" => describe_stream::summary(gateway, call, input),
        "ListStreams" => list_streams::handle(gateway, call, input),
        "ListShards" => list_shards::handle(gateway, call, input),
        "UpdateShardCount" => update_shard_count::handle(gateway, call, input).await,
        "SplitShard" => split_shard::handle(gateway, call, input).await,
        "MergeShards" => merge_shards::handle(gateway, call, input).await,
        "IncreaseStreamRetentionPeriod" => {
            change_retention::handle(gateway, call, input, RetentionChange::Increase).await
        }
        "DecreaseStreamRetentionPeriod" => {
            change_retention::handle(gateway, call, input, RetentionChange::Decrease).await
        }
        _ => settings(gateway, call, input).await,
    }
}

async fn settings(gateway: &Gateway, call: &Call, input: &Struct) -> Result<Answer, ApiError> {
    match call.operation.name() {
        "UpdateStreamMode" => update_stream::mode(gateway, call, input).await,
        "UpdateMaxRecordSize" => update_stream::max_record_size(gateway, call, input).await,
        "UpdateStreamWarmThroughput" => update_stream::warm_throughput(gateway, call, input).await,
        "UpdateStreamRecordDistributionStrategy" => update_stream::distribution(gateway, call, input).await,
        "StartStreamEncryption" => encryption::start(gateway, call, input).await,
        "StopStreamEncryption" => encryption::stop(gateway, call, input).await,
        "EnableEnhancedMonitoring" => enhanced_monitoring::enable(gateway, call, input).await,
        "DisableEnhancedMonitoring" => enhanced_monitoring::disable(gateway, call, input).await,
        "DescribeLimits" => describe_limits::handle(gateway),
        "DescribeAccountSettings" => account_settings::describe(gateway, call),
        "UpdateAccountSettings" => account_settings::update(gateway, call, input).await,
        _ => labels(gateway, call, input).await,
    }
}

async fn labels(gateway: &Gateway, call: &Call, input: &Struct) -> Result<Answer, ApiError> {
    match call.operation.name() {
        "AddTagsToStream" | "TagResource" => tags::add(gateway, call, input).await,
        "RemoveTagsFromStream" | "UntagResource" => tags::remove(gateway, call, input).await,
        "ListTagsForStream" => tags::of_stream(gateway, call, input),
        "ListTagsForResource" => tags::of_resource(gateway, call, input),
        "GetResourcePolicy" => resource_policy::get(gateway, call, input),
        "PutResourcePolicy" => resource_policy::put(gateway, call, input).await,
        "DeleteResourcePolicy" => resource_policy::delete(gateway, call, input).await,
        "RegisterStreamConsumer" => consumers::register(gateway, call, input).await,
        "DeregisterStreamConsumer" => consumers::deregister(gateway, call, input).await,
        "DescribeStreamConsumer" => consumers::describe(gateway, call, input),
        "ListStreamConsumers" => consumers::list(gateway, call, input),
        other => Err(not_built(other)),
    }
}

/// Queues and channels are operations of the service that Thalweg does not have.
fn not_built(operation: &str) -> ApiError {
    let text = format!("{operation} is not implemented by Thalweg; docs/kinesis.md lists the operations that are");
    ApiError::new(ErrorKind::InvalidArgument, text)
}
