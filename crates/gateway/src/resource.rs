//! What a request about a stream or one of its consumers names, and what is changed of either alike:
//! tags and policies.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use thalweg_catalog::{ConsumerRef, FanOutConsumer, Stream};
use thalweg_client::{CallError, ConsumerPatch, Edit, StreamPatch};
use thalweg_kinesis::arn::{ConsumerArn, ResourceArn};
use thalweg_kinesis::{ApiError, ErrorKind, Struct};

use crate::call::Call;
use crate::{Gateway, target};

/// A stream, or one of its consumers.
pub(crate) struct Resource {
    /// The stream.
    pub(crate) stream: Arc<Stream>,
    /// The consumer, if it is one that is named.
    pub(crate) consumer: Option<FanOutConsumer>,
}

impl Resource {
    /// What the request's `ResourceARN` names, or else its stream.
    pub(crate) fn of(gateway: &Gateway, call: &Call, input: &Struct) -> Result<Resource, ApiError> {
        let Some(arn) = input.text("ResourceARN") else {
            return Ok(Resource { stream: target::stream(gateway, call, input)?, consumer: None });
        };
        match arn.parse().map_err(target::bad_arn)? {
            ResourceArn::Stream(arn) => {
                target::owned(call, &arn)?;
                let stream = target::stream_named(gateway, call, &arn.stream)?;
                Ok(Resource { stream, consumer: None })
            }
            ResourceArn::Consumer(arn) => {
                let (stream, consumer) = consumer(gateway, call, &arn)?;
                Ok(Resource { stream, consumer: Some(consumer) })
            }
        }
    }

    /// Removes tags and sets others.
    pub(crate) async fn tag(
        &self,
        gateway: &Gateway,
        set_tags: BTreeMap<String, String>,
        remove_tags: BTreeSet<String>,
    ) -> Result<(), CallError> {
        let streams = gateway.client().streams().incarnation(self.stream.id);
        match &self.consumer {
            None => streams.tag(&self.stream.name, set_tags, remove_tags).await.map(drop),
            Some(consumer) => {
                let patch = ConsumerPatch { set_tags, remove_tags, ..ConsumerPatch::default() };
                streams.update_consumer(&self.stream.name, consumer, &patch).await.map(drop)
            }
        }
    }

    /// Sets its policy, or takes it away.
    pub(crate) async fn set_policy(&self, gateway: &Gateway, policy: Edit<String>) -> Result<(), CallError> {
        let streams = gateway.client().streams().incarnation(self.stream.id);
        match &self.consumer {
            None => {
                let patch = StreamPatch { policy, ..StreamPatch::default() };
                streams.update(&self.stream.name, &patch).await.map(drop)
            }
            Some(consumer) => {
                let patch = ConsumerPatch { policy, ..ConsumerPatch::default() };
                streams.update_consumer(&self.stream.name, consumer, &patch).await.map(drop)
            }
        }
    }

    /// Its tags.
    pub(crate) fn tags(&self) -> &BTreeMap<String, String> {
        self.consumer.as_ref().map_or(&self.stream.settings.tags, |consumer| &consumer.tags)
    }

    /// Its policy.
    pub(crate) fn policy(&self) -> Option<&str> {
        match &self.consumer {
            Some(consumer) => consumer.policy.as_deref(),
            None => self.stream.settings.policy.as_deref(),
        }
    }
}

/// The consumer that an ARN names, and its stream.
pub(crate) fn consumer(
    gateway: &Gateway,
    call: &Call,
    arn: &ConsumerArn,
) -> Result<(Arc<Stream>, FanOutConsumer), ApiError> {
    target::owned(call, &arn.stream)?;
    let stream = target::stream_named(gateway, call, &arn.stream.stream)?;
    let wanted = reference(arn);
    let found = stream.consumer(&wanted).cloned().ok_or_else(|| unknown(&call.account, &stream, &wanted.name))?;
    Ok((stream, found))
}

/// The registration that an ARN means.
pub(crate) fn reference(arn: &ConsumerArn) -> ConsumerRef {
    ConsumerRef { name: arn.consumer.clone(), created_second: Some(arn.created_secs) }
}

/// No such consumer.
pub(crate) fn unknown(account: &str, stream: &Stream, consumer: &str) -> ApiError {
    let text = format!("Consumer {consumer}, account {account} not found under stream {}.", stream.name);
    ApiError::new(ErrorKind::ResourceNotFound, text)
}
