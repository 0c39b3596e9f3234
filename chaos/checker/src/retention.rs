//! Retention: nothing goes before its time by the log's clock, and nothing stays readable long after.
//!
//! A change of the retention that may be under way counts both ways: the shortest retention that
//! may have been in force excuses a trim, the longest excuses a read.

use crate::Options;
use crate::anomaly::{Findings, Kind};
use crate::history::{History, Outcome, RetentionChange, Trim};
use crate::log::{Entry, Logs, ShardLog};

/// Judges trims, and reads of old records.
pub(crate) fn check(history: &History, logs: &Logs, options: &Options, findings: &mut Findings) {
    if history.trims.is_empty() && history.retention.is_empty() {
        return;
    }
    for log in &logs.shards {
        trims(history, log, findings);
    }
    let clocks: Vec<Clock> = logs.shards.iter().map(Clock::of).collect();
    for read in history.reads.iter().filter(|read| !read.records.is_empty()) {
        let Some(shard) = logs.index_of(read.shard) else { continue };
        let log = &logs.shards[shard];
        let first = read.records.iter().min_by_key(|seen| seen.position).expect("a page with records");
        let horizon = log.surely_trimmed(read.call);
        if first.position.0 < horizon {
            findings.add(Kind::Retention, log.id, Some(first.position), || {
                format!("read at {} by {}, below the horizon {horizon}", read.call, read.reader)
            });
            continue;
        }
        let Some(longest) = in_force(&history.retention, read.call, read.done).max() else { continue };
        let now = clocks[shard].at_least(read.call);
        let limit = longest.saturating_add(options.retention_slack_ms);
        if first.arrived_ms != 0 && first.arrived_ms.saturating_add(limit) < now {
            findings.add(Kind::Retention, log.id, Some(first.position), || {
                format!("arrived at {} ms and was still read at log time {now} ms", first.arrived_ms)
            });
        }
    }
}

/// Retentions that may have been in force at some moment of an interval.
fn in_force(changes: &[RetentionChange], from: u64, to: u64) -> impl Iterator<Item = u64> {
    let counts = move |change: &&RetentionChange| change.outcome != Outcome::Definite && change.call <= to;
    // The latest change that had surely begun after another was done and was itself done before.
    let replaced_by = changes.iter().filter(|change| change.outcome == Outcome::Ok(()) && change.done < from);
    let newest_call = replaced_by.map(|change| change.call).max();
    changes.iter().filter(counts).filter_map(move |change| {
        let over = change.outcome == Outcome::Ok(()) && newest_call.is_some_and(|call| change.done < call);
        // One that may not have happened, or may happen late, may be in force whenever it is recent.
        (!over).then_some(change.retention_ms)
    })
}

fn trims(history: &History, log: &ShardLog, findings: &mut Findings) {
    let mut trims: Vec<&Trim> = history.trims.iter().filter(|trim| trim.shard == log.id).collect();
    trims.sort_by_key(|trim| (trim.call, trim.done));
    let oldest_to_newest: Vec<Entry> = log.entries.iter().copied().filter(|entry| entry.arrived_ms != 0).collect();
    let mut since = 0;
    for trim in trims {
        let sure = log.surely_trimmed(trim.call);
        if trim.before.0 < sure {
            findings.add(Kind::Retention, log.id, Some(trim.before), || {
                format!("the horizon was at {sure} and went back to this at {}", trim.done)
            });
            continue;
        }
        // Arrival times do not fall, so the youngest record below the horizon is the last one there.
        let below = oldest_to_newest.partition_point(|entry| entry.position < trim.before.0);
        let shortest = in_force(&history.retention, since, trim.done).min();
        if let (Some(youngest), Some(shortest)) = (below.checked_sub(1).map(|at| oldest_to_newest[at]), shortest)
            && youngest.arrived_ms.saturating_add(shortest) > trim.log_ms
            && youngest.position >= sure
        {
            findings.add(Kind::Retention, log.id, youngest.at(), || {
                let (arrived, now) = (youngest.arrived_ms, trim.log_ms);
                format!(
                    "arrived at {arrived} ms and was trimmed at log time {now} ms, with a retention of {shortest} ms"
                )
            });
        }
        since = trim.call;
    }
}

/// What the log's time must have reached: arrivals that were known by then.
struct Clock(Vec<(u64, u64)>);

impl Clock {
    fn of(log: &ShardLog) -> Clock {
        let told = log.entries.iter().filter(|entry| entry.arrived_ms != 0);
        let mut times: Vec<_> = told.map(|entry| (entry.known(), entry.arrived_ms)).collect();
        times.sort_unstable();
        let mut newest = 0;
        for (_, arrived) in &mut times {
            newest = newest.max(*arrived);
            *arrived = newest;
        }
        Clock(times)
    }

    fn at_least(&self, time: u64) -> u64 {
        self.0.partition_point(|(known, _)| *known < time).checked_sub(1).map_or(0, |at| self.0[at].1)
    }
}
