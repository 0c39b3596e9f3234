//! Reading one shard: positions, pages, and one page at a time.
//!
//! Holds: a page's records lie at or after the position asked for, in order, and
//! [`ReadPage::next_index`] continues right after the last of them.

use std::time::Duration;

use bytes::Bytes;
use thalweg_proto::convert::to_shard_ref;
use thalweg_proto::errors::WireError;
use thalweg_proto::v1::record_service_client::RecordServiceClient;
use thalweg_proto::v1::{self, position::At};
use thalweg_types::{HashKey, RecordBatch, SequenceNumber, ShardId, StreamId, StreamName, UnixMillis};
use tokio::time::Instant;
use tonic::{Code, Status};

use crate::backoff::Backoff;
use crate::call::{MISSING_GRACE, Repeat, Verdict, ask_at, may_pass, verdict};
use crate::client::Client;
use crate::connect::MESSAGE_BYTES_MAX;
use crate::routing::{Routing, RoutingError};

/// Where in a shard to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// The oldest record still retained.
    TrimHorizon,
    /// After the newest record committed now.
    Latest,
    /// At this record.
    At(SequenceNumber),
    /// Right after this record.
    After(SequenceNumber),
    /// At the first record that arrived then or later.
    AtTime(UnixMillis),
    /// Where an earlier page ended: its `next_index`.
    Index(u64),
}

impl From<Position> for v1::Position {
    fn from(position: Position) -> v1::Position {
        let at = match position {
            Position::TrimHorizon => At::TrimHorizon(true),
            Position::Latest => At::Latest(true),
            Position::At(number) => At::AtSequenceNumber(number.to_string()),
            Position::After(number) => At::AfterSequenceNumber(number.to_string()),
            Position::AtTime(time) => At::AtTimestampMs(time.0),
            Position::Index(index) => At::AtIndex(index),
        };
        v1::Position { at: Some(at) }
    }
}

/// A record as it lies in a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumedRecord {
    /// The shard that holds it.
    pub shard: ShardId,
    /// Its position.
    pub sequence_number: SequenceNumber,
    /// When the shard's leader took it.
    pub arrived: UnixMillis,
    /// Its partition key.
    pub partition_key: String,
    /// The hash key it was written with, where one was given.
    pub explicit_hash_key: Option<HashKey>,
    /// Its payload.
    pub data: Bytes,
}

/// A run of committed records of one shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadPage {
    /// The shard.
    pub shard: ShardId,
    /// Records in order; may be empty.
    pub records: Vec<ConsumedRecord>,
    /// Where to go on: at [`Position::Index`] of this.
    pub next_index: u64,
    /// How far the end of this page lies behind the newest record; 0 when caught up.
    pub millis_behind_latest: u64,
    /// The children, when the shard is closed and everything in it has been read.
    pub end: Option<Vec<ShardId>>,
    /// When the shard was created; part of its sequence numbers.
    pub shard_created: UnixMillis,
}

impl ReadPage {
    /// A number between the last record before [`next_index`](Self::next_index) and whatever
    /// comes there, which no record has: reading goes on at the same place after it and at it,
    /// at any time and at every replica. It rises with `next_index`, records or not. No batch is
    /// so full that a record of it has this number.
    pub fn next_sequence_number(&self) -> SequenceNumber {
        let created = self.shard_created;
        match self.next_index.checked_sub(1) {
            Some(index) => SequenceNumber::new(created, self.shard, index, u32::MAX, created),
            None => SequenceNumber::shard_start(created, self.shard),
        }
    }
}

/// Bounds of one read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadOptions {
    /// Bytes of batches at most; at least one batch comes anyway. Default 1 MiB, at most 10 MiB.
    pub max_bytes: u32,
    /// How long to wait for a first record; default not at all, at most 30 s.
    pub wait: Duration,
}

impl Default for ReadOptions {
    fn default() -> Self {
        ReadOptions { max_bytes: 1024 * 1024, wait: Duration::ZERO }
    }
}

