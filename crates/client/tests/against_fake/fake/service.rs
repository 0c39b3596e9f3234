//! What one node answers.

use std::pin::Pin;
use std::time::Duration;

use futures::Stream;
use thalweg_client::{Reason, Refusal, WireError};
use thalweg_proto::errors::META_REFUSAL;
use thalweg_proto::v1;
use thalweg_proto::v1::append_stream_response::Outcome;
use thalweg_proto::v1::cluster_service_server::{ClusterService, ClusterServiceServer};
use thalweg_proto::v1::record_service_server::{RecordService, RecordServiceServer};
use thalweg_proto::v1::stream_service_server::{StreamService, StreamServiceServer};
use tonic::transport::Server;
use tonic::transport::server::Router;
use tonic::{Request, Response, Status, Streaming};

use super::Fake;
use super::world::Fault;

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[derive(Clone)]
struct Node {
    fake: Fake,
    id: u64,
}

pub(crate) fn router(fake: &Fake, id: u64) -> Router {
    const MAX: usize = 16 << 20;
    let node = Node { fake: fake.clone(), id };
    Server::builder()
        .add_service(RecordServiceServer::new(node.clone()).max_decoding_message_size(MAX))
        .add_service(ClusterServiceServer::new(node.clone()))
        .add_service(StreamServiceServer::new(node))
}

impl Node {
    async fn held(&self) {
        let mut changes = self.fake.changes();
        while self.fake.look().holding {
            changes.changed().await.unwrap();
        }
    }

    fn read(&self, shard: Option<&v1::ShardRef>, position: &v1::Position) -> Result<v1::ReadResponse, WireError> {
        self.fake.look().read(self.id, shard, position)
    }

    /// Answers an append; nothing when the connection is gone with it.
    async fn append(&self, request: &v1::AppendRequest) -> Option<Outcome> {
        self.held().await;
        let fault = self.fake.look().faults.get_mut(&self.id).and_then(|faults| faults.pop_front());
        match fault {
            Some(Fault::Throttle) => return Some(refuse(WireError::new(Reason::Throttled, "full"))),
            Some(Fault::LoseRequest) => {
                self.fake.network.cut(self.id);
                return None;
            }
            _ => {}
        }
        let outcome = self.fake.change(|world| world.append(self.id, request));
        match fault {
            Some(Fault::LoseReply) => {
                self.fake.network.cut(self.id);
                None
            }
            Some(Fault::Unknown) => Some(refuse(WireError::new(Reason::OutcomeUnknown, "lost"))),
            _ => Some(outcome.map_or_else(refuse, Outcome::Appended)),
        }
    }
}

fn refuse(error: WireError) -> Outcome {
    Outcome::Failed(v1::AppendFailure {
        code: error.reason.code().into(),
        perhaps_applied: error.perhaps_applied(),
        reason: error.reason.to_string(),
        message: error.message,
        metadata: error.metadata.into_iter().collect(),
    })
}

#[tonic::async_trait]
impl RecordService for Node {
    type AppendStreamStream = Answers<v1::AppendStreamResponse>;
    type TailStream = Answers<v1::TailResponse>;

    async fn append(&self, request: Request<v1::AppendRequest>) -> Result<Response<v1::AppendResponse>, Status> {
        let request = request.into_inner();
        Ok(Response::new(self.fake.change(|world| world.append(self.id, &request))?))
    }

    async fn append_stream(
        &self,
        request: Request<Streaming<v1::AppendStreamRequest>>,
    ) -> Result<Response<Self::AppendStreamStream>, Status> {
        let (node, mut requests) = (self.clone(), request.into_inner());
        let answers = async_stream::try_stream! {
            while let Some(request) = requests.message().await? {
                let outcome = node.append(&request.append.unwrap()).await;
                if outcome.is_none() {
                    break;
                }
                yield v1::AppendStreamResponse { request_id: request.request_id, outcome };
            }
        };
        Ok(Response::new(Box::pin(answers)))
    }

    async fn read(&self, request: Request<v1::ReadRequest>) -> Result<Response<v1::ReadResponse>, Status> {
        let request = request.into_inner();
        let refusal = self.fake.change(|world| {
            world.read_requests.push(self.id);
            world.read_refusals.pop_front()
        });
        refusal.map_or(Ok(()), |reason| Err(WireError::new(reason, "scripted")))?;
        Ok(Response::new(self.read(request.shard.as_ref(), &request.position.unwrap())?))
    }

