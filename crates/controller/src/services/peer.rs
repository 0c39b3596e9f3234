//! What other nodes ask of this one: ControllerPeerService.

use std::sync::Arc;

use thalweg_catalog::Operation;
use thalweg_proto::peer::controller_peer_service_server::{ControllerPeerService, ControllerPeerServiceServer};
use thalweg_proto::peer::{
    CatalogUpdate, ExecuteRequest, ExecuteResponse, FormRequest, FormResponse, IdentifyRequest, IdentifyResponse,
    JoinRequest, JoinResponse, ReadEventsRequest, ReadEventsResponse, Report, execute_response,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::attach::{self, Encoded};
use super::events;
use crate::dialer::MESSAGE_BYTES_MAX;
use crate::leader::propose::{Unanswered, execute};
use crate::membership::{bootstrap, join};
use crate::node::Node;

/// The peer side of one node.
pub struct PeerService {
    node: Arc<Node>,
    encoded: Arc<Encoded>,
}

pub(crate) fn service(node: Arc<Node>) -> ControllerPeerServiceServer<PeerService> {
    let service = PeerService { node, encoded: Arc::default() };
    ControllerPeerServiceServer::new(service)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX)
}

#[tonic::async_trait]
impl ControllerPeerService for PeerService {
    type AttachStream = ReceiverStream<Result<CatalogUpdate, Status>>;

    async fn identify(&self, _: Request<IdentifyRequest>) -> Result<Response<IdentifyResponse>, Status> {
        let identity = self.node.keeper.get();
        let leader = self.node.elected().or_else(|| self.node.image.borrow().controller_leader);
        let address = leader.and_then(|leader| self.node.peer_address(leader));
        Ok(Response::new(IdentifyResponse {
            node_id: identity.node.0,
            cluster_id: identity.cluster.map(|belonging| belonging.cluster_id).unwrap_or_default(),
            incarnation: identity.incarnation.0,
            controller_leader: leader.map_or(0, |leader| leader.0),
            controller_leader_address: address.unwrap_or_default(),
        }))
    }

    async fn form(&self, request: Request<FormRequest>) -> Result<Response<FormResponse>, Status> {
        Ok(Response::new(bootstrap::answer_form(&self.node, request.into_inner())))
    }

    async fn join(&self, request: Request<JoinRequest>) -> Result<Response<JoinResponse>, Status> {
        join::answer(&self.node, request.into_inner()).await.map(Response::new)
    }

    async fn attach(&self, request: Request<Streaming<Report>>) -> Result<Response<Self::AttachStream>, Status> {
        let updates = attach::begin(self.node.clone(), self.encoded.clone(), request.into_inner()).await?;
        Ok(Response::new(ReceiverStream::new(updates)))
    }

    async fn execute(&self, request: Request<ExecuteRequest>) -> Result<Response<ExecuteResponse>, Status> {
        let operation = Operation::decode(&request.into_inner().operation)
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        let outcome = match execute(&self.node, &operation).await {
            Ok(answer) => execute_response::Outcome::Result(answer.encode()),
            Err(Unanswered::NotLeader { leader }) => {
                let leader = leader.filter(|leader| *leader != self.node.id());
                let address = leader.and_then(|leader| self.node.peer_address(leader));
                execute_response::Outcome::Redirect(address.unwrap_or_default())
            }
            Err(error) => return Err(thalweg_proto::errors::WireError::from(error).into()),
        };
        Ok(Response::new(ExecuteResponse { outcome: Some(outcome) }))
    }

    async fn read_events(&self, request: Request<ReadEventsRequest>) -> Result<Response<ReadEventsResponse>, Status> {
        Ok(Response::new(events::answer(&self.node, request.into_inner()).await?))
    }
}
