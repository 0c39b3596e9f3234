//! What a node observes of each replica it runs, and how that travels to the controller.

use std::collections::{BTreeMap, BTreeSet};

use thalweg_catalog::WriteRate;
use thalweg_proto::{convert, peer};
use thalweg_types::{GroupId, NodeId, SequenceNumber};

/// All replicas of a node.
pub type Reports = BTreeMap<GroupId, ReplicaReport>;

/// One replica as its node sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplicaReport {
    /// The leader that this replica knows.
    pub leader: Option<NodeId>,
    /// Its Raft term.
    pub term: u64,
    /// Voters; only from the replica that leads.
    pub voters: BTreeSet<NodeId>,
    /// Learners; only from the replica that leads.
    pub learners: BTreeSet<NodeId>,
    /// The placement that those voters came about by; only from the replica that leads, and has seen to it.
    pub placed: Option<u64>,
    /// Leads, and takes writes as soon as the catalog says so.
    pub ready: bool,
    /// Where the shard was sealed: its last sequence number, or its starting one if empty.
    pub sealed_at: Option<SequenceNumber>,
    /// The shard is closed and everything in it is past retention.
    pub expired: bool,
    /// What is written to the shard in a second; only from the replica that leads, once measured.
    pub write: Option<WriteRate>,
}

impl ReplicaReport {
    /// The report without what changes with the traffic.
    pub(crate) fn without_rates(&self) -> ReplicaReport {
        ReplicaReport { write: None, ..self.clone() }
    }
}

/// One line of a report on the wire; none says that the replica is gone.
pub(crate) fn to_wire(group: GroupId, report: Option<&ReplicaReport>) -> peer::ReplicaReport {
    let Some(report) = report else {
        return peer::ReplicaReport { group: group.0, ..peer::ReplicaReport::default() };
    };
    peer::ReplicaReport {
        group: group.0,
        leader: report.leader.map_or(0, |leader| leader.0),
        // A replica that is there always shows a term, even before its first election.
        term: report.term.max(1),
        voters: report.voters.iter().map(|node| node.0).collect(),
        learners: report.learners.iter().map(|node| node.0).collect(),
        placed: report.placed,
        ready: report.ready,
        sealed_at: report.sealed_at.map_or_else(String::new, |at| at.to_string()),
        expired: report.expired,
        write: report
            .write
            .map(|rate| peer::WriteRate { bytes_per_s: rate.bytes_per_s, records_per_s: rate.records_per_s }),
    }
}

/// Reads a line of a report; none says that the replica is gone.
pub(crate) fn from_wire(line: &peer::ReplicaReport) -> (GroupId, Option<ReplicaReport>) {
    let group = GroupId(line.group);
    if line.term == 0 {
        return (group, None);
    }
    let report = ReplicaReport {
        leader: (line.leader != 0).then_some(NodeId(line.leader)),
        term: line.term,
        voters: line.voters.iter().copied().map(NodeId).collect(),
        learners: line.learners.iter().copied().map(NodeId).collect(),
        placed: line.placed,
        ready: line.ready,
        sealed_at: convert::sequence_number(&line.sealed_at).ok(),
        expired: line.expired,
        write: line.write.map(|rate| WriteRate { bytes_per_s: rate.bytes_per_s, records_per_s: rate.records_per_s }),
    };
    (group, Some(report))
}

/// What changed from `before` to `after`, replicas that are gone included.
pub(crate) fn changes(before: &Reports, after: &Reports) -> Vec<peer::ReplicaReport> {
    let changed = after.iter().filter(|(group, report)| before.get(group) != Some(report));
    let gone = before.keys().filter(|group| !after.contains_key(group));
    changed
        .map(|(group, report)| to_wire(*group, Some(report)))
        .chain(gone.map(|group| to_wire(*group, None)))
        .collect()
}

#[cfg(test)]
mod tests {
    use thalweg_types::{ShardId, UnixMillis};

    use super::*;

    fn leading() -> ReplicaReport {
        ReplicaReport {
            leader: Some(NodeId(1)),
            term: 3,
            voters: [1, 2, 3].map(NodeId).into(),
            learners: [4].map(NodeId).into(),
            placed: Some(17),
            ready: true,
            sealed_at: Some(SequenceNumber::shard_start(UnixMillis(9_000), ShardId(2))),
            expired: true,
            write: Some(WriteRate { bytes_per_s: 70_000, records_per_s: 0 }),
        }
    }

    #[test]
    fn a_report_survives_the_wire() {
        assert_eq!(from_wire(&to_wire(GroupId(7), Some(&leading()))), (GroupId(7), Some(leading())));
    }

    #[test]
    fn changes_applied_to_the_old_reports_give_the_new_ones() {
        let follower = ReplicaReport { leader: Some(NodeId(2)), term: 1, ..ReplicaReport::default() };
        let before = Reports::from([(GroupId(1), leading()), (GroupId(2), leading()), (GroupId(3), follower.clone())]);
        let after = Reports::from([(GroupId(1), leading()), (GroupId(2), follower.clone()), (GroupId(4), follower)]);
        let mut replayed = before.clone();
        for line in changes(&before, &after) {
            match from_wire(&line) {
                (group, Some(report)) => drop(replayed.insert(group, report)),
                (group, None) => drop(replayed.remove(&group)),
            }
        }
        assert_eq!(replayed, after);
        assert!(changes(&after, &after).is_empty());
    }
}