    async fn tail(&self, request: Request<v1::TailRequest>) -> Result<Response<Self::TailStream>, Status> {
        let (node, request) = (self.clone(), request.into_inner());
        let refusal = self.fake.change(|world| {
            world.tail_requests.push((self.id, request.clone()));
            world.tail_refusals.pop_front()
        });
        if let Some(reason) = refusal {
            return Err(WireError::new(reason, "scripted").into());
        }
        self.read(request.shard.as_ref(), request.position.as_ref().unwrap())?;
        let pages = async_stream::try_stream! {
            let mut changes = node.fake.changes();
            let mut position = request.position.unwrap();
            let limit = node.fake.look().tail_pages_max.unwrap_or(usize::MAX);
            for _ in 0..limit {
                while node.fake.look().silent.contains(&node.id) {
                    changes.changed().await.unwrap();
                }
                changes.mark_unchanged();
                let ended = node.fake.look().tails_end;
                ended.map_or(Ok(()), |reason| Err(WireError::new(reason, "scripted")))?;
                let read = node.read(request.shard.as_ref(), &position);
                let page = read?;
                position = v1::Position { at: Some(v1::position::At::AtIndex(page.next_index)) };
                node.fake.look().tailed_bytes += page.batches.iter().map(|stored| stored.batch.len()).sum::<usize>();
                let (empty, ended) = (page.batches.is_empty(), page.end.is_some());
                if node.fake.look().repeat_pages {
                    yield v1::TailResponse { page: Some(page.clone()) };
                }
                yield v1::TailResponse { page: Some(page) };
                if ended {
                    return;
                }
                if empty {
                    let _ = tokio::time::timeout(Duration::from_secs(5), changes.changed()).await;
                }
            }
            Err(Status::unavailable("the tail broke"))?;
        };
        Ok(Response::new(Box::pin(pages)))
    }

    async fn charge(&self, _: Request<v1::ChargeRequest>) -> Result<Response<v1::ChargeResponse>, Status> {
        unimplemented()
    }
}

fn unimplemented<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("not in the fake"))
}

#[tonic::async_trait]
impl ClusterService for Node {
    type WatchRoutingStream = Answers<v1::WatchRoutingResponse>;

    async fn describe_cluster(
        &self,
        _: Request<v1::DescribeClusterRequest>,
    ) -> Result<Response<v1::DescribeClusterResponse>, Status> {
        let v1::WatchRoutingResponse { nodes, revision, .. } = self.fake.look().image();
        let cluster_id = "fake".to_owned();
        let answer = v1::DescribeClusterResponse { cluster_id, nodes, controller_leader: 1, revision, account: None };
        Ok(Response::new(answer))
    }

    async fn watch_routing(
        &self,
        request: Request<v1::WatchRoutingRequest>,
    ) -> Result<Response<Self::WatchRoutingStream>, Status> {
        if request.into_inner().stream_name != "s" {
            return Err(WireError::new(Reason::StreamNotFound, "no such stream").into());
        }
        self.fake.look().routing_watches += 1;
        let mut changes = self.fake.changes();
        let fake = self.fake.clone();
        let images = async_stream::try_stream! {
            let mut sent = 0;
            loop {
                let image = fake.look().image();
                if image.revision > sent {
                    sent = image.revision;
                    yield image;
                }
                changes.changed().await.unwrap();
            }
        };
        Ok(Response::new(Box::pin(images)))
    }

    async fn drain_node(&self, _: Request<v1::DrainNodeRequest>) -> Result<Response<v1::DrainNodeResponse>, Status> {
        unimplemented()
    }

    async fn remove_node(&self, _: Request<v1::RemoveNodeRequest>) -> Result<Response<v1::RemoveNodeResponse>, Status> {
        unimplemented()
    }

    async fn transfer_leader(
        &self,
        _: Request<v1::TransferLeaderRequest>,
    ) -> Result<Response<v1::TransferLeaderResponse>, Status> {
        unimplemented()
    }

    async fn list_events(&self, _: Request<v1::ListEventsRequest>) -> Result<Response<v1::ListEventsResponse>, Status> {
        unimplemented()
    }

    async fn create_access_key(
        &self,
        request: Request<v1::CreateAccessKeyRequest>,
    ) -> Result<Response<v1::CreateAccessKeyResponse>, Status> {
        let request = request.into_inner();
        let (id, secret) = match request.id.is_empty() {
            true => ("drawn".to_owned(), "hush".to_owned()),
            false => (request.id, request.secret),
        };
        let mut world = self.fake.look();
        let known = world.restricts_keys;
        let key = v1::AccessKey {
            id: id.clone(),
            description: request.description,
            created_ms: 5,
            allowed_actions: request.allowed_actions.into_iter().filter(|_| known).collect(),
            restricted: request.restricted && known,
        };
        let key = world.access_keys.entry(id).or_insert(key).clone();
        Ok(Response::new(v1::CreateAccessKeyResponse { key: Some(key), secret }))
    }

    async fn list_access_keys(
        &self,
        _: Request<v1::ListAccessKeysRequest>,
    ) -> Result<Response<v1::ListAccessKeysResponse>, Status> {
        let keys = self.fake.look().access_keys.values().cloned().collect();
        Ok(Response::new(v1::ListAccessKeysResponse { keys }))
    }

