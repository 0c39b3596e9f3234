//! What happened to the cluster, as any node tells it.

use std::time::Duration;

use thalweg_proto::convert::{shard_id, stream_name};
use thalweg_proto::errors::WireError;
use thalweg_proto::v1;
use thalweg_types::{NodeId, ShardId, StreamName, UnixMillis};

use crate::call::{CallError, Repeat};
use crate::client::stub;
use crate::cluster::Cluster;
use crate::describe::known_node;

/// Which events are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListEvents {
    /// Those with a higher number; 0 for the oldest that is kept.
    pub after: u64,
    /// At most so many, 1 to 1,000; 100 unless given.
    pub limit: Option<u32>,
    /// Only those of one stream.
    pub stream: Option<StreamName>,
    /// How long to wait for a first one; at most half of the client's request timeout.
    pub wait: Duration,
}

/// Something that was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterEvent {
    /// Counts all events of the cluster, from 1.
    pub number: u64,
    /// When, by the clock of the controller's leader.
    pub at: UnixMillis,
    /// In one word, such as `shard_split`; a later version may know more of them.
    pub kind: String,
    /// The stream that it is about.
    pub stream: Option<StreamName>,
    /// The node that it is about.
    pub node: Option<NodeId>,
    /// What happened, for people.
    pub what: String,
    /// Why; empty when somebody asked for it.
    pub why: String,
    /// Shards that it closed.
    pub closed: Vec<ShardId>,
    /// Shards that it opened.
    pub opened: Vec<ShardId>,
}

/// Some events, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventPage {
    /// The events.
    pub events: Vec<ClusterEvent>,
    /// Give it as [`ListEvents::after`] to get what follows.
    pub next_after: u64,
    /// Whether events that were asked for are gone already.
    pub gap: bool,
}

impl Cluster {
    /// What happened to nodes, streams, shards and keys, and why: of the last 1,000 events those
    /// that are asked for.
    pub async fn events(&self, wanted: &ListEvents) -> Result<EventPage, CallError> {
        let wait = wanted.wait.min(self.client().options().request_timeout / 2);
        let request = v1::ListEventsRequest {
            after: wanted.after,
            limit: wanted.limit.unwrap_or(0),
            stream_name: wanted.stream.as_ref().map_or_else(String::new, ToString::to_string),
            wait_ms: wait.as_millis() as u32,
        };
        let call = |channel| {
            let request = request.clone();
            async move { stub::cluster(channel).list_events(request).await }
        };
        let answer = self.client().call(Repeat::Harmless, call).await?;
        let events: Result<Vec<ClusterEvent>, WireError> = answer.events.into_iter().map(event).collect();
        let events = events.map_err(|error| CallError::BadAnswer(error.message))?;
        Ok(EventPage { events, next_after: answer.next_after, gap: answer.gap })
    }
}

fn event(wire: v1::Event) -> Result<ClusterEvent, WireError> {
    let shards = |ids: &[String]| ids.iter().map(|id| shard_id(id)).collect::<Result<Vec<ShardId>, WireError>>();
    let (closed, opened) = (shards(&wire.closed_shards)?, shards(&wire.opened_shards)?);
    let stream = if wire.stream_name.is_empty() { None } else { Some(stream_name(&wire.stream_name)?) };
    Ok(ClusterEvent {
        number: wire.number,
        at: UnixMillis(wire.at_ms),
        kind: wire.kind,
        stream,
        node: known_node(wire.node_id),
        what: wire.what,
        why: wire.why,
        closed,
        opened,
    })
}
