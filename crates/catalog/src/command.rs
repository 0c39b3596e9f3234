//! Everything that can happen to the catalog, as data.
//!
//! The controller replicates commands through Raft and applies them with
//! [`Catalog::apply`](crate::Catalog::apply). Time and choices (placement) are made by the
//! proposer and travel inside, so that every replica reaches the same catalog.
//!
//! Apply judges each command against the catalog as it is *then*: a plan that has been
//! overtaken is refused, never half applied.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use thalweg_types::limits::{RECORD_BYTES_DEFAULT_MAX, REPLICATION_DEFAULT, RETENTION_HOURS_MIN};
use thalweg_types::{HashKey, NodeId, SequenceNumber, ShardId, StreamId, StreamName, UnixMillis};

use crate::on_demand::Why;
use crate::{
    AccessKey, AccountPatch, ConsumerPatch, ConsumerRef, Durability, NodeChange, NodeRegistration, ReshardId, Rules,
    StreamPatch, StreamSettings,
};

/// A change that someone wants; applied whole or refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Gives the cluster its identity, once; repeating it changes nothing.
    FormCluster {
        /// Random text that tells this cluster from any other.
        cluster_id: String,
        /// Random text with which nodes authenticate the tokens they hand to clients.
        token_secret: String,
        /// Nodes of the controller's group.
        voters: Vec<NodeId>,
        /// The proposer's clock.
        now: UnixMillis,
    },
    /// A node starts: the first time, or again with the same data directory.
    RegisterNode {
        /// What it says about itself.
        node: NodeRegistration,
        /// The proposer's clock.
        now: UnixMillis,
    },
    /// Drains a node, gives it up, or takes either back.
    ChangeNode {
        /// Which node.
        node: NodeId,
        /// What becomes of it.
        change: NodeChange,
        /// The proposer's clock.
        now: UnixMillis,
    },
    /// Takes an emptied node out of the cluster for good.
    RemoveNode {
        /// Which node.
        node: NodeId,
    },
    /// Sets which nodes vote in the controller's group.
    SetControllerVoters {
        /// The wanted voters.
        voters: Vec<NodeId>,
    },
    /// Sets how many open shards all streams together may have.
    SetShardLimit {
        /// The new limit.
        shards: u32,
    },

    /// Creates a stream whose shards divide the hash space evenly.
    CreateStream {
        /// What it is to be.
        wanted: NewStream,
        /// Nodes of each shard, first the preferred leader.
        placement: Vec<Vec<NodeId>>,
        /// The proposer's clock.
        now: UnixMillis,
    },
    /// All shards of a new stream have a leader: clients may use it.
    ShardsOpened {
        /// Which stream.
        stream: StreamName,
        /// The incarnation that was observed.
        id: StreamId,
    },
    /// Begins to remove a stream; nodes drop its replicas.
    DeleteStream {
        /// Which stream.
        stream: StreamName,
        /// Whether its consumers go with it; otherwise it is refused while there are any.
        #[serde(default)]
        with_consumers: bool,
    },
    /// No node holds data of the stream any more: forgets it.
    FinishDelete {
        /// Which stream.
        stream: StreamName,
        /// The incarnation that was observed.
        id: StreamId,
    },
    /// Changes how long records stay readable.
    SetRetention {
        /// Which stream.
        stream: StreamName,
        /// 24 to 8,760.
        hours: u32,
        /// Which direction the caller has in mind.
        change: RetentionChange,
        /// What is past retention by then is gone, however long the new one is: the proposer's clock
        /// where that is sure, otherwise 0.
        now: UnixMillis,
    },
    /// Forgets closed shards all of whose records are older than the retention.
    ExpireShards {
        /// Which stream.
        stream: StreamName,
        /// Which shards.
        shards: Vec<ShardId>,
        /// The proposer's clock.
        now: UnixMillis,
    },

    /// Changes settings of a stream.
    UpdateStream {
        /// Which stream.
        stream: StreamName,
        /// What is to change.
        patch: Box<StreamPatch>,
        /// Whether the service's own rules bind it too.
        rules: Rules,
        /// The proposer's clock.
        now: UnixMillis,
    },
    /// Removes tags of a stream, then sets others.
    TagStream {
        /// Which stream.
        stream: StreamName,
        /// Tags to set.
        set: BTreeMap<String, String>,
        /// Keys of tags to remove; unknown ones are ignored.
        remove: BTreeSet<String>,
    },
    /// Registers a fan-out consumer.
    RegisterConsumer {
        /// Which stream.
        stream: StreamName,
        /// Its name, free at this time.
        consumer: String,
        /// Its first tags.
        tags: BTreeMap<String, String>,
        /// The proposer's clock.
        now: UnixMillis,
    },
    /// Forgets a fan-out consumer.
    DeregisterConsumer {
        /// Which stream.
        stream: StreamName,
        /// Which consumer.
        consumer: ConsumerRef,
    },
    /// Changes a fan-out consumer.
    UpdateConsumer {
        /// Which stream.
        stream: StreamName,
        /// Which consumer.
        consumer: ConsumerRef,
        /// What is to change.
        patch: ConsumerPatch,
    },

    /// Makes an access key valid; repeating it changes nothing.
    CreateAccessKey {
        /// The key.
        key: AccessKey,
    },
    /// Makes an access key invalid.
    DeleteAccessKey {
        /// Which key.
        id: String,
    },
    /// Changes what holds for all streams together.
    UpdateAccount {
        /// What is to change.
        patch: AccountPatch,
        /// The proposer's clock.
        now: UnixMillis,
    },
    /// Another command, unless the stream was deleted and created again since the caller saw it.
    OfIncarnation {
        /// Which stream.
        stream: StreamName,
        /// The incarnation that the caller means.
        id: StreamId,
        /// What is to be done with it.
        command: Box<Command>,
    },

    /// Begins a split or merge: children appear as Opening.
    PlanReshard {
        /// Which stream.
        stream: StreamName,
        /// What becomes of which shards.
        kind: ReshardKind,
        /// Why.
        cause: ReshardCause,
        /// Nodes of each child, first the preferred leader: two sets for a split, one for a merge.
        placement: Vec<Vec<NodeId>>,
        /// Whether the service's own rules bind it too.
        #[serde(default)]
        rules: Rules,
        /// The proposer's clock.
        now: UnixMillis,
    },
    /// The children can take records: have the parents' logs sealed. No way back from here.
    SealParents {
        /// Which reshard.
        reshard: ReshardId,
    },
    /// The one visible change: closes the parents and opens the children.
    FlipReshard {
        /// Which reshard.
        reshard: ReshardId,
        /// The sequence number at which each parent's log was sealed.
        endings: Vec<(ShardId, SequenceNumber)>,
        /// The proposer's clock.
        now: UnixMillis,
    },
    /// Gives up a reshard whose parents have not been told to seal.
    AbortReshard {
        /// Which reshard.
        reshard: ReshardId,
    },
    /// Begins to change the number of open shards, to equal ranges.
    StartScaling {
        /// Which stream.
        stream: StreamName,
        /// Open shards wanted.
        target: u32,
        /// Whether the service's own rules bind it too.
        #[serde(default)]
        rules: Rules,
        /// The proposer's clock.
        now: UnixMillis,
    },
    /// Ends a scaling: it is complete, or the operator wants it stopped where it is.
    EndScaling {
        /// Which stream.
        stream: StreamName,
    },

    /// Moves a shard's replicas, or only its preferred leadership.
    SetReplicas {
        /// Which stream.
        stream: StreamName,
        /// Which shard.
        shard: ShardId,
        /// The wanted voters, first the preferred leader.
        replicas: Vec<NodeId>,
    },
    /// The group's voters are what was wanted: releases the previous ones.
    ReplicasSettled {
        /// Which stream.
        stream: StreamName,
        /// Which shard.
        shard: ShardId,
        /// The voters that the group's leader reports as committed.
        voters: Vec<NodeId>,
        /// The placement that they came about by, which has to be the shard's; logs of before placements
        /// had numbers have none.
        #[serde(default)]
        placement: Option<u64>,
    },
}

