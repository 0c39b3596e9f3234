//! What a request is about: the stream, consumer and shards that it names, in whatever way.
//!
//! Found once a request, for two ends: whether this node's image shows all of it ([`crate::freshness`]),
//! and whose policies judge the request ([`crate::auth`]). That something does not exist is for the
//! handler to say. Holds: whatever an operation can act on is found here, or policies would not bind it.

use std::sync::Arc;

use thalweg_catalog::{Catalog, ConsumerRef, FanOutConsumer, Stream};
use thalweg_kinesis::Struct;
use thalweg_kinesis::arn::{ConsumerArn, ResourceArn, StreamArn};
use thalweg_kinesis::token::{Listing, PageToken, ShardIteratorToken};
use thalweg_types::{ShardId, StreamId, StreamName};

use crate::call::Call;
use crate::{Gateway, present, resource, target};

/// Members that name a shard which has to be there.
const SHARDS: [&str; 4] = ["ShardId", "ShardToSplit", "ShardToMerge", "AdjacentShardToMerge"];

/// What a request says that it is about.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    stream: Option<StreamNamed>,
    consumer: Option<ConsumerRef>,
    shards: Vec<ShardId>,
}

#[derive(Clone, Debug)]
enum StreamNamed {
    Name(StreamName),
    /// In a token of ours.
    Id(StreamId),
    /// By an ARN of another account, of which nothing is known here.
    Foreign(StreamArn),
}

/// The same, as an image shows it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Subject {
    /// The stream, if it is there.
    pub(crate) stream: Option<Arc<Stream>>,
    /// The consumer, if it is there.
    pub(crate) consumer: Option<FanOutConsumer>,
    /// The ARN of the stream that is named, whether it is there or not, for a request with a signature.
    pub(crate) stream_arn: Option<String>,
    /// Likewise of the consumer.
    pub(crate) consumer_arn: Option<String>,
    /// Whether everything is there that is named, and the stream is ready.
    pub(crate) is_complete: bool,
    /// Whether a consumer is named that is not there.
    lacks_consumer: bool,
}

impl Subject {
    /// Whether something is named that is not there, and might have a policy if it were.
    pub(crate) fn lacks_a_policy(&self) -> bool {
        !self.is_complete && (self.stream.is_none() || self.lacks_consumer)
    }
}

impl Names {
    /// What a request names. What cannot be read names nothing.
    pub(crate) fn of(gateway: &Gateway, call: &Call, input: &Struct) -> Names {
        let shards = SHARDS.iter().filter_map(|member| target::shard_id(input.text(member)?)).collect();
        let names = Names { shards, ..Names::default() };
        if let Some(text) = input.text("ResourceARN") {
            return match text.parse() {
                Ok(ResourceArn::Stream(arn)) => names.of_stream(stream_of(call, arn)),
                Ok(ResourceArn::Consumer(arn)) => names.of_consumer(call, arn),
                Err(_) => names,
            };
        }
        if let Some(text) = input.text("ConsumerARN") {
            return text.parse().map_or(names.clone(), |arn| names.of_consumer(call, arn));
        }
        if let Some(text) = input.text("ShardIterator") {
            let token = gateway.token_key().ok().and_then(|key| ShardIteratorToken::open(&key, text).ok());
            let Some(token) = token else { return names };
            return Names { shards: vec![token.shard], ..names }.of_stream(StreamNamed::Id(token.stream));
        }
        if let Some(text) = input.text("NextToken").filter(|_| call.operation.name() == "ListShards") {
            let token = gateway.token_key().ok().and_then(|key| PageToken::open(&key, Listing::Shards, text).ok());
            let stream = token.and_then(|token| token.stream);
            return stream.map_or(names.clone(), |id| names.of_stream(StreamNamed::Id(id)));
        }
        names.by_name(call, input)
    }

    fn by_name(mut self, call: &Call, input: &Struct) -> Names {
        let foreign = || input.text("StreamARN")?.parse().ok().map(StreamNamed::Foreign);
        self.stream = target::stream_name(call, input).ok().map(StreamNamed::Name).or_else(foreign);
        // A consumer that is to be registered is not there yet.
        if call.operation.name() != "RegisterStreamConsumer" {
            self.consumer = input.text("ConsumerName").map(ConsumerRef::from);
        }
        self
    }

    fn of_stream(self, stream: StreamNamed) -> Names {
        Names { stream: Some(stream), ..self }
    }

    fn of_consumer(self, call: &Call, arn: ConsumerArn) -> Names {
        let consumer = Some(resource::reference(&arn));
        Names { consumer, ..self }.of_stream(stream_of(call, arn.stream))
    }

    /// All of it as a catalog shows it.
    pub(crate) fn in_catalog(&self, call: &Call, catalog: &Catalog) -> Subject {
        let stream = match &self.stream {
            Some(StreamNamed::Name(name)) => catalog.stream(name),
            Some(StreamNamed::Id(id)) => catalog.stream_by_id(*id),
            Some(StreamNamed::Foreign(_)) | None => None,
        };
        let consumer = stream.zip(self.consumer.as_ref()).and_then(|(stream, wanted)| stream.consumer(wanted));
        // Only who signs is judged by policies.
        let judged = call.principal.is_some();
        let arn = judged.then(|| self.stream_arn(call, stream.map(Arc::as_ref))).flatten();
        Subject {
            is_complete: self.is_complete(call, stream.map(Arc::as_ref), consumer),
            lacks_consumer: self.consumer.is_some() && consumer.is_none(),
            consumer_arn: arn.as_ref().and_then(|arn| self.consumer_arn(arn, consumer)),
            stream_arn: arn.map(|arn| arn.to_string()),
            consumer: consumer.cloned(),
            stream: stream.cloned(),
        }
    }

    fn is_complete(&self, call: &Call, stream: Option<&Stream>, consumer: Option<&FanOutConsumer>) -> bool {
        let is_ours = matches!(self.stream, Some(StreamNamed::Name(_) | StreamNamed::Id(_)));
        if !is_ours || call.operation.name() == "CreateStream" {
            return true;
        }
        let shard = |stream: &Stream, id: &ShardId| stream.visible_shard(*id).is_some();
        let ready = stream.is_some_and(|known| known.serves() && self.shards.iter().all(|id| shard(known, id)));
        ready && (self.consumer.is_none() || consumer.is_some())
    }

    fn stream_arn(&self, call: &Call, found: Option<&Stream>) -> Option<StreamArn> {
        match (found, &self.stream) {
            (Some(stream), _) => Some(present::stream_arn(call, stream)),
            (None, Some(StreamNamed::Name(name))) => Some(present::arn_of(call, name)),
            (None, Some(StreamNamed::Foreign(arn))) => Some(arn.clone()),
            (None, Some(StreamNamed::Id(_)) | None) => None,
        }
    }

    fn consumer_arn(&self, stream: &StreamArn, found: Option<&FanOutConsumer>) -> Option<String> {
        let named = self.consumer.as_ref()?;
        let second = found.map(|found| found.created_at.secs()).or(named.created_second);
        Some(stream.clone().consumer(&named.name, second.unwrap_or(0)).to_string())
    }
}

fn stream_of(call: &Call, arn: StreamArn) -> StreamNamed {
    if arn.account == *call.account { StreamNamed::Name(arn.stream) } else { StreamNamed::Foreign(arn) }
}
