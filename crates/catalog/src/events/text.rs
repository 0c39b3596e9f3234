//! Events in words: what happened, and why.

use thalweg_types::{NodeId, ShardId, StreamName};

use super::EventKind;
use crate::{ReshardCause, ReshardKind, StreamMode};

impl EventKind {
    /// Its kind as one word, for programs.
    pub fn name(&self) -> &'static str {
        match self {
            EventKind::NodeJoined { .. } => "node_joined",
            EventKind::NodeDraining { .. } => "node_draining",
            EventKind::NodeInService { .. } => "node_in_service",
            EventKind::NodeDead { .. } => "node_dead",
            EventKind::NodeReturned { .. } => "node_returned",
            EventKind::NodeEmptied { .. } => "node_emptied",
            EventKind::NodeRemoved { .. } => "node_removed",
            EventKind::VotersChanged { .. } => "voters_changed",
            EventKind::StreamCreated { .. } => "stream_created",
            EventKind::StreamDeleted { .. } => "stream_deleted",
            EventKind::StreamChanged { .. } => "stream_changed",
            EventKind::RetentionChanged { .. } => "retention_changed",
            EventKind::Resharded { kind: ReshardKind::Split { .. }, .. } => "shard_split",
            EventKind::Resharded { kind: ReshardKind::Merge { .. }, .. } => "shards_merged",
            EventKind::ReshardGivenUp { .. } => "reshard_given_up",
            EventKind::ScalingStarted { .. } => "scaling_started",
            EventKind::ScalingEnded { .. } => "scaling_ended",
            EventKind::ConsumerRegistered { .. } => "consumer_registered",
            EventKind::ConsumerDeregistered { .. } => "consumer_deregistered",
            EventKind::AccessKeyCreated { .. } => "access_key_created",
            EventKind::AccessKeyDeleted { .. } => "access_key_deleted",
            EventKind::AccountChanged => "account_changed",
        }
    }

    /// The stream that it is about.
    pub fn stream(&self) -> Option<&StreamName> {
        match self {
            EventKind::StreamCreated { stream, .. }
            | EventKind::StreamDeleted { stream }
            | EventKind::StreamChanged { stream, .. }
            | EventKind::RetentionChanged { stream, .. }
            | EventKind::Resharded { stream, .. }
            | EventKind::ReshardGivenUp { stream, .. }
            | EventKind::ScalingStarted { stream, .. }
            | EventKind::ScalingEnded { stream, .. }
            | EventKind::ConsumerRegistered { stream, .. }
            | EventKind::ConsumerDeregistered { stream, .. } => Some(stream),
            _ => None,
        }
    }

    /// The node that it is about.
    pub fn node(&self) -> Option<NodeId> {
        match self {
            EventKind::NodeJoined { node }
            | EventKind::NodeDraining { node }
            | EventKind::NodeInService { node }
            | EventKind::NodeDead { node, .. }
            | EventKind::NodeReturned { node }
            | EventKind::NodeEmptied { node, .. }
            | EventKind::NodeRemoved { node } => Some(*node),
            _ => None,
        }
    }

    /// The shards that it closed, then those that it opened.
    pub fn shards(&self) -> (Vec<ShardId>, Vec<ShardId>) {
        match self {
            EventKind::Resharded { kind, children, .. } => (kind.parents(), children.clone()),
            EventKind::ReshardGivenUp { kind, .. } => (kind.parents(), Vec::new()),
            _ => Default::default(),
        }
    }

    /// What happened, as a short sentence without the stream's name.
    pub fn what(&self) -> String {
        match self {
            EventKind::NodeJoined { node } => format!("node {node} joined"),
            EventKind::NodeDraining { node } => format!("node {node} is being drained"),
            EventKind::NodeInService { node } => format!("node {node} is back in service"),
            EventKind::NodeDead { node, replicas } => {
                format!("node {node} is given up; its {replicas} replicas are rebuilt on others")
            }
            EventKind::NodeReturned { node } => format!("node {node}, given up before, is back"),
            EventKind::NodeEmptied { node, dead: true } => format!("all replicas of dead node {node} are rebuilt"),
            EventKind::NodeEmptied { node, dead: false } => format!("node {node} is drained: it holds nothing"),
            EventKind::NodeRemoved { node } => format!("node {node} is removed for good"),
            EventKind::VotersChanged { voters } => format!("nodes {} vote in the controller", listed(voters)),
            EventKind::StreamCreated { shards, mode, .. } => {
                let mode = if *mode == StreamMode::OnDemand { ", on demand" } else { "" };
                format!("created with {}{mode}", counted(*shards))
            }
            EventKind::StreamDeleted { .. } => "deleted".to_owned(),
            EventKind::StreamChanged { settings, .. } => format!("changed: {}", settings.join(", ")),
            EventKind::RetentionChanged { from_hours, to_hours, .. } => {
                format!("retention changed from {from_hours} h to {to_hours} h")
            }
            EventKind::Resharded { kind, children, .. } => format!("{} into {}", done(kind), listed(children)),
            EventKind::ReshardGivenUp { kind, .. } => format!("gave up: {}", begun(kind)),
            EventKind::ScalingStarted { from, target, .. } => format!("scales from {from} to {}", counted(*target)),
            EventKind::ScalingEnded { target, open, .. } if target == open => format!("scaled to {}", counted(*open)),
            EventKind::ScalingEnded { target, open, .. } => {
                format!("scaling to {target} stopped at {}", counted(*open))
            }
            EventKind::ConsumerRegistered { consumer, .. } => format!("consumer {consumer} registered"),
            EventKind::ConsumerDeregistered { consumer, .. } => format!("consumer {consumer} deregistered"),
            EventKind::AccessKeyCreated { id } => format!("access key {id} made"),
            EventKind::AccessKeyDeleted { id } => format!("access key {id} deleted"),
            EventKind::AccountChanged => "account settings changed".to_owned(),
        }
    }

    /// Why it happened, where it was not simply asked for; else empty.
    pub fn why(&self) -> String {
        match self {
            EventKind::Resharded { cause: ReshardCause::OnDemand(why), .. } => why.to_string(),
            EventKind::ReshardGivenUp { .. } => "nodes of the new shards were lost".to_owned(),
            EventKind::NodeDead { .. } => "not heard from for too long, or removed while out of contact".to_owned(),
            _ => String::new(),
        }
    }
}

fn done(kind: &ReshardKind) -> String {
    match kind {
        ReshardKind::Split { shard, .. } => format!("split {shard}"),
        ReshardKind::Merge { shard, adjacent } => format!("merged {shard} and {adjacent}"),
    }
}

fn begun(kind: &ReshardKind) -> String {
    match kind {
        ReshardKind::Split { shard, .. } => format!("splitting {shard}"),
        ReshardKind::Merge { shard, adjacent } => format!("merging {shard} and {adjacent}"),
    }
}

fn listed<T: ToString>(items: &[T]) -> String {
    let texts: Vec<String> = items.iter().map(T::to_string).collect();
    match texts.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => texts.concat(),
    }
}

fn counted(shards: u32) -> String {
    if shards == 1 { "1 shard".to_owned() } else { format!("{shards} shards") }
}
