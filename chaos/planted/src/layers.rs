//! What may notice a defect. Tests: where it is made first, then in everything that stands above.

use thalweg_types::planted::Planted;

/// A way to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layer {
    /// Tests of crates: units, properties, clusters within one process.
    Tests,
    /// Whole simulated clusters, one seed after the other.
    Simulation,
    /// The storage crash suite.
    Crash,
}

impl Layer {
    /// All of them.
    pub(crate) const ALL: [Layer; 3] = [Layer::Tests, Layer::Simulation, Layer::Crash];

    /// The layer of a name.
    pub(crate) fn named(name: &str) -> Option<Layer> {
        match name {
            "tests" => Some(Layer::Tests),
            "simulation" => Some(Layer::Simulation),
            "crash" => Some(Layer::Crash),
            _ => None,
        }
    }

    /// Its columns in the table.
    pub(crate) fn columns(self) -> &'static [&'static str] {
        match self {
            Layer::Tests => &["noticed by the test", "s"],
            Layer::Simulation => &["noticed by the simulation", "simulated, h", "CPU, s"],
            Layer::Crash => &["noticed by the crash suite", "s"],
        }
    }
}

/// Packages whose tests are built with their defects.
pub(crate) const PACKAGES: &[&str] = &[
    "thalweg-wal",
    "thalweg-storage",
    "thalweg-raft",
    "thalweg-catalog",
    "thalweg-client",
    "thalweg-shard",
    "thalweg-controller",
];

/// The packages whose tests are tried for a defect, in order.
pub(crate) fn tests_of(defect: Planted) -> Vec<&'static str> {
    match home_of(defect) {
        "wal" => vec!["thalweg-wal", "thalweg-storage", "thalweg-raft"],
        "storage" => vec!["thalweg-storage", "thalweg-raft", "thalweg-shard"],
        "raft" => vec!["thalweg-raft", "thalweg-shard", "thalweg-controller"],
        "shard" => vec!["thalweg-shard"],
        "catalog" => vec!["thalweg-catalog", "thalweg-controller"],
        "controller" => vec!["thalweg-controller"],
        "client" => vec!["thalweg-client", "thalweg-controller"],
        other => unreachable!("no tests for {other}"),
    }
}

/// The crate in which the defect is made.
pub(crate) fn home_of(defect: Planted) -> &'static str {
    use Planted as P;
    match defect {
        P::SyncSkipped | P::SyncErrorForgotten | P::DirectoryNotSynced | P::DamageTakenForTorn => "wal",
        P::DamageReportedOnce | P::LogChecksumIgnored | P::FenceFileNotWritten => "wal",
        P::AnsweredBeforeSync | P::VoteNotSynced | P::TruncationNotReplayed | P::SegmentRecycledEarly => "storage",
        P::UncommittedMoved | P::StoreChecksumIgnored | P::IteratorStatusIgnored | P::GroupsNotFenced => "storage",
        P::FenceIgnored | P::FenceLoweredEarly | P::FreshReadUnconfirmed | P::LeadsBeforeItsTerm => "raft",
        P::OldVoteNamesLeader | P::UncommittedRead | P::VoterWithoutTheLog | P::SnapshotSkipsTheLog => "raft",
        P::FollowerClaimsNewest | P::ClockLeapBelieved => "raft",
        P::PublishBeforeSeal | P::ChildrenOpenEarly | P::ChildrenNotYounger | P::SplitOverlaps => "catalog",
        P::BusyParentTaken | P::NodeIdReused | P::GroupFoundedTwice | P::RemovedBeforeSettled => "catalog",
        P::ShardsForgottenEarly => "catalog",
        P::DeadAtOnce => "controller",
        P::RetryWithoutTag | P::MovedInDoubt | P::UnknownIsFailure | P::FirstBatchNotAlone | P::ChildReadEarly => {
            "client"
        }
        _ => "shard",
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;

    /// Every source file of a crate that ships.
    fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(dir).expect("the crate is there") {
            let path = entry.expect("it can be listed").path();
            if path.is_dir() {
                sources(&path, found);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                found.push(path);
            }
        }
    }

    #[test]
    fn every_defect_is_built_into_the_crate_that_is_said_to_make_it() {
        let crates = crate::build::root().join("crates");
        for defect in Planted::ALL {
            let mut files = Vec::new();
            sources(&crates.join(home_of(*defect)).join("src"), &mut files);
            let site = format!("planted(Planted::{defect:?})");
            let there = files.iter().any(|file| std::fs::read_to_string(file).expect("source").contains(&site));
            assert!(there, "{defect:?} is nowhere in crates/{}", home_of(*defect));
        }
    }

    #[test]
    fn the_table_tells_of_every_defect() {
        let table = include_str!("../README.md");
        for defect in Planted::ALL {
            assert!(table.contains(&format!("| `{defect:?}` |")), "{defect:?} is missing: run `make planted`");
        }
    }
}
