//! UpdateStreamMode, UpdateMaxRecordSize, UpdateStreamWarmThroughput and
//! UpdateStreamRecordDistributionStrategy: one setting each.

use std::sync::Arc;

use thalweg_catalog::Stream;
use thalweg_client::{Edit, StreamPatch};
use thalweg_kinesis::{ApiError, Struct};

use crate::answer::Answer;
use crate::call::Call;
use crate::{Gateway, failure, present, settings, target};

pub(crate) async fn mode(gateway: &Gateway, call: &Call, input: &Struct) -> Result<Answer, ApiError> {
    let mode = input.structure("StreamModeDetails").map(settings::mode).transpose()?;
    let warm = input.int("WarmThroughputMiBps").map_or(Edit::Keep, |mibps| Edit::Set(mibps as u32));
    change(gateway, call, input, StreamPatch { mode, warm_mibps: warm, ..StreamPatch::default() }).await?;
    Ok(Answer::Empty)
}

pub(crate) async fn max_record_size(gateway: &Gateway, call: &Call, input: &Struct) -> Result<Answer, ApiError> {
    let record_bytes_max = input.int("MaxRecordSizeInKiB").map(|kib| kib as u32 * 1024);
    change(gateway, call, input, StreamPatch { record_bytes_max, ..StreamPatch::default() }).await?;
    Ok(Answer::Empty)
}

pub(crate) async fn warm_throughput(gateway: &Gateway, call: &Call, input: &Struct) -> Result<Answer, ApiError> {
    let mibps = input.int("WarmThroughputMiBps").unwrap_or(0) as u32;
    let patch = StreamPatch { warm_mibps: Edit::Set(mibps), ..StreamPatch::default() };
    let stream = change(gateway, call, input, patch).await?;
    let output = Struct::new()
        .with("StreamARN", present::stream_arn(call, &stream).to_string())
        .with("StreamName", stream.name.as_str())
        .with("WarmThroughput", Struct::new().with("TargetMiBps", mibps).with("CurrentMiBps", mibps));
    Ok(output.into())
}

pub(crate) async fn distribution(gateway: &Gateway, call: &Call, input: &Struct) -> Result<Answer, ApiError> {
    let distribution = input.text("RecordDistributionStrategy").map(settings::distribution);
    change(gateway, call, input, StreamPatch { distribution, ..StreamPatch::default() }).await?;
    Ok(Answer::Empty)
}

/// Changes the stream that a request names; returns it as it was.
pub(crate) async fn change(
    gateway: &Gateway,
    call: &Call,
    input: &Struct,
    patch: StreamPatch,
) -> Result<Arc<Stream>, ApiError> {
    let stream = target::stream(gateway, call, input)?;
    let streams = gateway.client().streams().incarnation(stream.id).kinesis_rules();
    streams.update(&stream.name, &patch).await.map_err(|error| failure::of_call(call, &error))?;
    Ok(stream)
}
