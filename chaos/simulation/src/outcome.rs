//! What came of a seed, as one value and as one line of JSON.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::world::Violation;

/// What came of a seed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// Promises that were broken.
    pub violations: Vec<Violation>,
    /// Faults and operations that happened, and what they led to, with their counts.
    pub coverage: BTreeMap<String, u64>,
    /// Events of the schedule that took place.
    pub events: Vec<u32>,
    /// Simulated milliseconds, from the first start to the end.
    pub simulated_ms: u64,
    /// The machine's own time that this took, in milliseconds of CPU.
    pub cpu_ms: u64,
    /// Nodes that formed the cluster.
    pub nodes: u64,
    /// Records acknowledged.
    pub acked: u64,
    /// Records with an unknown outcome.
    pub indefinite: u64,
    /// Records read, by all readers.
    pub records_read: u64,
    /// Acknowledged records about which nothing can be said.
    pub acked_unjudged: u64,
    /// The hash of the trace, and its lines.
    pub trace: (u64, u64),
}

impl Outcome {
    /// Whether every promise was kept.
    pub fn is_clean(&self) -> bool {
        self.violations.is_empty()
    }

    /// The first broken promise, in a few words: what shrinking holds on to.
    pub fn signature(&self) -> Option<String> {
        self.violations.first().map(|first| first.invariant.clone())
    }
}

/// CPU time of this process so far, in milliseconds.
pub fn cpu_ms() -> u64 {
    // The process's clocks are simulated; the kernel's account of it is not.
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|ticks| ticks.parse::<u64>().ok()).unwrap_or(0);
    // Fields 14 and 15 of the file, in hundredths of a second.
    (ticks(11) + ticks(12)) * 10
}
