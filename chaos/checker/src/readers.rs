//! What readers claim: that they have seen all there is, and parents before children.
//!
//! Holds: a claim is judged against the kept log; what was acknowledged and never read is the
//! business of `records`.

use std::collections::HashMap;

use crate::anomaly::{Findings, Kind};
use crate::history::{History, Outcome};
use crate::lineage::Lineage;
use crate::log::{Entry, Logs, ShardLog};
use crate::records::kind_of_claim;
use crate::sessions::{Claim, ClaimKind, Session, Sessions};

/// Judges all claims.
pub(crate) fn check(history: &History, logs: &Logs, sessions: &Sessions, lineage: &Lineage, findings: &mut Findings) {
    for log in &logs.shards {
        let sessions = sessions.of_shard(log.id);
        if sessions.iter().any(|session| !session.claims.is_empty()) {
            let known = Known::of(log);
            let claims = sessions.iter().flat_map(|session| session.claims.iter().map(move |claim| (session, claim)));
            claims.for_each(|(session, claim)| complete(history, log, &known, session, claim, findings));
        }
    }
    ends(history, sessions, findings);
    for session in &sessions.all {
        parents_first(sessions, lineage, session, findings);
    }
}

/// By the time when positions were known: the highest of all up to then.
struct Known(Vec<(u64, u128)>);

impl Known {
    fn of(log: &ShardLog) -> Known {
        let kept = log.entries.iter().filter(|entry| entry.kept);
        let mut known: Vec<_> = kept.map(|entry: &Entry| (entry.known(), entry.position)).collect();
        known.sort_by_key(|(time, _)| *time);
        let mut highest = 0;
        for (_, position) in &mut known {
            highest = highest.max(*position);
            *position = highest;
        }
        Known(known)
    }

    /// The highest position known before a time.
    fn before(&self, time: u64) -> Option<u128> {
        self.0.partition_point(|(known, _)| *known < time).checked_sub(1).map(|at| self.0[at].1)
    }
}

fn complete(
    history: &History,
    log: &ShardLog,
    known: &Known,
    session: &Session,
    claim: &Claim,
    findings: &mut Findings,
) {
    let read = &history.reads[claim.read as usize];
    let Some(newest) = known.before(claim.known_before(history)) else { return };
    // What has been trimmed since need not have been there.
    if newest < claim.next || newest < log.perhaps_trimmed(read.done) {
        return;
    }
    findings.add(kind_of_claim(claim.kind), log.id, Some(crate::Position(newest)), || {
        let claims = match claim.kind {
            ClaimKind::Fresh => "to be fresh",
            ClaimKind::End => "that the shard ends here",
            ClaimKind::Last => "to be the last",
        };
        let next = claim.next;
        format!("the read of reader {} at {} claims {claims} but ends below {next}", session.reader, read.call)
    });
}

/// A shard that has ended takes no more records.
fn ends(history: &History, sessions: &Sessions, findings: &mut Findings) {
    let mut ended = HashMap::new();
    for session in &sessions.all {
        if let Some(time) = session.ended {
            ended.entry(session.shard).and_modify(|first: &mut u64| *first = time.min(*first)).or_insert(time);
        }
    }
    if ended.is_empty() {
        return;
    }
    for write in &history.writes {
        if let Outcome::Ok(place) = write.outcome
            && let Some(end) = ended.get(&place.shard).filter(|end| **end < write.call)
        {
            findings.add(Kind::Lineage, place.shard, Some(place.position), || {
                format!("sent at {} and stored in a shard of which a reader saw the end at {end}", write.call)
            });
        }
    }
}

/// A reader that also reads the parents comes to a child's records after it has seen their ends.
fn parents_first(sessions: &Sessions, lineage: &Lineage, child: &Session, findings: &mut Findings) {
    let Some(first) = child.first_record else { return };
    for parent in lineage.parents(child.shard) {
        let Some(session) = sessions.find(*parent, child.reader) else { continue };
        if session.ended.is_none_or(|ended| ended > first) {
            findings.add(Kind::Reordered, child.shard, None, || {
                format!("reader {} got records of this shard at {first}, before the end of {parent}", child.reader)
            });
        }
    }
}
