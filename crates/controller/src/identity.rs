//! Who this node is, and which cluster it belongs to: the one thing that has to survive on the
//! node's own disk besides the raft logs.
//!
//! ```text
//!   Fresh ──► Forming ──► Member       the lowest of the seeds draws the cluster's id
//!     │                     ▲
//!     └─────────────────────┘          everyone else is told (Form) or accepted (Join)
//! ```
//! Holds: once a node has a cluster id it keeps it for good; every change is on disk before
//! anyone hears of it. The file itself is the server's: it brings an [`IdentityStore`].

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use thalweg_types::{Incarnation, NodeId};
use tokio::sync::watch;

/// What a node remembers of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Chosen by the operator.
    pub node: NodeId,
    /// Drawn at random when the data directory was made.
    pub incarnation: Incarnation,
    /// The cluster it belongs to; none while fresh.
    pub cluster: Option<Belonging>,
}

/// A node's place in its cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Belonging {
    /// 128 random bits in hexadecimal.
    pub cluster_id: String,
    /// What the controller's group was initialised with, lowest id first. Empty on nodes that
    /// joined later.
    pub founders: Vec<Member>,
    /// False while the founder with the lowest id has not yet heard that all others accepted.
    pub formed: bool,
    /// The controller's voters as last heard, to be found again after a restart of everything.
    pub controllers: Vec<Member>,
}

/// A node and where to reach it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Member {
    /// The node.
    pub node: NodeId,
    /// `host:port` that other nodes dial.
    pub peer_address: String,
}

/// Keeps an [`Identity`] across restarts.
pub trait IdentityStore: Send + Sync + 'static {
    /// The identity as last saved, or a fresh one.
    fn load(&self) -> io::Result<Identity>;

    /// Replaces it; returns once it is on stable storage.
    fn save(&self, identity: &Identity) -> io::Result<()>;
}

/// Why a node could not remember something about itself.
#[derive(Debug, thiserror::Error)]
#[error("cannot save the node's identity: {0}")]
pub struct SaveError(#[from] io::Error);

/// The identity in memory, always as it is on disk.
pub(crate) struct Keeper {
    store: Arc<dyn IdentityStore>,
    changing: Mutex<()>,
    current: watch::Sender<Identity>,
}

impl Keeper {
    pub(crate) fn load(store: Arc<dyn IdentityStore>) -> io::Result<Keeper> {
        let current = watch::channel(store.load()?).0;
        Ok(Keeper { store, changing: Mutex::new(()), current })
    }

    pub(crate) fn get(&self) -> Identity {
        self.current.borrow().clone()
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Identity> {
        self.current.subscribe()
    }

    /// Lets `change` look at the identity and edit it; saves when it did. Returns what `change` says.
    pub(crate) fn update<T>(&self, change: impl FnOnce(&mut Identity) -> T) -> Result<T, SaveError> {
        let _one_at_a_time = self.changing.lock();
        let mut next = self.get();
        let said = change(&mut next);
        if next != *self.current.borrow() {
            self.store.save(&next)?;
            self.current.send_replace(next);
        }
        Ok(said)
    }
}

/// Keeps an identity in memory only, for tests and for clusters meant to be thrown away.
#[derive(Debug)]
pub struct MemoryIdentity(Mutex<Identity>);

impl MemoryIdentity {
    /// A fresh node.
    pub fn fresh(node: NodeId, incarnation: Incarnation) -> MemoryIdentity {
        MemoryIdentity(Mutex::new(Identity { node, incarnation, cluster: None }))
    }
}

impl IdentityStore for MemoryIdentity {
    fn load(&self) -> io::Result<Identity> {
        Ok(self.0.lock().clone())
    }

    fn save(&self, identity: &Identity) -> io::Result<()> {
        *self.0.lock() = identity.clone();
        Ok(())
    }
}
