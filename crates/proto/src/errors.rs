//! The one shape in which errors travel: a gRPC status with `google.rpc.ErrorInfo`.
//!
//! Holds: every error names a [`Reason`] and says whether the write it answers was certainly not
//! applied or perhaps applied. A status without these details (a broken connection, a deadline)
//! is taken as *perhaps applied*: unknown outcomes are reported as unknown.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// Who says so, in `ErrorInfo.domain`.
pub const DOMAIN: &str = "thalweg";

/// Metadata key: the public address of the shard's or the controller's leader.
pub const META_LEADER_ADDRESS: &str = "leader_address";
/// Metadata key: the id of the leading node.
pub const META_LEADER: &str = "leader";
/// Metadata key: the catalog's refusal, whole, as JSON.
pub const META_REFUSAL: &str = "refusal";
const META_APPLIED: &str = "applied";

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $text:literal => $code:ident, perhaps_applied: $perhaps:literal;)*) => {
        /// Why a call failed, for machines. Stable across releases.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Reason { $($(#[$doc])* $variant,)* }

        impl Reason {
            /// All reasons.
            pub const ALL: &'static [Reason] = &[$(Reason::$variant,)*];

            /// The word on the wire.
            pub fn as_str(self) -> &'static str {
                match self { $(Reason::$variant => $text,)* }
            }

            /// The gRPC code that carries it.
            pub fn code(self) -> Code {
                match self { $(Reason::$variant => Code::$code,)* }
            }

            /// Whether a write refused for this reason may have been applied all the same.
            pub fn perhaps_applied(self) -> bool {
                match self { $(Reason::$variant => $perhaps,)* }
            }
        }

        impl FromStr for Reason {
            type Err = ();
            fn from_str(text: &str) -> Result<Self, ()> {
                match text { $($text => Ok(Reason::$variant),)* _ => Err(()) }
            }
        }
    };
}

