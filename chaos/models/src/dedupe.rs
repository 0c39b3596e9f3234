//! Retries: no batch is there twice, across fail-over, seal and reshard.
//!
//! | here | in the code |
//! |---|---|
//! | [`Shard::judge`], [`Shard::data`] | `shard/src/state/producers.rs`: `judge`; `shard/src/state.rs`: `append`, the last word |
//! | `Arrive` | `shard/src/append/appender.rs`: `submit_in_order`, `answer_if_sealed`, `wait_while_taking_over`; `in_flight.rs`: `judge` |
//! | `ArriveAtFollower` | the same at a replica that does not lead, and may not know of the seal |
//! | `Failover` | `raft/src/status.rs`: `leading` only with an entry of the own term applied |
//! | `Send`, `TimeOut`, `Move` | `client/src/producer/lane.rs`: `next_batch`, `lost`, `is_settled`, `into_records` |
//!
//! One producer sends its batches in order to a shard that is split or merged meanwhile, so that
//! what is left goes to a child. A request may arrive after the producer has given it up, and
//! after the same batch was sent again. Leaders are replaced; what they had not committed may be
//! gone.
//!
//! Duplicates are judged twice, by the leader and when the entry is applied. Bugs of the first
//! therefore come with the second switched off: either alone is enough, which is the intent.

mod producer;
mod shard;

pub use producer::{Action, Batch, Request, State};
pub use shard::{Entry, Shard, Verdict};

use stateright::{Model, Property};

use crate::explore::Protocol;

/// A defect that the model must expose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// A sealed shard says closed without looking at its windows.
    SealedShardForgets,
    /// A leader says closed while its seal is only proposed, and may yet be lost.
    ClosedBeforeTheSealStands,
    /// A replica that lags says closed because the catalog does.
    ClosedByTheImage,
    /// A leader judges before it has applied its term's first entry, and apply trusts it.
    JudgedBeforeTheTermBegins,
    /// A leader does not look at what is on its way, and apply trusts it.
    InFlightIgnored,
    /// Windows are in no checkpoint, so a new leader begins without them.
    WindowsNotInCheckpoint,
    /// A retry carries no tag.
    RetryWithoutTag,
    /// What may have been applied moves to the child with the rest.
    MovedInDoubt,
    /// A producer that the shard does not know yet sends two batches at once.
    FirstBatchNotAlone,
    /// A batch is sent again while a later one is in flight, to a shard that takes any sequence.
    GapsTaken,
    /// A batch counts as written when it is proposed.
    AckBeforeCommit,
}

impl Bug {
    /// All of them.
    pub const ALL: [Bug; 11] = [
        Bug::SealedShardForgets,
        Bug::ClosedBeforeTheSealStands,
        Bug::ClosedByTheImage,
        Bug::JudgedBeforeTheTermBegins,
        Bug::InFlightIgnored,
        Bug::WindowsNotInCheckpoint,
        Bug::RetryWithoutTag,
        Bug::MovedInDoubt,
        Bug::FirstBatchNotAlone,
        Bug::GapsTaken,
        Bug::AckBeforeCommit,
    ];
}

/// The model and its bounds.
#[derive(Clone, Debug)]
pub struct Dedupe {
    /// Batches to be written.
    pub batches: u8,
    /// Requests that the producer sends in all before it stops giving up.
    pub sends: u8,
    /// Leaders that are replaced.
    pub failovers: u8,
    /// The planted defect.
    pub bug: Option<Bug>,
}

impl Dedupe {
    /// What CI explores.
    pub fn short() -> Dedupe {
        Dedupe { batches: 2, sends: 4, failovers: 1, bug: None }
    }

    /// What `make models` explores.
    pub fn long() -> Dedupe {
        Dedupe { batches: 3, sends: 6, failovers: 2, bug: None }
    }

    fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    /// Whether an entry counts because its leader let it through.
    fn apply_trusts(&self) -> bool {
        let judged_by_leader = [Bug::JudgedBeforeTheTermBegins, Bug::InFlightIgnored, Bug::GapsTaken];
        self.bug.is_some_and(|bug| judged_by_leader.contains(&bug))
    }
}

impl Model for Dedupe {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::new(self)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        state.producer_actions(self, actions);
        state.shard_actions(self, actions);
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        next.step(self, &action);
        (next != *state).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("no batch is there twice", |model, state: &State| state.nothing_twice(model)),
            Property::always("a batch is where its producer was told", |model, state: &State| state.acked_stand(model)),
            Property::always("batches keep their order", |model, state: &State| state.in_order(model)),
            Property::sometimes("a retry is known to a sealed shard", |_, state: &State| state.known_when_sealed),
            Property::sometimes("a batch lands in the child", |_, state: &State| {
                state.batches.iter().any(|batch| matches!(batch, Batch::Acked { shard: 1, .. }))
            }),
        ]
    }
}

impl Protocol for Dedupe {
    fn is_finished(&self, state: &State) -> bool {
        state.batches.iter().all(|batch| matches!(batch, Batch::Acked { .. }))
    }

    fn is_fault(&self, action: &Action) -> bool {
        matches!(action, Action::Failover { .. })
    }
}
