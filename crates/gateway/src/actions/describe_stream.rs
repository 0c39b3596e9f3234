//! DescribeStream and DescribeStreamSummary.

use thalweg_catalog::{ShardFilter, StreamStatus};
use thalweg_kinesis::{ApiError, Struct, Value};

use crate::answer::Answer;
use crate::call::Call;
use crate::{Gateway, present, settings, target};

/// Shards of a page at most, whatever the caller asks for.
const SHARDS_MAX: usize = 100;

pub(crate) fn handle(gateway: &Gateway, call: &Call, input: &Struct) -> Result<Answer, ApiError> {
    let stream = target::stream(gateway, call, input)?;
    let limit = input.int("Limit").map_or(SHARDS_MAX, |limit| (limit as usize).min(SHARDS_MAX));
    let after = input.text("ExclusiveStartShardId").map(target::start_shard).transpose()?;
    let listed = match stream.status {
        StreamStatus::Creating => Vec::new(),
        _ => stream.list_shards(ShardFilter::FromTrimHorizon, call.now),
    };
    let mut shards = listed.into_iter().filter(|shard| after.is_none_or(|after| shard.id > after));
    let page: Vec<Value> = shards.by_ref().take(limit).map(|shard| present::shard(shard).into()).collect();
    let description =
        present::stream(call, &stream).with("Shards", page).with("HasMoreShards", shards.next().is_some());
    Ok(Struct::new().with("StreamDescription", description).into())
}

pub(crate) fn summary(gateway: &Gateway, call: &Call, input: &Struct) -> Result<Answer, ApiError> {
    let stream = target::stream(gateway, call, input)?;
    let warm =
        stream.settings.warm_mibps.map(|mibps| Struct::new().with("TargetMiBps", mibps).with("CurrentMiBps", mibps));
    let summary = present::stream(call, &stream)
        .with("OpenShardCount", stream.shards.open_count() as i64)
        .with("ConsumerCount", stream.consumers.len() as i64)
        .with_some("WarmThroughput", warm)
        .with("MaxRecordSizeInKiB", stream.record_bytes_max / 1024)
        .with("RecordDistributionStrategy", settings::distribution_name(stream.settings.distribution))
        .with("ChannelCount", 0u32)
        .with("QueueCount", 0u32);
    Ok(Struct::new().with("StreamDescriptionSummary", summary).into())
}
