//! Each record: is it there, once, where it was acknowledged, and did somebody send it?
//!
//! An acknowledged record that nobody read is judged by what readers covered: past its position
//! without it means lost; a complete read that ended before it means unseen; below the horizon it
//! has expired; otherwise nobody came there and nothing can be said.

use crate::anomaly::{Figures, Findings, Kind};
use crate::history::{History, Outcome, Position, Producer, Write};
use crate::log::{Entry, Logs, NEVER, NONE, ShardLog};
use crate::sessions::{Claim, ClaimKind, Sessions};

/// Copies of each write: the first is beside it, the others are rare.
struct Copies {
    count: Vec<u32>,
    first: Vec<(u32, u128)>,
}

/// Judges every write and every entry; marks the entries whose record moved.
pub(crate) fn check(history: &History, logs: &mut Logs, sessions: &Sessions, findings: &mut Findings) -> Figures {
    let copies = copies(history, logs, findings);
    let coverage: Vec<Coverage> = logs.shards.iter().map(|log| Coverage::of(history, log, sessions)).collect();
    let mut figures = figures(history, logs);
    for (write, index) in history.writes.iter().zip(0usize..) {
        repeated(logs, write, index, &copies, findings);
        let Outcome::Ok(place) = write.outcome else { continue };
        let shard = logs.index_of(place.shard).expect("the acknowledgement made the log");
        let log = &mut logs.shards[shard];
        let entry = log.entry(place.position.0).expect("the acknowledgement made the entry");
        if entry.changed {
            continue;
        }
        if entry.kept {
            figures.acked_read += 1;
            continue;
        }
        // Another copy may stand for it only where so many copies may be.
        let elsewhere = !entry.seen() && copies.count[index] > 0;
        let too_many = copies.count[index] >= copies_max(write);
        let entry = *entry;
        match verdict(log, &entry, &coverage[shard], write) {
            verdict if elsewhere && (too_many || matches!(verdict, Verdict::Missing(_))) => {
                log.mark_moved(place.position.0);
                let (to, position) = copies.first[index];
                let to = logs.shards[to as usize].id;
                findings.add(Kind::Moved, place.shard, Some(place.position), || {
                    format!("{} was acknowledged here but read at {position} of {to}", name(write))
                });
            }
            Verdict::Expired => figures.acked_expired += 1,
            Verdict::Unjudged => figures.acked_unjudged += 1,
            Verdict::Missing(kind) => findings.add(kind, log.id, entry.at(), || {
                let read = if entry.seen() { "was read and is gone" } else { "was never read" };
                format!("{}, acknowledged at {}, {read}", name(write), write.done)
            }),
        }
    }
    vanished(history, logs, findings);
    figures
}

/// A write as people find it in their program.
pub(crate) fn name(write: &Write) -> String {
    format!("record {} of key {} by client {}", write.serial, write.key, write.client)
}

fn figures(history: &History, logs: &Logs) -> Figures {
    let count = |of: fn(&Outcome<_>) -> bool| history.writes.iter().filter(|write| of(&write.outcome)).count() as u64;
    Figures {
        writes: history.writes.len() as u64,
        acked: count(|outcome| matches!(outcome, Outcome::Ok(_))),
        definite: count(|outcome| *outcome == Outcome::Definite),
        indefinite: count(|outcome| *outcome == Outcome::Indefinite),
        records_read: history.reads.iter().map(|read| read.records.len() as u64).sum(),
        shards: logs.shards.iter().filter(|log| !log.entries.is_empty()).count() as u64,
        ..Figures::default()
    }
}

/// Counts where each write was read; complains about what nobody wrote.
fn copies(history: &History, logs: &Logs, findings: &mut Findings) -> Copies {
    let mut copies = Copies { count: vec![0; history.writes.len()], first: vec![(NONE, 0); history.writes.len()] };
    for (log, shard) in logs.shards.iter().zip(0..) {
        for entry in log.entries.iter().filter(|entry| entry.seen() && !entry.changed) {
            if entry.write == NONE {
                let what = || format!("{}, first read at {}, was never written", entry.hash, entry.read_done);
                findings.add(Kind::Phantom, log.id, entry.at(), what);
                continue;
            }
            let write = &history.writes[entry.write as usize];
            phantom(log, entry, write, findings);
            // A copy may have expired before the write was over: nobody knew of it any more.
            if entry.position < log.perhaps_trimmed(write.done) {
                continue;
            }
            let count = &mut copies.count[entry.write as usize];
            *count += 1;
            if *count == 1 {
                copies.first[entry.write as usize] = (shard, entry.position);
            }
        }
    }
    copies
}

