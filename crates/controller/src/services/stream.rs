//! StreamService: creating, describing, resharding and deleting streams.
//!
//! What the trait asks beyond that is in [`super::settings`] and [`super::consumers`].

use std::sync::Arc;
use std::time::Duration;

use thalweg_catalog::{Applied, Durability, NewStream, Operation, ReshardId, Rules, Stream};
use thalweg_client::wire;
use thalweg_proto::convert::{encoded_len, optional_hash_key, optional_stream_id, shard_id, stream_name};
use thalweg_proto::errors::{Reason, WireError};
use thalweg_proto::v1::stream_service_server::{StreamService, StreamServiceServer};
use thalweg_proto::v1::{
    self, CreateStreamRequest, CreateStreamResponse, DeleteStreamRequest, DeleteStreamResponse,
    DeregisterConsumerRequest, DeregisterConsumerResponse, DescribeStreamRequest, DescribeStreamResponse,
    ListConsumersRequest, ListConsumersResponse, ListShardsRequest, ListShardsResponse, ListStreamsRequest,
    ListStreamsResponse, MergeShardsRequest, MergeShardsResponse, RegisterConsumerRequest, RegisterConsumerResponse,
    SplitShardRequest, SplitShardResponse, StreamSummary, TagStreamRequest, TagStreamResponse, UpdateConsumerRequest,
    UpdateConsumerResponse, UpdateRetentionRequest, UpdateRetentionResponse, UpdateShardCountRequest,
    UpdateShardCountResponse, UpdateStreamRequest, UpdateStreamResponse,
};
use thalweg_types::{ShardId, StreamName, UnixMillis};
use tokio::time::Instant;
use tonic::{Request, Response, Status};

use super::forward::{execute, must_be_member};
use super::routing::not_found;
use super::{present, refusals, wait};
use crate::Image;
use crate::node::Node;

/// How long a deletion waits for its stream's data to be gone everywhere.
const REMOVAL_WAIT: Duration = Duration::from_secs(3);
const STREAMS_PER_PAGE: (u32, u32) = (100, 1_000);
const SHARDS_PER_PAGE: (u32, u32) = (1_000, 10_000);
/// A page of streams is also full at this size: tags and policies may be long.
const STREAMS_PAGE_BYTES_MAX: usize = 1 << 20;

/// The public stream API of one node.
pub struct Streams(Arc<Node>);

pub(crate) fn service(node: Arc<Node>) -> StreamServiceServer<Streams> {
    StreamServiceServer::new(Streams(node))
}

impl Streams {
    /// Carries out a mutation and waits until this node's own image shows it.
    pub(super) async fn mutate(&self, operation: Operation, deadline: Instant) -> Result<Applied, WireError> {
        let answer = execute(&self.0, &operation, deadline).await?;
        let applied = refusals::applied(answer.outcome)?;
        wait::seen(&self.0, deadline, answer.revision).await?;
        Ok(applied)
    }

    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + self.0.options.mutation_timeout
    }

    pub(super) fn image(&self) -> Result<Arc<Image>, WireError> {
        must_be_member(&self.0)?;
        Ok(self.0.image.borrow().clone())
    }

    /// Waits until a new stream takes records on every shard.
    async fn opened(&self, name: &StreamName, deadline: Instant) -> Result<StreamSummary, WireError> {
        let ready = |image: &Image| match image.catalog.stream(name) {
            Some(stream) => (stream.serves() && image.is_led(stream)).then(|| Ok(present::summary(stream))),
            None => Some(Err(not_found(name))),
        };
        let late = |image: &Image| {
            let shards = image.catalog.stream(name).map_or(0, |stream| stream.shards.len());
            format!(
                "stream `{name}` was created; its {shards} shards are still opening: describe it to see when they are"
            )
        };
        wait::until(&self.0, deadline, ready, late).await?
    }

    /// Runs a split or merge to its end; returns the children.
    async fn reshard(&self, name: StreamName, operation: Operation) -> Result<Vec<v1::Shard>, WireError> {
        let deadline = self.deadline();
        let Applied::ReshardPlanned { reshard, children } = self.mutate(operation, deadline).await? else {
            return Err(WireError::new(Reason::Internal, "the controller planned no reshard"));
        };
        let ended = |image: &Image| (image.catalog.reshard(reshard).is_none()).then(|| opened(image, &name, &children));
        wait::until(&self.0, deadline, ended, |_| still_runs(reshard)).await?
    }
}

fn still_runs(reshard: ReshardId) -> String {
    format!("{reshard} has begun and goes on; list the shards to see when it has ended")
}

/// The children of a reshard that has ended; it was given up if they are not there.
fn opened(image: &Image, name: &StreamName, children: &[ShardId]) -> Result<Vec<v1::Shard>, WireError> {
    let stream = image.catalog.stream(name).ok_or_else(|| not_found(name))?;
    let shards: Vec<v1::Shard> = children
        .iter()
        .filter_map(|child| stream.visible_shard(*child))
        .map(|shard| present::shard(image, shard))
        .collect();
    if shards.len() == children.len() {
        return Ok(shards);
    }
    let message = "given up because the nodes chosen for the new shards were lost; nothing has changed, try again";
    Err(WireError::new(Reason::Unavailable, message))
}

