//! A subscription under way: pages of a shard as events, until the shard ends, five minutes have
//! passed, or somebody else takes over.
//!
//! Holds: each event has a continuation number or, the last of a closed shard, its children, and
//! never both; reading on after the number misses nothing and repeats nothing.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use thalweg_catalog::{FanOutConsumer, Shard, Stream};
use thalweg_client::{ReadPage, Tail, TailError};
use thalweg_kinesis::{ApiError, ErrorKind, Format, Struct, Value, codec, event};
use thalweg_types::ShardId;
use tokio::time::Instant;

use crate::metrics::FollowerState;
use crate::{Gateway, failure, limits, present, read};

/// How long a subscription lasts.
const LIFE: Duration = Duration::from_secs(300);
/// For this node to hear of the children of a shard whose end was read.
const CHILDREN_TIMEOUT: Duration = Duration::from_secs(10);

/// One consumer's subscription to one shard.
pub(crate) struct Subscription {
    gateway: Gateway,
    stream: Arc<Stream>,
    shard: ShardId,
    consumer: FanOutConsumer,
    tail: Tail,
    next: Next,
    ends: Instant,
}

/// What comes next.
enum Next {
    Hello(Box<ReadPage>),
    Event(Box<ReadPage>),
    Page,
    Nothing,
}

impl Subscription {
    /// A subscription that was accepted at `now` with its first page.
    pub(crate) fn begin(
        gateway: Gateway,
        stream: &Arc<Stream>,
        shard: &Shard,
        consumer: FanOutConsumer,
        tail: Tail,
        first: ReadPage,
        now: Instant,
    ) -> Subscription {
        let (stream, shard) = (stream.clone(), shard.id);
        let next = Next::Hello(Box::new(first));
        Subscription { gateway, stream, shard, consumer, tail, next, ends: now + LIFE }
    }

    /// Its frames, each made when it is asked for.
    pub(crate) fn frames(self) -> BoxStream<'static, Bytes> {
        futures::stream::unfold(self, |mut subscription| async {
            let frame = subscription.frame().await?;
            Some((frame, subscription))
        })
        .boxed()
    }

    async fn frame(&mut self) -> Option<Bytes> {
        match std::mem::replace(&mut self.next, Next::Page) {
            Next::Hello(first) => {
                self.next = Next::Event(first);
                Some(event::initial_response())
            }
            Next::Event(page) => self.event(*page).await,
            Next::Page => match tokio::time::timeout_at(self.ends, self.tail.next()).await {
                Ok(Some(Ok(page))) => self.event(page).await,
                Ok(Some(Err(error))) => Some(self.exception(&error)),
                Ok(None) | Err(_) => None,
            },
            Next::Nothing => None,
        }
    }

    async fn event(&mut self, page: ReadPage) -> Option<Bytes> {
        let records: Value = page.records.iter().map(|record| present::record(&self.stream, record)).collect();
        let payload = Struct::new().with("Records", records);
        let payload = match page.end {
            None => payload.with("ContinuationSequenceNumber", page.next_sequence_number().to_string()),
            Some(_) => {
                self.next = Next::Nothing;
                // Without children the shard would never be finished for a client: it asks again.
                payload.with("ChildShards", self.children().await?)
            }
        };
        let payload = payload.with("MillisBehindLatest", page.millis_behind_latest as i64);
        self.account_for(&page).await;
        Some(event::event("SubscribeToShardEvent", &codec::encode(Format::Json, &payload)))
    }

    /// Counts a page, and waits as long as the consumer's own rate wants.
    async fn account_for(&mut self, page: &ReadPage) {
        let bytes = read::bytes(&page.records);
        let (stream, shard, counts) = (&self.stream.name, self.shard, self.gateway.counts());
        counts.count(stream, shard, |counts| {
            counts.outgoing_bytes += bytes as u64;
            counts.outgoing_records += page.records.len() as u64;
        });
        let retention_ms = self.stream.retention_ms();
        let lag_ms = page.millis_behind_latest;
        let state = FollowerState { lag_ms, expires_in_ms: retention_ms.saturating_sub(lag_ms) };
        counts.note_follower(stream, shard, &self.consumer.name, state);
        tokio::time::sleep(limits::fan_out_pause(&self.stream, bytes)).await;
    }

    /// What took over from the shard, once this node has heard of it.
    async fn children(&mut self) -> Option<Vec<Value>> {
        let deadline = Instant::now() + CHILDREN_TIMEOUT;
        let mut catalogs = self.gateway.catalogs();
        loop {
            let catalog = catalogs.borrow_and_update().clone();
            let children = present::children(catalog.stream(&self.stream.name)?, self.shard);
            if !children.is_empty() {
                return Some(children);
            }
            tokio::time::timeout_at(deadline, catalogs.changed()).await.ok()?.ok()?;
        }
    }

    fn exception(&mut self, error: &TailError) -> Bytes {
        self.next = Next::Nothing;
        let account = &self.gateway.config().account;
        event::exception(&match error {
            TailError::TakenOver { .. } => ApiError::new(
                ErrorKind::ResourceInUse,
                format!(
                    "Another subscription of consumer {} took over {}:{}:{}",
                    self.consumer.name, account, self.stream.name, self.shard
                ),
            ),
            other => failure::of_tail(account, &self.stream, other),
        })
    }
}
