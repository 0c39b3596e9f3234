//! The callee's end: a gRPC service with one bidirectional stream of raw frames, no protobuf.

use std::convert::Infallible;
use std::future::Ready;
use std::task::{Context, Poll};

use http::{Request, Response};
use thalweg_types::NodeId;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::server::NamedService;

use super::inbound::Inbound;
use super::link::NODE_HEADER;
use super::outgoing::Outgoing;
use crate::Groups;

/// The path of the one method.
pub(super) const EXCHANGE: &str = "/thalweg.raft.v1.RaftTransport/Exchange";

/// The gRPC service of the peer transport.
#[derive(Clone)]
pub struct Server {
    groups: Groups,
}

/// The service to mount on the peer port.
pub(crate) fn server(groups: Groups) -> Server {
    Server { groups }
}

impl NamedService for Server {
    const NAME: &'static str = "thalweg.raft.v1.RaftTransport";
}

impl Server {
    fn exchange(&self, request: Request<Body>) -> Result<Response<Body>, Status> {
        if request.uri().path() != EXCHANGE {
            return Err(Status::unimplemented("there is no such method"));
        }
        let header = request.headers().get(NODE_HEADER).and_then(|value| value.to_str().ok()?.parse().ok());
        let from = NodeId(header.ok_or_else(|| Status::invalid_argument("the calling node does not say who it is"))?);
        let answers = Inbound::new(self.groups.clone(), from, request.into_body());
        let mut response = Response::new(Body::new(Outgoing::new(answers)));
        response.headers_mut().insert(http::header::CONTENT_TYPE, tonic::metadata::GRPC_CONTENT_TYPE);
        Ok(response)
    }
}

impl Service<Request<Body>> for Server {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        std::future::ready(Ok(self.exchange(request).unwrap_or_else(|refusal| refusal.into_http())))
    }
}
