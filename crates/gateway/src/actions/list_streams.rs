//! ListStreams.

use thalweg_catalog::Stream;
use thalweg_kinesis::token::Listing;
use thalweg_kinesis::{ApiError, Struct, Value};
use thalweg_types::StreamName;

use crate::answer::Answer;
use crate::call::Call;
use crate::{Gateway, pages, present};

/// Streams of a page, unless fewer are asked for, and at most.
const STREAMS_MAX: usize = 100;

pub(crate) fn handle(gateway: &Gateway, call: &Call, input: &Struct) -> Result<Answer, ApiError> {
    let limit = input.int("Limit").map_or(STREAMS_MAX, |limit| (limit as usize).min(STREAMS_MAX));
    let after = match input.text("NextToken") {
        Some(token) => Some(pages::opened(gateway, call, Listing::Streams, token)?.after),
        None => input.text("ExclusiveStartStreamName").map(str::to_owned),
    };
    let catalog = gateway.catalog();
    let after = after.and_then(|name| name.parse::<StreamName>().ok());
    let mut streams: Box<dyn Iterator<Item = &Stream>> = match &after {
        Some(name) => Box::new(catalog.streams_after(name).map(AsRef::as_ref)),
        None => Box::new(catalog.streams().map(AsRef::as_ref)),
    };
    let page: Vec<&Stream> = streams.by_ref().take(limit).collect();
    let more = streams.next().is_some();
    let names: Value = page.iter().map(|stream| stream.name.as_str()).collect();
    let summaries: Value = page.iter().map(|stream| summary(call, stream)).collect();
    let output = Struct::new().with("StreamNames", names).with("HasMoreStreams", more);
    let last = page.last().filter(|_| more).map(|last| last.name.to_string());
    let next = pages::next(gateway, call, (Listing::Streams, None), last, Vec::new())?;
    Ok(output.with_some("NextToken", next).with("StreamSummaries", summaries).into())
}

fn summary(call: &Call, stream: &Stream) -> Struct {
    Struct::new()
        .with("StreamName", stream.name.as_str())
        .with("StreamARN", present::stream_arn(call, stream).to_string())
        .with("StreamStatus", stream.status.as_str())
        .with("StreamModeDetails", present::mode(stream))
        .with("StreamCreationTimestamp", stream.created_at)
}