/// Why there is no page.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReadError {
    /// The stream's routing is not known.
    #[error(transparent)]
    Routing(#[from] RoutingError),
    /// The cluster refused, or no replica could be reached in time.
    #[error("cannot read {shard}: {error}")]
    Refused {
        /// The shard.
        shard: ShardId,
        /// The last attempt's error.
        error: WireError,
    },
    /// What arrived is damaged or makes no sense.
    #[error("the answer about {shard} makes no sense: {what}")]
    BadAnswer {
        /// The shard.
        shard: ShardId,
        /// What is wrong.
        what: String,
    },
}

/// Takes a page apart. Batches below `from_index` were delivered before and are left out.
pub(crate) fn decode(shard: ShardId, wire: v1::ReadResponse, from_index: u64) -> Result<ReadPage, String> {
    decode_up_to(shard, wire, from_index, usize::MAX)
}

/// The same, of the first records alone if there are more. Such a page goes on at the batch of which
/// the rest is missing.
fn decode_up_to(
    shard: ShardId,
    wire: v1::ReadResponse,
    from_index: u64,
    records_max: usize,
) -> Result<ReadPage, String> {
    let created = UnixMillis(wire.shard_created_ms);
    let mut records = Vec::new();
    for stored in wire.batches.into_iter().filter(|stored| stored.index >= from_index) {
        let batch =
            RecordBatch::parse(stored.batch.clone()).map_err(|error| format!("index {}: {error}", stored.index))?;
        for (place, record) in (0u32..).zip(batch.records()).skip(stored.skip_records as usize) {
            if records.len() == records_max {
                let (next_index, millis_behind_latest) = (stored.index, wire.millis_behind_latest.max(1));
                let end = None;
                return Ok(ReadPage { shard, records, next_index, millis_behind_latest, end, shard_created: created });
            }
            let arrived = UnixMillis(stored.arrived_ms);
            records.push(ConsumedRecord {
                shard,
                sequence_number: SequenceNumber::new(created, shard, stored.index, place, arrived),
                arrived,
                partition_key: record.partition_key,
                explicit_hash_key: record.explicit_hash_key,
                data: record.data,
            });
        }
    }
    let end = wire.end.map(|end| end.child_shards.into_iter().map(ShardId).collect());
    let next_index = wire.next_index.max(from_index);
    let millis_behind_latest = wire.millis_behind_latest;
    Ok(ReadPage { shard, records, next_index, millis_behind_latest, end, shard_created: created })
}

impl Client {
    /// Reads one page of a shard, from whichever replica answers within `request_timeout`.
    pub async fn read_page(
        &self,
        stream: &StreamName,
        shard: ShardId,
        position: Position,
        options: ReadOptions,
    ) -> Result<ReadPage, ReadError> {
        read_page(self, &self.routing(stream), shard, position, options).await
    }

    /// As [`Client::read_page`], for who has set memory aside: nothing if the first batch is larger than
    /// `bytes_max`, which is found out before it is in memory.
    ///
    /// After so many records the page ends, also within a batch; reading then goes on at
    /// [`Position::After`] its last record.
    pub async fn read_page_within(
        &self,
        stream: &StreamName,
        shard: ShardId,
        position: Position,
        (bytes_max, records_max): (u32, usize),
    ) -> Result<Option<ReadPage>, ReadError> {
        let options = ReadOptions { max_bytes: bytes_max, ..ReadOptions::default() };
        let limit = message_bytes(bytes_max);
        let Some(wire) = fetch(self, &self.routing(stream), shard, position, options, limit).await? else {
            return Ok(None);
        };
        if wire.batches.first().is_some_and(|first| first.batch.len() > bytes_max as usize) {
            return Ok(None);
        }
        let page = decode_up_to(shard, wire, 0, records_max);
        page.map(Some).map_err(|what| ReadError::BadAnswer { shard, what })
    }
}

/// What an answer with so many bytes of batches has at most. Each batch is wrapped in numbers, which are
/// less than half of the smallest one.
fn message_bytes(batch_bytes: u32) -> usize {
    let batches = batch_bytes as usize;
    (batches + batches / 2 + 1024).min(MESSAGE_BYTES_MAX)
}

