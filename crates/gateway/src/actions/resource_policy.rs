//! GetResourcePolicy, PutResourcePolicy and DeleteResourcePolicy: of streams and of consumers.

use thalweg_client::Edit;
use thalweg_kinesis::{ApiError, ErrorKind, Struct};

use crate::answer::Answer;
use crate::call::Call;
use crate::policy::Policy;
use crate::resource::Resource;
use crate::{Gateway, failure};

pub(crate) fn get(gateway: &Gateway, call: &Call, input: &Struct) -> Result<Answer, ApiError> {
    let resource = Resource::of(gateway, call, input)?;
    Ok(Struct::new().with("Policy", resource.policy().unwrap_or("{}")).into())
}

pub(crate) async fn put(gateway: &Gateway, call: &Call, input: &Struct) -> Result<Answer, ApiError> {
    let text = input.text("Policy").unwrap_or("");
    Policy::parse_new(text, &call.account)
        .map_err(|error| ApiError::new(ErrorKind::InvalidArgument, error.to_string()))?;
    change(gateway, call, Resource::of(gateway, call, input)?, Edit::Set(text.to_owned())).await
}

pub(crate) async fn delete(gateway: &Gateway, call: &Call, input: &Struct) -> Result<Answer, ApiError> {
    let resource = Resource::of(gateway, call, input)?;
    if resource.policy().is_none() {
        let text = format!("No resource policy found for resource {}", input.text("ResourceARN").unwrap_or(""));
        return Err(ApiError::new(ErrorKind::ResourceNotFound, text));
    }
    change(gateway, call, resource, Edit::Clear).await
}

async fn change(gateway: &Gateway, call: &Call, of: Resource, policy: Edit<String>) -> Result<Answer, ApiError> {
    let changed = of.set_policy(gateway, policy).await;
    changed.map(|()| Answer::Empty).map_err(|error| failure::of_call(call, &error))
}
