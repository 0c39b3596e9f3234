//! What controllers learn of groups from the nodes, and what a workflow says comes next.

use std::collections::BTreeMap;

use thalweg_types::{GroupId, NodeId, SequenceNumber};

use crate::{Command, WriteRate};

/// What is known of one group right now; the facts outlive no controller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// The leader it has.
    pub leader: Option<NodeId>,
    /// The voters of its committed membership.
    pub voters: Vec<NodeId>,
    /// The placement ([`crate::Shard::placement`]) that its leader has brought about and will not undo.
    pub placed: Option<u64>,
    /// Whether the leader has committed in its own term, so that it can take records at once.
    pub ready: bool,
    /// The highest sequence number the shard can hold, once its seal is committed.
    pub sealed_at: Option<SequenceNumber>,
    /// What its leader measures of writes, once it has.
    pub write: Option<WriteRate>,
}

impl Observed {
    /// Whether the group can take records at once.
    pub fn can_serve(&self) -> bool {
        self.ready && self.leader.is_some()
    }
}

/// What is known of the groups, by group. A group that is missing is one of which nothing is known.
pub type Observations = BTreeMap<GroupId, Observed>;

/// What a workflow needs next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// News of these groups.
    Wait(Vec<GroupId>),
    /// This command, applied.
    Propose(Command),
}
