//! Creating, describing and changing streams. Any node answers.
//!
//! Changes go on in [`crate::fan_out`]: consumers of a stream.

use std::collections::{BTreeMap, BTreeSet};

use thalweg_catalog::{RetentionChange, Rules, StreamPatch, StreamSettings};
use thalweg_proto::errors::Reason;
use thalweg_proto::v1::{self, Durability, ShardFilter};
use thalweg_types::{HashKey, ShardId, StreamId, StreamName, UnixMillis};
use tonic::transport::Channel;

use crate::call::{CallError, Repeat};
use crate::client::{Client, stub};
use crate::describe::{ShardDescription, StreamDescription};
use crate::wire;

const SHARDS_PER_PAGE: u32 = 1_000;
const STREAMS_PER_PAGE: u32 = 1_000;

/// Calls about streams. Made by [`Client::streams`].
///
/// ```no_run
/// # async fn example(client: thalweg_client::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use thalweg_client::{StreamMode, StreamName, StreamPatch};
///
/// let orders: StreamName = "orders".parse()?;
/// let id = client.streams().describe(&orders).await?.id;
/// // Refused if the stream was deleted and created again meanwhile, or changed its mode twice today.
/// let streams = client.streams().incarnation(id).kinesis_rules();
/// let patch = StreamPatch { mode: Some(StreamMode::OnDemand), ..StreamPatch::default() };
/// streams.update(&orders, &patch).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Streams {
    client: Client,
    incarnation: Option<StreamId>,
    rules: Rules,
}

/// Settings of a new stream; `None` takes the cluster's default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CreateStream {
    /// Shards that tile the hash space evenly; default 1.
    pub shard_count: Option<u32>,
    /// Replicas of each shard; default 3, or as many as there are nodes.
    pub replication: Option<u32>,
    /// 24 to 8,760; default 24.
    pub retention_hours: Option<u32>,
    /// Default fsync on a majority.
    pub durability: Option<Durability>,
    /// Largest record; default 1 MiB, at most 10 MiB.
    pub record_bytes_max: Option<u32>,
    /// Mode, tags, limits and the like.
    pub settings: StreamSettings,
}

/// Which shards to list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListShards {
    /// Default: all with data within retention.
    pub filter: ShardFilter,
    /// For the two filters by time.
    pub time: UnixMillis,
}

/// How far a change of the shard count is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScaleProgress {
    /// Open shards now.
    pub current: u32,
    /// Open shards when it is done.
    pub target: u32,
}

/// Runs one method of the stream service, with the request cloned for each attempt.
macro_rules! call {
    ($self:ident, $repeat:ident, $method:ident, $request:expr) => {{
        let request = $request;
        let call = |channel: Channel| {
            let request = request.clone();
            async move { stub::streams(channel).$method(request).await }
        };
        $self.client().call(Repeat::$repeat, call).await
    }};
}
pub(crate) use call;

impl Streams {
    pub(crate) fn new(client: Client) -> Streams {
        Streams { client, incarnation: None, rules: Rules::Free }
    }

    /// The same calls, but changes touch only this incarnation of a stream: they are refused when
    /// it was deleted and created again meanwhile.
    #[must_use]
    pub fn incarnation(mut self, id: StreamId) -> Streams {
        self.incarnation = Some(id);
        self
    }

