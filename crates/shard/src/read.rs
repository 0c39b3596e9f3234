//! Reading a shard: positions, pages of whole batches, tails.
//!
//! ```text
//! position ─► resolve ─► Cursor ─► data (log reads, repair) ─► page ─► caller
//!                          ▲                                     │
//!                          └──────────── tail waits for news ◄───┘
//! ```
//! Holds: only committed and applied entries are served, each batch once and in order, whole and
//! byte for byte. A position below the trim point moves up to it in silence. The end of a shard
//! is told only when everything in it has been read and the catalog has named the children.
//! Of the tails under one name ([`crate::subscriptions`]) the leader alone serves one.

mod data;
mod error;
mod page;
mod position;
mod search;
mod subscription;
mod tail;

pub(crate) use data::data_from;
pub use error::ReadError;
pub(crate) use page::read_page;
pub use page::{Cursor, Page, ReadBatch};
pub use position::StartPosition;
pub(crate) use position::resolve;
pub(crate) use search::last_before;
pub(crate) use subscription::{EndTeller, Subscription};
pub(crate) use tail::Tail;

pub use crate::subscriptions::SubscriptionError;
