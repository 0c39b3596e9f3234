//! The Kinesis-compatible HTTP front of a node.
//!
//! ```text
//!   POST / ──► http ──► decode ──► auth ──► validate ──► subject ──► auth ──► actions/* ──► encode ──► answer
//!              wire     (kinesis crate)                  freshness  policy     │    │
//!                                                                  catalog image    client
//!                                                                  (reads)          (changes, records)
//! ```
//! Read in this order: [`Gateway`] (one request from its bytes to its answer), `http` (what is
//! checked before the body is understood), `subject` and `freshness` (what a request is about, and that
//! it is there), `auth` and `policy` (who may), `actions` (one handler file an action), `failure`
//! (the one mapping from the cluster's errors to Kinesis errors).
//!
//! Holds: any node answers any request; nothing that a client needs again (iterators, page tokens)
//! is kept in memory; a request that is refused costs the cluster nothing, or a share of a round that
//! many share; what is in memory for requests and pages is bounded.

mod actions;
mod answer;
mod auth;
mod call;
mod config;
mod failure;
mod freshness;
mod gateway;
mod http;
mod identity;
mod limits;
mod metrics;
mod pages;
mod policies;
mod policy;
mod present;
mod producers;
mod put;
mod read;
mod resource;
mod settings;
mod subject;
mod subscription;
mod target;
#[cfg(test)]
mod testing;

pub use config::{AccountLimits, Auth, GatewayConfig};
pub use gateway::{Gateway, GatewayParts};
pub use metrics::{FollowerState, Metrics, ShardCounts, ShardKey};
