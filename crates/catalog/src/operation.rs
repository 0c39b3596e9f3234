//! What users ask for, before the controller's leader adds the time and the placement.
//!
//! Any node may receive a request; it travels to the controller's leader as an [`Operation`],
//! becomes a [`Command`] there, and the [`Outcome`](crate::Outcome) of that travels back.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use thalweg_types::limits::SHARDS_PER_STREAM_MAX;
use thalweg_types::{HashKey, NodeId, ShardId, StreamId, StreamName, UnixMillis};

use crate::{
    AccessKey, AccountPatch, Catalog, Command, ConsumerPatch, ConsumerRef, NewStream, NodeChange, Refusal,
    ReshardCause, ReshardKind, RetentionChange, Rules, Secret, StreamPatch, placement,
};

/// A user's wish, without time or placement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the fields are those of the command it becomes")]
pub enum Operation {
    /// A new stream.
    CreateStream(NewStream),
    /// The end of a stream and its data.
    DeleteStream {
        stream: StreamName,
        #[serde(default)]
        with_consumers: bool,
    },
    /// One shard made two, in the middle unless a key is given.
    SplitShard {
        stream: StreamName,
        shard: ShardId,
        at: Option<HashKey>,
        #[serde(default)]
        rules: Rules,
    },
    /// Two neighbours made one; the second begins where the first ends.
    MergeShards {
        stream: StreamName,
        shard: ShardId,
        adjacent: ShardId,
        #[serde(default)]
        rules: Rules,
    },
    /// Another number of open shards, of equal ranges.
    UpdateShardCount {
        stream: StreamName,
        target: u32,
        #[serde(default)]
        rules: Rules,
    },
    /// Stops a running change of the shard count where it is.
    StopScaling { stream: StreamName },
    /// Another retention.
    SetRetention { stream: StreamName, hours: u32, change: RetentionChange },
    /// A node emptied, or the wish taken back.
    DrainNode { node: NodeId, cancel: bool },
    /// An emptied node taken out for good.
    RemoveNode { node: NodeId },
    /// Another preferred leader for a shard.
    TransferLeader { stream: StreamName, shard: ShardId, to: NodeId },
    /// Another bound on open shards.
    SetShardLimit { shards: u32 },
    /// Other settings of a stream.
    UpdateStream { stream: StreamName, patch: Box<StreamPatch>, rules: Rules },
    /// Other tags of a stream: some removed, then some set.
    TagStream { stream: StreamName, set: BTreeMap<String, String>, remove: BTreeSet<String> },
    /// A new fan-out consumer.
    RegisterConsumer { stream: StreamName, consumer: String, tags: BTreeMap<String, String> },
    /// The end of a fan-out consumer.
    DeregisterConsumer { stream: StreamName, consumer: ConsumerRef },
    /// Another policy or other tags of a fan-out consumer.
    UpdateConsumer { stream: StreamName, consumer: ConsumerRef, patch: ConsumerPatch },
    /// A new access key; who asks has drawn it, so that asking again is harmless.
    CreateAccessKey {
        id: String,
        secret: Secret,
        description: String,
        #[serde(default)]
        allowed: Option<BTreeSet<String>>,
    },
    /// The end of an access key.
    DeleteAccessKey { id: String },
    /// Other settings of all streams together.
    UpdateAccount { patch: AccountPatch },
    /// Any of these about one stream, unless it was deleted and created again meanwhile.
    OfIncarnation { stream: StreamName, id: StreamId, operation: Box<Operation> },
}

impl Operation {
    /// Whether it changes nothing, and is only asked for the revision at which it is answered.
    pub fn only_confirms(&self) -> bool {
        matches!(self, Operation::UpdateAccount { patch } if *patch == AccountPatch::default())
    }

    /// Whether records are written off by the time with which it is carried out: a clock that is wrong
    /// must not tell it.
    pub fn gives_up_by_time(&self) -> bool {
        match self {
            Operation::SetRetention { .. } => true,
            Operation::OfIncarnation { operation, .. } => operation.gives_up_by_time(),
            _ => false,
        }
    }

