//! Whole clusters in one process, on a simulated network, clock, disk and source of randomness, all
//! from one seed.
//!
//! ```text
//!   Plan (from the seed) ──► Director ── steps ──► turmoil: one runtime a machine, one network
//!      cluster, workload,        │                    node-1 … node-N: thalweg_server::core::Core
//!      schedule of faults        │                    app: clients, readers, operations
//!                                ├─ faults into machines and links
//!                                ├─ invariants over all nodes, every few ticks
//!                                └─ at the end: heal, liveness, full reads, the checker ──► Outcome
//! ```
//! # To ensure correctness
//! - One seed is one process: everything that chance or time decides comes from the seed. [`run`]
//!   replaces the process's source of entropy and its clocks (`mad-turmoil`), so that nothing below
//!   can reach the real ones.
//! - Nothing here decides what a node does: the same code runs as in production, but for the
//!   record store (in memory, with the promises of RocksDB), the sockets and the disk.
//!
//! Read in this order: [`plan`] (what a seed stands for), [`machine`] and [`node`] (what runs),
//! [`director`] (the loop), [`faults`], [`extras`], [`workload`], [`invariants`], [`outcome`]; then [`sweep`] and
//! [`shrink`] for many seeds.

pub mod clock;
pub mod director;
pub mod extras;
pub mod faults;
pub mod invariants;
pub mod links;
pub mod machine;
pub mod network;
pub mod node;
pub mod outcome;
pub mod plan;
pub mod shrink;
pub mod storage;
pub mod sweep;
pub mod trace;
pub mod workload;
pub mod world;

pub use director::run;
pub use outcome::Outcome;
pub use plan::{Plan, Request};
