//! The storage crash suite: a node's real write-ahead log and record store under power cuts, failing
//! and full disks, and damaged files, judged by a model of what was acknowledged.
//!
//! ```text
//! workload ──calls──► NodeLog ──► FaultDisk ──► RealDisk on ext4, XFS, tmpfs; SimDisk
//!     │                  └──────► FaultStore ─► RocksStore; MemoryStore
//!     └─events─► model: may the log show this after the fault?
//! ```
//! Holds of every fault: nothing acknowledged is lost, or it is detected: the open says so and the
//! groups are fenced, or the read or the open is refused. Never silence, never a wrong byte, never
//! a panic.
//!
//! Read in this order: [`entry`], [`call`], [`model`] (what may be seen), [`workload`], [`seen`],
//! [`fault_disk`], then one module a kind of fault.

pub mod call;
pub mod corruption;
pub mod cuts;
pub mod entry;
pub mod errors;
pub mod failpoints;
pub mod fault_disk;
pub mod fault_store;
pub mod heal;
pub mod judge;
pub mod model;
pub mod node;
pub mod report;
pub mod run;
pub mod sandbox;
pub mod seen;
pub mod settings;
pub mod workload;
pub mod writer;
