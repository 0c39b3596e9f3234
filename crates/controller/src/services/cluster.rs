//! ClusterService: the nodes, and the image from which clients route.
//!
//! Access keys: [`super::account`]. What happened: [`super::events`].

use std::sync::Arc;

use thalweg_catalog::{NodeState, Operation, Refusal};
use thalweg_client::wire;
use thalweg_proto::convert::{shard_id, stream_name};
use thalweg_proto::errors::WireError;
use thalweg_proto::v1::cluster_service_server::{ClusterService, ClusterServiceServer};
use thalweg_proto::v1::*;
use thalweg_types::NodeId;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::forward::{execute, must_be_member};
use super::{present, refusals, routing, wait};
use crate::Image;
use crate::node::Node;

/// The public cluster API of one node.
pub struct Cluster(Arc<Node>);

pub(crate) fn service(node: Arc<Node>) -> ClusterServiceServer<Cluster> {
    ClusterServiceServer::new(Cluster(node))
}

impl Cluster {
    pub(super) fn node(&self) -> &Node {
        &self.0
    }

    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + self.0.options.mutation_timeout
    }

    /// Carries out a mutation and waits until this node's own image shows it.
    pub(super) async fn mutate(&self, operation: Operation, deadline: Instant) -> Result<(), WireError> {
        let answer = execute(&self.0, &operation, deadline).await?;
        refusals::applied(answer.outcome)?;
        wait::seen(&self.0, deadline, answer.revision).await
    }

    /// Removes a node; one that is out of contact first has its replicas rebuilt elsewhere.
    async fn remove(&self, node: NodeId) -> Result<(), WireError> {
        let deadline = self.deadline();
        loop {
            let answer = execute(&self.0, &Operation::RemoveNode { node }, deadline).await?;
            wait::seen(&self.0, deadline, answer.revision).await?;
            let rebuilt_soon = matches!(answer.outcome, Err(Refusal::NodeInUse { .. })) && self.is_dead(node);
            if !rebuilt_soon {
                return refusals::applied(answer.outcome).map(drop);
            }
            let newer = |image: &Image| (image.catalog.revision() > answer.revision).then_some(());
            let late = |image: &Image| {
                let (replicas, _) = present::load(image, node);
                format!(
                    "node {node} is given up; {replicas} of its replicas are still being rebuilt: remove it again then"
                )
            };
            wait::until(&self.0, deadline, newer, late).await?;
        }
    }

    fn is_dead(&self, node: NodeId) -> bool {
        let image = self.0.image.borrow();
        image.catalog.node(node).is_some_and(|node| matches!(node.state, NodeState::Dead { .. }))
    }
}

#[tonic::async_trait]
impl ClusterService for Cluster {
    type WatchRoutingStream = ReceiverStream<Result<WatchRoutingResponse, Status>>;

    async fn describe_cluster(
        &self,
        _: Request<DescribeClusterRequest>,
    ) -> Result<Response<DescribeClusterResponse>, Status> {
        must_be_member(&self.0)?;
        let image = self.0.image.borrow().clone();
        let node = |known: &thalweg_catalog::Node| {
            let (replica_count, leader_count) = present::load(&image, known.id);
            thalweg_proto::v1::Node { replica_count, leader_count, ..present::node(&image, known) }
        };
        Ok(Response::new(DescribeClusterResponse {
            cluster_id: image.catalog.cluster().map_or_else(String::new, |cluster| cluster.id.clone()),
            nodes: image.catalog.nodes().map(node).collect(),
            controller_leader: image.controller_leader.map_or(0, |leader| leader.0),
            revision: image.catalog.revision(),
            account: Some(wire::to_account(&image.catalog)),
        }))
    }

    async fn watch_routing(
        &self,
        request: Request<WatchRoutingRequest>,
    ) -> Result<Response<Self::WatchRoutingStream>, Status> {
        must_be_member(&self.0)?;
        let name = stream_name(&request.get_ref().stream_name)?;
        if self.0.image.borrow().catalog.stream(&name).is_none() {
            return Err(routing::not_found(&name).into());
        }
        Ok(Response::new(ReceiverStream::new(routing::watch(self.0.clone(), name))))
    }

    async fn drain_node(&self, request: Request<DrainNodeRequest>) -> Result<Response<DrainNodeResponse>, Status> {
        let DrainNodeRequest { node_id, cancel } = request.into_inner();
        let node = NodeId(node_id);
        self.mutate(Operation::DrainNode { node, cancel }, self.deadline()).await?;
        let (replicas_left, leaders_left) = present::load(&self.0.image.borrow(), node);
        Ok(Response::new(DrainNodeResponse { replicas_left, leaders_left }))
    }

    async fn remove_node(&self, request: Request<RemoveNodeRequest>) -> Result<Response<RemoveNodeResponse>, Status> {
        self.remove(NodeId(request.get_ref().node_id)).await?;
        Ok(Response::new(RemoveNodeResponse {}))
    }

    async fn transfer_leader(
        &self,
        request: Request<TransferLeaderRequest>,
    ) -> Result<Response<TransferLeaderResponse>, Status> {
        let request = request.into_inner();
        let (stream, shard) = (stream_name(&request.stream_name)?, shard_id(&request.shard_id)?);
        let (to, deadline) = (NodeId(request.to_node_id), self.deadline());
        self.mutate(Operation::TransferLeader { stream: stream.clone(), shard, to }, deadline).await?;
        let leads = |image: &Image| {
            let group = image.catalog.shard(&stream, shard)?.group;
            (image.leaders.get(&group) == Some(&to)).then_some(())
        };
        let late = |_: &Image| format!("node {to} is to lead {shard} of `{stream}` but does not yet");
        wait::until(&self.0, deadline, leads, late).await?;
        Ok(Response::new(TransferLeaderResponse {}))
    }

    async fn create_access_key(
        &self,
        request: Request<CreateAccessKeyRequest>,
    ) -> Result<Response<CreateAccessKeyResponse>, Status> {
        Ok(Response::new(self.create_key(request.into_inner()).await?))
    }

    async fn list_access_keys(
        &self,
        _: Request<ListAccessKeysRequest>,
    ) -> Result<Response<ListAccessKeysResponse>, Status> {
        Ok(Response::new(self.list_keys()?))
    }

    async fn delete_access_key(
        &self,
        request: Request<DeleteAccessKeyRequest>,
    ) -> Result<Response<DeleteAccessKeyResponse>, Status> {
        let operation = Operation::DeleteAccessKey { id: request.into_inner().id };
        self.mutate(operation, self.deadline()).await?;
        Ok(Response::new(DeleteAccessKeyResponse {}))
    }

    async fn list_events(&self, request: Request<ListEventsRequest>) -> Result<Response<ListEventsResponse>, Status> {
        Ok(Response::new(self.events(request.into_inner()).await?))
    }

    async fn update_account(
        &self,
        request: Request<UpdateAccountRequest>,
    ) -> Result<Response<UpdateAccountResponse>, Status> {
        let operation = Operation::UpdateAccount { patch: wire::account_patch(request.get_ref()) };
        self.mutate(operation, self.deadline()).await?;
        let catalog = self.node().image.borrow().catalog.clone();
        let (account, revision) = (wire::to_account(&catalog), catalog.revision());
        Ok(Response::new(UpdateAccountResponse { account: Some(account), revision }))
    }
}
