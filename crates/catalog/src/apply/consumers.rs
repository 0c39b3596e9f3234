//! Fan-out consumers: registering, changing, forgetting.

use std::collections::BTreeMap;

use thalweg_types::{StreamName, UnixMillis};

use crate::fan_out::{CONSUMERS_COMMITTED_MAX, CONSUMERS_MAX, check_name};
use crate::settings::check_policy;
use crate::{Applied, Catalog, ConsumerPatch, ConsumerRef, FanOutConsumer, Outcome, Refusal, Stream, tags};

impl Catalog {
    pub(super) fn register_consumer(
        &mut self,
        stream_name: &StreamName,
        name: &str,
        given: &BTreeMap<String, String>,
        now: UnixMillis,
    ) -> Outcome {
        check_name(name)?;
        tags::check(given)?;
        let stream = self.serving_stream(stream_name)?;
        if stream.consumers.contains_key(name) {
            return Err(Refusal::ConsumerExists { stream: stream_name.clone(), consumer: name.to_owned() });
        }
        let limit = self.consumers_max(stream, now);
        if stream.consumers.len() >= limit {
            return Err(Refusal::ConsumerLimit { stream: stream_name.clone(), limit });
        }
        let created_at = self.retired_consumers.created_at(stream_name, name, now);
        self.retired_consumers.forget_before(now);
        let consumer = FanOutConsumer { name: name.to_owned(), created_at, tags: given.clone(), policy: None };
        self.stream_mut(stream_name)?.consumers.insert(name.to_owned(), consumer);
        Ok(Applied::ConsumerRegistered { created_at })
    }

    pub(super) fn deregister_consumer(&mut self, name: &StreamName, wanted: &ConsumerRef) -> Outcome {
        let stream = self.known_stream(name)?;
        let consumer = known_consumer(stream, wanted)?.clone();
        self.retired_consumers.note(name, &consumer);
        self.stream_mut(name)?.consumers.remove(&consumer.name);
        Ok(Applied::Changed)
    }

    pub(super) fn update_consumer(
        &mut self,
        name: &StreamName,
        wanted: &ConsumerRef,
        patch: &ConsumerPatch,
    ) -> Outcome {
        let stream = self.known_stream(name)?;
        let before = known_consumer(stream, wanted)?;
        let after = FanOutConsumer {
            tags: tags::changed(&before.tags, &patch.set_tags, &patch.remove_tags)?,
            policy: patch.policy.applied_to(&before.policy),
            ..before.clone()
        };
        check_policy(after.policy.as_deref())?;
        if *before == after {
            return Ok(Applied::Unchanged);
        }
        self.stream_mut(name)?.consumers.insert(after.name.clone(), after);
        Ok(Applied::Changed)
    }

    /// Forgets all consumers of a stream that is being deleted.
    pub(super) fn retire_consumers(&mut self, name: &StreamName) -> Result<(), Refusal> {
        let consumers = std::mem::take(&mut self.stream_mut(name)?.consumers);
        consumers.values().for_each(|consumer| self.retired_consumers.note(name, consumer));
        Ok(())
    }

    fn consumers_max(&self, stream: &Stream, now: UnixMillis) -> usize {
        let committed = stream.is_on_demand() && self.account.commitment.is_enabled(now);
        if committed { CONSUMERS_COMMITTED_MAX } else { CONSUMERS_MAX }
    }
}

fn known_consumer<'s>(stream: &'s Stream, wanted: &ConsumerRef) -> Result<&'s FanOutConsumer, Refusal> {
    let unknown = || Refusal::ConsumerUnknown { stream: stream.name.clone(), consumer: tags::shown(&wanted.name) };
    stream.consumer(wanted).ok_or_else(unknown)
}
