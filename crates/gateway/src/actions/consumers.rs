//! RegisterStreamConsumer, DeregisterStreamConsumer, DescribeStreamConsumer and ListStreamConsumers.

use std::sync::Arc;

use thalweg_catalog::{FanOutConsumer, Stream};
use thalweg_client::Refusal;
use thalweg_kinesis::arn::ConsumerArn;
use thalweg_kinesis::token::Listing;
use thalweg_kinesis::{ApiError, ErrorKind, Struct, Value};

use crate::answer::Answer;
use crate::call::Call;
use crate::{Gateway, failure, pages, present, resource, settings, target};

/// Consumers of a page, unless fewer are asked for, and at most.
const CONSUMERS_MAX: usize = 100;

pub(crate) async fn register(gateway: &Gateway, call: &Call, input: &Struct) -> Result<Answer, ApiError> {
    let stream = target::stream(gateway, call, input)?;
    let name = input.text("ConsumerName").unwrap_or("");
    let streams = gateway.client().streams().incarnation(stream.id);
    let registered = streams.register_consumer(&stream.name, name, settings::tags(input)).await;
    let consumer = registered.map_err(|error| match error.refusal() {
        Some(Refusal::ConsumerExists { stream, consumer }) => {
            let text =
                format!("Consumer {consumer} under stream {stream} already exists for account {}.", call.account);
            ApiError::new(ErrorKind::ResourceInUse, text)
        }
        _ => failure::of_call(call, &error),
    })?;
    let mut described = present::consumer(call, &stream, &consumer);
    // Registered consumers pass through this state before they are ACTIVE; clients wait for that.
    described.set("ConsumerStatus", "CREATING");
    Ok(Struct::new().with("Consumer", described).into())
}

pub(crate) async fn deregister(gateway: &Gateway, call: &Call, input: &Struct) -> Result<Answer, ApiError> {
    let (stream, consumer) = named(gateway, call, input)?;
    let streams = gateway.client().streams().incarnation(stream.id);
    let gone = streams.deregister_consumer(&stream.name, &consumer).await;
    gone.map(|()| Answer::Empty).map_err(|error| failure::of_call(call, &error))
}

pub(crate) fn describe(gateway: &Gateway, call: &Call, input: &Struct) -> Result<Answer, ApiError> {
    let (stream, consumer) = named(gateway, call, input)?;
    let described =
        present::consumer(call, &stream, &consumer).with("StreamARN", present::stream_arn(call, &stream).to_string());
    Ok(Struct::new().with("ConsumerDescription", described).into())
}

/// The consumer that `ConsumerARN`, or `StreamARN` and `ConsumerName`, name.
fn named(gateway: &Gateway, call: &Call, input: &Struct) -> Result<(Arc<Stream>, FanOutConsumer), ApiError> {
    if let Some(text) = input.text("ConsumerARN") {
        let arn: ConsumerArn = text.parse().map_err(target::bad_arn)?;
        return resource::consumer(gateway, call, &arn);
    }
    let Some(name) = input.text("ConsumerName").filter(|_| input.get("StreamARN").is_some()) else {
        let text = "Either ConsumerARN, or StreamARN and ConsumerName, must be provided.";
        return Err(ApiError::new(ErrorKind::InvalidArgument, text));
    };
    let stream = target::stream(gateway, call, input)?;
    let found = stream.consumers.get(name).cloned().ok_or_else(|| resource::unknown(&call.account, &stream, name))?;
    Ok((stream, found))
}

pub(crate) fn list(gateway: &Gateway, call: &Call, input: &Struct) -> Result<Answer, ApiError> {
    let stream = target::stream(gateway, call, input)?;
    target::check_created(call, &stream, input)?;
    let of = (Listing::StreamConsumers, stream.id);
    let token = input.text("NextToken").map(|token| pages::opened_of(gateway, call, of, token)).transpose()?;
    let after = token.map(|token| token.after);
    let limit = input.int("MaxResults").map_or(CONSUMERS_MAX, |limit| (limit as usize).min(CONSUMERS_MAX));
    let mut consumers =
        stream.consumers.values().filter(|known| after.as_ref().is_none_or(|after| known.name > *after));
    let page: Vec<&FanOutConsumer> = consumers.by_ref().take(limit).collect();
    let last = page.last().filter(|_| consumers.next().is_some()).map(|last| last.name.clone());
    let next = pages::next(gateway, call, (Listing::StreamConsumers, Some(stream.id)), last, Vec::new())?;
    let listed: Value = page.iter().map(|consumer| present::consumer(call, &stream, consumer)).collect();
    Ok(Struct::new().with("Consumers", listed).with_some("NextToken", next).into())
}
