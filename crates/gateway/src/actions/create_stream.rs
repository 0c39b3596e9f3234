//! CreateStream.

use thalweg_client::{CreateStream, Distribution, StreamMode, StreamSettings};
use thalweg_kinesis::{ApiError, ErrorKind, Struct};

use super::begun;
use crate::answer::Answer;
use crate::call::Call;
use crate::{Gateway, failure, settings, target};

/// What an on-demand stream begins with.
const ON_DEMAND_SHARDS: u32 = 4;

pub(crate) async fn handle(gateway: &Gateway, call: &Call, input: &Struct) -> Result<Answer, ApiError> {
    let name = target::stream_name(call, input)?;
    let mode = input.structure("StreamModeDetails").map_or(Ok(StreamMode::Provisioned), settings::mode)?;
    let wanted = CreateStream {
        shard_count: Some(shard_count(mode, input)?),
        record_bytes_max: input.int("MaxRecordSizeInKiB").map(|kib| kib as u32 * 1024),
        settings: StreamSettings {
            mode,
            tags: settings::tags(input),
            warm_mibps: input.int("WarmThroughputMiBps").map(|mibps| mibps as u32),
            distribution: input
                .text("RecordDistributionStrategy")
                .map_or(Distribution::default(), settings::distribution),
            ..StreamSettings::default()
        },
        ..CreateStream::default()
    };
    let streams = gateway.client().streams().kinesis_rules();
    let known = gateway.catalog().stream(&name).map(|stream| stream.id);
    let created = begun::settled(streams.create(&name, wanted), || {
        gateway.catalog().stream(&name).is_some_and(|stream| Some(stream.id) != known)
    });
    created.await.map(|()| Answer::Empty).map_err(|error| failure::of_call(call, &error))
}

fn shard_count(mode: StreamMode, input: &Struct) -> Result<u32, ApiError> {
    match (mode, input.int("ShardCount")) {
        (_, Some(count)) => Ok(u32::try_from(count).unwrap_or(u32::MAX)),
        (StreamMode::OnDemand, None) => Ok(ON_DEMAND_SHARDS),
        (StreamMode::Provisioned, None) => {
            let text = "ShardCount is required when the StreamMode is PROVISIONED.";
            Err(ApiError::new(ErrorKind::InvalidArgument, text))
        }
    }
}
