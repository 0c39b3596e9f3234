//! One judge for every run that breaks something on purpose.
//!
//! ```text
//!   producers, readers, reshards,        sorting and sweeps           what was promised
//!   images, trims: a History     ──►     a log a shard        ──►     and not kept: a Report
//! ```
//! A [`History`] holds what clients saw: when each operation was called and when it returned, what
//! it said, and which records at which positions. Since an append returns its position, no search
//! is needed: the order of the log is known, and everything else is compared with it.
//!
//! # To ensure correctness
//! - Nothing is reported that a correct system could have shown. An operation that may or may not
//!   have happened is believed either way.
//! - Every [`Kind`] has a hand-made history with that anomaly and no other; on small histories the
//!   verdict equals that of a search through all orders.
//! - The work is O(n log n) in the operations.
//!
//! The order of reading: [`history`] (what is recorded), `log` (the log of a shard as all
//! observers saw it), then one file a question: `records` (is each record there, once?), `order`
//! (in which order?), `sessions` and `readers` (did each reader see all of it?), `lineage` and
//! `images` (did the shards keep their places?), `retention` (gone when, and not before?).
//! [`json`] is the form for files.

mod anomaly;
pub mod history;
mod images;
pub mod json;
mod lineage;
mod log;
mod order;
mod readers;
mod records;
mod retention;
mod sessions;
mod validity;

pub use anomaly::{Anomaly, Figures, Kind, Report};
pub use history::{
    Hash, History, Image, ImageShard, Outcome, Parent, Place, Position, Producer, Read, Reshard, RetentionChange, Seen,
    Start, Trim, Write,
};
pub use validity::Malformed;

use anomaly::Findings;
use lineage::Lineage;
use log::Logs;
use sessions::Sessions;

/// What the judgement may allow for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// How long after its retention a record may still be read, in milliseconds of log time: the
    /// pace of the sweep, and how far a replica that answers reads may be behind.
    pub retention_slack_ms: u64,
}

/// Judges a history.
pub fn check(history: &History, options: &Options) -> Result<Report, Malformed> {
    validity::check(history)?;
    let mut findings = Findings::default();
    let lineage = Lineage::of(history);
    let mut sessions = Sessions::of(history);
    let mut logs = Logs::of(history, &sessions, &mut findings);
    sessions::walk(history, &logs, &mut sessions, &mut findings);
    let mut figures = records::check(history, &mut logs, &sessions, &mut findings);
    order::check(history, &logs, &lineage, &mut findings);
    readers::check(history, &logs, &sessions, &lineage, &mut findings);
    lineage::check(history, &logs, &lineage, &mut findings);
    images::check(history, &mut findings);
    retention::check(history, &logs, options, &mut findings);
    figures.readers = sessions.readers();
    Ok(findings.report(figures))
}
