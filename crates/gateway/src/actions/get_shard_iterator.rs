//! GetShardIterator: names a place in a shard in a token that every node understands.
//!
//! LATEST is pinned here: what is written between this call and the first GetRecords is read.

use thalweg_catalog::{Shard, Stream};
use thalweg_client::{Position, ReadOptions};
use thalweg_kinesis::token::{ShardIteratorToken, TokenPosition};
use thalweg_kinesis::{ApiError, Struct, texts};
use thalweg_types::{SequenceNumber, UnixMillis};

use crate::answer::Answer;
use crate::call::Call;
use crate::{Gateway, failure, target};

pub(crate) async fn handle(gateway: &Gateway, call: &Call, input: Struct) -> Result<Answer, ApiError> {
    let (stream, shard) = target::stream_of_shard(gateway, call, &input)?;
    let shard = target::shard_of(call, &stream, shard)?;
    let start = Start {
        kind: input.text("ShardIteratorType").unwrap_or(""),
        number: input.text("StartingSequenceNumber"),
        time: input.time("Timestamp"),
    };
    let position = start.position(call, &stream, shard)?;
    call.end_dry_run(input.flag("DryRun"))?;
    let position = match position {
        Some(position) => position,
        None => latest(gateway, call, &stream, shard).await?,
    };
    let token = ShardIteratorToken { stream: stream.id, shard: shard.id, position, issued: call.now };
    Ok(Struct::new().with("ShardIterator", token.seal(&gateway.token_key()?)).into())
}

/// After the newest record there is now.
async fn latest(gateway: &Gateway, call: &Call, stream: &Stream, shard: &Shard) -> Result<TokenPosition, ApiError> {
    let page = gateway.client().read_page(&stream.name, shard.id, Position::Latest, ReadOptions::default()).await;
    let page = page.map_err(|error| failure::of_read(call, stream, &error))?;
    Ok(TokenPosition::AtCounter { index: page.next_index, record: 0 })
}

/// A starting position as requests give it.
pub(crate) struct Start<'i> {
    /// One of the five types.
    pub(crate) kind: &'i str,
    /// For the two types by number.
    pub(crate) number: Option<&'i str>,
    /// For the type by time.
    pub(crate) time: Option<UnixMillis>,
}

impl Start<'_> {
    /// The place it means; nothing for the newest, which only the shard knows.
    pub(crate) fn position(
        &self,
        call: &Call,
        stream: &Stream,
        shard: &Shard,
    ) -> Result<Option<TokenPosition>, ApiError> {
        match (self.kind, self.number) {
            ("TRIM_HORIZON", None) => Ok(Some(TokenPosition::TrimHorizon)),
            ("LATEST", None) => Ok(None),
            ("AT_TIMESTAMP", _) => self.at_time(call, stream).map(Some),
            ("AT_SEQUENCE_NUMBER", Some(number)) => at(call, stream, shard, number, 0).map(Some),
            ("AFTER_SEQUENCE_NUMBER", Some(number)) => at(call, stream, shard, number, 1).map(Some),
            (kind, Some(_)) => Err(texts::starting_number_unwanted(kind)),
            (kind, None) => Err(texts::starting_number_missing(kind)),
        }
    }

    fn at_time(&self, call: &Call, stream: &Stream) -> Result<TokenPosition, ApiError> {
        let time = self.time.ok_or_else(texts::timestamp_missing)?;
        if time > call.now {
            return Err(texts::timestamp_in_future(time, call.now));
        }
        let beyond_horizon = time <= stream.trim_horizon(call.now);
        Ok(if beyond_horizon { TokenPosition::TrimHorizon } else { TokenPosition::AtTime(time) })
    }
}

fn at(call: &Call, stream: &Stream, shard: &Shard, text: &str, past: u32) -> Result<TokenPosition, ApiError> {
    if text == "0" {
        return Ok(TokenPosition::TrimHorizon);
    }
    let Ok(number) = text.parse::<SequenceNumber>() else {
        return Err(texts::starting_number_invalid(text, shard.id, &stream.name, &call.account));
    };
    if number.shard() != shard.id {
        return Err(texts::starting_number_of_other_shard(number.shard(), shard.id));
    }
    if number.created_secs() != shard.created_at.secs() {
        return Err(texts::starting_number_foreign(text, shard.id, &stream.name, &call.account));
    }
    Ok(TokenPosition::AtCounter { index: number.raft_index(), record: number.record().saturating_add(past) })
}
