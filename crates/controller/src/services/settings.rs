//! Changing what is set about a stream: retention, settings, tags.

use thalweg_catalog::{Operation, RetentionChange};
use thalweg_client::wire;
use thalweg_proto::convert::stream_name;
use thalweg_proto::errors::WireError;
use thalweg_proto::v1::{
    self, StreamSummary, TagStreamRequest, TagStreamResponse, UpdateRetentionRequest, UpdateRetentionResponse,
    UpdateStreamRequest, UpdateStreamResponse,
};
use thalweg_types::StreamName;

use super::present;
use super::stream::{Streams, about, known, rules};

impl Streams {
    pub(super) async fn set_retention(
        &self,
        request: UpdateRetentionRequest,
    ) -> Result<UpdateRetentionResponse, WireError> {
        let change = match request.change() {
            v1::RetentionChange::Unspecified => RetentionChange::Set,
            v1::RetentionChange::Increase => RetentionChange::Increase,
            v1::RetentionChange::Decrease => RetentionChange::Decrease,
        };
        let (stream, hours) = (stream_name(&request.name)?, request.retention_hours);
        let operation = Operation::SetRetention { stream: stream.clone(), hours, change };
        let stream = self.set(stream, request.stream_id, operation).await?;
        Ok(UpdateRetentionResponse { stream: Some(stream) })
    }

    pub(super) async fn update(&self, request: UpdateStreamRequest) -> Result<UpdateStreamResponse, WireError> {
        let stream = stream_name(&request.name)?;
        let patch = Box::new(wire::patch(request.patch.unwrap_or_default())?);
        let operation = Operation::UpdateStream { stream: stream.clone(), patch, rules: rules(request.kinesis_rules) };
        let stream = self.set(stream, request.stream_id, operation).await?;
        Ok(UpdateStreamResponse { stream: Some(stream) })
    }

    pub(super) async fn tag(&self, request: TagStreamRequest) -> Result<TagStreamResponse, WireError> {
        let stream = stream_name(&request.name)?;
        let (set, remove) = (request.set.into_iter().collect(), request.remove.into_iter().collect());
        let operation = Operation::TagStream { stream: stream.clone(), set, remove };
        let stream = self.set(stream, request.stream_id, operation).await?;
        Ok(TagStreamResponse { stream: Some(stream) })
    }

    /// Carries out a change of settings; returns the stream as this node then sees it.
    async fn set(&self, stream: StreamName, id: u64, operation: Operation) -> Result<StreamSummary, WireError> {
        self.mutate(about(&stream, id, operation), self.deadline()).await?;
        Ok(present::summary(known(&*self.image()?, &stream)?))
    }
}
