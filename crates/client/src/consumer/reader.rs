//! Reads one shard to its end, from whichever replica answers.
//!
//! Holds: after a break reading goes on at the index that the last page named, so nothing is
//! missed or repeated; a connection that stays silent longer than the server ever is counts as broken.

use std::sync::Arc;
use std::time::Duration;

use thalweg_proto::convert::to_shard_ref;
use thalweg_proto::errors::{Reason, WireError};
use thalweg_proto::v1::{TailRequest, TailResponse};
use thalweg_types::{ShardId, StreamId};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;
use tonic::Streaming;

use super::checkpoint::ShardProgress;
use super::{ConsumeError, ConsumedBatch, Queued};
use crate::backoff::Backoff;
use crate::call::{Repeat, Verdict, is_broken_connection, leader_hint, verdict};
use crate::client::{Client, stub};
use crate::read::{Position, ReadPage, decode};
use crate::routing::{Image, Routing};

/// The server sends a page, empty if need be, at least every 5 s.
const SILENCE_MAX: Duration = Duration::from_secs(8);
/// For a node to begin to answer.
const OPEN_TIMEOUT: Duration = Duration::from_secs(2);
/// Damaged pages in a row before reading is given up.
const DAMAGED_MAX: u32 = 5;

/// What all readers of a consumer share.
pub(super) struct ReaderContext {
    pub(super) client: Client,
    pub(super) routing: Routing,
    pub(super) room: Arc<Semaphore>,
    pub(super) room_bytes: u32,
    pub(super) page_bytes: u32,
    pub(super) sender: mpsc::UnboundedSender<Result<Queued, ConsumeError>>,
}

/// How following one replica came to its end.
enum Ended {
    /// Everything in the shard was read.
    Shard,
    /// The call failed, or never began.
    Failed(WireError),
    /// A page made no sense.
    Damaged(String),
}

struct Reader<'a> {
    context: &'a ReaderContext,
    shard: ShardId,
    position: Position,
    backoff: Backoff,
    turn: usize,
    failed: Option<String>,
    hint: Option<String>,
    damaged: u32,
}

/// Reads `shard` from `position` until its end.
pub(super) async fn run(context: &ReaderContext, shard: ShardId, position: Position) -> Result<(), ConsumeError> {
    let backoff = Backoff::seeded(context.client.random().seed());
    let mut reader = Reader { context, shard, position, backoff, turn: 0, failed: None, hint: None, damaged: 0 };
    loop {
        let image = context.routing.known(context.client.options().request_timeout).await?;
        if image.shard(shard).is_none() {
            // Retention has removed it with all that it held.
            return Ok(());
        }
        let address = reader.address(&image);
        match reader.follow(&address, image.stream_id()).await {
            Ended::Shard => return Ok(()),
            Ended::Failed(error) => reader.note_failure(&address, error)?,
            Ended::Damaged(what) => reader.note_damage(&address, what)?,
        }
        let delay = reader.backoff.next_elsewhere();
        tokio::time::sleep(delay).await;
    }
}

