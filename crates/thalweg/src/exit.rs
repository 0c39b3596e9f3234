//! How the process ends: the exit code, the message, and what to do next.
//!
//! Holds: codes are those that the help names; every error that a command can meet is classified
//! here and nowhere else.

use std::io::ErrorKind;
use std::process::ExitCode;

use thalweg_client::call::CallError;
use thalweg_client::{
    AppendError, ConnectError, ConsumeError, ProduceError, ReadError, Reason, RoutingError, WireError,
};

/// Why a command ended; the number is the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Generic = 1,
    Usage = 2,
    NotFound = 3,
    Conflict = 4,
    Unavailable = 6,
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// A failure that the command line itself finds.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Failure {
    exit: Exit,
    message: String,
}

impl Failure {
    /// A failure of that kind.
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Failure {
        Failure { exit, message: message.into() }
    }

    /// An argument is wrong.
    pub(crate) fn usage(message: impl Into<String>) -> Failure {
        Failure::new(Exit::Usage, message)
    }
}

/// What is known about a failure: its kind and the next step, where there is one.
#[derive(Debug, PartialEq, Eq)]
struct Verdict {
    exit: Exit,
    next: Option<&'static str>,
}

/// Prints an error with its next step; returns the exit code. A broken pipe ends in silence.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    if is_broken_pipe(error) {
        return ExitCode::SUCCESS;
    }
    let verdict = verdict(error);
    eprintln!("error: {error:#}");
    if let Some(next) = verdict.next {
        eprintln!(" next: {next}");
    }
    verdict.exit.into()
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.chain().find_map(|cause| cause.downcast_ref::<std::io::Error>());
    io.is_some_and(|io| io.kind() == ErrorKind::BrokenPipe)
}

fn verdict(error: &anyhow::Error) -> Verdict {
    error.chain().find_map(of_cause).unwrap_or(Verdict { exit: Exit::Generic, next: None })
}

