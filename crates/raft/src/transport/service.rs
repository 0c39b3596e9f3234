//! The callee's end: takes frames from a peer's stream and brings them to the groups.

use std::pin::Pin;
use std::sync::Arc;

use futures::Stream;
use thalweg_types::NodeId;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request as GrpcRequest, Response, Status, Streaming};

use super::generated::raft_transport_server::{RaftTransport, RaftTransportServer};
use super::inbound::Inbound;
use super::link::NODE_HEADER;
use super::{Frame, Request};
use crate::Groups;

/// Replies that may wait for the socket.
const REPLIES_MAX: usize = 1024;
const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The gRPC service of the peer transport.
pub type Server = RaftTransportServer<Transport>;

/// The service to mount on the peer port.
pub(crate) fn server(groups: Groups) -> Server {
    RaftTransportServer::new(Transport { groups })
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX)
}

/// Where a peer's stream arrives.
pub struct Transport {
    groups: Groups,
}

type Replies = Pin<Box<dyn Stream<Item = Result<Frame, Status>> + Send>>;

#[tonic::async_trait]
impl RaftTransport for Transport {
    type ExchangeStream = Replies;

    async fn exchange(&self, request: GrpcRequest<Streaming<Frame>>) -> Result<Response<Replies>, Status> {
        let header = request.metadata().get(NODE_HEADER).and_then(|value| value.to_str().ok()?.parse().ok());
        let from = NodeId(header.ok_or_else(|| Status::invalid_argument("the calling node does not say who it is"))?);
        let (sender, receiver) = mpsc::channel(REPLIES_MAX);
        let inbound = Arc::new(Inbound::new(self.groups.clone(), from, sender));
        tokio::spawn(take_frames(inbound, request.into_inner()));
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}

async fn take_frames(inbound: Arc<Inbound>, mut frames: Streaming<Frame>) {
    while let Ok(Some(frame)) = frames.message().await {
        match Request::decode(frame.into_bytes()) {
            Ok((number, request)) => inbound.take(number, request).await,
            Err(error) => {
                tracing::warn!(%error, "a peer sent a frame that cannot be read; closing its stream");
                return;
            }
        }
    }
}
