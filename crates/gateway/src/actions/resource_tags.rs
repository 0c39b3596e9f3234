//! TagResource, UntagResource and ListTagsForResource: of streams and of consumers.

use std::collections::{BTreeMap, BTreeSet};

use thalweg_client::{ConsumerPatch, ConsumerRef};
use thalweg_kinesis::{ApiError, Struct};

use crate::answer::Answer;
use crate::call::Call;
use crate::resource::Resource;
use crate::{Gateway, failure, present, settings};

pub(crate) async fn set(gateway: &Gateway, call: &Call, input: &Struct) -> Result<Answer, ApiError> {
    change(gateway, call, input, settings::tags(input), BTreeSet::new()).await
}

pub(crate) async fn remove(gateway: &Gateway, call: &Call, input: &Struct) -> Result<Answer, ApiError> {
    let keys = input.texts("TagKeys").map(str::to_owned).collect();
    change(gateway, call, input, BTreeMap::new(), keys).await
}

async fn change(
    gateway: &Gateway,
    call: &Call,
    input: &Struct,
    set_tags: BTreeMap<String, String>,
    remove_tags: BTreeSet<String>,
) -> Result<Answer, ApiError> {
    let Resource { stream, consumer } = Resource::of(gateway, call, input)?;
    let streams = gateway.client().streams().incarnation(stream.id);
    let changed = match consumer {
        None => streams.tag(&stream.name, set_tags, remove_tags).await.map(drop),
        Some(consumer) => {
            let patch = ConsumerPatch { set_tags, remove_tags, ..ConsumerPatch::default() };
            let created_second = Some(consumer.created_at.secs());
            let named = ConsumerRef { name: consumer.name, created_second };
            streams.update_consumer(&stream.name, named, &patch).await.map(drop)
        }
    };
    changed.map(|()| Answer::Empty).map_err(|error| failure::of_tags(call, &stream, &error))
}

pub(crate) fn list(gateway: &Gateway, call: &Call, input: &Struct) -> Result<Answer, ApiError> {
    let resource = Resource::of(gateway, call, input)?;
    Ok(Struct::new().with("Tags", present::tags(resource.tags())).into())
}
