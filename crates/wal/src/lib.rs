//! The write-ahead log of a node: the hot tail of every Raft log, in one sequence of segments.
//!
//! Callers bring the thread; nothing here is async. A [`Wal`] has one owner, who appends blocks
//! (group commits) and syncs them; any number of [`Reader`]s read what was appended.
//!
//! ```text
//!            released         in use                      to come
//!      ┌──────────────┐┌───────────┬───────────┐┌ ─ ─ ─ ─ ─ ─ ─ ┐
//!      │ spare files  ││ segment 7 │ segment 8 │  spare → segment 9
//!      └──────────────┘└───────────┴──▲──────▲─┘└ ─ ─ ─ ─ ─ ─ ─ ┘
//!                              durable LSN   last LSN       fence: a file of its own that
//!                                                           remembers first segment and durable LSN
//! ```
//! Positions: `fence durable ≤ durable ≤ last appended`; only what is durable is acknowledged.
//!
//! Holds: a record whose sync succeeded is read back byte for byte after any crash, or recovery
//! says [`Verdict::Damaged`]. Nothing else is ever read back, but for an unacknowledged tail that
//! happened to reach the disk whole. After a failed sync nothing is accepted any more.
//!
//! Read in this order: [`disk`] (what everything goes through), `format` (bytes), `segments`
//! (files), `wal` (writing), `reader`, `fence`, `recovery` (what a start believes, and why).

pub mod disk;
mod fence;
mod format;
mod options;
mod reader;
mod record;
mod recovery;
mod segments;
mod wal;

pub use disk::{Disk, DiskFile, OpenMode, RealDisk, SimDisk};
pub use options::Options;
pub use reader::{ReadError, Reader};
pub use record::{Kind, Position, Record};
pub use recovery::{OpenError, Recovery, Verdict};
pub use wal::{AppendError, FenceError, ReleaseError, SyncError, Wal};
