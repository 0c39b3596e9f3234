//! What a replica is told by the catalog. All of it but identity may change while it runs.

use std::collections::BTreeSet;

use thalweg_raft::CLOCK_TOLERANCE;
use thalweg_types::{GroupId, HashRange, NodeId, SequenceNumber, ShardId, StreamId, StreamName, UnixMillis};

use crate::command::EntryFacts;

/// One replica that this node has to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaSpec {
    /// The shard's Raft group.
    pub group: GroupId,
    /// The stream's incarnation.
    pub stream_id: StreamId,
    /// The stream's name, for people.
    pub stream_name: StreamName,
    /// The shard.
    pub shard: ShardId,
    /// The hash keys it takes.
    pub range: HashRange,
    /// When the shard was made: the top field of its sequence numbers.
    pub created: UnixMillis,
    /// With what a pristine group is initialised; the first is its preferred leader.
    pub initial_members: Vec<NodeId>,
    /// Whether an empty replica may initialise the group rather than wait to be added.
    pub bootstrap: bool,
    /// Who should vote; the leader brings it about.
    pub desired_voters: BTreeSet<NodeId>,
    /// Which placement says so: later ones have higher numbers, and none older than the newest in the
    /// group's log is followed.
    pub placement: u64,
    /// Whether the catalog knows that they vote, and nobody else.
    pub settled: bool,
    /// Who should lead when all is well.
    pub preferred_leader: Option<NodeId>,
    /// Whether clients may write.
    pub writable: bool,
    /// The reshard for which the leader is to seal the log.
    pub seal: Option<u64>,
    /// Whether a reshard closed it: its end is known and its children may be read.
    pub closed: bool,
    /// Where its range went, once closed.
    pub children: Vec<ShardId>,
    /// How long records stay readable.
    pub retention_ms: u64,
    /// Records that arrived before this are gone, however long the retention is now.
    pub trimmed_until: UnixMillis,
    /// Whether an acknowledged record is synced on a majority, rather than in their page caches.
    pub durability_fsync: bool,
    /// Largest record, data and partition key together.
    pub record_bytes_max: usize,
}

impl ReplicaSpec {
    /// The sequence number of a record.
    pub fn sequence_number(&self, facts: EntryFacts, record: u32) -> SequenceNumber {
        SequenceNumber::new(self.created, self.shard, facts.index, record, facts.arrived)
    }

    /// The number of the last record up to and including `last`, or where the shard starts.
    pub fn ending(&self, last: Option<EntryFacts>) -> SequenceNumber {
        match last {
            Some(last) => self.sequence_number(last, last.record_count.saturating_sub(1)),
            None => SequenceNumber::shard_start(self.created, self.shard),
        }
    }

    /// The time with which an entry is stamped when a clock shows `now`. From long before the shard was
    /// made is the word of a clock that is wrong: records stamped by it would be past retention as soon
    /// as it is right again. A record that comes now is younger than what was written off before, also
    /// where that was done by clocks that were all ahead.
    pub(crate) fn time_of_entry(&self, now: UnixMillis) -> UnixMillis {
        let is_wrong = now.0.saturating_add(CLOCK_TOLERANCE.as_millis() as u64) < self.created.0;
        let stamped = if is_wrong { self.created } else { now };
        stamped.max(self.trimmed_until)
    }

    /// Whether appends are taken as far as the catalog goes. A seal that is only planned stops nothing.
    pub fn takes_appends(&self) -> bool {
        self.writable || (self.seal.is_some() && !self.closed)
    }
}

#[cfg(test)]
mod tests {
    use crate::ReplicaSpec;
    use crate::testing::spec;
    use thalweg_types::UnixMillis;

    #[test]
    fn no_record_is_stamped_as_older_than_its_shard_by_more_than_clocks_differ() {
        let spec = ReplicaSpec { created: UnixMillis(700_000_000), ..spec(1) };
        for (now, stamped) in
            [(5, 700_000_000), (699_399_999, 700_000_000), (699_400_000, 699_400_000), (9 << 40, 9 << 40)]
        {
            assert_eq!(spec.time_of_entry(UnixMillis(now)), UnixMillis(stamped));
        }
    }

    #[test]
    fn no_record_is_stamped_as_older_than_what_was_written_off_before_it_came() {
        let spec = ReplicaSpec { trimmed_until: UnixMillis(900_000_000), ..spec(1) };
        assert_eq!(spec.time_of_entry(UnixMillis(800_000_000)), UnixMillis(900_000_000));
        assert_eq!(spec.time_of_entry(UnixMillis(900_000_001)), UnixMillis(900_000_001));
    }
}
