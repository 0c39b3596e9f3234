//! StreamService: creating, describing, resharding and deleting streams.

use std::sync::Arc;
use std::time::Duration;

use thalweg_catalog::{Applied, Durability, NewStream, Operation, ReshardId, RetentionChange, Stream};
use thalweg_proto::convert::{optional_hash_key, shard_id, stream_name};
use thalweg_proto::errors::{Reason, WireError};
use thalweg_proto::v1::stream_service_server::{StreamService, StreamServiceServer};
use thalweg_proto::v1::{self, *};
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

/// The public stream API of one node.
pub struct Streams(Arc<Node>);

pub(crate) fn service(node: Arc<Node>) -> StreamServiceServer<Streams> {
    StreamServiceServer::new(Streams(node))
}

impl Streams {
    /// Carries out a mutation and waits until this node's own image shows it.
    async fn mutate(&self, operation: Operation, deadline: Instant) -> Result<Applied, WireError> {
        let answer = execute(&self.0, &operation, deadline).await?;
        let applied = refusals::applied(answer.outcome)?;
        wait::seen(&self.0, deadline, answer.revision).await?;
        Ok(applied)
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.0.options.mutation_timeout
    }

    fn image(&self) -> Result<Arc<Image>, WireError> {
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

fn known<'i>(image: &'i Image, name: &StreamName) -> Result<&'i Arc<Stream>, WireError> {
    image.catalog.stream(name).ok_or_else(|| not_found(name))
}

/// A page size within its bounds; 0 takes the default.
fn page_size(asked: u32, (default, most): (u32, u32)) -> usize {
    (if asked == 0 { default } else { asked.min(most) }) as usize
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
        let name = stream_name(&request.get_ref().name)?;
        let id = known(&*self.image()?, &name).ok().map(|stream| stream.id);
        self.mutate(Operation::DeleteStream { stream: name.clone() }, self.deadline()).await?;
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
        let next = page.last().filter(|_| more).map(|stream| stream.name.to_string());
        let streams = page.into_iter().map(|stream| present::summary(stream)).collect();
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
        let children = self.reshard(stream.clone(), Operation::SplitShard { stream, shard, at }).await?;
        Ok(Response::new(SplitShardResponse { children }))
    }

    async fn merge_shards(
        &self,
        request: Request<MergeShardsRequest>,
    ) -> Result<Response<MergeShardsResponse>, Status> {
        let request = request.into_inner();
        let (stream, shard) = (stream_name(&request.name)?, shard_id(&request.shard_id)?);
        let adjacent = shard_id(&request.adjacent_shard_id)?;
        let children = self.reshard(stream.clone(), Operation::MergeShards { stream, shard, adjacent }).await?;
        Ok(Response::new(MergeShardsResponse { child: children.into_iter().next() }))
    }

    async fn update_shard_count(
        &self,
        request: Request<UpdateShardCountRequest>,
    ) -> Result<Response<UpdateShardCountResponse>, Status> {
        let request = request.into_inner();
        let (stream, target) = (stream_name(&request.name)?, request.target_shard_count);
        let current = known(&*self.image()?, &stream).map_or(0, |stream| stream.shards.open_count() as u32);
        self.mutate(Operation::UpdateShardCount { stream, target }, self.deadline()).await?;
        Ok(Response::new(UpdateShardCountResponse { current_shard_count: current, target_shard_count: target }))
    }

    async fn update_retention(
        &self,
        request: Request<UpdateRetentionRequest>,
    ) -> Result<Response<UpdateRetentionResponse>, Status> {
        let request = request.into_inner();
        let (stream, hours) = (stream_name(&request.name)?, request.retention_hours);
        let operation = Operation::SetRetention { stream: stream.clone(), hours, change: RetentionChange::Set };
        self.mutate(operation, self.deadline()).await?;
        let stream = present::summary(known(&*self.image()?, &stream)?);
        Ok(Response::new(UpdateRetentionResponse { stream: Some(stream) }))
    }
}