    async fn delete_access_key(
        &self,
        request: Request<v1::DeleteAccessKeyRequest>,
    ) -> Result<Response<v1::DeleteAccessKeyResponse>, Status> {
        self.fake.look().access_keys.remove(&request.into_inner().id);
        Ok(Response::new(v1::DeleteAccessKeyResponse {}))
    }

    async fn update_account(
        &self,
        _: Request<v1::UpdateAccountRequest>,
    ) -> Result<Response<v1::UpdateAccountResponse>, Status> {
        let revision = self.fake.look().confirmed_revision;
        Ok(Response::new(v1::UpdateAccountResponse { revision, ..Default::default() }))
    }
}

#[tonic::async_trait]
impl StreamService for Node {
    /// Applies it and breaks the connection before the answer.
    async fn create_stream(
        &self,
        _: Request<v1::CreateStreamRequest>,
    ) -> Result<Response<v1::CreateStreamResponse>, Status> {
        self.fake.change(|world| world.create_attempts += 1);
        self.fake.network.cut(self.id);
        Err(Status::unavailable("cut"))
    }

    async fn describe_stream(
        &self,
        request: Request<v1::DescribeStreamRequest>,
    ) -> Result<Response<v1::DescribeStreamResponse>, Status> {
        if request.into_inner().name != "s" {
            return Err(WireError::new(Reason::StreamNotFound, "no such stream").into());
        }
        Ok(Response::new(v1::DescribeStreamResponse { stream: self.fake.look().image().stream }))
    }

    async fn delete_stream(
        &self,
        _: Request<v1::DeleteStreamRequest>,
    ) -> Result<Response<v1::DeleteStreamResponse>, Status> {
        unimplemented()
    }

    async fn list_streams(
        &self,
        _: Request<v1::ListStreamsRequest>,
    ) -> Result<Response<v1::ListStreamsResponse>, Status> {
        unimplemented()
    }

    /// Two shards a page.
    async fn list_shards(
        &self,
        request: Request<v1::ListShardsRequest>,
    ) -> Result<Response<v1::ListShardsResponse>, Status> {
        let after = request.into_inner().exclusive_start_shard_id;
        let shards = self.fake.look().image().shards;
        let mut rest = shards.into_iter().filter(|shard| shard.shard_id > after);
        let shards = rest.by_ref().take(2).collect();
        Ok(Response::new(v1::ListShardsResponse { shards, has_more: rest.next().is_some() }))
    }

    async fn split_shard(&self, _: Request<v1::SplitShardRequest>) -> Result<Response<v1::SplitShardResponse>, Status> {
        unimplemented()
    }

    async fn merge_shards(
        &self,
        _: Request<v1::MergeShardsRequest>,
    ) -> Result<Response<v1::MergeShardsResponse>, Status> {
        unimplemented()
    }

    async fn update_shard_count(
        &self,
        _: Request<v1::UpdateShardCountRequest>,
    ) -> Result<Response<v1::UpdateShardCountResponse>, Status> {
        unimplemented()
    }

    async fn update_retention(
        &self,
        _: Request<v1::UpdateRetentionRequest>,
    ) -> Result<Response<v1::UpdateRetentionResponse>, Status> {
        unimplemented()
    }

    /// Applies it, and breaks the connection before the first answer.
    async fn update_stream(
        &self,
        request: Request<v1::UpdateStreamRequest>,
    ) -> Result<Response<v1::UpdateStreamResponse>, Status> {
        let request = request.into_inner();
        let attempts = self.fake.change(|world| {
            world.updates.push(request);
            world.updates.len()
        });
        if attempts == 1 {
            self.fake.network.cut(self.id);
            return Err(Status::unavailable("cut"));
        }
        Ok(Response::new(v1::UpdateStreamResponse { stream: self.fake.look().image().stream }))
    }

    async fn tag_stream(&self, _: Request<v1::TagStreamRequest>) -> Result<Response<v1::TagStreamResponse>, Status> {
        unimplemented()
    }

    /// Has no room for another consumer.
    async fn register_consumer(
        &self,
        _: Request<v1::RegisterConsumerRequest>,
    ) -> Result<Response<v1::RegisterConsumerResponse>, Status> {
        let refusal = Refusal::ConsumerLimit { stream: "s".parse().unwrap(), limit: 20 };
        let error = WireError::new(Reason::LimitExceeded, refusal.to_string());
        Err(error.with(META_REFUSAL, serde_json::to_string(&refusal).unwrap()).into())
    }

    async fn deregister_consumer(
        &self,
        _: Request<v1::DeregisterConsumerRequest>,
    ) -> Result<Response<v1::DeregisterConsumerResponse>, Status> {
        unimplemented()
    }

    async fn list_consumers(
        &self,
        _: Request<v1::ListConsumersRequest>,
    ) -> Result<Response<v1::ListConsumersResponse>, Status> {
        unimplemented()
    }

    async fn update_consumer(
        &self,
        _: Request<v1::UpdateConsumerRequest>,
    ) -> Result<Response<v1::UpdateConsumerResponse>, Status> {
        unimplemented()
    }
}
