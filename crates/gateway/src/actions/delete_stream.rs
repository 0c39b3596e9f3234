//! DeleteStream.

use thalweg_client::Refusal;
use thalweg_kinesis::{ApiError, ErrorKind, Struct};

use crate::answer::Answer;
use crate::call::Call;
use crate::{Gateway, failure, target};

pub(crate) async fn handle(gateway: &Gateway, call: &Call, input: &Struct) -> Result<Answer, ApiError> {
    let stream = target::stream(gateway, call, input)?;
    let streams = gateway.client().streams().incarnation(stream.id);
    let deleted = match input.flag("EnforceConsumerDeletion") {
        true => streams.delete_with_consumers(&stream.name).await,
        false => streams.delete(&stream.name).await,
    };
    deleted.map(|()| Answer::Empty).map_err(|error| match error.refusal() {
        Some(Refusal::StreamHasConsumers { stream, .. }) => {
            let text = format!(
                "Stream {stream} under account {} has consumers. Deregister them first, or set \
                 EnforceConsumerDeletion.",
                call.account
            );
            ApiError::new(ErrorKind::ResourceInUse, text)
        }
        _ => failure::of_call(call, &error),
    })
}
