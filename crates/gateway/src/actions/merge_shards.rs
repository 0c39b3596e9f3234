//! MergeShards.

use thalweg_kinesis::{ApiError, Struct};

use super::begun;
use crate::answer::Answer;
use crate::call::Call;
use crate::{Gateway, failure, target};

pub(crate) async fn handle(gateway: &Gateway, call: &Call, input: &Struct) -> Result<Answer, ApiError> {
    let stream = target::stream(gateway, call, input)?;
    let shard = target::shard_to_change(call, &stream, input.text("ShardToMerge").unwrap_or(""))?;
    let adjacent = target::shard_to_change(call, &stream, input.text("AdjacentShardToMerge").unwrap_or(""))?;
    let streams = gateway.client().streams().incarnation(stream.id).kinesis_rules();
    let merge = streams.merge(&stream.name, shard.id, adjacent.id);
    let merge = begun::settled(merge, || begun::is_resharding(gateway, &stream, shard.id)).await;
    merge.map(|()| Answer::Empty).map_err(|error| failure::of_reshard(call, &stream, &error))
}
