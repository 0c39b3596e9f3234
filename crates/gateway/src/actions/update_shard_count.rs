//! UpdateShardCount.

use thalweg_kinesis::{ApiError, Struct};

use crate::answer::Answer;
use crate::call::Call;
use crate::{Gateway, failure, present, target};

pub(crate) async fn handle(gateway: &Gateway, call: &Call, input: &Struct) -> Result<Answer, ApiError> {
    let stream = target::stream(gateway, call, input)?;
    let wanted = input.int("TargetShardCount").map_or(1, |count| u32::try_from(count).unwrap_or(u32::MAX));
    let streams = gateway.client().streams().incarnation(stream.id).kinesis_rules();
    let progress = streams.scale(&stream.name, wanted).await.map_err(|error| failure::of_call(call, &error))?;
    let output = Struct::new()
        .with("StreamName", stream.name.as_str())
        .with("CurrentShardCount", progress.current)
        .with("TargetShardCount", progress.target)
        .with("StreamARN", present::stream_arn(call, &stream).to_string());
    Ok(output.into())
}
