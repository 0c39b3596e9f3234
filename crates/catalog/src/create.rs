//! A new stream's way from Creating to Active: wait until every shard's group can take records.

use crate::reshard::groups_not_serving;
use crate::{Command, Observations, Step, Stream, StreamStatus};

/// What a stream being created needs next; nothing when it is past that.
pub fn next_step(stream: &Stream, observed: &Observations) -> Option<Step> {
    if stream.status != StreamStatus::Creating {
        return None;
    }
    let waiting = groups_not_serving(stream.shards.iter(), observed);
    if !waiting.is_empty() {
        return Some(Step::Wait(waiting));
    }
    Some(Step::Propose(Command::ShardsOpened { stream: stream.name.clone(), id: stream.id }))
}
