//! Both families of tag operations: AddTagsToStream, RemoveTagsFromStream and ListTagsForStream name a
//! stream; TagResource, UntagResource and ListTagsForResource name a stream or a consumer by its ARN.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use thalweg_kinesis::{ApiError, Struct};

use crate::answer::Answer;
use crate::call::Call;
use crate::resource::Resource;
use crate::{Gateway, failure, present, settings, target};

/// Tags of a page of ListTagsForStream, unless fewer are asked for.
const TAGS_MAX: usize = 50;

pub(crate) async fn add(gateway: &Gateway, call: &Call, input: &Struct) -> Result<Answer, ApiError> {
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
    set: BTreeMap<String, String>,
    remove: BTreeSet<String>,
) -> Result<Answer, ApiError> {
    let resource = Resource::of(gateway, call, input)?;
    let changed = resource.tag(gateway, set, remove).await;
    changed.map(|()| Answer::Empty).map_err(|error| failure::of_tags(call, &resource.stream, &error))
}

pub(crate) fn of_stream(gateway: &Gateway, call: &Call, input: &Struct) -> Result<Answer, ApiError> {
    let stream = target::stream(gateway, call, input)?;
    let limit = input.int("Limit").map_or(TAGS_MAX, |limit| limit as usize);
    let start = input.text("ExclusiveStartTagKey").map_or(Bound::Unbounded, Bound::Excluded);
    let mut tags = stream.settings.tags.range::<str, _>((start, Bound::Unbounded));
    let page = present::tags(tags.by_ref().take(limit));
    Ok(Struct::new().with("Tags", page).with("HasMoreTags", tags.next().is_some()).into())
}

pub(crate) fn of_resource(gateway: &Gateway, call: &Call, input: &Struct) -> Result<Answer, ApiError> {
    let resource = Resource::of(gateway, call, input)?;
    Ok(Struct::new().with("Tags", present::tags(resource.tags())).into())
}
