//! One attempt to follow a shard at one node, and the following itself.

use std::time::Duration;

use thalweg_proto::convert::to_shard_ref;
use thalweg_proto::errors::{Reason, WireError};
use thalweg_proto::v1::{self, TailRequest, TailResponse};
use thalweg_types::{ShardId, StreamId};
use tokio::time::{Instant, timeout, timeout_at};
use tonic::{Status, Streaming};

use super::connections::Lease;
use super::route::Route;
use super::{TailError, TailOptions};
use crate::call::is_broken_connection;
use crate::client::{Client, stub};
use crate::read::Position;
use crate::routing::{Routing, RoutingError};

/// The server sends a page, empty if need be, at least every 5 s.
const SILENCE_MAX: Duration = Duration::from_secs(8);
/// For a node to begin to answer.
const OPEN_TIMEOUT: Duration = Duration::from_secs(2);

/// Why an attempt failed or following ended.
pub(super) enum Broken {
    /// No other attempt can do better.
    Final(TailError),
    /// The routing does not know the shard.
    Missing,
    /// The call failed, or never began.
    Failed { address: String, error: WireError },
    /// A page made no sense.
    Damaged { address: String, what: String },
}

/// All that one attempt needs, so that it outlives a caller that stops waiting.
pub(super) struct Attempt {
    pub(super) client: Client,
    pub(super) routing: Routing,
    pub(super) shard: ShardId,
    pub(super) options: TailOptions,
    pub(super) position: Position,
    /// The incarnation that was followed before.
    pub(super) stream: Option<StreamId>,
    pub(super) route: Route,
    pub(super) pause: Duration,
}

/// A call that gives pages.
pub(super) struct Following {
    client: Client,
    address: String,
    stream: StreamId,
    pages: Streaming<TailResponse>,
    lease: Lease,
    /// Set while a page is awaited, across calls that stop waiting.
    silent_until: Option<Instant>,
}

impl Attempt {
    pub(super) async fn run(self) -> Result<Following, Broken> {
        tokio::time::sleep(self.pause).await;
        let image = self.routing.known(self.client.options().request_timeout).await;
        let image = image.map_err(|error| Broken::Final(error.into()))?;
        let stream = image.stream_id();
        if self.stream.is_some_and(|followed| followed != stream) {
            let gone = RoutingError::StreamNotFound { stream: self.routing.stream().clone() };
            return Err(Broken::Final(gone.into()));
        }
        if image.shard(self.shard).is_none() {
            return Err(Broken::Missing);
        }
        let address = self.route.choose(&image, self.shard);
        let lease = self.client.tail_connections().lease(&address);
        let opened = match timeout(OPEN_TIMEOUT, self.open(&lease, stream)).await {
            Ok(opened) => opened,
            Err(_) => Err(unavailable(format!("{address} did not begin to answer within {OPEN_TIMEOUT:?}"))),
        };
        match opened {
            Ok(pages) => Ok(Following { client: self.client, address, stream, pages, lease, silent_until: None }),
            Err(error) => Err(Broken::Failed { address, error }),
        }
    }

    async fn open(&self, lease: &Lease, stream: StreamId) -> Result<Streaming<TailResponse>, WireError> {
        let channel = lease.channel(self.client.options()).await.map_err(|error| unavailable(error.to_string()))?;
        let (subscriber, subscription_id) = match &self.options.subscriber {
            Some(subscriber) => (subscriber.name.clone(), subscriber.id),
            None => Default::default(),
        };
        let request = TailRequest {
            shard: Some(to_shard_ref(stream, self.shard)),
            position: Some(self.position.into()),
            max_bytes: self.options.max_bytes,
            subscriber,
            subscription_id,
        };
        match stub::records(channel).tail(request).await {
            Ok(answer) => Ok(answer.into_inner()),
            Err(status) => Err(wire_error(&self.client, lease, &status)),
        }
    }
}

impl Following {
    pub(super) fn stream(&self) -> StreamId {
        self.stream
    }

    pub(super) async fn page(&mut self) -> Result<v1::ReadResponse, Broken> {
        let silent_until = *self.silent_until.get_or_insert_with(|| Instant::now() + SILENCE_MAX);
        let message = timeout_at(silent_until, self.pages.message()).await;
        self.silent_until = None;
        match message {
            Ok(Ok(Some(TailResponse { page: Some(page) }))) => Ok(page),
            Ok(Ok(Some(_))) => Err(self.damaged("a tail message without a page".to_owned())),
            Ok(Ok(None)) => Err(self.failed(unavailable(format!("{} ended the tail", self.address)))),
            Ok(Err(status)) => Err(self.failed(wire_error(&self.client, &self.lease, &status))),
            Err(_) => Err(self.failed(unavailable(format!("{} was silent for {SILENCE_MAX:?}", self.address)))),
        }
    }

    pub(super) fn damaged(&self, what: String) -> Broken {
        Broken::Damaged { address: self.address.clone(), what }
    }

    fn failed(&self, error: WireError) -> Broken {
        Broken::Failed { address: self.address.clone(), error }
    }
}

fn wire_error(client: &Client, lease: &Lease, status: &Status) -> WireError {
    if is_broken_connection(status) {
        client.tail_connections().forget(lease);
    }
    WireError::from_status(status)
}

fn unavailable(text: String) -> WireError {
    WireError::new(Reason::Unavailable, text)
}
