//! ListShards: the filter and the place travel in the page token, so any node gives the next page.

use std::sync::Arc;

use thalweg_catalog::{ShardFilter, Stream, StreamStatus};
use thalweg_kinesis::token::{BadToken, Listing};
use thalweg_kinesis::{ApiError, ErrorKind, Struct, Value, texts};
use thalweg_types::{ShardId, UnixMillis};

use crate::answer::Answer;
use crate::call::Call;
use crate::{Gateway, pages, present, target};

/// Shards of a page, unless fewer are asked for, and at most.
const SHARDS_MAX: usize = 1_000;
/// What a token says already.
const NOT_WITH_A_TOKEN: [&str; 4] = ["StreamName", "StreamARN", "ExclusiveStartShardId", "StreamCreationTimestamp"];

/// What is listed, and after which shard.
struct Listed {
    stream: Arc<Stream>,
    filter: ShardFilter,
    after: Option<ShardId>,
}

pub(crate) fn handle(gateway: &Gateway, call: &Call, input: &Struct) -> Result<Answer, ApiError> {
    let Listed { stream, filter, after } = match input.text("NextToken") {
        Some(token) => continued(gateway, call, input, token)?,
        None => begun(gateway, call, input)?,
    };
    if matches!(stream.status, StreamStatus::Creating | StreamStatus::Deleting) {
        return Err(texts::stream_not_active(&stream.name, &call.account, stream.status.as_str()));
    }
    let limit = input.int("MaxResults").map_or(SHARDS_MAX, |limit| (limit as usize).min(SHARDS_MAX));
    let listed = stream.list_shards(filter, call.now).into_iter();
    let mut shards = listed.filter(|shard| after.is_none_or(|after| shard.id > after)).peekable();
    let mut page: Vec<Value> = Vec::new();
    let mut last = None;
    for shard in shards.by_ref().take(limit) {
        page.push(present::shard(shard).into());
        last = Some(shard.id);
    }
    let last = last.filter(|_| shards.peek().is_some()).map(|last: ShardId| last.to_string());
    let next = pages::next(gateway, call, (Listing::Shards, Some(stream.id)), last, packed(filter))?;
    Ok(Struct::new().with("Shards", page).with_some("NextToken", next).into())
}

fn begun(gateway: &Gateway, call: &Call, input: &Struct) -> Result<Listed, ApiError> {
    if input.get("StreamName").is_none() && input.get("StreamARN").is_none() {
        return Err(texts::listing_unnamed());
    }
    let stream = target::stream(gateway, call, input)?;
    target::check_created(call, &stream, input)?;
    let filter = input.structure("ShardFilter").map_or(Ok(ShardFilter::FromTrimHorizon), shard_filter)?;
    let after = input.text("ExclusiveStartShardId").map(target::start_shard).transpose()?;
    Ok(Listed { stream, filter, after })
}

fn continued(gateway: &Gateway, call: &Call, input: &Struct, token: &str) -> Result<Listed, ApiError> {
    if let Some(member) = NOT_WITH_A_TOKEN.into_iter().find(|member| input.get(member).is_some()) {
        return Err(texts::token_with(member));
    }
    let token = pages::opened(gateway, call, Listing::Shards, token)?;
    let found = token.stream.and_then(|id| gateway.catalog().stream_by_id(id).cloned());
    let stream = found.ok_or_else(|| {
        ApiError::new(ErrorKind::ResourceNotFound, "The stream of this NextToken does not exist any more.")
    })?;
    let filter = unpacked(&token.detail).ok_or_else(|| BadToken.as_page())?;
    Ok(Listed { stream, filter, after: target::shard_id(&token.after) })
}

fn shard_filter(filter: &Struct) -> Result<ShardFilter, ApiError> {
    let kind = filter.text("Type").unwrap_or("");
    let missing = |member: &str| {
        ApiError::new(
            ErrorKind::InvalidArgument,
            format!("{member} must be provided with the ShardFilter type {kind}."),
        )
    };
    let time = || filter.time("Timestamp").ok_or_else(|| missing("Timestamp"));
    match kind {
        "AFTER_SHARD_ID" => {
            let id = filter.text("ShardId").ok_or_else(|| missing("ShardId"))?;
            target::start_shard(id).map(ShardFilter::AfterShardId)
        }
        "AT_TRIM_HORIZON" => Ok(ShardFilter::AtTrimHorizon),
        "AT_LATEST" => Ok(ShardFilter::AtLatest),
        "AT_TIMESTAMP" => time().map(ShardFilter::AtTimestamp),
        "FROM_TIMESTAMP" => time().map(ShardFilter::FromTimestamp),
        _ => Ok(ShardFilter::FromTrimHorizon),
    }
}

/// The filter as the bytes of a token: what kind, then its number.
fn packed(filter: ShardFilter) -> Vec<u8> {
    let (kind, number) = match filter {
        ShardFilter::AtLatest => (0, 0),
        ShardFilter::AtTrimHorizon => (1, 0),
        ShardFilter::FromTrimHorizon => (2, 0),
        ShardFilter::AtTimestamp(time) => (3, time.0),
        ShardFilter::FromTimestamp(time) => (4, time.0),
        ShardFilter::AfterShardId(id) => (5, u64::from(id.0)),
    };
    std::iter::once(kind).chain(u64::to_be_bytes(number)).collect()
}

fn unpacked(bytes: &[u8]) -> Option<ShardFilter> {
    let (kind, number) = bytes.split_first()?;
    let number = u64::from_be_bytes(number.try_into().ok()?);
    match kind {
        0 => Some(ShardFilter::AtLatest),
        1 => Some(ShardFilter::AtTrimHorizon),
        2 => Some(ShardFilter::FromTrimHorizon),
        3 => Some(ShardFilter::AtTimestamp(UnixMillis(number))),
        4 => Some(ShardFilter::FromTimestamp(UnixMillis(number))),
        5 => u32::try_from(number).ok().map(|id| ShardFilter::AfterShardId(ShardId(id))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_survive_in_tokens() {
        let filters = [
            ShardFilter::AtLatest,
            ShardFilter::AtTrimHorizon,
            ShardFilter::FromTrimHorizon,
            ShardFilter::AtTimestamp(UnixMillis(7)),
            ShardFilter::FromTimestamp(UnixMillis(u64::MAX)),
            ShardFilter::AfterShardId(ShardId(3)),
        ];
        for filter in filters {
            assert_eq!(unpacked(&packed(filter)), Some(filter));
        }
        assert_eq!(unpacked(&[6, 0, 0, 0, 0, 0, 0, 0, 0]), None);
        assert_eq!(unpacked(&[]), None);
    }
}
