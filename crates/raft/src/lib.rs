//! Raft groups: openraft over gRPC and the node's log.
//!
//! Owns everything that is consensus: the type configuration, the log store over
//! [`thalweg_storage`], the transport between nodes, the registry of groups, snapshots,
//! membership, failure detection and hibernation. What a command means is none of its business:
//! a [`StateMachine`] over opaque bytes, given by whoever opens a [`Group`], knows that.
//!
//! ```text
//! Group::propose ─► openraft core ─► LogStore ─► storage (one sync a node)
//!                        │   ▲
//!       network ◄────────┘   └──────── transport::service ◄── peers
//!                        │
//!                        └─► Applier ─► StateMachine::apply ─► applied watch ─► readers
//! ```
//! Holds: nobody else names an openraft type. A write is acknowledged only when a majority has
//! synced it. A fenced replica (its log lost acknowledged bytes, or it had left the group) never
//! votes, campaigns or leads until a leader of a later term has given it everything that was
//! committed. An entry whose bytes are damaged is fetched back from another node before anything else
//! happens to it.

mod agreed_clock;
mod applier;
mod codec;
mod company;
mod config;
mod failover;
mod fence;
mod group;
mod groups;
mod hand_over;
mod hibernate;
mod inquiry;
mod log_store;
mod machine;
mod membership;
mod network;
mod payload;
mod propose;
mod read;
mod repair;
mod standing;
mod status;
mod steady_clock;
mod transport;

pub use agreed_clock::{AgreedClock, TOLERANCE as CLOCK_TOLERANCE};
pub use config::{Options, Timing, ToldClock};
pub use group::Group;
pub use groups::{GroupOptions, Groups, OpenError};
pub use machine::{RestoreError, StateMachine};
pub use membership::MembershipError;
pub use payload::Payload;
pub use propose::{Applied, Proposal, ProposeError};
pub use read::{CommittedEntry, Page, ReadBarrierError, ReadError};
pub use repair::{Damaged, RepairCounts};
pub use status::GroupStatus;
pub use steady_clock::{SteadyClock, Unsure};
pub use transport::{Connector, Server, TcpConnector};
