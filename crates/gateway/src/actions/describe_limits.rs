//! DescribeLimits.

use thalweg_client::StreamMode;
use thalweg_kinesis::{ApiError, Struct};

use crate::Gateway;
use crate::answer::Answer;

pub(crate) fn handle(gateway: &Gateway) -> Result<Answer, ApiError> {
    let catalog = gateway.catalog();
    let on_demand = catalog.streams().filter(|stream| stream.settings.mode == StreamMode::OnDemand).count();
    let output = Struct::new()
        .with("ShardLimit", catalog.shard_limit())
        .with("OpenShardCount", catalog.open_shard_count())
        .with("OnDemandStreamCount", on_demand as i64)
        .with("OnDemandStreamCountLimit", catalog.account().on_demand_streams_max)
        .with("ChannelCount", 0u32)
        .with("ChannelCountLimit", 0u32);
    Ok(output.into())
}
