//! What a refused or lost batch means for its shard's lane. Pure.

use thalweg_proto::errors::{Reason, WireError};
use thalweg_proto::v1::AppendFailure;

use crate::call::leader_hint;

/// What a failed attempt means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Not applied: another node leads, perhaps this one.
    Elsewhere(Option<String>),
    /// Never applied, by no attempt: the shard takes no more, or never took such keys.
    Closed,
    /// Not applied: an earlier batch is missing.
    Gap,
    /// Not applied: the same again after a moment.
    Later,
    /// Perhaps applied.
    Unknown,
    /// Applied long ago, its position forgotten.
    Forgotten,
    /// Not applied, nor would it ever be.
    Refused,
}

/// What a batch's failure means.
pub(super) fn of(error: &WireError) -> Meaning {
    match error.reason {
        Reason::NotLeader => Meaning::Elsewhere(leader_hint(error)),
        Reason::Unavailable | Reason::StreamNotFound | Reason::ShardNotFound | Reason::NodeNotFound => {
            Meaning::Elsewhere(None)
        }
        Reason::ShardClosed | Reason::WrongShard => Meaning::Closed,
        Reason::OutOfOrder => Meaning::Gap,
        Reason::TooOld => Meaning::Forgotten,
        Reason::Throttled | Reason::DiskFull | Reason::CorruptBatch | Reason::CorruptData | Reason::InUse => {
            Meaning::Later
        }
        Reason::Timeout | Reason::OutcomeUnknown | Reason::Internal => Meaning::Unknown,
        Reason::InvalidArgument | Reason::AlreadyExists | Reason::LimitExceeded => Meaning::Refused,
        // Answers to administration, never to appends.
        Reason::ConsumerNotFound | Reason::AccessKeyNotFound => Meaning::Refused,
        // Answers to tails, never to appends.
        Reason::AlreadySubscribed | Reason::TakenOver => Meaning::Refused,
    }
}

/// The error inside an answer. A reason that this client does not know counts by its certainty;
/// a failure that says "perhaps" is unknown whatever its reason.
pub(super) fn error(failure: AppendFailure) -> WireError {
    let by_certainty = if failure.perhaps_applied { Reason::OutcomeUnknown } else { Reason::Unavailable };
    let named = failure.reason.parse::<Reason>().ok();
    let consistent = named.filter(|reason| reason.perhaps_applied() || !failure.perhaps_applied);
    let reason = consistent.unwrap_or(by_certainty);
    WireError { reason, message: failure.message, metadata: failure.metadata.into_iter().collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_that_may_have_been_applied_is_never_taken_as_definite() {
        for reason in Reason::ALL.iter().map(|reason| reason.as_str()).chain(["NEW_IN_THE_NEXT_RELEASE"]) {
            let failure = AppendFailure { reason: reason.to_owned(), perhaps_applied: true, ..Default::default() };
            let meaning = of(&error(failure));
            assert!(matches!(meaning, Meaning::Unknown | Meaning::Forgotten), "{reason}: {meaning:?}");
        }
    }

    #[test]
    fn an_unknown_reason_that_is_certain_is_tried_again() {
        let failure = AppendFailure { reason: "NEW".to_owned(), ..Default::default() };
        assert_eq!(of(&error(failure)), Meaning::Elsewhere(None));
    }
}