/// The operation, bound to the incarnation that a request names, if it names one.
pub(super) fn about(stream: &StreamName, id: u64, operation: Operation) -> Operation {
    match optional_stream_id(id) {
        None => operation,
        Some(id) => Operation::OfIncarnation { stream: stream.clone(), id, operation: Box::new(operation) },
    }
}

/// Which rules bind a request.
pub(super) fn rules(kinesis: bool) -> Rules {
    if kinesis { Rules::Kinesis } else { Rules::Free }
}

pub(super) fn known<'i>(image: &'i Image, name: &StreamName) -> Result<&'i Arc<Stream>, WireError> {
    image.catalog.stream(name).ok_or_else(|| not_found(name))
}

/// A page size within its bounds; 0 takes the default.
fn page_size(asked: u32, (default, most): (u32, u32)) -> usize {
    (if asked == 0 { default } else { asked.min(most) }) as usize
}

/// As many summaries as fit into a page, and whether all of them did.
fn within_page(streams: &[&Arc<Stream>]) -> (Vec<StreamSummary>, bool) {
    let mut bytes = 0;
    let mut summaries = Vec::new();
    for stream in streams {
        let summary = present::summary(stream);
        bytes += encoded_len(&summary);
        if bytes > STREAMS_PAGE_BYTES_MAX && !summaries.is_empty() {
            return (summaries, false);
        }
        summaries.push(summary);
    }
    (summaries, true)
}

fn new_stream(request: &CreateStreamRequest) -> Result<NewStream, WireError> {
    let mut wanted = NewStream::named(stream_name(&request.name)?, request.shard_count.max(1));
    let set = |field: &mut u32, given: u32| *field = if given == 0 { *field } else { given };
    set(&mut wanted.replication, request.replication);
    set(&mut wanted.retention_hours, request.retention_hours);
    set(&mut wanted.record_bytes_max, request.record_bytes_max);
    wanted.durability = match request.durability() {
        v1::Durability::Unspecified | v1::Durability::Fsync => Durability::Fsync,
        v1::Durability::Os => Durability::Os,
    };
    wanted.settings = Box::new(wire::settings(request.settings.clone().unwrap_or_default())?);
    Ok(wanted)
}

#[tonic::async_trait]
impl StreamService for Streams {
    async fn create_stream(
        &self,
        request: Request<CreateStreamRequest>,
    ) -> Result<Response<CreateStreamResponse>, Status> {
        let (wanted, deadline) = (new_stream(request.get_ref())?, self.deadline());
        let name = wanted.name.clone();
        self.mutate(Operation::CreateStream(wanted), deadline).await?;
        let stream = self.opened(&name, deadline).await?;
        Ok(Response::new(CreateStreamResponse { stream: Some(stream) }))
    }

    async fn delete_stream(
        &self,
        request: Request<DeleteStreamRequest>,
    ) -> Result<Response<DeleteStreamResponse>, Status> {
        let DeleteStreamRequest { name, with_consumers, stream_id } = request.into_inner();
        let name = stream_name(&name)?;
        let id = known(&*self.image()?, &name).ok().map(|stream| stream.id);
        let operation = Operation::DeleteStream { stream: name.clone(), with_consumers };
        self.mutate(about(&name, stream_id, operation), self.deadline()).await?;
        // The name is free once all nodes have removed their replicas. A node that is away delays
        // that; the stream is gone for clients all the same.
        let gone = |image: &Image| {
            let left = image.catalog.stream(&name).map(|stream| stream.id);
            (left.is_none() || left != id).then_some(())
        };
        let _ = wait::until(&self.0, Instant::now() + REMOVAL_WAIT, gone, |_| String::new()).await;
        Ok(Response::new(DeleteStreamResponse {}))
    }

    async fn describe_stream(
        &self,
        request: Request<DescribeStreamRequest>,
    ) -> Result<Response<DescribeStreamResponse>, Status> {
        let image = self.image()?;
        let stream = present::summary(known(&image, &stream_name(&request.get_ref().name)?)?);
        Ok(Response::new(DescribeStreamResponse { stream: Some(stream) }))
    }

    async fn list_streams(
        &self,
        request: Request<ListStreamsRequest>,
    ) -> Result<Response<ListStreamsResponse>, Status> {
        let (request, image) = (request.into_inner(), self.image()?);
        let size = page_size(request.page_size, STREAMS_PER_PAGE);
        let mut page: Vec<&Arc<Stream>> = match request.page_token.is_empty() {
            true => image.catalog.streams().take(size + 1).collect(),
            false => image.catalog.streams_after(&stream_name(&request.page_token)?).take(size + 1).collect(),
        };
        let more = page.len() > size;
        page.truncate(size);
        let (streams, whole) = within_page(&page);
        let next = streams.last().filter(|_| more || !whole).map(|stream| stream.name.clone());
        Ok(Response::new(ListStreamsResponse { streams, next_page_token: next.unwrap_or_default() }))
    }

