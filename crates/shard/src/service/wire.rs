//! The one place where a shard's errors become wire errors.

use thalweg_proto::errors::{META_LEADER, META_LEADER_ADDRESS, Reason, WireError};
use thalweg_types::{BatchError, NodeId, ShardId, StreamId};

use super::{Directory, Located};
use crate::append::AppendError;
use crate::read::{ReadError, SubscriptionError};
use crate::spec::ReplicaSpec;

/// Metadata key: the shards that took over a closed shard's range, comma separated.
const META_CHILDREN: &str = "children";
/// Metadata key: the producer sequence that has to come next.
const META_EXPECTED: &str = "expected_sequence";
/// Metadata key: the range of hash keys that the shard takes.
const META_RANGE: &str = "hash_range";

/// Turns errors about one shard into what travels.
pub(super) struct ErrorMapper<'a> {
    pub(super) directory: &'a dyn Directory,
    pub(super) spec: &'a ReplicaSpec,
}

impl ErrorMapper<'_> {
    pub(super) fn append(&self, error: AppendError) -> WireError {
        let wire = WireError::new(append_reason(&error), error.to_string());
        match error {
            AppendError::NotLeader { leader } => self.not_leader(leader),
            AppendError::Closed => {
                let children: Vec<String> = self.spec.children.iter().map(|shard| shard.0.to_string()).collect();
                wire.with(META_CHILDREN, children.join(","))
            }
            AppendError::OutOfOrder { expected, .. } => wire.with(META_EXPECTED, expected.to_string()),
            AppendError::WrongShard { range, .. } => wire.with(META_RANGE, range.to_string()),
            _ => wire,
        }
    }

    pub(super) fn read(&self, error: ReadError) -> WireError {
        match error {
            ReadError::NotLeader { leader } => self.not_leader(leader),
            ReadError::Gone => self.not_leader(None),
            error => WireError::new(read_reason(&error), error.to_string()),
        }
    }

    /// Names the leader: as the group knows it, else as the catalog does.
    fn not_leader(&self, leader: Option<NodeId>) -> WireError {
        let leader = leader.or_else(|| match self.directory.locate(self.spec.stream_id, self.spec.shard) {
            Located::Elsewhere { leader } => leader,
            Located::StreamUnknown | Located::ShardUnknown => None,
        });
        not_leader(self.directory, self.spec.shard, leader)
    }
}

/// The answer for a shard that does not run here.
pub(super) fn absent(directory: &dyn Directory, stream: StreamId, shard: ShardId, expected: bool) -> WireError {
    match directory.locate(stream, shard) {
        _ if expected => WireError::new(Reason::Unavailable, format!("{shard} is just being opened on this node")),
        Located::StreamUnknown => {
            WireError::new(Reason::StreamNotFound, format!("there is no stream with id {stream} (any more)"))
        }
        Located::ShardUnknown => {
            WireError::new(Reason::ShardNotFound, format!("the stream with id {stream} has no {shard}"))
        }
        Located::Elsewhere { leader } => not_leader(directory, shard, leader),
    }
}

fn not_leader(directory: &dyn Directory, shard: ShardId, leader: Option<NodeId>) -> WireError {
    let Some(leader) = leader else {
        return WireError::new(Reason::NotLeader, format!("this node does not lead {shard}; no leader is known"));
    };
    let message = format!("this node does not lead {shard}; node {leader} does");
    let error = WireError::new(Reason::NotLeader, message).with(META_LEADER, leader.to_string());
    match directory.public_address(leader) {
        Some(address) => error.with(META_LEADER_ADDRESS, address),
        None => error,
    }
}

fn append_reason(error: &AppendError) -> Reason {
    match error {
        AppendError::Batch(BatchError::Corrupt { .. }) => Reason::CorruptBatch,
        AppendError::Batch(_) | AppendError::RecordTooLarge { .. } => Reason::InvalidArgument,
        AppendError::WrongShard { .. } => Reason::WrongShard,
        AppendError::NotLeader { .. } => Reason::NotLeader,
        AppendError::Closed => Reason::ShardClosed,
        AppendError::OutOfOrder { .. } => Reason::OutOfOrder,
        AppendError::Throttled { .. } => Reason::Throttled,
        AppendError::DiskFull => Reason::DiskFull,
        AppendError::Unavailable { .. } => Reason::Unavailable,
        AppendError::TooOld { .. } => Reason::TooOld,
        AppendError::Timeout { .. } => Reason::Timeout,
        AppendError::OutcomeUnknown { .. } => Reason::OutcomeUnknown,
    }
}

