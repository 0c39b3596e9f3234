//! Registering fan-out consumers of a stream and looking after them. Any node answers.

use std::collections::BTreeMap;

use thalweg_catalog::{ConsumerPatch, ConsumerRef, FanOutConsumer};
use thalweg_proto::v1;
use thalweg_types::StreamName;
use tonic::transport::Channel;

use crate::call::{CallError, Repeat};
use crate::client::stub;
use crate::streams::{Streams, call};
use crate::wire;

impl Streams {
    /// Registers a fan-out consumer under a name that is free in the stream.
    pub async fn register_consumer(
        &self,
        stream: &StreamName,
        consumer: &str,
        tags: BTreeMap<String, String>,
    ) -> Result<FanOutConsumer, CallError> {
        let request = v1::RegisterConsumerRequest {
            stream_name: stream.to_string(),
            consumer_name: consumer.to_owned(),
            tags: tags.into_iter().collect(),
            stream_id: self.stream_id(),
        };
        known(call!(self, Harmful, register_consumer, request)?.consumer)
    }

    /// Forgets a fan-out consumer: by name, or only if it is still the registration that is meant.
    pub async fn deregister_consumer(
        &self,
        stream: &StreamName,
        consumer: impl Into<ConsumerRef>,
    ) -> Result<(), CallError> {
        let ConsumerRef { name, created_second } = consumer.into();
        let request = v1::DeregisterConsumerRequest {
            stream_name: stream.to_string(),
            consumer_name: name,
            created_second: created_second.unwrap_or(0),
            stream_id: self.stream_id(),
        };
        call!(self, Harmful, deregister_consumer, request).map(drop)
    }

    /// All fan-out consumers of a stream, by name.
    pub async fn consumers(&self, stream: &StreamName) -> Result<Vec<FanOutConsumer>, CallError> {
        let request = v1::ListConsumersRequest { stream_name: stream.to_string() };
        let consumers = call!(self, Harmless, list_consumers, request)?.consumers;
        Ok(consumers.into_iter().map(wire::consumer).collect())
    }

    /// Changes a consumer's tags or policy; what the patch does not name stays.
    pub async fn update_consumer(
        &self,
        stream: &StreamName,
        consumer: impl Into<ConsumerRef>,
        patch: &ConsumerPatch,
    ) -> Result<FanOutConsumer, CallError> {
        let ConsumerRef { name, created_second } = consumer.into();
        let request = v1::UpdateConsumerRequest {
            stream_name: stream.to_string(),
            consumer_name: name,
            created_second: created_second.unwrap_or(0),
            set_tags: patch.set_tags.clone().into_iter().collect(),
            remove_tags: patch.remove_tags.iter().cloned().collect(),
            policy: wire::to_text_edit(&patch.policy),
            stream_id: self.stream_id(),
        };
        known(call!(self, Harmless, update_consumer, request)?.consumer)
    }
}

fn known(consumer: Option<v1::FanOutConsumer>) -> Result<FanOutConsumer, CallError> {
    consumer.map(wire::consumer).ok_or_else(|| CallError::BadAnswer("the consumer is missing".to_owned()))
}
