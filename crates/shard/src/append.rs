//! Appending to a shard: admission, order, duplicates, and the wait for the commit.
//!
//! ```text
//! submit ─► parse ─► admission ─► [order lock: judge ─► stamp ─► propose] ─► Ticket
//!             pure rules            InFlight + applied state               └─► outcome
//! ```
//! Holds: batches of a shard are proposed in the order in which `submit` was called. A batch with
//! a producer tag is proposed at most once at a time: a retry of one that is on its way shares
//! its outcome. What a leader lets through by mistake, `state::ShardState::apply` still voids.

mod admission;
mod appender;
mod ending;
mod error;
mod in_flight;
mod leaderless;
mod ticket;

pub(crate) use admission::admit;
pub(crate) use appender::{Appender, NodeLimits};
pub use error::{AppendError, Appended};
pub use ticket::Ticket;
