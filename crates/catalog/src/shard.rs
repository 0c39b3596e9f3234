//! One shard: a hash key range, its replicas and its place in the stream's lineage.
//!
//! ```text
//!   Opening ───────► Open ──────► Sealing ──────► Closed ──(retention passed)──► forgotten
//!   groups elect     written      parent of a     read only
//!   (invisible)                   running reshard
//! ```
//! Clients see Open and Sealing as *open*: a parent stays open until the one command that
//! closes it and opens its children, so the open ranges tile the hash space at every revision.

use serde::{Deserialize, Serialize};
use thalweg_types::{GroupId, HashRange, NodeId, SequenceNumber, ShardId, UnixMillis};

/// A shard as the catalog holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// Its id in the stream; later shards have higher ids.
    pub id: ShardId,
    /// Its Raft group, never used for anything else.
    pub group: GroupId,
    /// The hash keys whose records it takes.
    pub range: HashRange,
    /// None, the parent, or the parent and the adjacent parent. They may be forgotten already.
    pub parents: Vec<ShardId>,
    /// How far in its life it is.
    pub state: ShardState,
    /// Nodes that should vote in its group; the first is the preferred leader.
    pub replicas: Vec<NodeId>,
    /// Nodes that voted before the last change and serve until the new set is in place.
    pub previous: Vec<NodeId>,
    /// Whether the group's voters are known to be what was last wanted.
    pub settled: bool,
    /// The catalog's revision that last changed who should vote; 0 as long as that is who founded the group.
    /// It goes into the group's log, so that no leader brings about what was wanted before.
    #[serde(default)]
    pub placement: u64,
    /// What the group was initialised with; never changes.
    pub initial_members: Vec<NodeId>,
    /// A whole second, above its parents': the top field of its sequence numbers.
    pub created_at: UnixMillis,
    /// When clients could first write to it; meaningless while Opening.
    pub opened_at: UnixMillis,
}

/// How far a shard is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ShardState {
    /// Its group is being formed; clients do not see it.
    Opening,
    /// Takes records.
    Open,
    /// Open to clients; its leader is to seal the log because a reshard needs its end.
    Sealing,
    /// Takes no records; readable until retention has passed.
    Closed {
        /// The highest sequence number it can hold.
        ending: SequenceNumber,
        /// When its children took over.
        at: UnixMillis,
    },
}

impl Shard {
    /// Whether clients may write to it.
    pub fn is_open(&self) -> bool {
        matches!(self.state, ShardState::Open | ShardState::Sealing)
    }

    /// Whether clients may know of it.
    pub fn is_visible(&self) -> bool {
        self.state != ShardState::Opening
    }

    /// Below every record of it and above every record of its parents.
    pub fn starting(&self) -> SequenceNumber {
        SequenceNumber::shard_start(self.created_at, self.id)
    }

    /// The highest sequence number it can hold, once it is closed.
    pub fn ending(&self) -> Option<SequenceNumber> {
        match self.state {
            ShardState::Closed { ending, .. } => Some(ending),
            _ => None,
        }
    }

    /// When its children took over, once it is closed.
    pub fn closed_at(&self) -> Option<UnixMillis> {
        match self.state {
            ShardState::Closed { at, .. } => Some(at),
            _ => None,
        }
    }

    /// The parent, and after a merge the adjacent parent.
    pub fn parent(&self) -> Option<ShardId> {
        self.parents.first().copied()
    }

    /// The upper of a merge's two parents.
    pub fn adjacent_parent(&self) -> Option<ShardId> {
        self.parents.get(1).copied()
    }

    /// The node that should lead its group when all is well.
    pub fn preferred_leader(&self) -> Option<NodeId> {
        self.replicas.first().copied()
    }

    /// Every node that has to run a replica now: the wanted ones and those not yet released.
    pub fn hosts(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.replicas.iter().chain(&self.previous).copied()
    }

    /// Whether clients could write to it at `time`.
    pub fn was_open_at(&self, time: UnixMillis) -> bool {
        self.is_visible() && self.opened_at <= time && self.closed_at().is_none_or(|closed| closed > time)
    }
}
