//! Appending batches that are packed already, to shards that the caller chose: for measuring a
//! cluster without the cost of a producer, and for tools that move batches as they are.
//!
//! Nothing is retried, reordered or made idempotent here. Holds: an error says whether the batch
//! was certainly not applied or perhaps applied; answers of one shard come in the order of its calls.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use thalweg_proto::convert::{sequence_number, to_shard_ref};
use thalweg_proto::errors::{Reason, WireError};
use thalweg_proto::v1::append_stream_response::Outcome;
use thalweg_proto::v1::{AppendFailure, AppendRequest, AppendStreamRequest, AppendStreamResponse};
use thalweg_types::{RecordBatch, SequenceNumber, ShardId, StreamName};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::UnboundedReceiverStream;

use crate::call::{CallError, is_broken_connection, leader_hint};
use crate::client::{Client, stub};
use crate::pool::Connection;
use crate::routing::Routing;

/// How much longer than the server the caller waits.
const GRACE: Duration = Duration::from_secs(1);

/// Where an appended batch came to lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Of its first record.
    pub first_sequence_number: SequenceNumber,
    /// Records in it.
    pub record_count: u32,
}

/// Appends packed batches to a stream's shards. Made by [`Client::raw_appender`].
pub struct RawAppender {
    client: Client,
    routing: Routing,
    links: Mutex<HashMap<String, Arc<Link>>>,
    next_id: AtomicU64,
}

type Reply = oneshot::Sender<Result<Appended, WireError>>;

/// One append stream to one node.
struct Link {
    requests: mpsc::UnboundedSender<AppendStreamRequest>,
    // `None` once the stream has ended.
    waiting: Mutex<Option<HashMap<u64, Reply>>>,
}

impl Client {
    /// Appends packed batches to `stream`.
    pub fn raw_appender(&self, stream: &StreamName) -> RawAppender {
        RawAppender {
            client: self.clone(),
            routing: self.routing(stream),
            links: Mutex::default(),
            next_id: AtomicU64::new(1),
        }
    }
}

impl RawAppender {
    /// Appends one batch to the leader of `shard`, as far as that is known. A refusal that names
    /// another leader is remembered for the next call.
    pub async fn append(&self, shard: ShardId, batch: &RecordBatch, timeout: Duration) -> Result<Appended, CallError> {
        let image = self
            .routing
            .known(timeout)
            .await
            .map_err(|error| CallError::Unreachable { waited: timeout, last: error.to_string() })?;
        let Some(address) = image.leader_address(shard) else {
            return Err(CallError::Refused(WireError::new(Reason::Unavailable, format!("{shard} has no leader now"))));
        };
        let link = self.link(address).await?;
        let request = AppendRequest {
            shard: Some(to_shard_ref(image.stream_id(), shard)),
            batch: batch.bytes().clone(),
            producer: None,
            timeout_ms: u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX),
        };
        let outcome = link.append(self.next_id.fetch_add(1, Ordering::Relaxed), request, timeout + GRACE).await;
        outcome.map_err(|error| {
            match leader_hint(&error) {
                Some(leader) => self.routing.note_leader(shard, &leader),
                None => self.routing.note_stale(),
            }
            CallError::Refused(error)
        })
    }

    async fn link(&self, address: &str) -> Result<Arc<Link>, CallError> {
        if let Some(link) = self.links.lock().get(address).filter(|link| link.is_open()) {
            return Ok(link.clone());
        }
        let connected = self.client.pool().connection(address).await;
        let connection =
            connected.map_err(|error| CallError::Unreachable { waited: Duration::ZERO, last: error.to_string() })?;
        let mut links = self.links.lock();
        if let Some(link) = links.get(address).filter(|link| link.is_open()) {
            return Ok(link.clone());
        }
        let link = Link::open(self.client.clone(), connection);
        links.insert(address.to_owned(), link.clone());
        Ok(link)
    }
}

impl Link {
    fn open(client: Client, connection: Connection) -> Arc<Link> {
        let (requests, queue) = mpsc::unbounded_channel();
        let link = Arc::new(Link { requests, waiting: Mutex::new(Some(HashMap::new())) });
        let running = Arc::downgrade(&link);
        tokio::spawn(async move {
            let outbound = UnboundedReceiverStream::new(queue);
            let ended = match stub::records(connection.channel.clone()).append_stream(outbound).await {
                Ok(answers) => {
                    let mut answers = answers.into_inner();
                    loop {
                        let answer = match answers.message().await {
                            Ok(Some(answer)) => answer,
                            Ok(None) => break None,
                            Err(status) => break Some(status),
                        };
                        if let Some(link) = running.upgrade() {
                            link.resolve(answer);
                        }
                    }
                }
                Err(status) => Some(status),
            };
            if ended.as_ref().is_some_and(is_broken_connection) {
                client.pool().forget(&connection);
            }
            if let Some(link) = running.upgrade() {
                let why = ended.map_or_else(|| "the node ended it".to_owned(), |status| status.message().to_owned());
                link.fail(&format!("the append stream to {} ended: {why}", connection.address));
            }
        });
        link
    }

    fn is_open(&self) -> bool {
        self.waiting.lock().is_some()
    }

    async fn append(&self, id: u64, append: AppendRequest, patience: Duration) -> Result<Appended, WireError> {
        let (reply, outcome) = oneshot::channel();
        match &mut *self.waiting.lock() {
            Some(waiting) => waiting.insert(id, reply),
            None => return Err(WireError::new(Reason::Unavailable, "the append stream ended before")),
        };
        let request = AppendStreamRequest { request_id: id, append: Some(append) };
        // When the stream has ended meanwhile, its end resolves the reply.
        let _ = self.requests.send(request);
        match tokio::time::timeout(patience, outcome).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(WireError::new(Reason::OutcomeUnknown, "the append stream was dropped")),
            Err(_) => {
                if let Some(waiting) = &mut *self.waiting.lock() {
                    waiting.remove(&id);
                }
                Err(WireError::new(Reason::Timeout, format!("no answer within {patience:?}")))
            }
        }
    }

    fn resolve(&self, answer: AppendStreamResponse) {
        let reply = self.waiting.lock().as_mut().and_then(|waiting| waiting.remove(&answer.request_id));
        if let Some(reply) = reply {
            // Nobody waits for it when the caller went away.
            let _ = reply.send(outcome(answer.outcome));
        }
    }

    fn fail(&self, why: &str) {
        let waiting = self.waiting.lock().take().unwrap_or_default();
        for reply in waiting.into_values() {
            let _ = reply.send(Err(WireError::new(Reason::OutcomeUnknown, why)));
        }
    }
}

fn outcome(outcome: Option<Outcome>) -> Result<Appended, WireError> {
    match outcome {
        Some(Outcome::Appended(appended)) => Ok(Appended {
            first_sequence_number: sequence_number(&appended.first_sequence_number)?,
            record_count: appended.record_count,
        }),
        Some(Outcome::Failed(failure)) => Err(failed(failure)),
        None => Err(WireError::new(Reason::Internal, "an answer without an outcome")),
    }
}

fn failed(failure: AppendFailure) -> WireError {
    let unknown = if failure.perhaps_applied { Reason::OutcomeUnknown } else { Reason::Unavailable };
    let reason = failure.reason.parse().unwrap_or(unknown);
    WireError { reason, message: failure.message, metadata: failure.metadata }
}

impl std::fmt::Debug for RawAppender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RawAppender").field("routing", &self.routing).finish_non_exhaustive()
    }
}
