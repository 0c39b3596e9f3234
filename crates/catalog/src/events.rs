//! What happened to the cluster, for people: the last events, replicated beside the catalog.
//!
//! Events follow from commands: every replica that applies the same commands writes the same log.
//! They live with the controller's replicas alone and are no part of the images that all nodes
//! hold. What ends up here was done; what merely began, or was refused, is not an event.
//!
//! Holds: numbers rise by one and are never given twice; times never fall; at most
//! [`EVENTS_MAX`] are kept, the oldest go first. Order of reading: [`EventKind`], [`EventLog`],
//! `derive` (which command is which event).

mod derive;
mod text;

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thalweg_types::{NodeId, ShardId, StreamName, UnixMillis};

use crate::{Applied, Catalog, Command, ReshardCause, ReshardKind, StreamMode};

/// Events that are kept.
pub const EVENTS_MAX: usize = 1_000;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Counts all events, from 1.
    pub number: u64,
    /// When, by the clock of the controller's leader.
    pub at: UnixMillis,
    /// What.
    pub kind: EventKind,
}

/// What may happen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the fields are what the text says")]
pub enum EventKind {
    /// A node registered for the first time.
    NodeJoined { node: NodeId },
    /// A node is being emptied.
    NodeDraining { node: NodeId },
    /// A draining node was taken back into service.
    NodeInService { node: NodeId },
    /// A node was away for too long: its replicas are rebuilt elsewhere.
    NodeDead { node: NodeId, replicas: u32 },
    /// A node that was given up is back.
    NodeReturned { node: NodeId },
    /// The last replica of a dead or draining node is on others now.
    NodeEmptied { node: NodeId, dead: bool },
    /// A node was taken out for good.
    NodeRemoved { node: NodeId },
    /// Other nodes vote in the controller.
    VotersChanged { voters: Vec<NodeId> },
    /// A stream began its life.
    StreamCreated { stream: StreamName, shards: u32, mode: StreamMode },
    /// A stream and its data are being removed.
    StreamDeleted { stream: StreamName },
    /// Settings of a stream changed.
    StreamChanged { stream: StreamName, settings: Vec<String> },
    /// Records stay readable for another time.
    RetentionChanged { stream: StreamName, from_hours: u32, to_hours: u32 },
    /// One shard was made two, or two were made one.
    Resharded { stream: StreamName, kind: ReshardKind, cause: ReshardCause, children: Vec<ShardId> },
    /// A split or merge was given up because nodes for its new shards were lost.
    ReshardGivenUp { stream: StreamName, kind: ReshardKind, cause: ReshardCause },
    /// The number of shards begins to change to equal ranges.
    ScalingStarted { stream: StreamName, from: u32, target: u32 },
    /// That is done, or was stopped on the way.
    ScalingEnded { stream: StreamName, target: u32, open: u32 },
    /// A fan-out consumer was registered.
    ConsumerRegistered { stream: StreamName, consumer: String },
    /// A fan-out consumer was deregistered.
    ConsumerDeregistered { stream: StreamName, consumer: String },
    /// An access key became valid.
    AccessKeyCreated { id: String },
    /// An access key became invalid.
    AccessKeyDeleted { id: String },
    /// What holds for all streams together changed.
    AccountChanged,
}

/// The last events, oldest first. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EventLog {
    /// How many there ever were.
    written: u64,
    events: VecDeque<Arc<Event>>,
}

/// Part of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventPage {
    /// The events, oldest first.
    pub events: Vec<Arc<Event>>,
    /// Where to go on: everything up to this number was looked at.
    pub next_after: u64,
    /// Whether events after the asked number are gone already.
    pub gap: bool,
}

impl EventLog {
    /// Writes down what a command did, if that is an event. `before` is the catalog without it,
    /// `after` with it. Returns whether there was one.
    pub fn note(
        &mut self,
        before: &Catalog,
        after: &Catalog,
        command: &Command,
        applied: &Applied,
        at: UnixMillis,
    ) -> bool {
        let Some(kind) = derive::event(before, after, command, applied) else { return false };
        let last = self.events.back().map(|event| event.at).unwrap_or_default();
        self.written += 1;
        self.events.push_back(Arc::new(Event { number: self.written, at: at.max(last), kind }));
        let surplus = self.events.len().saturating_sub(EVENTS_MAX);
        self.events.drain(..surplus);
        true
    }

    /// The number of the last event; 0 when there was none.
    pub fn last_number(&self) -> u64 {
        self.written
    }

    /// At most `limit` events after the one of that number, of one stream if one is named.
    pub fn page(&self, after: u64, limit: usize, stream: Option<&StreamName>) -> EventPage {
        let first_kept = self.events.front().map_or(self.written + 1, |event| event.number);
        let skipped = after.saturating_add(1).saturating_sub(first_kept) as usize;
        let wanted = |event: &&Arc<Event>| stream.is_none_or(|stream| event.kind.stream() == Some(stream));
        let events: Vec<Arc<Event>> = self.events.iter().skip(skipped).filter(wanted).take(limit).cloned().collect();
        let next_after = match events.last() {
            Some(last) if events.len() == limit => last.number,
            _ => self.written.max(after),
        };
        EventPage { events, next_after, gap: after.saturating_add(1) < first_kept }
    }
}

#[cfg(test)]
mod events_test;