/// As [`Client::read_page`], with the routing at hand.
pub(crate) async fn read_page(
    client: &Client,
    routing: &Routing,
    shard: ShardId,
    position: Position,
    options: ReadOptions,
) -> Result<ReadPage, ReadError> {
    let bad = |what: String| ReadError::BadAnswer { shard, what };
    let wire = fetch(client, routing, shard, position, options, MESSAGE_BYTES_MAX).await?;
    let wire = wire.ok_or_else(|| bad(format!("it has more than {MESSAGE_BYTES_MAX} bytes")))?;
    decode(shard, wire, 0).map_err(bad)
}

/// The answer of whichever replica gives one; nothing if that is larger than `limit` bytes.
async fn fetch(
    client: &Client,
    routing: &Routing,
    shard: ShardId,
    position: Position,
    options: ReadOptions,
    limit: usize,
) -> Result<Option<v1::ReadResponse>, ReadError> {
    let timeout = client.options().request_timeout + options.wait;
    let deadline = Instant::now() + timeout;
    let mut backoff = Backoff::seeded(client.random().seed());
    let (mut hint, mut missing_since) = (None, None);
    loop {
        let image = routing.known(timeout).await?;
        let address = hint.take().unwrap_or_else(|| image.candidate(shard, backoff.failures()));
        let request = request(image.stream_id(), shard, position, options);
        let mut too_large = false;
        let read = async |stub: RecordServiceClient<_>| {
            let answer = stub.max_decoding_message_size(limit).read(request).await;
            too_large = answer.as_ref().is_err_and(is_too_large);
            answer
        };
        let error = match ask_at(client, &address, "page", deadline, read).await {
            Ok(wire) => return Ok(Some(wire)),
            Err(_) if too_large => return Ok(None),
            Err(error) => error,
        };
        let delay = backoff.next_elsewhere();
        let give_up_at = match verdict(&error, Repeat::Harmless) {
            Verdict::GiveUp if !may_pass(error.reason) => return Err(ReadError::Refused { shard, error }),
            Verdict::GiveUp => {
                routing.note_stale();
                deadline.min(*missing_since.get_or_insert_with(Instant::now) + MISSING_GRACE)
            }
            Verdict::TryAt(leader) => {
                routing.note_leader(shard, &leader);
                hint = Some(leader);
                deadline
            }
            Verdict::TryElsewhere => {
                routing.note_stale();
                deadline
            }
        };
        if Instant::now() + delay >= give_up_at {
            return Err(ReadError::Refused { shard, error });
        }
        tokio::time::sleep(delay).await;
    }
}

/// Whether an answer was refused here, for the length that it begins with. What a node itself refuses
/// has details.
fn is_too_large(status: &Status) -> bool {
    status.code() == Code::OutOfRange && status.details().is_empty()
}

fn request(stream: StreamId, shard: ShardId, position: Position, options: ReadOptions) -> v1::ReadRequest {
    v1::ReadRequest {
        shard: Some(to_shard_ref(stream, shard)),
        position: Some(position.into()),
        max_bytes: options.max_bytes,
        wait_ms: u32::try_from(options.wait.as_millis()).unwrap_or(u32::MAX),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn page(next_index: u64) -> ReadPage {
        let shard_created = UnixMillis(1_000_000);
        let (shard, records) = (ShardId(7), Vec::new());
        ReadPage { shard, records, next_index, millis_behind_latest: 0, end: None, shard_created }
    }

    proptest! {
        #[test]
        fn the_next_number_lies_between_what_was_read_and_what_comes(
            next_index in 0u64..(1 << 43), index in 0u64..(1 << 43), place in 0u32..((1 << 20) - 1), arrived: u32,
        ) {
            let next = page(next_index).next_sequence_number();
            let arrived = UnixMillis(1_000_000 + u64::from(arrived));
            let record = SequenceNumber::new(UnixMillis(1_000_000), ShardId(7), index, place, arrived);
            prop_assert_eq!(record < next, index < next_index);
            prop_assert!(record != next);
            prop_assert_eq!(next < page(index).next_sequence_number(), next_index < index);
            prop_assert_eq!(next.to_string().parse(), Ok(next));
        }
    }
}
