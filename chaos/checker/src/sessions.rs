//! Readers one by one: one reader in one shard is a session, walked from its first read to its last.
//!
//! Holds: the walk reports what one session shows wrong by itself (a gap, a step back, a page out
//! of order) and leaves behind what the session proves: the stretches it covered without a gap, and
//! the moments at which it claims to have seen everything.

use std::collections::HashSet;

use thalweg_types::ShardId;

use crate::anomaly::{Findings, Kind};
use crate::history::{History, Read, Seen, Start};
use crate::log::{Logs, ShardLog};

/// The reads of one reader in one shard.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) reader: u32,
    pub(crate) shard: ShardId,
    /// In the order of their calls.
    pub(crate) reads: Vec<u32>,
    /// Where its last segment begins among `reads`, if it reads to the very end.
    pub(crate) last_from: Option<usize>,
    /// Stretches that it read without leaving out anything it should have got: `from..to`.
    pub(crate) covered: Vec<(u128, u128)>,
    /// What it said to have seen all of.
    pub(crate) claims: Vec<Claim>,
    /// When its first record came.
    pub(crate) first_record: Option<u64>,
    /// When it was told that the shard had ended.
    pub(crate) ended: Option<u64>,
}

/// "Everything from `from` on that was known before `known_before` lies below `next`."
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim {
    pub(crate) read: u32,
    pub(crate) kind: ClaimKind,
    pub(crate) from: u128,
    pub(crate) next: u128,
}

/// Why a read claims to be complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClaimKind {
    Fresh,
    End,
    Last,
}

impl Claim {
    /// What was known before this had to be seen.
    pub(crate) fn known_before(&self, history: &History) -> u64 {
        match self.kind {
            ClaimKind::Fresh => history.reads[self.read as usize].call,
            ClaimKind::End | ClaimKind::Last => u64::MAX,
        }
    }
}

/// All sessions, by shard and reader.
#[derive(Debug)]
pub(crate) struct Sessions {
    pub(crate) all: Vec<Session>,
}

impl Sessions {
    pub(crate) fn of(history: &History) -> Sessions {
        let key = |at: u32| {
            let read = &history.reads[at as usize];
            (read.shard, read.reader)
        };
        let mut order: Vec<u32> = (0..history.reads.len() as u32).collect();
        order.sort_by_key(|at| (key(*at), history.reads[*at as usize].call));
        let all = order.chunk_by(|a, b| key(*a) == key(*b)).map(|reads| session(history, reads.to_vec())).collect();
        Sessions { all }
    }

    /// The sessions in one shard.
    pub(crate) fn of_shard(&self, shard: ShardId) -> &[Session] {
        let from = self.all.partition_point(|session| session.shard < shard);
        let to = self.all.partition_point(|session| session.shard <= shard);
        &self.all[from..to]
    }

    /// One reader's session in a shard.
    pub(crate) fn find(&self, shard: ShardId, reader: u32) -> Option<&Session> {
        let found = self.all.binary_search_by_key(&(shard, reader), |session| (session.shard, session.reader));
        found.ok().map(|at| &self.all[at])
    }

    /// How many readers there are.
    pub(crate) fn readers(&self) -> u64 {
        self.all.iter().map(|session| session.reader).collect::<HashSet<_>>().len() as u64
    }
}

fn session(history: &History, reads: Vec<u32>) -> Session {
    let first = &history.reads[reads[0] as usize];
    let (reader, shard) = (first.reader, first.shard);
    let seeks = |at: &u32| history.reads[*at as usize].start != Start::Continue;
    let to_the_end = reads.last().is_some_and(|at| history.reads[*at as usize].last);
    let last_from = to_the_end.then(|| reads.iter().rposition(seeks).unwrap_or(0));
    let (covered, claims) = (Vec::new(), Vec::new());
    Session { reader, shard, reads, last_from, covered, claims, first_record: None, ended: None }
}

/// Walks every session.
pub(crate) fn walk(history: &History, logs: &Logs, sessions: &mut Sessions, findings: &mut Findings) {
    for session in &mut sessions.all {
        let log = logs.of_shard(session.shard);
        let mut walk = Walk { history, log, findings, at: Cursor::default() };
        for read in session.reads.clone() {
            walk.step(session, read);
        }
        walk.close(session);
    }
}

/// Where a session stands.
#[derive(Debug, Default)]
struct Cursor {
    /// Where the covered stretch begins; nothing before the first record of a start at the latest.
    from: Option<u128>,
    /// The lowest position that may come next.
    next: u128,
    /// What came last, also when that was a step back.
    newest: Option<u128>,
    /// The place of `next` in the log, to save searching.
    kept: usize,
    /// The call and return of a start at the latest.
    latest: (u64, u64),
}

struct Walk<'a> {
    history: &'a History,
    log: Option<&'a ShardLog>,
    findings: &'a mut Findings,
    at: Cursor,
}