    /// The command that carries the wish out, placed by the catalog as it is. Whether it is
    /// allowed is judged when it is applied. `seed` varies placement among equal choices.
    pub fn command(&self, catalog: &Catalog, now: UnixMillis, seed: u64) -> Result<Command, Refusal> {
        Ok(match self.clone() {
            Operation::CreateStream(wanted) => {
                // Beyond that bound the command is refused, so it needs no places.
                let places = wanted.shard_count.min(SHARDS_PER_STREAM_MAX) as usize;
                let placement = placement::place(catalog, places, wanted.replication, seed);
                Command::CreateStream { wanted, placement, now }
            }
            Operation::DeleteStream { stream, with_consumers } => Command::DeleteStream { stream, with_consumers },
            Operation::SplitShard { stream, shard, at, rules } => {
                requested(catalog, stream, ReshardKind::Split { shard, at }, rules, now, seed)
            }
            Operation::MergeShards { stream, shard, adjacent, rules } => {
                requested(catalog, stream, ReshardKind::Merge { shard, adjacent }, rules, now, seed)
            }
            Operation::UpdateShardCount { stream, target, rules } => {
                Command::StartScaling { stream, target, rules, now }
            }
            Operation::StopScaling { stream } => Command::EndScaling { stream },
            Operation::SetRetention { stream, hours, change } => Command::SetRetention { stream, hours, change, now },
            Operation::DrainNode { node, cancel } => {
                let change = if cancel { NodeChange::Undrain } else { NodeChange::Drain };
                Command::ChangeNode { node, change, now }
            }
            Operation::RemoveNode { node } => Command::RemoveNode { node },
            Operation::TransferLeader { stream, shard, to } => {
                let replicas = led_by(catalog, &stream, shard, to)?;
                Command::SetReplicas { stream, shard, replicas }
            }
            Operation::SetShardLimit { shards } => Command::SetShardLimit { shards },
            Operation::UpdateStream { stream, patch, rules } => Command::UpdateStream { stream, patch, rules, now },
            Operation::TagStream { stream, set, remove } => Command::TagStream { stream, set, remove },
            Operation::RegisterConsumer { stream, consumer, tags } => {
                Command::RegisterConsumer { stream, consumer, tags, now }
            }
            Operation::DeregisterConsumer { stream, consumer } => Command::DeregisterConsumer { stream, consumer },
            Operation::UpdateConsumer { stream, consumer, patch } => {
                Command::UpdateConsumer { stream, consumer, patch }
            }
            Operation::CreateAccessKey { id, secret, description, allowed } => {
                Command::CreateAccessKey { key: AccessKey { id, secret, description, created_at: now, allowed } }
            }
            Operation::DeleteAccessKey { id } => Command::DeleteAccessKey { id },
            Operation::UpdateAccount { patch } => Command::UpdateAccount { patch, now },
            Operation::OfIncarnation { stream, id, operation } => {
                let command = Box::new(operation.command(catalog, now, seed)?);
                Command::OfIncarnation { stream, id, command }
            }
        })
    }
}

fn requested(
    catalog: &Catalog,
    stream: StreamName,
    kind: ReshardKind,
    rules: Rules,
    now: UnixMillis,
    seed: u64,
) -> Command {
    // Of a stream that does not exist, no placement matters: the command is refused.
    let replication = catalog.stream(&stream).map_or(1, |stream| stream.replication);
    let placement = placement::place(catalog, kind.child_count(), replication, seed);
    Command::PlanReshard { stream, kind, cause: ReshardCause::Requested, placement, rules, now }
}

/// The shard's replicas with `leader` first.
fn led_by(catalog: &Catalog, name: &StreamName, id: ShardId, leader: NodeId) -> Result<Vec<NodeId>, Refusal> {
    let stream = catalog.stream(name).ok_or_else(|| Refusal::StreamUnknown { stream: name.clone() })?;
    let unknown = || Refusal::ShardUnknown { stream: name.clone(), shard: id };
    let shard = stream.visible_shard(id).ok_or_else(unknown)?;
    if !shard.replicas.contains(&leader) {
        return Err(Refusal::NotReplica { shard: id, node: leader, replicas: shard.replicas.clone() });
    }
    let rest = shard.replicas.iter().copied().filter(|node| *node != leader);
    Ok(std::iter::once(leader).chain(rest).collect())
}
