//! SplitShard.

use thalweg_kinesis::{ApiError, Struct, texts};
use thalweg_types::HashKey;

use crate::answer::Answer;
use crate::call::Call;
use crate::{Gateway, failure, target};

pub(crate) async fn handle(gateway: &Gateway, call: &Call, input: &Struct) -> Result<Answer, ApiError> {
    let stream = target::stream(gateway, call, input)?;
    let shard = target::shard_to_change(call, &stream, input.text("ShardToSplit").unwrap_or(""))?;
    let key = input.text("NewStartingHashKey").unwrap_or("");
    let outside = || texts::split_key_outside(shard.id, &stream.name, &call.account, key, shard.range);
    let at: HashKey = key.parse().map_err(|_| outside())?;
    let streams = gateway.client().streams().incarnation(stream.id).kinesis_rules();
    match streams.split(&stream.name, shard.id, Some(at)).await {
        Ok(_) => Ok(Answer::Empty),
        Err(error) => Err(failure::of_reshard(call, &stream, &error)),
    }
}