fn read_reason(error: &ReadError) -> Reason {
    match error {
        ReadError::ForeignNumber { .. } | ReadError::BeyondEnd { .. } => Reason::InvalidArgument,
        ReadError::NotLeader { .. } | ReadError::Gone => Reason::NotLeader,
        ReadError::Subscription(error) => subscription_reason(error),
        ReadError::Unavailable { .. } | ReadError::Io { .. } => Reason::Unavailable,
        ReadError::Corrupt { .. } => Reason::CorruptData,
    }
}

fn subscription_reason(error: &SubscriptionError) -> Reason {
    match error {
        SubscriptionError::AlreadySubscribed { .. } => Reason::AlreadySubscribed,
        SubscriptionError::TakenOver => Reason::TakenOver,
        SubscriptionError::TooMany { .. } => Reason::LimitExceeded,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::testing::spec;

    struct Fixed(Located);

    impl Directory for Fixed {
        fn locate(&self, _: StreamId, _: ShardId) -> Located {
            self.0
        }

        fn public_address(&self, node: NodeId) -> Option<String> {
            (node == NodeId(2)).then(|| "10.0.0.2:4567".to_owned())
        }
    }

    fn told(error: &WireError) -> String {
        let mut facts: Vec<String> = error.metadata.iter().map(|(key, value)| format!("{key}={value}")).collect();
        facts.sort();
        format!("{} | {} | {}", error.reason, error.message, facts.join(" "))
    }

    #[test]
    fn append_errors_tell_people_why_and_machines_where_to_go() {
        let mut spec = spec(7);
        spec.children = vec![ShardId(8), ShardId(9)];
        let directory = Fixed(Located::Elsewhere { leader: Some(NodeId(2)) });
        let mapper = ErrorMapper { directory: &directory, spec: &spec };
        let cases = [
            (
                AppendError::NotLeader { leader: None },
                "NOT_LEADER | this node does not lead shardId-000000000007; node 2 does | leader=2 leader_address=10.0.0.2:4567",
            ),
            (AppendError::Closed, "SHARD_CLOSED | the shard is closed for writes: refresh the routing | children=8,9"),
            (
                AppendError::OutOfOrder { sequence: 9, expected: 7 },
                "OUT_OF_ORDER | the producer's batch 9 leaves a gap: 7 comes next | expected_sequence=7",
            ),
            (
                AppendError::TooOld { sequence: 3 },
                "TOO_OLD | the producer's batch 3 is too old: whether it was taken is no longer known | ",
            ),
            (
                AppendError::Throttled { scope: "the shard", limit_bytes: 16 },
                "THROTTLED | the shard has 16 bytes on their way to commit, its limit: try again after a moment | ",
            ),
            (AppendError::DiskFull, "DISK_FULL | the disk has no room for writes | "),
            (AppendError::Timeout { waited: Duration::from_secs(10) }, "TIMEOUT | no commit within 10s | "),
        ];
        for (error, expected) in cases {
            assert_eq!(told(&mapper.append(error)), expected);
        }
    }

    #[test]
    fn a_shard_that_is_not_here_is_told_apart_from_one_that_is_nowhere() {
        let ask = |located, expected| told(&absent(&Fixed(located), StreamId(4), ShardId(7), expected));
        assert_eq!(ask(Located::StreamUnknown, false), "STREAM_NOT_FOUND | there is no stream with id 4 (any more) | ");
        assert_eq!(
            ask(Located::ShardUnknown, false),
            "SHARD_NOT_FOUND | the stream with id 4 has no shardId-000000000007 | "
        );
        assert_eq!(
            ask(Located::Elsewhere { leader: None }, false),
            "NOT_LEADER | this node does not lead shardId-000000000007; no leader is known | "
        );
        assert_eq!(
            ask(Located::Elsewhere { leader: None }, true),
            "UNAVAILABLE | shardId-000000000007 is just being opened on this node | "
        );
    }
}
