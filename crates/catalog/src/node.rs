//! The machines of the cluster and the states that an operator or the controller puts them in.
//!
//! ```text
//!   register ──► Active ◄──► Draining          Removed is final: a node id names one disk
//!                   │            │              for ever, so it is kept as a tombstone.
//!                   └──► Dead ◄──┘ ──► Removed
//! ```

use serde::{Deserialize, Serialize};
use thalweg_types::{Incarnation, NodeId, UnixMillis};

/// What a node says about itself when it starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRegistration {
    /// Chosen by the operator, 1 or above.
    pub id: NodeId,
    /// Tells its data directory from any other.
    pub incarnation: Incarnation,
    /// `host:port` that other nodes dial.
    pub peer_address: String,
    /// `host:port` that clients dial.
    pub public_address: String,
    /// `host:port` of health and metrics.
    pub admin_address: String,
    /// Failure domain: replicas of a shard are spread over zones.
    pub zone: String,
}

impl NodeRegistration {
    /// A node without addresses, in the zone without a name.
    pub fn new(id: NodeId, incarnation: Incarnation) -> NodeRegistration {
        let (peer_address, public_address, admin_address) = Default::default();
        NodeRegistration { id, incarnation, peer_address, public_address, admin_address, zone: String::new() }
    }
}

/// A node as the cluster knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// The node's id; never given to another data directory.
    pub id: NodeId,
    /// The data directory that registered under this id.
    pub incarnation: Incarnation,
    /// `host:port` that other nodes dial.
    pub peer_address: String,
    /// `host:port` that clients dial.
    pub public_address: String,
    /// `host:port` of health and metrics.
    pub admin_address: String,
    /// Failure domain.
    pub zone: String,
    /// Whether it may get replicas, keeps them, or has lost them.
    pub state: NodeState,
    /// When it first registered.
    pub registered_at: UnixMillis,
}

impl Node {
    pub(crate) fn registered(given: &NodeRegistration, now: UnixMillis) -> Node {
        Node {
            id: given.id,
            incarnation: given.incarnation,
            peer_address: given.peer_address.clone(),
            public_address: given.public_address.clone(),
            admin_address: given.admin_address.clone(),
            zone: given.zone.clone(),
            state: NodeState::Active,
            registered_at: now,
        }
    }

    /// The node after it started again, perhaps elsewhere: alive, its other intent kept.
    pub(crate) fn registered_again(&self, given: &NodeRegistration) -> Node {
        let state = self.state.after(NodeChange::MarkAlive, UnixMillis(0)).unwrap_or(self.state);
        Node { state, ..Node::registered(given, self.registered_at) }
    }

    /// Whether new replicas may be put here.
    pub fn may_receive(&self) -> bool {
        self.state == NodeState::Active
    }

    /// Whether it is expected to run and answer.
    pub fn is_alive(&self) -> bool {
        matches!(self.state, NodeState::Active | NodeState::Draining)
    }

    /// Whether replicas here should move elsewhere.
    pub fn should_be_left(&self) -> bool {
        !self.may_receive()
    }
}

/// What a node is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NodeState {
    /// Takes part in everything.
    Active,
    /// Serves what it has, gets nothing new, is being emptied.
    Draining,
    /// Gone for so long that its replicas are replaced.
    Dead {
        /// When it was given up.
        since: UnixMillis,
        /// Whether it was being drained; it goes on with that should it return.
        draining: bool,
    },
    /// Left the cluster for good.
    Removed,
}

/// A change of a node's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NodeChange {
    /// Empty the node (an operator's wish).
    Drain,
    /// Take a drain back.
    Undrain,
    /// Give the node up (liveness).
    MarkDead,
    /// The node answers again (liveness).
    MarkAlive,
}

impl NodeState {
    /// The state after `change`, or nothing where the change makes no sense.
    pub(crate) fn after(self, change: NodeChange, now: UnixMillis) -> Option<NodeState> {
        use NodeChange::{Drain, MarkAlive, MarkDead, Undrain};
        use NodeState::{Active, Dead, Draining, Removed};
        match (self, change) {
            (Removed, _) => None,
            (Active | Draining, Drain) => Some(Draining),
            (Active | Draining, Undrain) => Some(Active),
            (Dead { since, .. }, Drain) => Some(Dead { since, draining: true }),
            (Dead { since, .. }, Undrain) => Some(Dead { since, draining: false }),
            (Active, MarkDead) => Some(Dead { since: now, draining: false }),
            (Draining, MarkDead) => Some(Dead { since: now, draining: true }),
            (Dead { draining: true, .. }, MarkAlive) => Some(Draining),
            (Dead { draining: false, .. }, MarkAlive) => Some(Active),
            (Dead { .. }, MarkDead) | (Active | Draining, MarkAlive) => Some(self),
        }
    }
}
