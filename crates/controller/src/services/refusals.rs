//! The one place where a catalog's refusal becomes an error on the wire.

use thalweg_catalog::{Applied, Outcome, Refusal, RefusalKind};
use thalweg_proto::errors::{Reason, WireError};

/// What was applied, or the refusal in the words of the wire.
pub(crate) fn applied(outcome: Outcome) -> Result<Applied, WireError> {
    outcome.map_err(|refusal| WireError::new(reason(&refusal), refusal.to_string()))
}

fn reason(refusal: &Refusal) -> Reason {
    match (refusal, refusal.kind()) {
        (Refusal::StreamExists { .. }, _) => Reason::AlreadyExists,
        (Refusal::NodeUnknown { .. }, _) => Reason::NodeNotFound,
        (Refusal::ShardUnknown { .. }, _) => Reason::ShardNotFound,
        (_, RefusalKind::NotFound) => Reason::StreamNotFound,
        // Overtaken again and again: what it touches is busy.
        (_, RefusalKind::InUse | RefusalKind::Overtaken) => Reason::InUse,
        (_, RefusalKind::Invalid) => Reason::InvalidArgument,
        (_, RefusalKind::LimitExceeded) => Reason::LimitExceeded,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_keep_their_words_and_get_a_reason_for_machines() {
        let stream = || "orders".parse().unwrap();
        let cases = [
            (Refusal::StreamExists { stream: stream() }, Reason::AlreadyExists),
            (Refusal::StreamUnknown { stream: stream() }, Reason::StreamNotFound),
            (Refusal::RetentionTooShort { hours: 3 }, Reason::InvalidArgument),
            (Refusal::ShardLimit { open: 9, limit: 10, added: 4 }, Reason::LimitExceeded),
            (Refusal::ScalingRuns { stream: stream(), target: 8 }, Reason::InUse),
        ];
        for (refusal, expected) in cases {
            let error = applied(Err(refusal.clone())).unwrap_err();
            assert_eq!((error.reason, error.message), (expected, refusal.to_string()));
        }
    }
}
