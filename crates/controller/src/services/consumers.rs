//! Fan-out consumers of a stream.

use thalweg_catalog::{Applied, ConsumerRef, FanOutConsumer, Operation, Refusal};
use thalweg_client::wire;
use thalweg_proto::convert::stream_name;
use thalweg_proto::errors::{Reason, WireError};
use thalweg_proto::v1::{
    DeregisterConsumerRequest, DeregisterConsumerResponse, ListConsumersResponse, RegisterConsumerRequest,
    RegisterConsumerResponse, UpdateConsumerRequest, UpdateConsumerResponse,
};
use thalweg_types::StreamName;

use super::refusals;
use super::stream::{Streams, about, known};

impl Streams {
    pub(super) async fn register(
        &self,
        request: RegisterConsumerRequest,
    ) -> Result<RegisterConsumerResponse, WireError> {
        let stream = stream_name(&request.stream_name)?;
        let (name, tags) = (request.consumer_name, request.tags.into_iter().collect());
        let mut consumer = FanOutConsumer { name, created_at: Default::default(), tags, policy: None };
        let operation = Operation::RegisterConsumer {
            stream: stream.clone(),
            consumer: consumer.name.clone(),
            tags: consumer.tags.clone(),
        };
        let applied = self.mutate(about(&stream, request.stream_id, operation), self.deadline()).await?;
        let Applied::ConsumerRegistered { created_at } = applied else {
            return Err(WireError::new(Reason::Internal, "the controller registered no consumer"));
        };
        consumer.created_at = created_at;
        Ok(RegisterConsumerResponse { consumer: Some(wire::to_consumer(&consumer)) })
    }

    pub(super) async fn deregister(
        &self,
        request: DeregisterConsumerRequest,
    ) -> Result<DeregisterConsumerResponse, WireError> {
        let stream = stream_name(&request.stream_name)?;
        let consumer = wire::consumer_ref(request.consumer_name, request.created_second);
        let operation = Operation::DeregisterConsumer { stream: stream.clone(), consumer };
        self.mutate(about(&stream, request.stream_id, operation), self.deadline()).await?;
        Ok(DeregisterConsumerResponse {})
    }

    pub(super) fn consumers(&self, stream: &str) -> Result<ListConsumersResponse, WireError> {
        let image = self.image()?;
        let consumers = &known(&image, &stream_name(stream)?)?.consumers;
        Ok(ListConsumersResponse { consumers: consumers.values().map(wire::to_consumer).collect() })
    }

    pub(super) async fn change_consumer(
        &self,
        request: UpdateConsumerRequest,
    ) -> Result<UpdateConsumerResponse, WireError> {
        let stream = stream_name(&request.stream_name)?;
        let patch = wire::consumer_patch(&request);
        let wanted = wire::consumer_ref(request.consumer_name, request.created_second);
        let operation = Operation::UpdateConsumer { stream: stream.clone(), consumer: wanted.clone(), patch };
        self.mutate(about(&stream, request.stream_id, operation), self.deadline()).await?;
        let consumer = self.shown(&stream, &wanted)?;
        Ok(UpdateConsumerResponse { consumer: Some(wire::to_consumer(&consumer)) })
    }

    /// A consumer as this node sees it; it may be gone again.
    fn shown(&self, stream: &StreamName, wanted: &ConsumerRef) -> Result<FanOutConsumer, WireError> {
        let image = self.image()?;
        let unknown = || Refusal::ConsumerUnknown { stream: stream.clone(), consumer: wanted.name.clone() };
        let found = known(&image, stream)?.consumer(wanted).cloned();
        found.ok_or_else(|| refusals::wire_error(&unknown()))
    }
}
