//! Why a command was not applied: what was wrong, and what would be right.
//!
//! Refusals are values: they pass through Raft and gRPC to the caller, who finds in the fields
//! what it needs for its own wording. [`Refusal::kind`] is the class that the wire maps.

use serde::{Deserialize, Serialize};
use thalweg_types::limits::{
    RECORD_BYTES_MAX, REPLICATION_MAX, RETENTION_HOURS_MAX, RETENTION_HOURS_MIN, SHARDS_PER_STREAM_MAX,
};
use thalweg_types::{HashKey, NodeId, ShardId, StreamId, StreamName};

use crate::access::{
    ACCESS_KEY_ID_CHARS_MAX, ACCESS_KEY_SECRET_CHARS_MAX, ACCESS_KEYS_MAX, ACTION_CHARS_MAX, ALLOWED_ACTIONS_MAX,
    DESCRIPTION_CHARS_MAX,
};
use crate::fan_out::CONSUMER_NAME_CHARS_MAX;
use crate::settings::{ENCRYPTION_KEY_CHARS_MAX, MODE_CHANGES_PER_DAY_MAX, POLICY_BYTES_MAX, WARM_MIBPS_MAX};
use crate::tags::{TAG_KEY_CHARS_MAX, TAG_VALUE_CHARS_MAX, TAGS_MAX};
use crate::{NodeChange, NodeState, ReshardId, StreamStatus};

/// Smallest bound on record size that a stream may set: 1 KiB.
pub(crate) const RECORD_BYTES_MAX_LEAST: u32 = 1024;

/// Why a command was refused; nothing of it was applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[allow(missing_docs, reason = "the message names every field")]
pub enum Refusal {
    // Nodes and cluster.
    #[error("this cluster is `{cluster_id}`, formed already; start the node in an empty directory to form another")]
    ClusterFormed { cluster_id: String },
    #[error("node id 0 is not allowed; ids start at 1")]
    NodeIdZero,
    #[error("node {node} is not registered")]
    NodeUnknown { node: NodeId },
    #[error("node id {node} was removed from the cluster and is never reused; start the node under a new id")]
    NodeRemoved { node: NodeId },
    #[error("node id {node} belongs to another data directory; start this one under a new id")]
    NodeIncarnation { node: NodeId },
    #[error("cannot {change:?} node {node}: it is {state:?}")]
    NodeChange { node: NodeId, state: NodeState, change: NodeChange },
    #[error("node {node} still holds {replicas} replicas{}; drain it and wait until it is empty", controller_note(*.votes))]
    NodeInUse { node: NodeId, replicas: u32, votes: bool },
    #[error("bad set of nodes: {problem}")]
    Nodes { problem: NodesProblem },