fn of_cause(cause: &(dyn std::error::Error + 'static)) -> Option<Verdict> {
    if let Some(failure) = cause.downcast_ref::<Failure>() {
        return Some(Verdict { exit: failure.exit, next: None });
    }
    if let Some(error) = cause.downcast_ref::<CallError>() {
        return Some(of_call(error));
    }
    if let Some(error) = cause.downcast_ref::<RoutingError>() {
        return Some(of_routing(error));
    }
    if let Some(error) = cause.downcast_ref::<ConsumeError>() {
        return Some(of_consume(error));
    }
    if let Some(error) = cause.downcast_ref::<ReadError>() {
        return Some(of_read(error));
    }
    if let Some(error) = cause.downcast_ref::<AppendError>() {
        return Some(of_produce(error.first()));
    }
    if let Some(error) = cause.downcast_ref::<ConnectError>() {
        let _: &ConnectError = error;
        return Some(Verdict { exit: Exit::Usage, next: None });
    }
    cause.downcast_ref::<ProduceError>().map(of_produce)
}

const UNREACHABLE: Verdict = Verdict {
    exit: Exit::Unavailable,
    next: Some("is a cluster running there? `thalweg dev` starts one; --endpoint or THALWEG_ENDPOINT names another"),
};
const NO_STREAM: Verdict = Verdict {
    exit: Exit::NotFound,
    next: Some("`thalweg stream ls` lists the streams there are, `thalweg stream create NAME` makes one"),
};

fn of_call(error: &CallError) -> Verdict {
    match error {
        CallError::Refused(error) => of_wire(error),
        CallError::Unreachable { .. } => UNREACHABLE,
        CallError::BadAnswer(_) => {
            Verdict { exit: Exit::Generic, next: Some("do client and cluster have the same version?") }
        }
    }
}

fn of_routing(error: &RoutingError) -> Verdict {
    match error {
        RoutingError::StreamNotFound { .. } => NO_STREAM,
        RoutingError::Unreachable { .. } => UNREACHABLE,
    }
}

fn of_consume(error: &ConsumeError) -> Verdict {
    match error {
        ConsumeError::Routing(error) => of_routing(error),
        ConsumeError::Refused { error, .. } => of_wire(error),
        ConsumeError::Damaged { .. } => DAMAGED,
    }
}

fn of_read(error: &ReadError) -> Verdict {
    match error {
        ReadError::Routing(error) => of_routing(error),
        ReadError::Refused { error, .. } => of_wire(error),
        ReadError::BadAnswer { .. } => DAMAGED,
    }
}

const DAMAGED: Verdict = Verdict {
    exit: Exit::Generic,
    next: Some("the logs of the shard's replicas say more; `thalweg stream shards NAME` names them"),
};

fn of_produce(error: &ProduceError) -> Verdict {
    match error {
        ProduceError::PartitionKey { .. } | ProduceError::TooLarge { .. } => Verdict { exit: Exit::Usage, next: None },
        ProduceError::StreamNotFound { .. } => NO_STREAM,
        ProduceError::Refused(error) => of_wire(error),
        ProduceError::DeadlineExceeded { .. } => UNREACHABLE,
        ProduceError::OutcomeUnknown { .. } => UNKNOWN,
        ProduceError::Full { .. } | ProduceError::Closed => Verdict { exit: Exit::Generic, next: None },
    }
}

const UNKNOWN: Verdict =
    Verdict { exit: Exit::Unavailable, next: Some("it may have happened all the same: look before doing it again") };

fn of_wire(error: &WireError) -> Verdict {
    let (exit, next) = match error.reason {
        Reason::InvalidArgument | Reason::CorruptBatch => (Exit::Usage, None),
        Reason::StreamNotFound => return NO_STREAM,
        Reason::ShardNotFound => (Exit::NotFound, Some("`thalweg stream shards NAME` lists the shards there are")),
        Reason::NodeNotFound => (Exit::NotFound, Some("`thalweg admin nodes` lists the nodes there are")),
        Reason::ConsumerNotFound => {
            (Exit::NotFound, Some("`thalweg stream consumers NAME` lists the consumers there are"))
        }
        Reason::AccessKeyNotFound => (Exit::NotFound, Some("`thalweg admin access-key ls` lists the keys there are")),
        Reason::AlreadyExists => (Exit::Conflict, Some("`thalweg stream describe NAME` shows what has that name")),
        Reason::InUse => (Exit::Conflict, Some("wait until `thalweg stream describe NAME` says active, and try again")),
        Reason::ShardClosed | Reason::WrongShard => {
            (Exit::Conflict, Some("`thalweg stream shards NAME` lists the open shards"))
        }
        Reason::LimitExceeded | Reason::OutOfOrder | Reason::TooOld => (Exit::Conflict, None),
        Reason::AlreadySubscribed | Reason::TakenOver => (Exit::Conflict, None),
        Reason::Throttled => (Exit::Unavailable, Some("try again after a moment, or more slowly")),
        Reason::DiskFull => (Exit::Unavailable, Some("make room on that node's disk; reads go on meanwhile")),
        Reason::NotLeader | Reason::Unavailable => {
            (Exit::Unavailable, Some("`thalweg admin nodes` shows which nodes are there; try again after a moment"))
        }
        Reason::Timeout | Reason::OutcomeUnknown => return UNKNOWN,
        Reason::CorruptData => return DAMAGED,
        Reason::Internal => (Exit::Generic, Some("the log of that node says more")),
    };
    Verdict { exit, next }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn code_of(error: impl Into<anyhow::Error>) -> Exit {
        verdict(&error.into()).exit
    }

    fn refused(reason: Reason) -> CallError {
        CallError::Refused(WireError::new(reason, "why"))
    }

    #[test]
    fn exit_codes_are_those_that_the_help_names() {
        assert_eq!(code_of(Failure::usage("no")), Exit::Usage);
        assert_eq!(code_of(refused(Reason::StreamNotFound)), Exit::NotFound);
        assert_eq!(code_of(refused(Reason::AlreadyExists)), Exit::Conflict);
        assert_eq!(code_of(refused(Reason::Timeout)), Exit::Unavailable);
        assert_eq!(code_of(anyhow::anyhow!("else")), Exit::Generic);
    }

    #[test]
    fn an_unreachable_cluster_is_answered_with_how_to_start_one() {
        let error = CallError::Unreachable { waited: Duration::from_secs(1), last: "refused".to_owned() };
        let verdict = verdict(&anyhow::Error::from(error).context("while listing"));
        assert_eq!(verdict.exit, Exit::Unavailable);
        assert!(verdict.next.unwrap().contains("thalweg dev"));
    }

    #[test]
    fn a_reader_that_went_away_is_no_error() {
        let error = anyhow::Error::from(std::io::Error::from(ErrorKind::BrokenPipe));
        assert!(is_broken_pipe(&error.context("while printing")));
    }
}