/// What a new stream is to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewStream {
    /// Its name, free at this time.
    pub name: StreamName,
    /// Shards at the start, at least one.
    pub shard_count: u32,
    /// Replicas a shard should have.
    pub replication: u32,
    /// 24 to 8,760.
    pub retention_hours: u32,
    /// What must have happened before a write is acknowledged.
    pub durability: Durability,
    /// Largest record, data and partition key together.
    pub record_bytes_max: u32,
    /// What else is set; its times of mode changes are ignored.
    #[serde(default)]
    pub settings: Box<StreamSettings>,
}

impl NewStream {
    /// A stream that keeps to the defaults: three replicas, one day, fsync, 1 MiB records.
    pub fn named(name: StreamName, shard_count: u32) -> NewStream {
        NewStream {
            name,
            shard_count,
            replication: REPLICATION_DEFAULT,
            retention_hours: RETENTION_HOURS_MIN,
            durability: Durability::default(),
            record_bytes_max: RECORD_BYTES_DEFAULT_MAX as u32,
            settings: Box::default(),
        }
    }
}

/// Which way a caller means to change the retention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RetentionChange {
    /// Refused when it would shorten.
    Increase,
    /// Refused when it would lengthen.
    Decrease,
    /// Either way.
    Set,
}

/// What a reshard does to which shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReshardKind {
    /// One shard becomes two.
    Split {
        /// The parent.
        shard: ShardId,
        /// First hash key of the upper child; the middle of the range unless given.
        at: Option<HashKey>,
    },
    /// Two neighbours become one.
    Merge {
        /// The parent with the lower range.
        shard: ShardId,
        /// The parent whose range begins where the other ends.
        adjacent: ShardId,
    },
}

impl ReshardKind {
    /// Shards that it closes.
    pub fn parents(&self) -> Vec<ShardId> {
        match *self {
            ReshardKind::Split { shard, .. } => vec![shard],
            ReshardKind::Merge { shard, adjacent } => vec![shard, adjacent],
        }
    }

    /// Shards that it opens.
    pub fn child_count(&self) -> usize {
        match self {
            ReshardKind::Split { .. } => 2,
            ReshardKind::Merge { .. } => 1,
        }
    }
}

/// Who wanted a reshard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReshardCause {
    /// A user: the stream must be Active.
    Requested,
    /// A step of the stream's scaling: others may run beside it.
    Scaling,
    /// The cluster, by the traffic of an on-demand stream: others may run beside it.
    OnDemand(Why),
}
