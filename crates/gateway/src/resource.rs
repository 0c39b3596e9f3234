//! What a `ResourceARN` names: a stream, or a consumer of one.

use std::collections::BTreeMap;
use std::sync::Arc;

use thalweg_catalog::{ConsumerRef, FanOutConsumer, Stream};
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
    /// What the request's `ResourceARN` names.
    pub(crate) fn of(gateway: &Gateway, call: &Call, input: &Struct) -> Result<Resource, ApiError> {
        let arn: ResourceArn = input.text("ResourceARN").unwrap_or("").parse().map_err(target::bad_arn)?;
        match arn {
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