    /// The same calls, but changes are also bound by the rules that Kinesis sets for billing and
    /// protection: see [`Rules::Kinesis`].
    #[must_use]
    pub fn kinesis_rules(mut self) -> Streams {
        self.rules = Rules::Kinesis;
        self
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// How a request names the incarnation.
    pub(crate) fn stream_id(&self) -> u64 {
        self.incarnation.map_or(0, |id| id.0)
    }

    fn by_kinesis_rules(&self) -> bool {
        self.rules == Rules::Kinesis
    }

    /// Creates a stream and returns when it can be written to.
    pub async fn create(&self, name: &StreamName, settings: CreateStream) -> Result<StreamDescription, CallError> {
        let request = v1::CreateStreamRequest {
            name: name.to_string(),
            shard_count: settings.shard_count.unwrap_or(0),
            replication: settings.replication.unwrap_or(0),
            retention_hours: settings.retention_hours.unwrap_or(0),
            durability: settings.durability.unwrap_or_default().into(),
            record_bytes_max: settings.record_bytes_max.unwrap_or(0),
            settings: Some(wire::to_settings(&settings.settings)),
        };
        described(call!(self, Harmful, create_stream, request)?.stream)
    }

    /// Deletes a stream and its data; refused while it has fan-out consumers.
    pub async fn delete(&self, name: &StreamName) -> Result<(), CallError> {
        self.delete_stream(name, false).await
    }

    /// Deletes a stream, its data and its fan-out consumers.
    pub async fn delete_with_consumers(&self, name: &StreamName) -> Result<(), CallError> {
        self.delete_stream(name, true).await
    }

    async fn delete_stream(&self, name: &StreamName, with_consumers: bool) -> Result<(), CallError> {
        let request = v1::DeleteStreamRequest { name: name.to_string(), with_consumers, stream_id: self.stream_id() };
        call!(self, Harmful, delete_stream, request).map(drop)
    }

    /// Changes settings; what the patch does not name stays.
    pub async fn update(&self, name: &StreamName, patch: &StreamPatch) -> Result<StreamDescription, CallError> {
        let request = v1::UpdateStreamRequest {
            name: name.to_string(),
            patch: Some(wire::to_patch(patch)),
            kinesis_rules: self.by_kinesis_rules(),
            stream_id: self.stream_id(),
        };
        described(call!(self, Harmless, update_stream, request)?.stream)
    }

    /// Removes tags, then sets others. Keys to remove that are not there are ignored.
    pub async fn tag(
        &self,
        name: &StreamName,
        set: BTreeMap<String, String>,
        remove: BTreeSet<String>,
    ) -> Result<StreamDescription, CallError> {
        let request = v1::TagStreamRequest {
            name: name.to_string(),
            set: set.into_iter().collect(),
            remove: remove.into_iter().collect(),
            stream_id: self.stream_id(),
        };
        described(call!(self, Harmless, tag_stream, request)?.stream)
    }

    /// A stream and its settings.
    pub async fn describe(&self, name: &StreamName) -> Result<StreamDescription, CallError> {
        let request = v1::DescribeStreamRequest { name: name.to_string() };
        described(call!(self, Harmless, describe_stream, request)?.stream)
    }

    /// All streams, by name.
    pub async fn list(&self) -> Result<Vec<StreamDescription>, CallError> {
        let mut streams = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = v1::ListStreamsRequest { page_size: STREAMS_PER_PAGE, page_token };
            let page = call!(self, Harmless, list_streams, request)?;
            for stream in page.streams {
                streams.push(stream.try_into()?);
            }
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(streams);
            }
        }
    }

    /// All shards that a filter lets through, by id.
    pub async fn list_shards(&self, name: &StreamName, which: ListShards) -> Result<Vec<ShardDescription>, CallError> {
        let mut shards: Vec<ShardDescription> = Vec::new();
        loop {
            let request = v1::ListShardsRequest {
                name: name.to_string(),
                filter: which.filter.into(),
                timestamp_ms: which.time.0,
                exclusive_start_shard_id: shards.last().map(|shard| shard.id.to_string()).unwrap_or_default(),
                page_size: SHARDS_PER_PAGE,
            };
            let page = call!(self, Harmless, list_shards, request)?;
            let progress = !page.shards.is_empty();
            for shard in page.shards {
                shards.push(shard.try_into()?);
            }
            if !(page.has_more && progress) {
                return Ok(shards);
            }
        }
    }

    /// Divides an open shard in two, at `at` or in the middle.
    pub async fn split(
        &self,
        name: &StreamName,
        shard: ShardId,
        at: Option<HashKey>,
    ) -> Result<Vec<ShardDescription>, CallError> {
        let request = v1::SplitShardRequest {
            name: name.to_string(),
            shard_id: shard.to_string(),
            new_starting_hash_key: at.map(|key| key.to_string()).unwrap_or_default(),
            kinesis_rules: self.by_kinesis_rules(),
            stream_id: self.stream_id(),
        };
        let children = call!(self, Harmful, split_shard, request)?.children;
        children.into_iter().map(|child| child.try_into().map_err(CallError::from)).collect()
    }

    /// Joins two open shards whose ranges touch.
    pub async fn merge(
        &self,
        name: &StreamName,
        lower: ShardId,
        upper: ShardId,
    ) -> Result<ShardDescription, CallError> {
        let request = v1::MergeShardsRequest {
            name: name.to_string(),
            shard_id: lower.to_string(),
            adjacent_shard_id: upper.to_string(),
            kinesis_rules: self.by_kinesis_rules(),
            stream_id: self.stream_id(),
        };
        let child = call!(self, Harmful, merge_shards, request)?.child;
        Ok(child.ok_or_else(|| CallError::BadAnswer("a merge without a child".to_owned()))?.try_into()?)
    }

    /// Begins to split and merge until the stream has `target` shards of equal range.
    pub async fn scale(&self, name: &StreamName, target: u32) -> Result<ScaleProgress, CallError> {
        let request = v1::UpdateShardCountRequest {
            name: name.to_string(),
            target_shard_count: target,
            kinesis_rules: self.by_kinesis_rules(),
            stream_id: self.stream_id(),
        };
        let answer = call!(self, Harmful, update_shard_count, request)?;
        Ok(ScaleProgress { current: answer.current_shard_count, target: answer.target_shard_count })
    }

    /// Changes how long records stay readable.
    pub async fn set_retention(&self, name: &StreamName, hours: u32) -> Result<StreamDescription, CallError> {
        self.change_retention(name, hours, RetentionChange::Set).await
    }

    /// Changes how long records stay readable, unless that goes the other way than meant.
    pub async fn change_retention(
        &self,
        name: &StreamName,
        hours: u32,
        change: RetentionChange,
    ) -> Result<StreamDescription, CallError> {
        let change = match change {
            RetentionChange::Set => v1::RetentionChange::Unspecified,
            RetentionChange::Increase => v1::RetentionChange::Increase,
            RetentionChange::Decrease => v1::RetentionChange::Decrease,
        };
        let request = v1::UpdateRetentionRequest {
            name: name.to_string(),
            retention_hours: hours,
            change: change.into(),
            stream_id: self.stream_id(),
        };
        described(call!(self, Harmless, update_retention, request)?.stream)
    }

    /// Whether a stream of that name exists.
    pub async fn exists(&self, name: &StreamName) -> Result<bool, CallError> {
        match self.describe(name).await {
            Ok(_) => Ok(true),
            Err(error) if error.reason() == Some(Reason::StreamNotFound) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn described(stream: Option<v1::StreamSummary>) -> Result<StreamDescription, CallError> {
    let stream = stream.ok_or_else(|| CallError::BadAnswer("the stream is missing".to_owned()))?;
    Ok(stream.try_into()?)
}
