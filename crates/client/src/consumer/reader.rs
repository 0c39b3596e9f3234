//! Reads one shard to its end, for a consumer: a [`Tail`] whose pages go into the common queue.
//!
//! Holds: a page waits for room in the queue before the next is asked for.

use std::sync::Arc;

use thalweg_proto::errors::{Reason, WireError};
use thalweg_types::ShardId;
use tokio::sync::{Semaphore, mpsc};

use super::checkpoint::ShardProgress;
use super::{ConsumeError, ConsumedBatch, Queued};
use crate::client::Client;
use crate::read::{Position, ReadPage};
use crate::routing::Routing;
use crate::tail::{Tail, TailError, TailOptions};

/// What all readers of a consumer share.
pub(super) struct ReaderContext {
    pub(super) client: Client,
    pub(super) routing: Routing,
    pub(super) room: Arc<Semaphore>,
    pub(super) room_bytes: u32,
    pub(super) page_bytes: u32,
    pub(super) sender: mpsc::UnboundedSender<Result<Queued, ConsumeError>>,
}

/// Reads `shard` from `position` until its end.
pub(super) async fn run(context: &ReaderContext, shard: ShardId, position: Position) -> Result<(), ConsumeError> {
    let options = TailOptions { max_bytes: context.page_bytes, ..TailOptions::default() };
    let mut tail = Tail::begin(context.client.clone(), context.routing.clone(), shard, position, options);
    while let Some(page) = tail.next_sized().await {
        match page {
            Ok((page, bytes)) => context.deliver(page, bytes).await,
            // Retention has removed it with all that it held.
            Err(TailError::ShardNotFound { .. }) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

impl ReaderContext {
    /// Queues a page once there is room.
    async fn deliver(&self, page: ReadPage, bytes: usize) {
        let ended = page.end.is_some();
        if page.records.is_empty() && !ended {
            return;
        }
        let progress = if ended { ShardProgress::Finished } else { ShardProgress::ReadTo(page.next_index) };
        let ReadPage { shard, records, millis_behind_latest, .. } = page;
        let batch = ConsumedBatch { shard, records, millis_behind_latest, progress };
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).clamp(1, self.room_bytes);
        let room = self.room.clone().acquire_many_owned(bytes).await;
        let room = room.expect("the semaphore is never closed");
        // Nobody reads any more when the consumer was dropped; the coordinator ends this task then.
        let _ = self.sender.send(Ok(Queued { batch, _room: room }));
    }
}

impl From<TailError> for ConsumeError {
    fn from(error: TailError) -> ConsumeError {
        match error {
            TailError::Routing(error) => ConsumeError::Routing(error),
            TailError::Damaged { shard, what } => ConsumeError::Damaged { shard, what },
            TailError::ShardNotFound { shard } => {
                let error = WireError::new(Reason::ShardNotFound, error.to_string());
                ConsumeError::Refused { shard, error }
            }
            TailError::Refused { shard, error }
            | TailError::AlreadySubscribed { shard, error }
            | TailError::TakenOver { shard, error }
            | TailError::LimitExceeded { shard, error } => ConsumeError::Refused { shard, error },
        }
    }
}