reasons! {
    /// The request itself is wrong; the message says what would be right.
    InvalidArgument = "INVALID_ARGUMENT" => InvalidArgument, perhaps_applied: false;
    /// A batch failed its checksum: it changed on its way.
    CorruptBatch = "CORRUPT_BATCH" => InvalidArgument, perhaps_applied: false;
    /// No such stream, or it is another incarnation.
    StreamNotFound = "STREAM_NOT_FOUND" => NotFound, perhaps_applied: false;
    /// No such shard in the stream.
    ShardNotFound = "SHARD_NOT_FOUND" => NotFound, perhaps_applied: false;
    /// No such node.
    NodeNotFound = "NODE_NOT_FOUND" => NotFound, perhaps_applied: false;
    /// No such fan-out consumer, or it was registered again since.
    ConsumerNotFound = "CONSUMER_NOT_FOUND" => NotFound, perhaps_applied: false;
    /// No such access key.
    AccessKeyNotFound = "ACCESS_KEY_NOT_FOUND" => NotFound, perhaps_applied: false;
    /// The name is taken.
    AlreadyExists = "ALREADY_EXISTS" => AlreadyExists, perhaps_applied: false;
    /// The stream or shard is in a state that does not allow this now.
    InUse = "IN_USE" => FailedPrecondition, perhaps_applied: false;
    /// A limit of the account, stream or cluster would be exceeded.
    LimitExceeded = "LIMIT_EXCEEDED" => FailedPrecondition, perhaps_applied: false;
    /// This node does not lead the shard; the metadata may name who does.
    NotLeader = "NOT_LEADER" => FailedPrecondition, perhaps_applied: false;
    /// The shard takes no more writes; its children do.
    ShardClosed = "SHARD_CLOSED" => FailedPrecondition, perhaps_applied: false;
    /// A hash key lies outside the shard's range: the caller's image is stale.
    WrongShard = "WRONG_SHARD" => FailedPrecondition, perhaps_applied: false;
    /// The producer's sequence leaves a gap: an earlier batch did not arrive.
    OutOfOrder = "OUT_OF_ORDER" => FailedPrecondition, perhaps_applied: false;
    /// The producer's sequence is so old that its result is no longer remembered.
    TooOld = "TOO_OLD" => FailedPrecondition, perhaps_applied: true;
    /// The subscriber follows the shard already, since a moment ago.
    AlreadySubscribed = "ALREADY_SUBSCRIBED" => FailedPrecondition, perhaps_applied: false;
    /// Another subscription of the same subscriber follows the shard now.
    TakenOver = "TAKEN_OVER" => Aborted, perhaps_applied: false;
    /// Queues are full; try again after a moment.
    Throttled = "THROTTLED" => ResourceExhausted, perhaps_applied: false;
    /// The disk has no room for writes; reads go on.
    DiskFull = "DISK_FULL" => ResourceExhausted, perhaps_applied: false;
    /// The node cannot serve now (starting, fenced, draining, failed disk).
    Unavailable = "UNAVAILABLE" => Unavailable, perhaps_applied: false;
    /// The outcome did not become known in time.
    Timeout = "TIMEOUT" => DeadlineExceeded, perhaps_applied: true;
    /// Leadership was lost while the write was on its way.
    OutcomeUnknown = "OUTCOME_UNKNOWN" => Unavailable, perhaps_applied: true;
    /// Stored bytes failed their checksum and no intact copy was found yet.
    CorruptData = "CORRUPT_DATA" => DataLoss, perhaps_applied: false;
    /// A bug or a broken invariant; the node's log has more.
    Internal = "INTERNAL" => Internal, perhaps_applied: true;
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An error ready to travel, or one that arrived.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct WireError {
    /// Why, for machines.
    pub reason: Reason,
    /// Why, for people: what was wrong and what would be right.
    pub message: String,
    /// Facts for the machine, such as the leader's address.
    pub metadata: HashMap<String, String>,
}

impl WireError {
    /// An error without metadata.
    pub fn new(reason: Reason, message: impl Into<String>) -> WireError {
        WireError { reason, message: message.into(), metadata: HashMap::new() }
    }

    /// Adds a fact.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<String>) -> WireError {
        self.metadata.insert(key.to_owned(), value.into());
        self
    }

    /// Whether the write may have been applied although it failed.
    pub fn perhaps_applied(&self) -> bool {
        self.reason.perhaps_applied()
    }

    /// What a status from a server means; one without our details has an unknown outcome unless
    /// its code rules that out.
    pub fn from_status(status: &Status) -> WireError {
        let details = status.get_error_details();
        let info = details.error_info().filter(|info| info.domain == DOMAIN);
        match info.and_then(|info| Some((info.reason.parse::<Reason>().ok()?, info.metadata.clone()))) {
            Some((reason, metadata)) => WireError { reason, message: status.message().to_owned(), metadata },
            None => WireError::new(reason_of_bare(status.code()), status.message()),
        }
    }
}

/// The reason behind a status that no Thalweg server dressed: transport and deadline errors.
fn reason_of_bare(code: Code) -> Reason {
    match code {
        Code::DeadlineExceeded => Reason::Timeout,
        Code::InvalidArgument | Code::OutOfRange | Code::Unimplemented => Reason::InvalidArgument,
        Code::ResourceExhausted => Reason::Throttled,
        _ => Reason::OutcomeUnknown,
    }
}

impl From<WireError> for Status {
    fn from(error: WireError) -> Status {
        let applied = if error.perhaps_applied() { "unknown" } else { "no" };
        let mut metadata = error.metadata;
        metadata.insert(META_APPLIED.to_owned(), applied.to_owned());
        let details = ErrorDetails::with_error_info(error.reason.as_str(), DOMAIN, metadata);
        Status::with_error_details(error.reason.code(), error.message, details)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_survives_the_wire_with_its_metadata() {
        for &reason in Reason::ALL {
            let sent = WireError::new(reason, "why").with(META_LEADER_ADDRESS, "127.0.0.1:1");
            let arrived = WireError::from_status(&Status::from(sent.clone()));
            assert_eq!((arrived.reason, arrived.message.as_str()), (reason, "why"));
            assert_eq!(arrived.metadata[META_LEADER_ADDRESS], "127.0.0.1:1");
            let expected = if reason.perhaps_applied() { "unknown" } else { "no" };
            assert_eq!(arrived.metadata[META_APPLIED], expected);
        }
    }

    #[test]
    fn a_bare_transport_error_leaves_the_outcome_unknown() {
        assert!(WireError::from_status(&Status::unavailable("connection reset")).perhaps_applied());
        assert!(WireError::from_status(&Status::cancelled("gone")).perhaps_applied());
        assert!(!WireError::from_status(&Status::resource_exhausted("slow down")).perhaps_applied());
    }
}
