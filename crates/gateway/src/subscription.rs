//! A subscription under way: pages of a shard as events, until the shard ends, five minutes have
//! passed, somebody else takes over, or the consumer or its stream is no more.
//!
//! A consumer may have a rate of its own: then an event is followed by a pause in which only empty events
//! come, as they come while nothing is written.
//!
//! Holds: each event has a continuation number or, the last of a closed shard, its children, and
//! never both; reading on after the number misses nothing and repeats nothing.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use thalweg_catalog::{Catalog, ConsumerRef, FanOutConsumer, Shard, Stream};
use thalweg_client::{ReadPage, Tail, TailError};
use thalweg_kinesis::{ApiError, ErrorKind, Format, Struct, Value, codec, event, texts};
use thalweg_types::ShardId;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::metrics::FollowerState;
use crate::{Gateway, failure, limits, present, read, resource};

/// For this node to hear of the children of a shard whose end was read.
const CHILDREN_TIMEOUT: Duration = Duration::from_secs(10);
/// While a consumer's rate keeps records back, an empty event comes this often: clients expect one every
/// five seconds.
const PAUSED_EVERY: Duration = Duration::from_secs(4);

/// One consumer's subscription to one shard.
pub(crate) struct Subscription {
    gateway: Gateway,
    stream: Arc<Stream>,
    shard: ShardId,
    consumer: FanOutConsumer,
    standing: Standing,
    tail: Tail,
    next: Next,
    pace: Pace,
    ends: Instant,
}

/// Keeps a consumer to its rate.
#[derive(Clone, Debug)]
struct Pace {
    bytes_per_second: Option<u64>,
    /// When what was sent so far is paid off.
    paid: Instant,
    told: Instant,
    /// The last event's continuation number and lag, for those in between.
    last: (String, u64),
}

impl Pace {
    fn of(stream: &Stream, now: Instant) -> Pace {
        let bytes_per_second = limits::fan_out_rate(stream);
        Pace { bytes_per_second, paid: now, told: now, last: Default::default() }
    }

    /// An event of so many bytes goes out.
    fn note(&mut self, bytes: usize, last: (String, u64), now: Instant) {
        let owed = self
            .bytes_per_second
            .map_or(Duration::ZERO, |rate| Duration::from_secs_f64(bytes as f64 / rate.max(1) as f64));
        *self = Pace { paid: self.paid.max(now) + owed, told: now, last, ..*self };
    }

    /// When an empty event is due, if records are kept back until then.
    fn due(&self, now: Instant) -> Option<Instant> {
        let due = self.told + PAUSED_EVERY;
        (now < self.paid && due < self.paid).then_some(due)
    }
}

/// A consumer's right to be served: it is registered, and its stream is there.
struct Standing {
    catalogs: watch::Receiver<Arc<Catalog>>,
    stream: Arc<Stream>,
    consumer: ConsumerRef,
    account: String,
}

impl Standing {
    /// Waits until it is lost; why.
    async fn lost(&mut self) -> ApiError {
        loop {
            if let Err(gone) = self.check() {
                return gone;
            }
            if self.catalogs.changed().await.is_err() {
                // The node is ending, and so will the connection.
                std::future::pending::<()>().await;
            }
        }
    }

    fn check(&mut self) -> Result<(), ApiError> {
        let catalog = self.catalogs.borrow_and_update();
        let stream = catalog.stream(&self.stream.name).filter(|stream| stream.id == self.stream.id);
        let stream = stream.ok_or_else(|| texts::stream_not_found(&self.stream.name, &self.account))?;
        let found = stream.consumer(&self.consumer).map(drop);
        found.ok_or_else(|| resource::unknown(&self.account, &self.stream, &self.consumer.name))
    }
}

