//! Splits and merges as a workflow that any controller can take up where another left it.
//!
//! ```text
//!  PlanReshard ─► Opening ── every child has a leader ─► SealParents ─► Sealing ── every parent's
//!                    │                                                    │        end is known
//!                AbortReshard (children's nodes lost)                FlipReshard: parents Closed,
//!                                                                    children Open, in one change
//! ```
//! The state is all in the catalog; [`next_step`] compares it with what is observed. Proposing
//! a step twice is harmless: the second is refused or changes nothing.

use std::fmt;

use serde::{Deserialize, Serialize};
use thalweg_types::planted::{Planted, planted};
use thalweg_types::{GroupId, SequenceNumber, ShardId, StreamName, UnixMillis};

use crate::{Catalog, Command, Observations, Observed, ReshardCause, ReshardKind, Shard, Step};

/// One split or merge, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ReshardId(pub u64);

impl fmt::Display for ReshardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "reshard {}", self.0)
    }
}

/// A split or merge that runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reshard {
    /// Its id.
    pub id: ReshardId,
    /// Whose shards it changes.
    pub stream: StreamName,
    /// What becomes of which shards.
    pub kind: ReshardKind,
    /// Who wanted it.
    pub cause: ReshardCause,
    /// The shards it closes, by rising range.
    pub parents: Vec<ShardId>,
    /// The shards it opens, by rising range.
    pub children: Vec<ShardId>,
    /// How far it is.
    pub phase: ReshardPhase,
    /// When it began.
    pub planned_at: UnixMillis,
}

/// How far a reshard is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReshardPhase {
    /// The children's groups are being formed; it can still be given up.
    Opening,
    /// The parents' leaders are told to seal; it can only go on.
    Sealing,
}

impl Reshard {
    /// Whether it closes or opens this shard.
    pub fn touches(&self, shard: ShardId) -> bool {
        self.parents.contains(&shard) || self.children.contains(&shard)
    }
}

/// What a running reshard needs next, given what is known of the groups.
pub fn next_step(catalog: &Catalog, reshard: &Reshard, observed: &Observations, now: UnixMillis) -> Step {
    match reshard.phase {
        ReshardPhase::Opening => open_children(catalog, reshard, observed),
        ReshardPhase::Sealing => seal_parents(catalog, reshard, observed, now),
    }
}

fn open_children(catalog: &Catalog, reshard: &Reshard, observed: &Observations) -> Step {
    let children = shards_of(catalog, reshard, &reshard.children);
    let waiting = groups_not_serving(children.iter().copied(), observed);
    if waiting.is_empty() {
        return Step::Propose(Command::SealParents { reshard: reshard.id });
    }
    let lost = children.iter().any(|child| waiting.contains(&child.group) && !can_form(catalog, child));
    if lost { Step::Propose(Command::AbortReshard { reshard: reshard.id }) } else { Step::Wait(waiting) }
}

fn seal_parents(catalog: &Catalog, reshard: &Reshard, observed: &Observations, now: UnixMillis) -> Step {
    let parents = shards_of(catalog, reshard, &reshard.parents);
    let guess = |shard: &Shard| planted(Planted::PublishBeforeSeal).then(|| shard.starting());
    let sealed_at = |shard: &Shard| observed.get(&shard.group).and_then(|group| group.sealed_at).or(guess(shard));
    let endings: Vec<(ShardId, SequenceNumber)> =
        parents.iter().filter_map(|shard| Some((shard.id, sealed_at(shard)?))).collect();
    if endings.len() == reshard.parents.len() {
        return Step::Propose(Command::FlipReshard { reshard: reshard.id, endings, now });
    }
    Step::Wait(parents.iter().filter(|shard| sealed_at(shard).is_none()).map(|shard| shard.group).collect())
}

fn shards_of<'c>(catalog: &'c Catalog, reshard: &Reshard, ids: &[ShardId]) -> Vec<&'c Shard> {
    ids.iter().filter_map(|id| catalog.shard(&reshard.stream, *id)).collect()
}

/// Groups that cannot take records yet.
pub(crate) fn groups_not_serving<'s>(shards: impl Iterator<Item = &'s Shard>, observed: &Observations) -> Vec<GroupId> {
    let serves = |shard: &Shard| observed.get(&shard.group).is_some_and(Observed::can_serve);
    shards.filter(|shard| !serves(shard)).map(|shard| shard.group).collect()
}

/// Whether enough of the group's first members live to elect a leader.
fn can_form(catalog: &Catalog, shard: &Shard) -> bool {
    let alive = |node: &&_| catalog.node(**node).is_some_and(|node| node.is_alive());
    let living = shard.initial_members.iter().filter(alive).count();
    living > shard.initial_members.len() / 2
}
