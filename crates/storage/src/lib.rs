//! A node's log as one thing: appends go to the write-ahead log, committed entries move on to the
//! record store in the background, reads come from wherever entries are.
//!
//! ```text
//!    trimmed │      record store (RocksDB)     │  write-ahead log   │ waiting
//!  ──────────┼─────────────────────────────────┼────────────────────┼─────────►
//!          first              ≤            moved_end  ≤ applied_end ≤  end
//!                                     [      recent entries, in memory       ]
//! ```
//! Holds: `done` of an append runs only after a sync that covers it. What was acknowledged is read
//! back byte for byte, or the reader is told [`ReadError::Corrupt`], or the groups are fenced.
//! Nothing uncommitted enters the record store. What Raft means by terms and votes is unknown here.
//!
//! Read in this order: [`GroupLog`] (the calls), `group.rs` and `log_index.rs` (positions),
//! `writer.rs` (durability), `read.rs`, `mover.rs` (into the record store), [`store`], `open.rs`
//! (recovery).

mod cache;
mod distrust;
mod entry;
mod errors;
mod group;
mod group_log;
mod group_meta;
mod health;
mod log_index;
mod marks;
mod mover;
mod node_log;
mod node_meta;
mod open;
mod options;
mod queue;
mod read;
mod recent;
mod repair;
mod rewrite;
mod shared;
mod space;
pub mod store;
mod terms;
mod writer;

pub use entry::{Done, HEAD_BYTES_MAX, LogEntry};
pub use errors::{OpenError, ReadError, StorageError, StoreError};
pub use group::CheckpointSource;
pub use group_log::{GroupLog, GroupState};
pub use health::{Health, SYNC_BUCKETS, Stats};
pub use node_log::{Begun, NodeLog};
pub use open::OpenReport;
pub use options::{Driver, Options};
pub use store::{MemoryStore, RecordStore, RocksStore};
