//! Replacing a replica: learner, joint change, removal; and ids that are never used twice.
//!
//! | here | in the code |
//! |---|---|
//! | [`Memberships::next_config`] | `raft/src/membership.rs`: `change_voters`, begun again by whoever leads |
//! | `Lose`, `Return` | `catalog/src/apply/nodes.rs`: `register_node` refuses another disk under an old id |
//! | `Hear` | the catalog's image reaches nodes one by one; whoever leads goes by its own |
//! | `Kind::Place` | `shard/src/placement.rs`: the placement stands in the log before the voters change by it |
//! | `Drop` | `catalog/src/apply/replicas.rs`: `replicas_settled`, by the word of whoever takes itself for the leader; only then `shard/src/host/reconcile.rs` removes |
//! | `Elect`, `Deliver` | openraft: a quorum of the newest membership in the log, of both halves while it is joint |
//!
//! Voters are 0, 1 and 2; node 3 is to take the place of 2, which is drained or dies. The catalog knows
//! that from the beginning, each node once it hears of it: till then its wish is that of before.

use stateright::{Model, Property};

use crate::explore::Protocol;

mod group;

pub use group::{Action, Config, Entry, Kind, Node, State};

/// Nodes that there are.
pub const NODES: usize = 4;
/// Who votes at first, one bit a node.
pub const BEFORE: u8 = 0b0111;
/// Who is to vote.
pub const WANTED: u8 = 0b1011;
/// The node to be replaced.
pub const LEAVES: usize = 2;

/// A defect that the model must expose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// A node that lost its disk comes back under its old id and takes part.
    IdReused,
    /// What a learner holds counts like a voter's.
    LearnerCounted,
    /// The new voters take over in one step.
    NoJointPhase,
    /// The joint phase ends before it is committed.
    JointLeftEarly,
    /// The old replica is dropped when the move begins; moved back, it opens empty.
    DroppedBeforeSettled,
    /// A leader goes by its catalog, however old that is.
    OldPlacementFollowed,
}

impl Bug {
    /// All of them.
    pub const ALL: [Bug; 6] = [
        Bug::IdReused,
        Bug::LearnerCounted,
        Bug::NoJointPhase,
        Bug::JointLeftEarly,
        Bug::DroppedBeforeSettled,
        Bug::OldPlacementFollowed,
    ];
}

/// The model and its bounds.
#[derive(Clone, Debug)]
pub struct Memberships {
    /// Highest term.
    pub terms: u8,
    /// Records written.
    pub writes: u8,
    /// The planted defect.
    pub bug: Option<Bug>,
}

impl Memberships {
    /// What CI explores.
    pub fn short() -> Memberships {
        Memberships { terms: 2, writes: 1, bug: None }
    }

    /// What `make models` explores.
    pub fn long() -> Memberships {
        Memberships { terms: 3, writes: 1, bug: None }
    }

    fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    /// What a leader proposes next to bring about the placement that it knows, if anything.
    fn next_change(&self, state: &State, leader: usize) -> Option<Kind> {
        let node = &state.nodes[leader];
        // It judges by its log once that holds everything from before its term.
        if !node.has_committed_in_its_term() {
            return None;
        }
        let newest = node.placement();
        if node.heard < newest && !self.has(Bug::OldPlacementFollowed) {
            return None;
        }
        let config = self.next_config(state, leader)?;
        Some(if node.heard > newest { Kind::Place(node.heard) } else { Kind::Members(config) })
    }

    /// The membership on the way to what the leader knows to be wanted, if the last one is committed.
    fn next_config(&self, state: &State, leader: usize) -> Option<Config> {
        let node = &state.nodes[leader];
        let (at, config) = node.config();
        let wanted = if node.heard == 0 { BEFORE } else { WANTED };
        if at > node.committed && !self.has(Bug::JointLeftEarly) {
            return None;
        }
        if config.joint != 0 {
            return Some(Config { voters: config.joint, joint: 0, learners: 0 });
        }
        if config.voters == wanted {
            return None;
        }
        let new = wanted & !config.voters;
        if config.learners & new != new {
            return Some(Config { learners: new, ..config });
        }
        let newcomer = new.trailing_zeros() as usize;
        let caught_up = state.nodes[newcomer].log.len() + 1 >= node.log.len();
        // For the sake of availability alone: no property below needs it.
        if !caught_up {
            return None;
        }
        let joint = Config { joint: wanted, learners: 0, ..config };
        Some(if self.has(Bug::NoJointPhase) { Config { voters: wanted, joint: 0, learners: 0 } } else { joint })
    }
}

impl Model for Memberships {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::new()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        (0..NODES).for_each(|node| state.actions_of(self, node, actions));
        state.actions_around(self, actions);
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        next.step(self, &action);
        (next != *state).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("no acknowledged entry is lost", |_, state: &State| state.leaders_are_complete()),
            Property::always("one leader a term", |_, state: &State| state.one_leader_a_term()),
            Property::always("what a majority must hold is never on one disk alone", |_, state: &State| {
                state.acked_are_held_twice()
            }),
            Property::always("who was released votes no more", |_, state: &State| state.released_votes_no_more()),
            Property::sometimes("the replica is replaced", |_, state: &State| state.dropped),
        ]
    }
}

impl Protocol for Memberships {
    fn is_finished(&self, state: &State) -> bool {
        state.is_replaced() || state.nodes.iter().any(|node| node.term >= self.terms)
    }

    fn is_fault(&self, action: &Action) -> bool {
        matches!(action, Action::Lose | Action::Return)
    }
}
