//! The controller: the catalog behind Raft group 0, and everything that keeps a cluster one.
//!
//! Owns forming and joining a cluster, node liveness, placement, the workflows of streams (create,
//! split, merge, scale, retention, delete), and the services through which clients and nodes take
//! part in them. Never touches record data and is never on the way of a put or get: nodes go on
//! with the image they have while no controller leads.
//!
//! ```text
//!   every node                                the node that leads group 0
//!   ┌──────────────────────┐   reports up    ┌────────────────────────────────────┐
//!   │ shard host ─► agent ─┼────────────────►│ hub ──► round ──► commands ──┐      │
//!   │     ▲          │     │                 │  ▲                          ▼      │
//!   │   image ◄──────┘ ◄───┼─────────────────┤  └── applied catalog ◄── group 0   │
//!   │     ▲     images down│                 └────────────────────────▲───────────┘
//!   │  services ───────────┼── mutations (Execute) ───────────────────┘
//!   └──────────────────────┘
//! ```
//! Images down, observations up, level-triggered: durable truth is the catalog alone; who leads
//! a shard and which node answers is soft state, reported afresh to each new leader. Every loop
//! compares what is with what should be, so any leader resumes what another began.
//!
//! Read in this order: [`Identity`] and `membership` (becoming a member), `machine` and `seat`
//! (the catalog in Raft), `agent` and `leader::hub` (the conversation), `leader::round` (what is
//! decided), `services` (what is asked).

mod agent;
mod answer;
mod dialer;
mod identity;
mod image;
mod leader;
mod machine;
mod membership;
mod node;
mod options;
mod random;
mod report;
mod room;
mod seat;
mod services;
mod start;

pub use identity::{Belonging, Identity, IdentityStore, Member, MemoryIdentity, SaveError};
pub use image::Image;
pub use membership::Membership;
pub use options::{Advertised, Options};
pub use report::{ReplicaReport, Reports};
pub use services::cluster::Cluster;
pub use services::peer::PeerService;
pub use services::stream::Streams;
pub use start::{Controller, ControllerHandle, Parts};
