//! One node: configuration read, every part built and wired, services mounted, ended in order.
//!
//! ```text
//!             public port            peer port                 admin port
//!        record stream cluster   raft shard-peer controller   livez readyz metrics
//!             │       │               │        │                    │
//!          ShardHost ◄── wiring ──► Controller │                 (reads all)
//!             │                       │        │
//!             └──────► Groups ◄───────┘◄───────┘
//!                        │
//!                     NodeLog ──► wal + RocksDB
//! ```
//! Owns no rules: what needs a unit test lies lower. Read in this order: [`Config`], [`Node`]
//! (building and ending), `wiring` (images down, observations up), `admin` (health and metrics),
//! [`dev`] (a whole cluster in one process).

mod admin;
mod config;
pub mod dev;
mod grpc;
mod identity;
mod metrics;
mod node;
mod wiring;

pub use config::{Config, ConfigError, Overrides};
pub use node::{Listeners, Node, StartError};
