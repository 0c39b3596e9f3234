//! GetRecords: one page from where an iterator stands, and the iterator after it.
//!
//! Holds: the last page of a closed shard has the children and no iterator; every other page has an
//! iterator and no children. A page may be cut anywhere in a batch.

use std::sync::Arc;

use thalweg_catalog::{Catalog, Shard, Stream};
use thalweg_client::{ConsumedRecord, ReadPage};
use thalweg_kinesis::token::{ShardIteratorToken, TokenPosition};
use thalweg_kinesis::{ApiError, ErrorKind, Struct, Value, texts};

use crate::answer::Answer;
use crate::call::Call;
use crate::http::PageSize;
use crate::{Gateway, failure, limits, present, read, target};

/// Records of a page at most, unless the caller wants fewer.
const RECORDS_MAX: usize = 10_000;
/// Data of a page at most.
const PAGE_BYTES_MAX: u32 = 10 * 1024 * 1024;
/// For a caller that wants few records, which may be large but are likely not; and for all while many
/// answers are under way.
const SMALL_PAGE: PageSize = PageSize { bytes: 1024 * 1024, records: 500 };

pub(crate) async fn handle(gateway: &Gateway, call: &Call, input: Struct) -> Result<Answer, ApiError> {
    let key = gateway.token_key()?;
    let token = ShardIteratorToken::open(&key, input.text("ShardIterator").unwrap_or(""));
    let token = token.map_err(|bad| bad.as_iterator())?;
    token.check_age(call.now)?;
    let catalog = gateway.catalog();
    let (stream, shard) = shard_of(&catalog, call, &token)?;
    check_arn(call, stream, &input)?;
    limits::admit_read(gateway, call, stream, shard.id).await.inspect_err(|_| {
        gateway.counts().count(&stream.name, shard.id, |counts| counts.read_throttled += 1);
    })?;
    call.end_dry_run(input.flag("DryRun"))?;
    let records = input.int("Limit").map_or(RECORDS_MAX, |limit| limit as usize);
    let wanted = if records <= SMALL_PAGE.records { SMALL_PAGE.bytes } else { PAGE_BYTES_MAX };
    let wanted = PageSize { bytes: wanted, records };
    let position = read::position(shard, token.position);
    let read = |size: PageSize| async move {
        // One more record tells where the next page begins.
        let within = (size.bytes, size.records + 1);
        let page = gateway.client().read_page_within(&stream.name, shard.id, position, within).await;
        page.map_err(|error| failure::of_read(call, stream, &error))
    };
    let (room, PageSize { records: limit, .. }, mut page) = gateway.answers().page(wanted, SMALL_PAGE, read).await?;

    let unread = page.records.get(limit).cloned();
    page.records.truncate(limit);
    limits::note_read(gateway, stream, shard.id, read::bytes(&page.records)).await;
    let behind = match &unread {
        Some(next) => call.now.0.saturating_sub(next.arrived.0),
        None => page.millis_behind_latest,
    };
    count(gateway, stream, &page, behind);
    let output = told(stream, &page, behind);
    let children = match page.end {
        Some(_) if unread.is_none() => present::children(stream, shard.id),
        _ => Vec::new(),
    };
    if !children.is_empty() {
        return Ok(Answer::Page(output.with("ChildShards", children), room));
    }
    let position = match &unread {
        Some(next) => after(next),
        None => TokenPosition::AtCounter { index: page.next_index, record: 0 },
    };
    let next = ShardIteratorToken { position, issued: call.now, ..token };
    Ok(Answer::Page(output.with("NextShardIterator", next.seal(&key)), room))
}

fn count(gateway: &Gateway, stream: &Stream, page: &ReadPage, behind: u64) {
    gateway.counts().count(&stream.name, page.shard, |counts| {
        counts.outgoing_bytes += read::bytes(&page.records) as u64;
        counts.outgoing_records += page.records.len() as u64;
        counts.iterator_age_ms = behind;
    });
}

fn told(stream: &Stream, page: &ReadPage, behind: u64) -> Struct {
    let records = page.records.iter().map(|record| Value::Struct(present::record(stream, record)));
    Struct::new().with("Records", records.collect::<Vec<_>>()).with("MillisBehindLatest", behind as i64)
}

/// The place of a record that was read but not given out.
fn after(record: &ConsumedRecord) -> TokenPosition {
    let number = record.sequence_number;
    TokenPosition::AtCounter { index: number.raft_index(), record: number.record() }
}

fn shard_of<'c>(
    catalog: &'c Catalog,
    call: &Call,
    token: &ShardIteratorToken,
) -> Result<(&'c Arc<Stream>, &'c Shard), ApiError> {
    let stream = catalog.stream_by_id(token.stream).ok_or_else(|| gone(&call.account))?;
    let shard = stream.visible_shard(token.shard);
    let shard = shard.ok_or_else(|| texts::shard_not_found(token.shard, &stream.name, &call.account))?;
    Ok((stream, shard))
}

/// The iterator says all there is to say; an ARN beside it must not contradict it.
fn check_arn(call: &Call, stream: &Stream, input: &Struct) -> Result<(), ApiError> {
    match input.text("StreamARN").map(|arn| target::name_in(call, arn)).transpose()? {
        Some(named) if named != stream.name => {
            let text =
                format!("StreamARN names {named}, but the ShardIterator is one of {}; give matching ones", stream.name);
            Err(ApiError::new(ErrorKind::InvalidArgument, text))
        }
        _ => Ok(()),
    }
}

fn gone(account: &str) -> ApiError {
    let text = format!("The stream of this ShardIterator under account {account} does not exist");
    ApiError::new(ErrorKind::ResourceNotFound, text)
}
