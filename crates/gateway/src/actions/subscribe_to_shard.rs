//! SubscribeToShard: a shard's records pushed to one consumer, as frames of an event stream.
//!
//! That a consumer has one subscription to a shard at a time is enforced where the shard is led, so
//! it holds whichever node fronts it. Frames are made when the connection has room for them: a
//! reader that stalls pins one page and delays nobody.

use std::time::Duration;

use thalweg_catalog::{FanOutConsumer, Shard, Stream};
use thalweg_client::{Position, ReadPage, Subscriber, Tail, TailError, TailOptions};
use thalweg_kinesis::{ApiError, ErrorKind, Struct, texts};
use tokio::time::Instant;

use super::get_shard_iterator::Start;
use crate::answer::Answer;
use crate::call::Call;
use crate::subscription::Subscription;
use crate::{Gateway, failure, limits, read, resource, target};

/// For the shard's leader to accept the subscription.
const ACCEPT_TIMEOUT: Duration = Duration::from_secs(8);
/// Batches of one event.
const EVENT_BYTES: u32 = 512 * 1024;

pub(crate) async fn handle(gateway: &Gateway, call: &Call, input: Struct) -> Result<Answer, ApiError> {
    let arn = input.text("ConsumerARN").unwrap_or("").parse().map_err(target::bad_arn)?;
    let (stream, consumer) = resource::consumer(gateway, call, &arn)?;
    let shard = target::shard(call, &stream, input.text("ShardId").unwrap_or(""))?;
    let position = starting_position(call, &stream, shard, &input)?;
    call.end_dry_run(input.flag("DryRun"))?;
    let subscriber = Subscriber {
        name: format!("{}/{}:{}", stream.id.0, consumer.name, consumer.created_at.secs()),
        id: gateway.ids().number(),
    };
    let max_bytes = limits::fan_out_rate(&stream).map_or(EVENT_BYTES, event_bytes);
    let options = TailOptions { subscriber: Some(subscriber), max_bytes, heartbeats: true };
    let mut tail = gateway.client().tail(&stream.name, shard.id, position, options);
    let first = accepted(call, &stream, shard, &consumer, &mut tail).await?;
    let subscription = Subscription::begin(gateway.clone(), &stream, shard, consumer, tail, first, Instant::now());
    Ok(Answer::Events(subscription.frames()))
}

/// What a consumer with a rate of its own gets at once: a second's worth, if batches are that small.
fn event_bytes(bytes_per_second: u64) -> u32 {
    u32::try_from(bytes_per_second).unwrap_or(EVENT_BYTES).clamp(1, EVENT_BYTES)
}

fn starting_position(call: &Call, stream: &Stream, shard: &Shard, input: &Struct) -> Result<Position, ApiError> {
    let Some(start) = input.structure("StartingPosition") else {
        return Err(ApiError::new(ErrorKind::InvalidArgument, "StartingPosition must be provided."));
    };
    let start = Start {
        kind: start.text("Type").unwrap_or(""),
        number: start.text("SequenceNumber"),
        time: start.time("Timestamp"),
    };
    let position = start.position(call, stream, shard)?;
    Ok(position.map_or(Position::Latest, |position| read::position(shard, position)))
}

/// The first page, which comes when the leader has accepted the subscription; refusals are the
/// answer to the call and no event.
async fn accepted(
    call: &Call,
    stream: &Stream,
    shard: &Shard,
    consumer: &FanOutConsumer,
    tail: &mut Tail,
) -> Result<ReadPage, ApiError> {
    match tokio::time::timeout(ACCEPT_TIMEOUT, tail.next()).await {
        Ok(Some(Ok(page))) => Ok(page),
        Ok(Some(Err(TailError::AlreadySubscribed { .. }))) => {
            Err(texts::subscription_active(shard.id, &stream.name, &call.account, &consumer.name))
        }
        Ok(Some(Err(error))) => Err(failure::of_tail(&call.account, stream, &error)),
        Ok(None) | Err(_) => {
            Err(ApiError::new(ErrorKind::InternalFailure, "the shard's leader did not accept the subscription in time"))
        }
    }
}
