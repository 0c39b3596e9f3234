//! Reading a whole stream: all its shards, through splits and merges.
//!
//! ```text
//!   routing image ──► Lineage ──► which shards may be read now ──► a reader each ──► Tail
//!                     (pure)                                          │
//!   Consumer (a Stream of batches) ◄── one queue, bounded in bytes ◄──┘
//! ```
//! Holds: each record comes once and in order within its shard, whatever breaks; a child's first
//! record comes after the last of all its parents, so records of one partition key keep their
//! order through reshards.

mod builder;
mod checkpoint;
mod coordinator;
mod lineage;
mod reader;

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::Stream;
use thalweg_proto::errors::WireError;
use thalweg_types::ShardId;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::AbortHandle;

pub use builder::ConsumerBuilder;
pub use checkpoint::{Checkpoint, ShardProgress, StartPosition};

pub use crate::read::ConsumedRecord;
use crate::routing::RoutingError;

/// Records of one shard that lie one after another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumedBatch {
    /// The shard.
    pub shard: ShardId,
    /// The records; empty only in the shard's last batch.
    pub records: Vec<ConsumedRecord>,
    /// How far the last of them lies behind the newest record; 0 when caught up.
    pub millis_behind_latest: u64,
    /// How far the shard has been read with this batch.
    pub progress: ShardProgress,
}

/// Why a consumer ended.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ConsumeError {
    /// The stream does not exist, or no node told where its shards are.
    #[error(transparent)]
    Routing(#[from] RoutingError),
    /// A shard's replicas refuse for good.
    #[error("cannot read {shard}: {error}")]
    Refused {
        /// The shard.
        shard: ShardId,
        /// Why.
        error: WireError,
    },
    /// No replica sends an intact copy of what lies here.
    #[error("what was read from {shard} is damaged: {what}")]
    Damaged {
        /// The shard.
        shard: ShardId,
        /// What is wrong.
        what: String,
    },
}

/// A batch in the queue, and the room it takes there.
struct Queued {
    batch: ConsumedBatch,
    _room: OwnedSemaphorePermit,
}

/// Yields the batches of a stream's shards. Made by [`crate::Client::consumer`]; reading stops
/// when it is dropped. After an error it ends.
pub struct Consumer {
    queue: mpsc::UnboundedReceiver<Result<Queued, ConsumeError>>,
    checkpoint: Checkpoint,
    task: AbortHandle,
}

impl Consumer {
    /// Begins to build a consumer.
    pub fn builder(client: crate::Client, stream: thalweg_types::StreamName) -> ConsumerBuilder {
        ConsumerBuilder::new(client, stream)
    }

    /// The next batch; nothing after an error.
    pub async fn next(&mut self) -> Option<Result<ConsumedBatch, ConsumeError>> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// Everything yielded so far: start another consumer here to go on without gap or repeat.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }
}

impl Stream for Consumer {
    type Item = Result<ConsumedBatch, ConsumeError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(queued) = ready!(self.queue.poll_recv(cx)) else { return Poll::Ready(None) };
        let batch = queued.map(|queued| queued.batch);
        match &batch {
            Ok(batch) => self.checkpoint.note(batch.shard, batch.progress),
            Err(_) => self.queue.close(),
        }
        Poll::Ready(Some(batch))
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl std::fmt::Debug for Consumer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Consumer").field("checkpoint", &self.checkpoint).finish_non_exhaustive()
    }
}
