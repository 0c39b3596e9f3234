//! The amnesia fence: a node that forgot what it acknowledged cannot vote it away.
//!
//! | here | in the code |
//! |---|---|
//! | `Forget` | `storage/src/open.rs`: a start that finds damage fences every group, durably, before anyone asks |
//! | [`State::may_lower`] | `raft/src/fence.rs`: `may_lower`, called by `Inner::observe_commit` with the leader's word |
//! | `Vote`, `Campaign` | `raft/src/group.rs`: `answer` refuses a fenced replica's vote; `failover.rs`: `campaign` |
//! | `Deliver` | openraft, with `allow_log_reversion`: a leader feeds a follower from wherever it stands |
//! | `Ack` | `raft/src/transport/link.rs`: answers end with the stream they belong to |
//! | `Crash` | `enable_leader_restore = false`: whoever starts, follows |
//!
//! Three nodes, one group; or two, which are a *pair*: the one that forgot votes for the other
//! (`raft/src/fence.rs`: `is_pair`). Who forgot asks the others, and has everything back when each of
//! them is whole and has nothing that it lacks (`raft/src/inquiry.rs`). A node may lose the end of its log, at most one at a time: a second
//! one only after the first has its fence down. Entries are told apart by who wrote them in which
//! term and life, while Raft compares index and term only, so that two leaders of one term show.
//!
//! **Votes.** They are in the same write-ahead log as the entries, so what cuts one may cut the
//! other. A node that has forgotten its vote takes entries from a leader whom it helped to depose,
//! and the two commit what the new leader lacks: [`Votes::Lost`] loses acknowledged entries, fence
//! or not. [`Votes::Floor`] closes that: a bound on the terms ever voted in, in which a node that
//! forgot goes on, voting only in higher ones (`raft/src/fence.rs`: `assumed_vote`, whose bound is
//! the time in milliseconds).
//!
//! What the model takes for granted: that the loss is noticed. The fence file is written every
//! 100 ms, so a log that is cut within what was synced since is taken for torn.

mod nodes;

pub use nodes::{Action, Entry, Node, Role, State};

use stateright::{Model, Property};

use crate::explore::Protocol;

/// Nodes of the group, at most.
pub const NODES: usize = 3;

/// A defect that the model must expose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// Nothing is fenced.
    FenceOff,
    /// A group that lost everything counts as new again.
    EmptyTrusted,
    /// The fence comes down at the first commit that the replica hears of and has.
    LoweredByAnyCommit,
    /// The fence comes down as soon as a leader has spoken.
    LoweredByContact,
    /// A fenced replica votes.
    FencedVotes,
    /// A fenced replica campaigns.
    FencedCampaigns,
    /// What an earlier life acknowledged is counted after the restart.
    AckOutlivesItsStream,
    /// A leader that restarts leads on in its term.
    LeaderRestored,
    /// Votes go to logs that are behind.
    VoteForAnyLog,
    /// Three are taken for a pair.
    ThreeArePair,
    /// One of two others is asked whether anything is missing.
    OneIsAsked,
}

impl Bug {
    /// All of them.
    pub const ALL: [Bug; 11] = [
        Bug::FenceOff,
        Bug::EmptyTrusted,
        Bug::LoweredByAnyCommit,
        Bug::LoweredByContact,
        Bug::FencedVotes,
        Bug::FencedCampaigns,
        Bug::AckOutlivesItsStream,
        Bug::LeaderRestored,
        Bug::VoteForAnyLog,
        Bug::ThreeArePair,
        Bug::OneIsAsked,
    ];
}

/// What becomes of a node's vote when its log loses its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Votes {
    /// It is there still.
    Kept,
    /// It may be gone as well, and nothing stands for it.
    Lost,
    /// It may be gone, but not a bound on the terms voted in.
    Floor,
}

/// The model and its bounds.
#[derive(Clone, Debug)]
pub struct Fences {
    /// Two or three.
    pub nodes: usize,
    /// What happens to votes.
    pub votes: Votes,
    /// Highest term.
    pub terms: u8,
    /// Longest log.
    pub entries: usize,
    /// Times that a log loses its end.
    pub losses: u8,
    /// Ordinary restarts.
    pub crashes: u8,
    /// Whether a truncation may be lost too, so that the entries before it are back.
    pub truncations_lost: bool,
    /// The planted defect.
    pub bug: Option<Bug>,
}

impl Fences {
    /// What CI explores.
    pub fn short() -> Fences {
        Fences {
            nodes: NODES,
            votes: Votes::Kept,
            terms: 2,
            entries: 3,
            losses: 1,
            crashes: 0,
            truncations_lost: false,
            bug: None,
        }
    }

    /// Where planted bugs are looked for: some need a third term.
    pub fn planted() -> Fences {
        Fences { terms: 3, entries: 2, ..Fences::short() }
    }

    /// What `make models` explores.
    pub fn long() -> Fences {
        Fences { terms: 3, crashes: 1, truncations_lost: true, ..Fences::planted() }
    }

    /// Two nodes, which may forget votes as well.
    pub fn pair() -> Fences {
        Fences { nodes: 2, votes: Votes::Floor, crashes: 1, truncations_lost: true, ..Fences::planted() }
    }

    /// The same for `make models`.
    pub fn long_pair() -> Fences {
        Fences { terms: 4, entries: 3, losses: 2, ..Fences::pair() }
    }

    fn are_pair(&self) -> bool {
        self.nodes == 2 || self.has(Bug::ThreeArePair)
    }

    fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }
}

impl Model for Fences {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::new(self.nodes)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        (0..self.nodes).for_each(|node| state.actions_of(self, node, actions));
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
            Property::sometimes("a fence comes down", |_, state: &State| state.lowered),
        ]
    }
}

impl Protocol for Fences {
    fn is_finished(&self, state: &State) -> bool {
        state.is_settled() || state.is_at_the_bound(self)
    }

    fn is_fault(&self, action: &Action) -> bool {
        matches!(action, Action::Forget { .. } | Action::Crash(_))
    }
}
