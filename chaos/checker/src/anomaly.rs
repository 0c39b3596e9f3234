//! What a check can find, and the report that collects it.
//!
//! Holds: every finding is counted, and the first [`KEPT_MAX`] of each kind are described.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use thalweg_types::ShardId;

use crate::history::Position;

/// Descriptions kept a kind.
const KEPT_MAX: u64 = 100;

/// What can be wrong with a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Acknowledged, and readers went past its position without it, or it was read and is gone.
    Lost,
    /// Acknowledged, and a read of everything up to the end did not come to it.
    Unseen,
    /// Not acknowledged, but it was read, and at the end it is gone.
    Vanished,
    /// At more positions than it was sent.
    Duplicated,
    /// Acknowledged at one position and read at another.
    Moved,
    /// One position with two contents or two arrival times.
    Changed,
    /// Read, though never written, not yet written, or definitely refused.
    Phantom,
    /// Against real time, against a producer's order of a key, or children before parents.
    Reordered,
    /// In a shard that does not own its key.
    Misrouted,
    /// A reader skipped a record.
    Gap,
    /// A reader got again what it was past, or an observer an older image.
    Back,
    /// A read that claims to be fresh lacks what was known before it began.
    Stale,
    /// Open shards do not cover the hash space exactly once.
    Tiling,
    /// Parents and children do not follow each other.
    Lineage,
    /// Gone too early, or readable for too long.
    Retention,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{self:?}").to_lowercase())
    }
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Anomaly {
    /// What is wrong.
    pub kind: Kind,
    /// In which shard, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shard: Option<ShardId>,
    /// At which position, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// The operations that contradict each other.
    pub detail: String,
}

/// How much was judged; a report without anomalies is worth as much as these say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Figures {
    /// Records sent.
    pub writes: u64,
    /// Records acknowledged.
    pub acked: u64,
    /// Records definitely refused.
    pub definite: u64,
    /// Records of which it is not known.
    pub indefinite: u64,
    /// Acknowledged records that were read where they should be.
    pub acked_read: u64,
    /// Acknowledged records that nobody read before they expired.
    pub acked_expired: u64,
    /// Acknowledged records to whose positions no reader came, so that nothing can be said.
    pub acked_unjudged: u64,
    /// Records received, by all readers together.
    pub records_read: u64,
    /// Shards with records.
    pub shards: u64,
    /// Readers.
    pub readers: u64,
}

/// The verdict.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// How often each kind was found.
    pub counts: BTreeMap<Kind, u64>,
    /// The first of each kind.
    pub anomalies: Vec<Anomaly>,
    /// How much was judged.
    pub figures: Figures,
}

impl Report {
    /// Whether nothing was found.
    pub fn is_clean(&self) -> bool {
        self.counts.is_empty()
    }

    /// The kinds that were found.
    pub fn kinds(&self) -> Vec<Kind> {
        self.counts.keys().copied().collect()
    }
}

/// Collects findings.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    counts: BTreeMap<Kind, u64>,
    anomalies: Vec<Anomaly>,
}

impl Findings {
    /// A finding about a shard.
    pub(crate) fn add(&mut self, kind: Kind, shard: ShardId, at: Option<Position>, detail: impl FnOnce() -> String) {
        self.note(kind, Some(shard), at, detail);
    }

    /// A finding about the stream.
    pub(crate) fn add_of_stream(&mut self, kind: Kind, detail: impl FnOnce() -> String) {
        self.note(kind, None, None, detail);
    }

    fn note(
        &mut self,
        kind: Kind,
        shard: Option<ShardId>,
        position: Option<Position>,
        detail: impl FnOnce() -> String,
    ) {
        let count = self.counts.entry(kind).or_default();
        *count += 1;
        if *count <= KEPT_MAX {
            self.anomalies.push(Anomaly { kind, shard, position, detail: detail() });
        }
    }

    pub(crate) fn report(mut self, figures: Figures) -> Report {
        self.anomalies.sort_by_key(|anomaly| (anomaly.kind, anomaly.shard, anomaly.position));
        Report { counts: self.counts, anomalies: self.anomalies, figures }
    }
}
