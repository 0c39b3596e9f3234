//! One lane to one node: the caller's end of an Exchange stream.
//!
//! Holds: requests leave in the order of [`Link::call`]. When the stream breaks every pending
//! call fails at once, its outcome unknown. Bytes on their way have a bound.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use thalweg_types::NodeId;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::transport::Channel;

use super::incoming::Incoming;
use super::outgoing::Outgoing;
use super::service::EXCHANGE;
use super::{Frame, Reply, Request};

/// Frames that may wait for the socket.
const QUEUE_FRAMES: usize = 256;
/// Between attempts to connect to a node that refuses or is gone.
const RECONNECT_INTERVAL: Duration = Duration::from_millis(50);

/// Metadata key that names the calling node.
pub(super) const NODE_HEADER: &str = "thalweg-node";

struct Pending {
    reply: oneshot::Sender<Reply>,
    _bytes: OwnedSemaphorePermit,
}

/// The caller's end of one stream.
pub(crate) struct Link {
    next_number: AtomicU64,
    queue: Mutex<Option<mpsc::Sender<Frame>>>,
    pending: Mutex<HashMap<u64, Pending>>,
    budget: Arc<Semaphore>,
    budget_bytes: usize,
    closed: Notify,
}

/// What became of a link, for whoever watches the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LinkEvent {
    Up,
    /// A stream broke, or could not be opened.
    Down,
}

impl Link {
    pub(super) fn new(budget_bytes: usize) -> Arc<Link> {
        Arc::new(Link {
            next_number: AtomicU64::new(1),
            queue: Mutex::new(None),
            pending: Mutex::new(HashMap::new()),
            budget: Arc::new(Semaphore::new(budget_bytes)),
            budget_bytes,
            closed: Notify::new(),
        })
    }

    /// Sends a request; the receiver gets the reply, or an error when the stream breaks. Nothing
    /// when the link is down.
    pub(crate) async fn call(&self, request: Request) -> Option<oneshot::Receiver<Reply>> {
        let queue = self.queue.lock().clone()?;
        let number = self.next_number.fetch_add(1, Ordering::Relaxed);
        let frame = request.encode(number);
        let cost = frame.byte_count().min(self.budget_bytes) as u32;
        let permit = self.budget.clone().acquire_many_owned(cost).await.ok()?;
        let (sender, receiver) = oneshot::channel();
        self.pending.lock().insert(number, Pending { reply: sender, _bytes: permit });
        if queue.send(frame).await.is_err() {
            self.pending.lock().remove(&number);
            return None;
        }
        Some(receiver)
    }

    /// Ends the link for good.
    pub(super) fn close(&self) {
        self.closed.notify_one();
        self.disconnect();
    }

    fn disconnect(&self) {
        self.queue.lock().take();
        self.pending.lock().clear();
    }

    /// Keeps the stream open until the link is closed, telling `events` of every change.
    pub(super) async fn run(self: Arc<Self>, from: NodeId, channel: Channel, events: impl Fn(LinkEvent)) {
        loop {
            tokio::select! {
                () = self.closed.notified() => return,
                () = self.exchange(from, channel.clone(), &events) => {}
            }
            self.disconnect();
            events(LinkEvent::Down);
            tokio::select! {
                () = self.closed.notified() => return,
                () = tokio::time::sleep(RECONNECT_INTERVAL) => {}
            }
        }
    }

    async fn exchange(&self, from: NodeId, mut channel: Channel, events: &impl Fn(LinkEvent)) {
        let (sender, receiver) = mpsc::channel(QUEUE_FRAMES);
        let request = http::Request::post(EXCHANGE)
            .version(http::Version::HTTP_2)
            .header(http::header::TE, "trailers")
            .header(http::header::CONTENT_TYPE, tonic::metadata::GRPC_CONTENT_TYPE)
            .header(NODE_HEADER, from.0)
            .body(Body::new(Outgoing::new(ReceiverStream::new(receiver))))
            .expect("path and headers are well formed");
        if std::future::poll_fn(|context| channel.poll_ready(context)).await.is_err() {
            return;
        }
        let Ok(response) = channel.call(request).await else { return };
        // A refusal has no body: its status is among the headers.
        if response.status() != http::StatusCode::OK || response.headers().contains_key("grpc-status") {
            return;
        }
        *self.queue.lock() = Some(sender);
        events(LinkEvent::Up);
        self.take_replies(Incoming::new(response.into_body())).await;
    }

    async fn take_replies(&self, mut replies: Incoming<Body>) {
        while let Some(frame) = replies.next().await {
            let Ok((number, reply)) = Reply::decode(frame.into_bytes()) else { return };
            let waiting = self.pending.lock().remove(&number);
            if let Some(waiting) = waiting {
                let _ = waiting.reply.send(reply);
            }
        }
    }
}
