//! One shard replica, the host that runs the replicas of a node, and their gRPC service.
//!
//! Owns what a shard is: admission and order of appends, sequence numbers, duplicates, the state
//! that replicas agree on, committed reads and tails, sealing, trimming. Where replicas live is
//! the catalog's business, which reaches this crate as [`ReplicaSpec`]s.
//!
//! Read in this order: [`command`] (what the log says), [`state`] (what it means), [`append`],
//! [`read`], [`host`], [`service`].

mod allowance;
pub mod append;
pub mod command;
pub mod host;
mod machine;
pub mod metrics;
mod options;
mod placement;
pub mod read;
mod repair;
mod replica;
mod retention;
pub mod service;
mod spec;
pub mod state;
mod subscriptions;
#[cfg(test)]
mod testing;
mod traffic;

pub use host::{Observations, ReplicaObservation, ShardHost};
pub use options::Options;
pub use replica::Replica;
pub use service::{Directory, Located, record_service};
pub use spec::ReplicaSpec;
pub use traffic::WriteRate;
