//! Settings of a consumer, and its start: from then on nothing written is missed.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use thalweg_types::{ShardId, StreamName};
use tokio::sync::{Semaphore, mpsc};

use super::checkpoint::{Checkpoint, ShardProgress, StartPosition};
use super::coordinator::Coordinator;
use super::lineage::Lineage;
use super::reader::ReaderContext;
use super::{ConsumeError, Consumer};
use crate::Client;
use crate::read::{Position, ReadError, ReadOptions, read_page};
use crate::routing::Routing;

/// Shards whose newest record is looked up at the same time.
const PIN_CONCURRENCY: usize = 32;

/// Builds a [`Consumer`]. Every setting has a default.
#[derive(Clone, Debug)]
pub struct ConsumerBuilder {
    client: Client,
    stream: StreamName,
    start: StartPosition,
    max_buffered_bytes: usize,
    page_bytes: u32,
}

impl ConsumerBuilder {
    pub(crate) fn new(client: Client, stream: StreamName) -> ConsumerBuilder {
        let start = StartPosition::default();
        ConsumerBuilder { client, stream, start, max_buffered_bytes: 16 * 1024 * 1024, page_bytes: 256 * 1024 }
    }

    /// Where to begin; default [`StartPosition::Latest`].
    #[must_use]
    pub fn from(mut self, start: StartPosition) -> Self {
        self.start = start;
        self
    }

    /// Bytes of records read ahead at most; default 16 MiB.
    #[must_use]
    pub fn max_buffered_bytes(mut self, bytes: usize) -> Self {
        self.max_buffered_bytes = bytes.clamp(1, u32::MAX as usize / 8);
        self
    }

    /// Bytes of one batch at most; default 256 KiB. A larger record comes alone.
    #[must_use]
    pub fn page_bytes(mut self, bytes: u32) -> Self {
        self.page_bytes = bytes.max(1);
        self
    }

    /// Starts reading. When this returns, what is written later will be read.
    pub async fn start(self) -> Result<Consumer, ConsumeError> {
        let timeout = self.client.options().request_timeout;
        let routing = self.client.routing(&self.stream);
        let image = routing.known(timeout).await?;
        let mut lineage = Lineage::new(&self.start, &image);
        self.pin_latest(&routing, &mut lineage).await?;
        let (sender, queue) = mpsc::unbounded_channel();
        let checkpoint: Checkpoint = lineage.progress().collect();
        let context = ReaderContext {
            client: self.client,
            routing,
            room: Arc::new(Semaphore::new(self.max_buffered_bytes)),
            room_bytes: self.max_buffered_bytes as u32,
            page_bytes: self.page_bytes,
            sender,
        };
        let task = tokio::spawn(Coordinator::new(context, lineage).run()).abort_handle();
        Ok(Consumer { queue, checkpoint, task })
    }

    /// Replaces "latest" by the place it means now, shard by shard.
    async fn pin_latest(&self, routing: &Routing, lineage: &mut Lineage) -> Result<(), ConsumeError> {
        let shards = lineage.starting_at_latest();
        let pins = shards.into_iter().map(|shard| pin(&self.client, routing, shard));
        let pinned: Vec<_> = stream::iter(pins).buffer_unordered(PIN_CONCURRENCY).try_collect().await?;
        pinned.into_iter().for_each(|(shard, progress)| lineage.pin(shard, progress));
        Ok(())
    }
}

async fn pin(client: &Client, routing: &Routing, shard: ShardId) -> Result<(ShardId, ShardProgress), ConsumeError> {
    let page = read_page(client, routing, shard, Position::Latest, ReadOptions::default()).await;
    let page = page.map_err(|error| match error {
        ReadError::Routing(error) => ConsumeError::Routing(error),
        ReadError::Refused { shard, error } => ConsumeError::Refused { shard, error },
        ReadError::BadAnswer { shard, what } => ConsumeError::Damaged { shard, what },
    })?;
    let ended = page.end.is_some();
    Ok((shard, if ended { ShardProgress::Finished } else { ShardProgress::ReadTo(page.next_index) }))
}
