//! MergeShards.

use thalweg_kinesis::{ApiError, Struct};

use crate::answer::Answer;
use crate::call::Call;
use crate::{Gateway, failure, target};

pub(crate) async fn handle(gateway: &Gateway, call: &Call, input: &Struct) -> Result<Answer, ApiError> {
    let stream = target::stream(gateway, call, input)?;
    let shard = target::shard_to_change(call, &stream, input.text("ShardToMerge").unwrap_or(""))?;
    let adjacent = target::shard_to_change(call, &stream, input.text("AdjacentShardToMerge").unwrap_or(""))?;
    let streams = gateway.client().streams().incarnation(stream.id).kinesis_rules();
    match streams.merge(&stream.name, shard.id, adjacent.id).await {
        Ok(_) => Ok(Answer::Empty),
        Err(error) => Err(failure::of_reshard(call, &stream, &error)),
    }
}
