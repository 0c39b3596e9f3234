//! One node: configuration read, every part built and wired, services mounted, ended in order.
//!
//! ```text
//!             public port              peer port                 admin port
//! Kinesis  record stream cluster   raft shard-peer controller   livez readyz metrics
//!    │        │       │               │        │                    │
//!  Gateway    │       │               │        │                    │
//!          ShardHost ◄── wiring ──► Controller │                 (reads all)
//!             │                       │        │
//!             └──────► Groups ◄───────┘◄───────┘
//!                        │
//!                     NodeLog ──► wal + RocksDB
//! ```
//! Owns no rules: what needs a unit test lies lower. Read in this order: [`Config`], [`core`]
//! (building and ending what a node is), [`Node`] (putting it on sockets), `public` (the port for clients), `wiring` (images down, observations up), `admin` (health and metrics),
//! [`dev`] (a whole cluster in one process).

mod admin;
mod config;
pub mod core;
mod data;
pub mod dev;
mod front;
mod greeting;
mod grpc;
mod identity;
mod metrics;
mod neighbours;
mod node;
mod open;
mod public;
mod tls;
mod wiring;

pub use config::{Config, ConfigError, Overrides};
pub use data::Data;
pub use grpc::serve;
pub use node::{Listeners, Node, StartError};
pub use thalweg_gateway::{AccountLimits, Auth};
pub use tls::{SelfSigned, TlsFiles};
