//! Which command is which event.

use thalweg_types::{NodeId, StreamName};

use super::EventKind;
use crate::{
    Applied, Catalog, Command, Edit, NodeChange, NodeState, Reshard, ReshardCause, ReshardId, Stream, StreamPatch,
    scale,
};

/// The event that an applied command was, if it was one.
pub(super) fn event(before: &Catalog, after: &Catalog, command: &Command, applied: &Applied) -> Option<EventKind> {
    if *applied == Applied::Unchanged {
        return None;
    }
    match command {
        Command::OfIncarnation { command, .. } => event(before, after, command, applied),
        Command::RegisterNode { node, .. } => {
            before.node(node.id).is_none().then_some(EventKind::NodeJoined { node: node.id })
        }
        Command::ChangeNode { node, change, .. } => Some(node_changed(before, *node, *change)),
        Command::RemoveNode { node } => Some(EventKind::NodeRemoved { node: *node }),
        Command::SetControllerVoters { voters } => Some(EventKind::VotersChanged { voters: voters.clone() }),
        Command::CreateStream { wanted, .. } => Some(EventKind::StreamCreated {
            stream: wanted.name.clone(),
            shards: wanted.shard_count,
            mode: wanted.settings.mode,
        }),
        Command::DeleteStream { stream, .. } => Some(EventKind::StreamDeleted { stream: stream.clone() }),
        Command::SetRetention { stream, hours, .. } => Some(EventKind::RetentionChanged {
            stream: stream.clone(),
            from_hours: before.stream(stream)?.retention_hours,
            to_hours: *hours,
        }),
        Command::UpdateStream { stream, patch, .. } => {
            Some(EventKind::StreamChanged { stream: stream.clone(), settings: changed_settings(patch) })
        }
        Command::RegisterConsumer { stream, consumer, .. } => {
            Some(EventKind::ConsumerRegistered { stream: stream.clone(), consumer: consumer.clone() })
        }
        Command::DeregisterConsumer { stream, consumer } => {
            Some(EventKind::ConsumerDeregistered { stream: stream.clone(), consumer: consumer.name.clone() })
        }
        Command::CreateAccessKey { key } => Some(EventKind::AccessKeyCreated { id: key.id.clone() }),
        Command::DeleteAccessKey { id } => Some(EventKind::AccessKeyDeleted { id: id.clone() }),
        Command::UpdateAccount { .. } | Command::SetShardLimit { .. } => Some(EventKind::AccountChanged),
        Command::FlipReshard { reshard, .. } => flipped(before, after, *reshard),
        Command::AbortReshard { reshard } => given_up(before, *reshard),
        Command::StartScaling { stream, target, .. } => Some(EventKind::ScalingStarted {
            stream: stream.clone(),
            from: open_shards(before, stream),
            target: *target,
        }),
        Command::EndScaling { stream } => scaling_ended(before, after, stream),
        Command::ReplicasSettled { stream, shard, .. } => {
            let released = before.shard(stream, *shard)?.previous.clone();
            released.into_iter().find_map(|node| emptied(before, after, node))
        }
        // Steps on the way to an event, and what people did not ask about.
        Command::FormCluster { .. }
        | Command::ShardsOpened { .. }
        | Command::FinishDelete { .. }
        | Command::ExpireShards { .. }
        | Command::TagStream { .. }
        | Command::UpdateConsumer { .. }
        | Command::PlanReshard { .. }
        | Command::SealParents { .. }
        | Command::SetReplicas { .. } => None,
    }
}

fn node_changed(before: &Catalog, node: NodeId, change: NodeChange) -> EventKind {
    match change {
        NodeChange::Drain => EventKind::NodeDraining { node },
        NodeChange::Undrain => EventKind::NodeInService { node },
        NodeChange::MarkDead => EventKind::NodeDead { node, replicas: before.replicas_on(node) },
        NodeChange::MarkAlive => EventKind::NodeReturned { node },
    }
}

/// A split or merge; of a scaling, whose steps may be thousands, only its end.
fn flipped(before: &Catalog, after: &Catalog, id: ReshardId) -> Option<EventKind> {
    let Reshard { stream, kind, cause, children, .. } = before.reshard(id)?.clone();
    match cause {
        ReshardCause::Scaling => scaling_ended(before, after, &stream),
        ReshardCause::Requested | ReshardCause::OnDemand(_) => {
            Some(EventKind::Resharded { stream, kind, cause, children })
        }
    }
}

fn given_up(before: &Catalog, id: ReshardId) -> Option<EventKind> {
    let Reshard { stream, kind, cause, .. } = before.reshard(id)?.clone();
    Some(EventKind::ReshardGivenUp { stream, kind, cause })
}

fn scaling_ended(before: &Catalog, after: &Catalog, name: &StreamName) -> Option<EventKind> {
    let scaling = before.stream(name)?.scaling?;
    let ended = |stream: &&std::sync::Arc<Stream>| stream.scaling.is_none();
    let stream = after.stream(name).filter(ended)?;
    let open = stream.shards.open_count() as u32;
    // Equal counts may hide unequal ranges: only the right ranges are the target.
    let target = scaling.target;
    let open = if scale::is_complete(stream, target) { target } else { open };
    Some(EventKind::ScalingEnded { stream: name.clone(), target, open })
}

fn open_shards(catalog: &Catalog, name: &StreamName) -> u32 {
    catalog.stream(name).map_or(0, |stream| stream.shards.open_count() as u32)
}

/// Whether the node, dead or draining, has just lost its last replica.
fn emptied(before: &Catalog, after: &Catalog, node: NodeId) -> Option<EventKind> {
    let state = after.node(node)?.state;
    let leaving = matches!(state, NodeState::Dead { .. } | NodeState::Draining);
    let last = || before.replicas_on(node) > 0 && after.replicas_on(node) == 0;
    let dead = matches!(state, NodeState::Dead { .. });
    (leaving && last()).then_some(EventKind::NodeEmptied { node, dead })
}

/// The names of the settings that a patch touches, never their values: a policy is long.
fn changed_settings(patch: &StreamPatch) -> Vec<String> {
    let StreamPatch {
        mode,
        encryption_key,
        enable_metrics,
        disable_metrics,
        warm_mibps,
        distribution,
        policy,
        limits,
        record_bytes_max,
    } = patch;
    let touched = [
        ("mode", mode.is_some()),
        ("encryption key", *encryption_key != Edit::Keep),
        ("shard-level metrics", !enable_metrics.is_empty() || !disable_metrics.is_empty()),
        ("warm throughput", *warm_mibps != Edit::Keep),
        ("distribution", distribution.is_some()),
        ("policy", *policy != Edit::Keep),
        ("limits", limits.is_some()),
        ("largest record", record_bytes_max.is_some()),
    ];
    touched.into_iter().filter(|(_, touched)| *touched).map(|(name, _)| name.to_owned()).collect()
}