    // Streams.
    #[error("stream `{stream}` exists already")]
    StreamExists { stream: StreamName },
    #[error("stream `{stream}` does not exist")]
    StreamUnknown { stream: StreamName },
    #[error("stream `{stream}` is {}, it has to be {wanted}", .status.as_str())]
    StreamStatus { stream: StreamName, status: StreamStatus, wanted: String },
    #[error("stream `{stream}` was deleted and created again since")]
    StreamReplaced { stream: StreamName },
    #[error("stream `{stream}` with the id {id} is gone; the one of that name now has the id {current}")]
    StreamIncarnation { stream: StreamName, id: StreamId, current: StreamId },
    #[error("stream `{stream}` has {consumers} fan-out consumers; deregister them first, or delete it with them")]
    StreamHasConsumers { stream: StreamName, consumers: usize },
    #[error("a stream has 1 to {SHARDS_PER_STREAM_MAX} shards; {given} would be too {}", few_or_many(*.given))]
    ShardCount { given: u32 },
    #[error("the cluster may have {limit} open shards and has {open}; this would add {added}")]
    ShardLimit { open: u32, limit: u32, added: u32 },
    #[error(
        "the catalog has {bytes} bytes and may have {limit}; delete streams, consumers, tags or policies first, or wait for closed shards to expire"
    )]
    CatalogFull { bytes: u64, limit: u64 },
    #[error("replication {given} is not allowed; choose 1 to {REPLICATION_MAX}")]
    Replication { given: u32 },
    #[error("record limit of {given} bytes is not allowed; choose {RECORD_BYTES_MAX_LEAST} to {RECORD_BYTES_MAX}")]
    RecordBytesMax { given: u32 },
    #[error("retention of {hours} hours is too short; the minimum is {RETENTION_HOURS_MIN}")]
    RetentionTooShort { hours: u32 },
    #[error("retention of {hours} hours is too long; the maximum is {RETENTION_HOURS_MAX}")]
    RetentionTooLong { hours: u32 },
    #[error("retention of {hours} hours is shorter than the present {current}; use decrease")]
    RetentionWouldFall { hours: u32, current: u32 },
    #[error("retention of {hours} hours is longer than the present {current}; use increase")]
    RetentionWouldRise { hours: u32, current: u32 },

    // Settings.
    #[error("{given} tags are too many; {TAGS_MAX} are allowed")]
    TooManyTags { given: usize },
    #[error(
        "`{key}` cannot be the key of a tag: use 1 to {TAG_KEY_CHARS_MAX} letters, digits, spaces or `_ . / = + - % @ :`"
    )]
    TagKey { key: String },
    #[error(
        "`{value}` cannot be the value of the tag `{key}`: use at most {TAG_VALUE_CHARS_MAX} letters, digits, spaces \
         or `_ . / = + - % @ :`"
    )]
    TagValue { key: String, value: String },
    #[error("the name of an encryption key has 1 to {ENCRYPTION_KEY_CHARS_MAX} characters, not {chars}")]
    EncryptionKey { chars: usize },
    #[error("a resource policy has 1 to {POLICY_BYTES_MAX} bytes, not {bytes}")]
    Policy { bytes: usize },
    #[error("a limit of 0 would let nothing through; leave it out to set none")]
    ZeroLimit,
    #[error("warm throughput of {given} MiB/s is not allowed; choose at most {WARM_MIBPS_MAX}")]
    WarmThroughput { given: u32 },
    #[error("only on-demand streams have a warm throughput")]
    WarmThroughputMode,
    #[error("warm throughput needs the account's commitment to a minimum throughput")]
    WarmThroughputCommitment,
    #[error("only on-demand streams can have their records placed by the service")]
    DistributionMode,
    #[error("the mode of stream `{stream}` was changed {MODE_CHANGES_PER_DAY_MAX} times within 24 hours; wait")]
    ModeChanges { stream: StreamName },
    #[error("there may be {limit} on-demand streams and there are {count}")]
    OnDemandStreams { count: u32, limit: u32 },
    #[error("the shards of the on-demand stream `{stream}` are split and merged by the service alone")]
    OnDemandReshard { stream: StreamName },
    #[error("stream `{stream}` has {open} open shards; choose {least} to {most}")]
    ScalingBounds { stream: StreamName, open: u32, target: u32, least: u32, most: u32 },
    #[error("stream `{stream}` was scaled {count} times within 24 hours; wait")]
    ScalingsPerDay { stream: StreamName, count: usize },

    // Consumers.
    #[error("`{name}` is not a consumer name: use 1 to {CONSUMER_NAME_CHARS_MAX} characters of a-z A-Z 0-9 _ . -")]
    ConsumerName { name: String },
    #[error("stream `{stream}` already has a consumer `{consumer}`")]
    ConsumerExists { stream: StreamName, consumer: String },
    #[error("stream `{stream}` has no consumer `{consumer}`")]
    ConsumerUnknown { stream: StreamName, consumer: String },
    #[error("stream `{stream}` may have {limit} consumers and has them")]
    ConsumerLimit { stream: StreamName, limit: usize },

    // Access keys.
    #[error(
        "`{id}` is not the id of an access key: use 1 to {ACCESS_KEY_ID_CHARS_MAX} characters of a-z A-Z 0-9 _ . -"
    )]
    AccessKeyId { id: String },
    #[error("the secret of an access key has 1 to {ACCESS_KEY_SECRET_CHARS_MAX} visible ASCII characters")]
    AccessKeySecret,
    #[error(
        "`{action}` names no actions: use 1 to {ACTION_CHARS_MAX} letters, `*` and `?`, without the service, as in \
         `Describe*`"
    )]
    AllowedAction { action: String },
    #[error("an access key allows at most {ALLOWED_ACTIONS_MAX} patterns of actions, not {count}")]
    AllowedActions { count: usize },
    #[error("a description has at most {DESCRIPTION_CHARS_MAX} characters, not {chars}")]
    Description { chars: usize },
    #[error("access key `{id}` exists already")]
    AccessKeyExists { id: String },
    #[error("access key `{id}` does not exist")]
    AccessKeyUnknown { id: String },
    #[error("there are {ACCESS_KEYS_MAX} access keys; delete one first")]
    AccessKeyLimit,

    // Shards.
    #[error("stream `{stream}` has no {shard}")]
    ShardUnknown { stream: StreamName, shard: ShardId },
    #[error("{shard} of stream `{stream}` has already been split or merged; choose an open shard")]
    ShardClosed { stream: StreamName, shard: ShardId },
    #[error("{shard} of stream `{stream}` is part of {reshard}; wait until that has ended")]
    ShardBusy { stream: StreamName, shard: ShardId, reshard: ReshardId },
    #[error("{shard} of stream `{stream}` is still opening; wait until it is open")]
    ShardOpening { stream: StreamName, shard: ShardId },
    #[error("{shard} of stream `{stream}` is not closed past its retention")]
    ShardNotExpired { stream: StreamName, shard: ShardId },
    #[error("cannot split {shard} at {at}: choose a hash key above {low} plus one and below {high}")]
    SplitPoint { shard: ShardId, at: HashKey, low: HashKey, high: HashKey },
    #[error(
        "{shard} and {adjacent} are not adjacent: the second has to begin right after the end of the first, at {wanted}"
    )]
    NotAdjacent { shard: ShardId, adjacent: ShardId, wanted: HashKey },
    #[error("node {node} has no replica of {shard}; choose one of {replicas:?}")]
    NotReplica { shard: ShardId, node: NodeId, replicas: Vec<NodeId> },
    #[error("the group's voters are {voters:?}, wanted are {wanted:?}")]
    ReplicasDiffer { voters: Vec<NodeId>, wanted: Vec<NodeId> },
    #[error("the group's voters are of placement {placement}, the shard's is {wanted}")]
    PlacementDiffers { placement: u64, wanted: u64 },

    // Reshards.
    #[error("{reshard} has ended or never began")]
    ReshardUnknown { reshard: ReshardId },
    #[error("{reshard} may have sealed its parents and can only go on")]
    ReshardSealing { reshard: ReshardId },
    #[error("{reshard} has not been told to seal its parents")]
    ReshardNotSealing { reshard: ReshardId },
    #[error("{reshard} needs the ending of {shard}, between the shard's start and its children's")]
    ReshardEnding { reshard: ReshardId, shard: ShardId },
    #[error("stream `{stream}` is being scaled to {target} shards; wait until that has ended")]
    ScalingRuns { stream: StreamName, target: u32 },
    #[error("stream `{stream}` is not being scaled")]
    NoScaling { stream: StreamName },
}

