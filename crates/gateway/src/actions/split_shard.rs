//! SplitShard.

use thalweg_kinesis::{ApiError, Struct, texts};
use thalweg_types::HashKey;

use super::begun;
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
    let split = streams.split(&stream.name, shard.id, Some(at));
    let split = begun::settled(split, || begun::is_resharding(gateway, &stream, shard.id)).await;
    split.map(|()| Answer::Empty).map_err(|error| failure::of_reshard(call, &stream, &error))
}
