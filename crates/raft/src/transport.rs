//! Node to node: one long-lived bidirectional stream for each ordered pair of nodes and lane.
//!
//! The caller's side is a [`link::Link`] a lane: requests of all groups leave on it and are answered by
//! number. The callee's side is [`service`]. Two lanes, so that votes, heartbeats and pings are
//! never stuck behind data; the control lane's pings and its breaking are how nodes notice each
//! other's death. Bodies of entries are copied once on the way out and sliced on the way in.
//!
//! ```text
//! network ─► Link(data)    ══ Exchange stream ══► service ─► inbound ─► openraft
//!        └─► Link(control) ══ Exchange stream ══► service ─► inbound ─► openraft (votes, heartbeats)
//! ```

mod connect;
mod frame;
mod inbound;
mod incoming;
mod link;
mod message;
mod outgoing;
mod peers;
mod service;

pub use connect::{Connector, TcpConnector};
pub(crate) use frame::Frame;
pub(crate) use message::{AppendResult, Reply, Request};
pub(crate) use peers::{CallError, PeerEvent, Peers};
pub use service::Server;
pub(crate) use service::server;

/// What a link carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Lane {
    /// Entries and snapshots.
    Data,
    /// Votes, heartbeats, pings and hibernation.
    Control,
}
