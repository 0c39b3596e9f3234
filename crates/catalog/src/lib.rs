//! The rules of streams and shards as pure values.
//!
//! Owns what the cluster agrees on: nodes, streams, shards, lineage, placement, settings, fan-out
//! consumers, access keys. The
//! controller replicates [`Command`]s through Raft and applies them to a [`Catalog`]; every
//! node holds an immutable image of it. No clock, no randomness, no I/O: what a command needs
//! travels in it.
//!
//! ```text
//!  user's Operation ─┐
//!                    ├─► pure planners ──► Command ──► Raft ──► Catalog::apply ──► image, revision n
//!  controller loops ─┘   placement, repair,                                         │
//!  (observations)        reshard, scale, on_demand, create   Stream::shard_for  ◄───┤ routing
//!                                                            Stream::list_shards ◄──┤ listing
//!                                                            desired_replicas  ◄────┘ what a node runs
//! ```
//! Holds at every revision, and [`Catalog::check`] says so: the open shards of a stream that
//! serves tile the hash space; ids of shards, groups, streams and reshards rise and are never
//! reused; a child's sequence numbers lie above its parents'.
//!
//! Read in this order: [`Command`], [`Catalog`], [`Stream`], [`Shard`], then the planners;
//! [`settings`], [`fan_out`], [`access`] and [`account`] for what is not about shards; [`events`] for
//! what people are told of all this.

pub mod access;
pub mod account;
mod apply;
mod catalog;
mod command;
pub mod create;
pub mod desired;
mod encoding;
pub mod events;
pub mod fan_out;
mod invariants;
mod limits_profile;
mod lineage;
mod metric;
mod node;
mod observed;
pub mod on_demand;
mod operation;
pub mod placement;
mod rate;
mod refusal;
pub mod repair;
pub mod reshard;
pub mod scale;
pub mod settings;
mod shard;
mod shards;
mod stream;
mod streams;
pub mod tags;

pub use access::{AccessKey, Secret};
pub use account::{AccountPatch, AccountSettings, Commitment, CommitmentStatus};
pub use apply::{Applied, Outcome};
pub use catalog::{Catalog, Cluster};
pub use command::{Command, NewStream, ReshardCause, ReshardKind, RetentionChange};
pub use desired::{ReplicaSpec, desired_replicas};
pub use encoding::{DecodeError, decode_outcome, encode_outcome};
pub use events::{Event, EventKind, EventLog, EventPage};
pub use fan_out::{ConsumerPatch, ConsumerRef, FanOutConsumer};
pub use invariants::Broken;
pub use limits_profile::{LimitsProfile, ShardLimits};
pub use lineage::ShardFilter;
pub use metric::{ShardMetric, ShardMetricError};
pub use node::{Node, NodeChange, NodeRegistration, NodeState};
pub use observed::{Observations, Observed, Step};
pub use operation::Operation;
pub use rate::WriteRate;
pub use refusal::{NodesProblem, Refusal, RefusalKind};
pub use reshard::{Reshard, ReshardId, ReshardPhase};
pub use settings::{Distribution, Edit, Rules, StreamMode, StreamPatch, StreamSettings};
pub use shard::{Shard, ShardState};
pub use shards::Shards;
pub use stream::{Durability, Scaling, Stream, StreamStatus};