/// What comes next.
enum Next {
    Hello(Box<ReadPage>),
    Event(Box<ReadPage>),
    Page,
    Nothing,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.gateway.counts().forget_follower(&self.stream.name, self.shard, &self.consumer.name);
    }
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
        let standing = Standing {
            catalogs: gateway.catalogs(),
            stream: stream.clone(),
            consumer: ConsumerRef::from(&consumer),
            account: gateway.config().account.clone(),
        };
        let next = Next::Hello(Box::new(first));
        let (ends, pace) = (now + gateway.subscription_life(), Pace::of(&stream, now));
        Subscription { gateway, stream, shard, consumer, standing, tail, next, pace, ends }
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
            // A page that is there already would come before any deadline.
            Next::Page if Instant::now() >= self.ends => None,
            Next::Page => {
                let due = self.pace.due(Instant::now());
                let (paid, until) = (self.pace.paid, due.unwrap_or(self.ends).min(self.ends));
                let page = async {
                    tokio::time::sleep_until(paid).await;
                    self.tail.next().await
                };
                // Neither loses anything when the other comes first.
                let came = tokio::select! {
                    came = tokio::time::timeout_at(until, page) => Ok(came),
                    gone = self.standing.lost() => Err(gone),
                };
                match came {
                    Ok(Ok(Some(Ok(page)))) => self.event(page).await,
                    Ok(Ok(Some(Err(error)))) => Some(self.exception(&error)),
                    Ok(Err(_)) if until < self.ends => Some(self.empty_event()),
                    Ok(Ok(None) | Err(_)) => None,
                    Err(gone) => {
                        self.next = Next::Nothing;
                        Some(event::exception(&gone))
                    }
                }
            }
            Next::Nothing => None,
        }
    }

    /// Says that the subscription lives, while the consumer's rate keeps records back.
    fn empty_event(&mut self) -> Bytes {
        let (number, behind) = self.pace.last.clone();
        self.pace.told = Instant::now();
        let payload = Struct::new()
            .with("Records", Vec::<Value>::new())
            .with("ContinuationSequenceNumber", number)
            .with("MillisBehindLatest", behind as i64);
        event::event("SubscribeToShardEvent", &codec::encode(Format::Json, &payload))
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
        self.account_for(&page);
        Some(event::event("SubscribeToShardEvent", &codec::encode(Format::Json, &payload)))
    }

    /// Counts a page, also against the consumer's own rate.
    fn account_for(&mut self, page: &ReadPage) {
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
        self.pace.note(bytes, (page.next_sequence_number().to_string(), lag_ms), Instant::now());
    }

    /// What took over from the shard, once this node has heard of it.
    async fn children(&mut self) -> Option<Vec<Value>> {
        let deadline = Instant::now() + CHILDREN_TIMEOUT;
        let mut catalogs = self.gateway.catalogs();
        loop {
            let catalog = catalogs.borrow_and_update().clone();
            let stream = catalog.stream(&self.stream.name).filter(|stream| stream.id == self.stream.id)?;
            let children = present::children(stream, self.shard);
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing;

    fn paced(limits: serde_json::Value, now: Instant) -> Pace {
        let catalog = testing::catalog(None, None, limits);
        Pace::of(catalog.streams().next().expect("one stream"), now)
    }

    #[tokio::test]
    async fn a_slow_rate_keeps_records_back_but_an_event_is_due_in_time() {
        let (start, after) = (Instant::now(), |secs| Instant::now() + Duration::from_secs(secs));
        let mut pace = paced(json!({ "custom": { "read_bytes_per_second": 100 } }), start);
        assert_eq!(pace.due(start), None, "nothing is kept back yet");
        pace.note(2_000, ("7".to_owned(), 5), start);
        assert_eq!((pace.paid, pace.last.clone()), (start + Duration::from_secs(20), ("7".to_owned(), 5)));
        let mut events = 0;
        let mut now = start;
        while let Some(due) = pace.due(now) {
            assert!(due - pace.told <= Duration::from_secs(5), "an event at least every five seconds");
            (now, pace.told, events) = (due, due, events + 1);
        }
        assert_eq!(events, 4);
        assert!(pace.paid <= after(25));
    }

    #[tokio::test]
    async fn without_a_rate_nothing_is_kept_back() {
        let start = Instant::now();
        for limits in [json!("unlimited"), json!({ "custom": { "write_records_per_second": 1 } })] {
            let mut pace = paced(limits, start);
            pace.note(1 << 30, Default::default(), start);
            assert_eq!((pace.paid, pace.due(start)), (start, None));
        }
    }
}