impl Walk<'_> {
    fn step(&mut self, session: &mut Session, index: u32) {
        let history = self.history;
        let read = &history.reads[index as usize];
        self.seek(session, read);
        if !read.records.is_empty() {
            session.first_record.get_or_insert(read.done);
            if read.records.windows(2).all(|pair| pair[0].position < pair[1].position) {
                self.take(read, &read.records);
            } else {
                let records = self.in_order(read);
                self.take(read, &records);
            }
        }
        if let Some(from) = self.at.from {
            let next = self.at.next;
            let mut claim = |kind| session.claims.push(Claim { read: index, kind, from, next });
            [(read.fresh, ClaimKind::Fresh), (read.end, ClaimKind::End), (read.last, ClaimKind::Last)].iter().for_each(
                |(said, kind)| {
                    if *said {
                        claim(*kind)
                    }
                },
            );
        }
        if read.end && session.ended.is_none() {
            session.ended = Some(read.done);
        }
    }

    fn seek(&mut self, session: &mut Session, read: &Read) {
        if read.start == Start::Continue {
            return;
        }
        self.close(session);
        let from = match read.start {
            Start::Horizon => Some(0),
            Start::At(position) => Some(position.0),
            Start::After(position) => Some(position.0.saturating_add(1)),
            Start::Latest | Start::Continue => None,
        };
        self.at = Cursor { from, next: from.unwrap_or(0), latest: (read.call, read.done), ..Cursor::default() };
    }

    fn close(&mut self, session: &mut Session) {
        if let Some(from) = self.at.from
            && from < self.at.next
        {
            session.covered.push((from, self.at.next));
        }
    }

    /// A page in the order it should have had; complains about the one it has.
    fn in_order(&mut self, read: &Read) -> Vec<Seen> {
        let mut records = read.records.clone();
        records.sort_by_key(|seen| seen.position);
        let before = records.len();
        records.dedup_by_key(|seen| seen.position);
        let (kind, what) = match records.len() < before {
            true => (Kind::Back, "twice"),
            false => (Kind::Reordered, "in the wrong order"),
        };
        self.findings.add(kind, read.shard, Some(records[0].position), || {
            format!("reader {} got records {what} in the page that it asked for at {}", read.reader, read.call)
        });
        records
    }

    fn take(&mut self, read: &Read, records: &[Seen]) {
        let (first, newest) = (records[0].position, records[records.len() - 1].position.0);
        if self.at.from.is_none() {
            self.anchor(read, records[0]);
        } else if first.0 < self.at.next && self.at.newest.is_none_or(|newest| first.0 <= newest) {
            let next = self.at.next;
            self.findings.add(Kind::Back, read.shard, Some(first), || {
                format!("reader {} got this at {}, when {next} was the lowest to come", read.reader, read.done)
            });
        }
        let trimmed = self.log.map_or(0, |log| log.perhaps_trimmed(read.done));
        for seen in records {
            self.pass(read, seen.position.0, trimmed);
        }
        self.at.newest = Some(newest);
    }

    /// The first record after a start at the latest.
    fn anchor(&mut self, read: &Read, first: Seen) {
        let (call, done) = self.at.latest;
        self.at.from = Some(first.position.0);
        self.at.next = first.position.0;
        let Some(log) = self.log else { return };
        self.at.kept = log.kept.partition_point(|position| *position < first.position.0);
        if log.entry(first.position.0).is_some_and(|entry| entry.ack_done < call) {
            self.findings.add(Kind::Back, read.shard, Some(first.position), || {
                format!("reader {} began at the latest at {call} and got what was acknowledged before", read.reader)
            });
        }
        let trimmed = log.perhaps_trimmed(read.done);
        if let Some(skipped) = log.called_after(self.history, done, self.at.kept).filter(|skipped| *skipped >= trimmed)
        {
            self.findings.add(Kind::Gap, read.shard, Some(crate::Position(skipped)), || {
                format!("reader {} began at the latest by {done}, before this was written, and skipped it", read.reader)
            });
        }
    }

    /// Goes past one record, and looks at what lies between it and the one before.
    fn pass(&mut self, read: &Read, position: u128, trimmed: u128) {
        if position < self.at.next {
            return;
        }
        let next = std::mem::replace(&mut self.at.next, position.saturating_add(1));
        let Some(log) = self.log else { return };
        if log.kept.get(self.at.kept) == Some(&position) && (self.at.kept == 0 || log.kept[self.at.kept - 1] < next) {
            self.at.kept += 1;
            return;
        }
        let lowest = log.kept.partition_point(|kept| *kept < next.max(trimmed));
        let here = log.kept.partition_point(|kept| *kept < position);
        self.at.kept = here + usize::from(log.kept.get(here) == Some(&position));
        if lowest < here {
            self.findings.add(Kind::Gap, read.shard, Some(crate::Position(log.kept[lowest])), || {
                let count = here - lowest;
                format!("reader {} skipped {count} records before {position}, got at {}", read.reader, read.done)
            });
        }
    }
}