/// What is wrong with a set of nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[allow(missing_docs, reason = "the message names every field")]
pub enum NodesProblem {
    #[error("{given} sets were given, {wanted} are needed")]
    Sets { given: usize, wanted: usize },
    #[error("{given} nodes were given, {wanted} are needed")]
    Count { given: usize, wanted: usize },
    #[error("no node was given")]
    Empty,
    #[error("node {0} is named twice")]
    Twice(NodeId),
    #[error("node {node} is {state:?}, only active nodes take part")]
    NotActive { node: NodeId, state: NodeState },
    #[error("node {0} is not registered")]
    Unknown(NodeId),
}

/// The class of a refusal, for the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefusalKind {
    /// What it names does not exist.
    NotFound,
    /// It exists already, or is busy: try again later.
    InUse,
    /// The request can never be right as it is.
    Invalid,
    /// A limit would be passed.
    LimitExceeded,
    /// The proposer's picture was out of date: look again, plan again.
    Overtaken,
}

impl Refusal {
    /// The class that the wire maps.
    pub fn kind(&self) -> RefusalKind {
        use Refusal::*;
        match self {
            NodeUnknown { .. } | StreamUnknown { .. } | ShardUnknown { .. } => RefusalKind::NotFound,
            StreamIncarnation { .. } | ConsumerUnknown { .. } | AccessKeyUnknown { .. } => RefusalKind::NotFound,
            StreamHasConsumers { .. } | ConsumerExists { .. } | AccessKeyExists { .. } => RefusalKind::InUse,
            TagKey { .. } | TagValue { .. } | EncryptionKey { .. } | Policy { .. } | ZeroLimit => RefusalKind::Invalid,
            WarmThroughput { .. } | WarmThroughputMode | WarmThroughputCommitment => RefusalKind::Invalid,
            DistributionMode | OnDemandReshard { .. } | ConsumerName { .. } => RefusalKind::Invalid,
            AccessKeyId { .. } | AccessKeySecret | Description { .. } => RefusalKind::Invalid,
            AllowedAction { .. } | AllowedActions { .. } => RefusalKind::Invalid,
            TooManyTags { .. } | ModeChanges { .. } | OnDemandStreams { .. } => RefusalKind::LimitExceeded,
            ScalingBounds { .. } | ScalingsPerDay { .. } => RefusalKind::LimitExceeded,
            ConsumerLimit { .. } | AccessKeyLimit => RefusalKind::LimitExceeded,
            StreamExists { .. } | StreamStatus { .. } | ShardBusy { .. } | ShardOpening { .. } | ScalingRuns { .. } => {
                RefusalKind::InUse
            }
            NodeInUse { .. } => RefusalKind::InUse,
            ClusterFormed { .. } | NodeIdZero | NodeRemoved { .. } | NodeIncarnation { .. } | NodeChange { .. } => {
                RefusalKind::Invalid
            }
            Replication { .. } | RecordBytesMax { .. } | RetentionTooShort { .. } | RetentionTooLong { .. } => {
                RefusalKind::Invalid
            }
            RetentionWouldFall { .. } | RetentionWouldRise { .. } => RefusalKind::Invalid,
            ShardClosed { .. } | NotReplica { .. } | SplitPoint { .. } | NotAdjacent { .. } | NoScaling { .. } => {
                RefusalKind::Invalid
            }
            ShardCount { .. } | ShardLimit { .. } | CatalogFull { .. } => RefusalKind::LimitExceeded,
            Nodes { .. } | StreamReplaced { .. } | ShardNotExpired { .. } => RefusalKind::Overtaken,
            ReplicasDiffer { .. } | PlacementDiffers { .. } => RefusalKind::Overtaken,
            ReshardUnknown { .. } | ReshardSealing { .. } | ReshardNotSealing { .. } | ReshardEnding { .. } => {
                RefusalKind::Overtaken
            }
        }
    }
}

fn controller_note(votes: bool) -> &'static str {
    if votes { " and votes in the controller" } else { "" }
}

fn few_or_many(given: u32) -> &'static str {
    if given == 0 { "few" } else { "many" }
}
