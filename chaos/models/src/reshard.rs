//! Splits and merges: one visible change, whoever crashes in between.
//!
//! ```text
//!  Plan ─► Opening ─ children's groups formed ─► SealParents ─► Sealing ─ ends known ─► Flip
//! ```
//! | here | in the code |
//! |---|---|
//! | [`Catalog::apply`] | `catalog/src/apply/reshards.rs`: `plan_reshard`, `seal_parents`, `flip_reshard` |
//! | [`Reshards::next_step`] | `catalog/src/reshard.rs`: `next_step` |
//! | `Elect`, `Crash`, `Propose`, `Apply` | `controller/src/leader/drive.rs`: a leader's memory ends with it, its commands need not |
//! | `Seal`, `Send`, `Commit` | `shard/src/append/appender.rs`: `seal`, `submit_in_order`; `shard/src/state.rs`: `apply` |
//! | [`State::children_read_last`] | `client/src/consumer/lineage.rs`: `begin_ready`; `shard/src/read/page.rs`: `end_at` |
//!
//! One stream, two hash keys, one writer a key, readers at replicas that lag. Writers, readers and
//! every shard's leader go by images of their own, each as old as it likes.
//!
//! Left out: aborts, placement, and doubtful outcomes of writes (see [`crate::dedupe`]).

mod cluster;
mod world;

pub use cluster::{Catalog, Command, Entry, Group, Image, Number, Reshard, Shard, ShardState};
pub use world::{Action, Leader, State, Writer};

use stateright::{Model, Property};

use crate::explore::Protocol;

/// A defect that the model must expose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// The flip does not wait for the parents' seals.
    PublishBeforeSeal,
    /// Children are open from the plan on.
    ChildrenOpenedByThePlan,
    /// Children open in one command, parents close in another.
    FlipInTwoCommands,
    /// A plan that is proposed again makes further children.
    PlanTwice,
    /// A parent's end is reported when its seal is proposed.
    EndReportedBeforeTheSeal,
    /// Children are created at the controller's clock, which may stand still.
    ChildrenNotYoungerThanParents,
    /// An append behind the seal counts.
    SealIgnoredByApply,
    /// Only the controller that sealed flips.
    WorkflowInMemory,
    /// A write is acknowledged when it is proposed.
    AckBeforeCommit,
    /// A reader takes the image's word for the end of a shard.
    EndByImage,
    /// A reader begins a child as soon as it sees it.
    ChildReadEarly,
}

impl Bug {
    /// All of them.
    pub const ALL: [Bug; 11] = [
        Bug::PublishBeforeSeal,
        Bug::ChildrenOpenedByThePlan,
        Bug::FlipInTwoCommands,
        Bug::PlanTwice,
        Bug::EndReportedBeforeTheSeal,
        Bug::ChildrenNotYoungerThanParents,
        Bug::SealIgnoredByApply,
        Bug::WorkflowInMemory,
        Bug::AckBeforeCommit,
        Bug::EndByImage,
        Bug::ChildReadEarly,
    ];
}

/// The model and its bounds.
#[derive(Clone, Debug)]
pub struct Reshards {
    /// A merge of two shards rather than a split of one.
    pub merge: bool,
    /// Writes of each of the two writers.
    pub writes: u8,
    /// Crashes of controller leaders.
    pub crashes: u8,
    /// Shard leaders that are replaced.
    pub failovers: u8,
    /// The planted defect.
    pub bug: Option<Bug>,
}

impl Reshards {
    /// What CI explores.
    pub fn short(merge: bool) -> Reshards {
        Reshards { merge, writes: 2, crashes: 1, failovers: 1, bug: None }
    }

    /// What `make models` explores.
    pub fn long(merge: bool) -> Reshards {
        Reshards { writes: 3, crashes: 2, failovers: 2, ..Reshards::short(merge) }
    }

    fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    /// The command that a leader proposes next, from the catalog and what it has observed.
    fn next_step(&self, state: &State) -> Option<Command> {
        let leader = state.leader.as_ref()?;
        let catalog = state.catalog();
        let reshard = catalog.reshards.first()?;
        if !reshard.sealing {
            let ready = reshard.children.iter().all(|child| state.groups[*child].formed);
            let end = |parent: &usize| (*parent, state.groups[*parent].last_number(catalog, *parent));
            let command = match self.has(Bug::PublishBeforeSeal) {
                true => Command::Flip { endings: reshard.parents.iter().map(end).collect() },
                false => Command::SealParents,
            };
            return ready.then_some(command);
        }
        if self.has(Bug::WorkflowInMemory) && !leader.sealed {
            return None;
        }
        let end = |parent: &usize| Some((*parent, state.sealed_at(self, *parent)?));
        let endings = reshard.parents.iter().map(end).collect::<Option<Vec<_>>>()?;
        Some(Command::Flip { endings })
    }
}

impl Model for Reshards {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::new(self)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        state.controller_actions(self, actions);
        state.shard_actions(self, actions);
        state.client_actions(self, actions);
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        next.step(self, action);
        (next != *state).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("open shards tile the keys in every image", |_, state: &State| state.catalog().tiles()),
            Property::always("acknowledged writes stand before their shard's end", |model, state: &State| {
                state.acked_stand(model)
            }),
            Property::always("numbers rise from write to write of a key", |_, state: &State| state.numbers_rise()),
            Property::always("a child is read after its parents' end", |model, state: &State| {
                state.children_read_last(model)
            }),
            Property::sometimes("a write lands in a child", |_, state: &State| state.child_written()),
        ]
    }
}

impl Protocol for Reshards {
    fn is_finished(&self, state: &State) -> bool {
        let flipped = state.asked > 0 && state.catalog().reshards.is_empty();
        flipped && state.all_written(self)
    }

    fn is_fault(&self, action: &Action) -> bool {
        matches!(action, Action::Crash { .. } | Action::Failover { .. })
    }
}