impl Reader<'_> {
    /// The leader as far as known, or another replica in turn; not the one that failed last.
    fn address(&mut self, image: &Image) -> String {
        let mut candidates = image.candidates(self.shard);
        if candidates.len() > 1 {
            candidates.retain(|address| Some(address) != self.failed.as_ref());
        }
        let turn = candidates.get(self.turn % candidates.len().max(1)).cloned();
        self.hint.take().or(turn).unwrap_or_default()
    }

    async fn follow(&mut self, address: &str, stream: StreamId) -> Ended {
        let mut pages = match self.open(address, stream).await {
            Ok(pages) => pages,
            Err(error) => return Ended::Failed(error),
        };
        loop {
            let page = match timeout(SILENCE_MAX, pages.message()).await {
                Ok(Ok(Some(TailResponse { page: Some(page) }))) => page,
                Ok(Ok(Some(_))) => return Ended::Damaged("a tail message without a page".to_owned()),
                Ok(Ok(None)) => return Ended::Failed(unavailable(format!("{address} ended the tail"))),
                Ok(Err(status)) => return Ended::Failed(WireError::from_status(&status)),
                Err(_) => return Ended::Failed(unavailable(format!("{address} was silent for {SILENCE_MAX:?}"))),
            };
            let from_index = match self.position {
                Position::Index(index) => index,
                _ => 0,
            };
            let bytes = page.batches.iter().map(|stored| stored.batch.len()).sum();
            match decode(self.shard, page, from_index) {
                Ok(page) => {
                    if self.deliver(page, bytes).await {
                        return Ended::Shard;
                    }
                }
                Err(what) => return Ended::Damaged(what),
            }
        }
    }

    async fn open(&self, address: &str, stream: StreamId) -> Result<Streaming<TailResponse>, WireError> {
        let pool = self.context.client.pool();
        let connection = pool.connection(address).await.map_err(|error| unavailable(error.to_string()))?;
        let request = TailRequest {
            shard: Some(to_shard_ref(stream, self.shard)),
            position: Some(self.position.into()),
            max_bytes: self.context.page_bytes,
        };
        let mut stub = stub::records(connection.channel.clone());
        match timeout(OPEN_TIMEOUT, stub.tail(request)).await {
            Ok(Ok(answer)) => Ok(answer.into_inner()),
            Ok(Err(status)) => {
                if is_broken_connection(&status) {
                    pool.forget(&connection);
                }
                Err(WireError::from_status(&status))
            }
            Err(_) => Err(unavailable(format!("{address} did not begin to answer within {OPEN_TIMEOUT:?}"))),
        }
    }

    /// Queues a page once there is room; true when it was the shard's last.
    async fn deliver(&mut self, page: ReadPage, bytes: usize) -> bool {
        self.backoff.reset();
        (self.damaged, self.turn, self.failed) = (0, 0, None);
        let ended = page.end.is_some();
        self.position = Position::Index(page.next_index);
        if page.records.is_empty() && !ended {
            return false;
        }
        let progress = if ended { ShardProgress::Finished } else { ShardProgress::ReadTo(page.next_index) };
        let millis_behind_latest = page.millis_behind_latest;
        let batch = ConsumedBatch { shard: self.shard, records: page.records, millis_behind_latest, progress };
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).clamp(1, self.context.room_bytes);
        let room = self.context.room.clone().acquire_many_owned(bytes).await;
        let room = room.expect("the semaphore is never closed");
        // Nobody reads any more when the consumer was dropped; the coordinator ends this task then.
        let _ = self.context.sender.send(Ok(Queued { batch, _room: room }));
        ended
    }

    fn note_failure(&mut self, address: &str, error: WireError) -> Result<(), ConsumeError> {
        tracing::debug!(shard = %self.shard, address, %error, "tail broke");
        let may_appear = matches!(error.reason, Reason::ShardNotFound | Reason::StreamNotFound | Reason::CorruptData);
        match verdict(&error, Repeat::Harmless) {
            Verdict::GiveUp if !may_appear => return Err(ConsumeError::Refused { shard: self.shard, error }),
            Verdict::TryAt(_) => self.hint = leader_hint(&error),
            _ => self.pass_over(address),
        }
        self.context.routing.note_stale();
        Ok(())
    }

    fn pass_over(&mut self, address: &str) {
        if self.failed.replace(address.to_owned()).is_some() {
            self.turn += 1;
        }
    }

    fn note_damage(&mut self, address: &str, what: String) -> Result<(), ConsumeError> {
        tracing::warn!(shard = %self.shard, address, what, "damaged page");
        self.damaged += 1;
        self.pass_over(address);
        if self.damaged >= DAMAGED_MAX { Err(ConsumeError::Damaged { shard: self.shard, what }) } else { Ok(()) }
    }
}

fn unavailable(text: String) -> WireError {
    WireError::new(Reason::Unavailable, text)
}
