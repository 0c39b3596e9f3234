//! The one place where a catalog's refusal becomes an error on the wire.

use thalweg_catalog::{Applied, Outcome, Refusal, RefusalKind};
use thalweg_proto::errors::{META_REFUSAL, Reason, WireError};

/// What was applied, or the refusal in the words of the wire.
pub(crate) fn applied(outcome: Outcome) -> Result<Applied, WireError> {
    outcome.map_err(|refusal| wire_error(&refusal))
}

/// A refusal in the words of the wire, with itself attached for those who word it anew.
pub(crate) fn wire_error(refusal: &Refusal) -> WireError {
    let error = WireError::new(reason(refusal), refusal.to_string());
    match serde_json::to_string(refusal) {
        Ok(json) => error.with(META_REFUSAL, json),
        Err(_) => error,
    }
}

fn reason(refusal: &Refusal) -> Reason {
    match (refusal, refusal.kind()) {
        (Refusal::StreamExists { .. } | Refusal::ConsumerExists { .. }, _) => Reason::AlreadyExists,
        (Refusal::AccessKeyExists { .. }, _) => Reason::AlreadyExists,
        (Refusal::ConsumerUnknown { .. }, _) => Reason::ConsumerNotFound,
        (Refusal::AccessKeyUnknown { .. }, _) => Reason::AccessKeyNotFound,
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
            (Refusal::ConsumerUnknown { stream: stream(), consumer: "c".to_owned() }, Reason::ConsumerNotFound),
            (Refusal::ConsumerExists { stream: stream(), consumer: "c".to_owned() }, Reason::AlreadyExists),
            (Refusal::AccessKeyUnknown { id: "k".to_owned() }, Reason::AccessKeyNotFound),
            (Refusal::ScalingRuns { stream: stream(), target: 8 }, Reason::InUse),
        ];
        for (refusal, expected) in cases {
            let error = applied(Err(refusal.clone())).unwrap_err();
            assert_eq!((error.reason, &error.message), (expected, &refusal.to_string()));
            assert_eq!(serde_json::from_str::<Refusal>(&error.metadata[META_REFUSAL]).unwrap(), refusal);
        }
    }
}