fn phantom(log: &ShardLog, entry: &Entry, write: &Write, findings: &mut Findings) {
    let why = match () {
        () if write.outcome == Outcome::Definite => format!("definitely refused at {}", write.done),
        () if entry.read_done < write.call => format!("first sent at {}", write.call),
        () => return,
    };
    findings
        .add(Kind::Phantom, log.id, entry.at(), || format!("{}, {why}, was read at {}", name(write), entry.read_done));
}

/// At how many positions a record may be.
fn copies_max(write: &Write) -> u32 {
    if write.producer == Producer::Idempotent { 1 } else { write.attempts.max(1) }
}

fn repeated(logs: &Logs, write: &Write, index: usize, copies: &Copies, findings: &mut Findings) {
    let count = copies.count[index];
    if count > copies_max(write) && write.outcome != Outcome::Definite {
        let (shard, position) = copies.first[index];
        findings.add(Kind::Duplicated, logs.shards[shard as usize].id, Some(Position(position)), || {
            let sent = write.attempts;
            format!("{}, sent {sent} times at most, is at {count} positions, here first", name(write))
        });
    }
}

enum Verdict {
    Missing(Kind),
    Expired,
    Unjudged,
}

fn verdict(log: &ShardLog, entry: &Entry, coverage: &Coverage, write: &Write) -> Verdict {
    if entry.position < log.perhaps_trimmed(NEVER) {
        Verdict::Expired
    } else if entry.seen() || coverage.covers(entry.position) {
        Verdict::Missing(Kind::Lost)
    } else if coverage.claimed(entry.position, write.done) {
        Verdict::Missing(Kind::Unseen)
    } else {
        Verdict::Unjudged
    }
}

/// What was read without acknowledgement and is not in the log that was read at the end.
fn vanished(history: &History, logs: &Logs, findings: &mut Findings) {
    for log in &logs.shards {
        let trimmed = log.perhaps_trimmed(NEVER);
        let gone = |entry: &&Entry| entry.seen() && !entry.kept && !entry.changed && entry.ack_done == NEVER;
        for entry in log.entries.iter().filter(gone).filter(|entry| entry.position >= trimmed && entry.write != NONE) {
            let write = &history.writes[entry.write as usize];
            findings.add(Kind::Vanished, log.id, entry.at(), || {
                format!("{}, read at {}, is not there at the end", name(write), entry.read_done)
            });
        }
    }
}

/// What the readers of a shard went over, and what they claim.
struct Coverage {
    /// Disjoint and rising: `from..to`.
    stretches: Vec<(u128, u128)>,
    /// By the time before which all had to be seen, falling: that time, and the lowest beginning of
    /// all claims up to it.
    claims: Vec<(u64, u128)>,
}

impl Coverage {
    fn of(history: &History, log: &ShardLog, sessions: &Sessions) -> Coverage {
        let sessions = sessions.of_shard(log.id);
        let mut all: Vec<_> = sessions.iter().flat_map(|session| session.covered.iter().copied()).collect();
        all.sort_unstable();
        let mut stretches: Vec<(u128, u128)> = Vec::new();
        for (from, to) in all {
            match stretches.last_mut() {
                Some(last) if from <= last.1 => last.1 = to.max(last.1),
                _ => stretches.push((from, to)),
            }
        }
        let claims = sessions.iter().flat_map(|session| &session.claims);
        // What comes after a shard's end was told is wrong for that, and not for being unseen.
        let acked_before = |claim: &Claim| match claim.kind {
            ClaimKind::End => history.reads[claim.read as usize].done,
            ClaimKind::Fresh | ClaimKind::Last => claim.known_before(history),
        };
        let mut claims: Vec<_> = claims.map(|claim| (acked_before(claim), claim.from)).collect();
        claims.sort_unstable_by(|a, b| b.cmp(a));
        let mut lowest = u128::MAX;
        for (_, from) in &mut claims {
            lowest = lowest.min(*from);
            *from = lowest;
        }
        Coverage { stretches, claims }
    }

    fn covers(&self, position: u128) -> bool {
        let after = self.stretches.partition_point(|(from, _)| *from <= position);
        after.checked_sub(1).is_some_and(|at| position < self.stretches[at].1)
    }

    /// Whether some read claims to have seen everything there that was known at `acked`.
    fn claimed(&self, position: u128, acked: u64) -> bool {
        let after = self.claims.partition_point(|(known_before, _)| *known_before > acked);
        after.checked_sub(1).is_some_and(|at| self.claims[at].1 <= position)
    }
}

/// The kind of an incomplete read.
pub(crate) fn kind_of_claim(claim: ClaimKind) -> Kind {
    match claim {
        ClaimKind::Fresh => Kind::Stale,
        ClaimKind::End => Kind::Gap,
        ClaimKind::Last => Kind::Unseen,
    }
}