    async fn list_shards(&self, request: Request<ListShardsRequest>) -> Result<Response<ListShardsResponse>, Status> {
        let (request, image) = (request.into_inner(), self.image()?);
        let stream = known(&image, &stream_name(&request.name)?)?;
        let after = match request.exclusive_start_shard_id.is_empty() {
            true => None,
            false => Some(shard_id(&request.exclusive_start_shard_id)?),
        };
        let filter = present::filter(request.filter(), UnixMillis(request.timestamp_ms));
        let listed = stream.list_shards(filter, self.0.now());
        let mut rest = listed.into_iter().filter(|shard| after.is_none_or(|after| shard.id > after));
        let size = page_size(request.page_size, SHARDS_PER_PAGE);
        let shards = rest.by_ref().take(size).map(|shard| present::shard(&image, shard)).collect();
        Ok(Response::new(ListShardsResponse { shards, has_more: rest.next().is_some() }))
    }

    async fn split_shard(&self, request: Request<SplitShardRequest>) -> Result<Response<SplitShardResponse>, Status> {
        let request = request.into_inner();
        let (stream, shard) = (stream_name(&request.name)?, shard_id(&request.shard_id)?);
        let at = optional_hash_key(&request.new_starting_hash_key)?;
        let rules = rules(request.kinesis_rules);
        let operation = Operation::SplitShard { stream: stream.clone(), shard, at, rules };
        let operation = about(&stream, request.stream_id, operation);
        let children = self.reshard(stream, operation).await?;
        Ok(Response::new(SplitShardResponse { children }))
    }

    async fn merge_shards(
        &self,
        request: Request<MergeShardsRequest>,
    ) -> Result<Response<MergeShardsResponse>, Status> {
        let request = request.into_inner();
        let (stream, shard) = (stream_name(&request.name)?, shard_id(&request.shard_id)?);
        let adjacent = shard_id(&request.adjacent_shard_id)?;
        let rules = rules(request.kinesis_rules);
        let operation = Operation::MergeShards { stream: stream.clone(), shard, adjacent, rules };
        let operation = about(&stream, request.stream_id, operation);
        let children = self.reshard(stream, operation).await?;
        Ok(Response::new(MergeShardsResponse { child: children.into_iter().next() }))
    }

    async fn update_shard_count(
        &self,
        request: Request<UpdateShardCountRequest>,
    ) -> Result<Response<UpdateShardCountResponse>, Status> {
        let request = request.into_inner();
        let (stream, target) = (stream_name(&request.name)?, request.target_shard_count);
        let current = known(&*self.image()?, &stream).map_or(0, |stream| stream.shards.open_count() as u32);
        let rules = rules(request.kinesis_rules);
        let operation = Operation::UpdateShardCount { stream: stream.clone(), target, rules };
        self.mutate(about(&stream, request.stream_id, operation), self.deadline()).await?;
        Ok(Response::new(UpdateShardCountResponse { current_shard_count: current, target_shard_count: target }))
    }

    async fn update_retention(
        &self,
        request: Request<UpdateRetentionRequest>,
    ) -> Result<Response<UpdateRetentionResponse>, Status> {
        Ok(Response::new(self.set_retention(request.into_inner()).await?))
    }

    async fn update_stream(
        &self,
        request: Request<UpdateStreamRequest>,
    ) -> Result<Response<UpdateStreamResponse>, Status> {
        Ok(Response::new(self.update(request.into_inner()).await?))
    }

    async fn tag_stream(&self, request: Request<TagStreamRequest>) -> Result<Response<TagStreamResponse>, Status> {
        Ok(Response::new(self.tag(request.into_inner()).await?))
    }

    async fn register_consumer(
        &self,
        request: Request<RegisterConsumerRequest>,
    ) -> Result<Response<RegisterConsumerResponse>, Status> {
        Ok(Response::new(self.register(request.into_inner()).await?))
    }

    async fn deregister_consumer(
        &self,
        request: Request<DeregisterConsumerRequest>,
    ) -> Result<Response<DeregisterConsumerResponse>, Status> {
        Ok(Response::new(self.deregister(request.into_inner()).await?))
    }

    async fn list_consumers(
        &self,
        request: Request<ListConsumersRequest>,
    ) -> Result<Response<ListConsumersResponse>, Status> {
        Ok(Response::new(self.consumers(&request.get_ref().stream_name)?))
    }

    async fn update_consumer(
        &self,
        request: Request<UpdateConsumerRequest>,
    ) -> Result<Response<UpdateConsumerResponse>, Status> {
        Ok(Response::new(self.change_consumer(request.into_inner()).await?))
    }
}
