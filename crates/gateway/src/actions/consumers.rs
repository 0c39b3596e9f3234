//! RegisterStreamConsumer, DeregisterStreamConsumer, DescribeStreamConsumer and ListStreamConsumers.

use std::sync::Arc;

use thalweg_catalog::{ConsumerRef, FanOutConsumer, Stream};
use thalweg_client::Refusal;
use thalweg_kinesis::arn::ConsumerArn;
use thalweg_kinesis::token::{Listing, PageToken};
use thalweg_kinesis::{ApiError, ErrorKind, Struct, Value, texts};

use crate::answer::Answer;
use crate::call::Call;
use crate::{Gateway, failure, present, resource, settings, target};

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
    let described = present::consumer(call, &stream, &consumer);
    // Registered consumers pass through this state before they are ACTIVE; clients wait for that.
    let mut described = described;
    described.set("ConsumerStatus", "CREATING");
    Ok(Struct::new().with("Consumer", described).into())
}

pub(crate) async fn deregister(gateway: &Gateway, call: &Call, input: &Struct) -> Result<Answer, ApiError> {
    let (stream, consumer) = named(gateway, call, input)?;
    let wanted = ConsumerRef { name: consumer.name, created_second: Some(consumer.created_at.secs()) };
    let streams = gateway.client().streams().incarnation(stream.id);
    let gone = streams.deregister_consumer(&stream.name, wanted).await;
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
    if let Some(created) = input.time("StreamCreationTimestamp")
        && created.secs() != stream.created_at.secs()
    {
        return Err(texts::stream_not_found(&stream.name, &call.account));
    }
    let after = input.text("NextToken").map(|token| after_token(gateway, call, &stream, token)).transpose()?;
    let limit = input.int("MaxResults").map_or(CONSUMERS_MAX, |limit| (limit as usize).min(CONSUMERS_MAX));
    let mut consumers =
        stream.consumers.values().filter(|known| after.as_ref().is_none_or(|after| known.name > *after));
    let page: Vec<&FanOutConsumer> = consumers.by_ref().take(limit).collect();
    let next = match page.last().filter(|_| consumers.next().is_some()) {
        Some(last) => Some(token(gateway, call, &stream, last)?),
        None => None,
    };
    let listed: Value = page.iter().map(|consumer| present::consumer(call, &stream, consumer)).collect();
    Ok(Struct::new().with("Consumers", listed).with_some("NextToken", next).into())
}

fn after_token(gateway: &Gateway, call: &Call, stream: &Stream, text: &str) -> Result<String, ApiError> {
    let token = PageToken::open(&gateway.token_key()?, Listing::StreamConsumers, text).map_err(|bad| bad.as_page())?;
    token.check_age(call.now)?;
    match token.stream == Some(stream.id) {
        true => Ok(token.after),
        false => Err(thalweg_kinesis::token::BadToken.as_page()),
    }
}

fn token(gateway: &Gateway, call: &Call, stream: &Stream, last: &FanOutConsumer) -> Result<String, ApiError> {
    let token = PageToken {
        listing: Listing::StreamConsumers,
        stream: Some(stream.id),
        after: last.name.clone(),
        detail: Vec::new(),
        issued: call.now,
    };
    Ok(token.seal(&gateway.token_key()?))
}
