//! One owner of one group's log: chooses calls from a seed, makes them, tells of them.
//!
//! It behaves as Raft does: only acknowledged entries are applied, a truncation begins a new term,
//! what is applied is never withdrawn. What it applies is its own memory, not the log's.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use thalweg_storage::{GroupLog, Health, NodeLog, StorageError};
use thalweg_types::GroupId;

use crate::call::{Answer, Call, Event};
use crate::entry::EntryId;
use crate::seen::{checkpoint_bytes, vote_bytes};

/// Where events go. A call's event must have left before the call is made.
pub trait Sink: Send + Sync {
    /// Takes one event.
    fn tell(&self, event: Event);
}

impl Sink for Mutex<Vec<Event>> {
    fn tell(&self, event: Event) {
        self.lock().push(event);
    }
}

/// Calls of one group that may be on their way at once.
const IN_FLIGHT_MAX: u64 = 8;
/// Entries of one group kept before it is trimmed.
const RETAINED_MAX: u64 = 160;

/// What all owners of a run share.
#[derive(Clone)]
pub struct Run {
    /// The node's log.
    pub log: NodeLog,
    /// Where events go.
    pub sink: Arc<dyn Sink>,
    /// The last number of a call.
    pub numbers: Arc<AtomicU64>,
}

/// The owner of one group.
pub struct Owner {
    run: Run,
    log: GroupLog,
    group: u64,
    random: StdRng,
    term: u64,
    flying: Arc<Flying>,
    applied_end: Arc<AtomicU64>,
    /// Whether entries are applied as soon as they are acknowledged, or seldom.
    eager: bool,
}

#[derive(Default)]
struct Flying {
    count: Mutex<u64>,
    changed: Condvar,
}

impl Owner {
    /// Takes over a group as it is on the node.
    pub fn new(run: &Run, group: u64, seed: u64) -> Owner {
        let log = run.log.group(GroupId(group));
        let state = log.state();
        let applied_end = Arc::new(AtomicU64::new(state.applied_hint.map_or(0, |index| index + 1)));
        let source = applied_end.clone();
        log.set_checkpoint_source(Arc::new(move || {
            let applied = source.load(Relaxed).checked_sub(1)?;
            Some((applied, checkpoint_bytes(applied)))
        }));
        Owner {
            run: run.clone(),
            group,
            random: StdRng::seed_from_u64(seed ^ group.rotate_left(40)),
            term: state.last.map_or(0, |(_, term)| term) + 1,
            log,
            flying: Arc::default(),
            applied_end,
            eager: group % 4 != 3,
        }
    }

    /// Makes one call. False when the log has failed and takes none any more. `wait` is called
    /// again and again while earlier calls must be answered first.
    pub fn step(&mut self, wait: &dyn Fn()) -> bool {
        self.settle(IN_FLIGHT_MAX - 1, wait);
        let call = self.choose();
        if !matches!(call, Call::Append { .. } | Call::Vote(_)) {
            self.settle(0, wait);
            if self.run_failed() {
                return false;
            }
            // What was acknowledged meanwhile may have been applied.
            if !self.still_fits(&call) {
                return true;
            }
        }
        self.make(call);
        !self.run_failed()
    }

    fn run_failed(&self) -> bool {
        matches!(&*self.run.log.health().borrow(), Health::Failed(_))
    }

    /// Waits until at most `left` calls are on their way.
    pub fn settle(&self, left: u64, wait: &dyn Fn()) {
        while *self.flying.count.lock() > left {
            wait();
            let mut count = self.flying.count.lock();
            if *count > left {
                self.flying.changed.wait_for(&mut count, Duration::from_millis(1));
            }
        }
    }

    fn choose(&mut self) -> Call {
        let state = self.log.state();
        let (first, end) = (state.trimmed.map_or(0, |(index, _)| index + 1), state.last.map_or(0, |(i, _)| i + 1));
        let applied_end = self.applied_end.load(Relaxed);
        if state.fenced && self.random.random_bool(0.3) {
            return Call::Trust;
        }
        if applied_end > first && end - first > RETAINED_MAX {
            return self.trim(first, applied_end);
        }
        match self.random.random_range(0..100) {
            0..4 => Call::Vote(self.random.random_range(0..1 << 40)),
            4..6 if applied_end > first => self.trim(first, applied_end),
            6..9 if applied_end.max(first).max(1) < end => {
                Call::Truncate { keep: self.random.random_range(applied_end.max(first).max(1)..end) - 1 }
            }
            9 if self.random.random_bool(0.2) => {
                self.term += 1;
                Call::Install { index: end + self.random.random_range(0..9), term: self.term }
            }
            10 if self.random.random_bool(0.4) => Call::Destroy,
            _ => self.append(end),
        }
    }

    fn trim(&mut self, first: u64, applied_end: u64) -> Call {
        let index = self.random.random_range(first..applied_end);
        Call::Trim { index, term: self.log.read_term(index).unwrap_or(0) }
    }

    fn append(&mut self, end: u64) -> Call {
        let number = self.run.numbers.load(Relaxed) + 1;
        let count = self.random.random_range(1..8);
        let body_bytes = |random: &mut StdRng| match random.random_range(0..20) {
            0 => 0,
            1 => random.random_range(16_000..40_000),
            _ => random.random_range(10..3000),
        };
        let (group, term) = (self.group, self.term);
        let random = &mut self.random;
        let entries: Vec<EntryId> = (end..end + count)
            .map(|index| EntryId { group, index, term, call: number, body_bytes: body_bytes(random) })
            .collect();
        Call::Append { entries, sync: self.random.random_bool(0.95) }
    }

    fn still_fits(&self, call: &Call) -> bool {
        let (state, applied_end) = (self.log.state(), self.applied_end.load(Relaxed));
        let end = state.last.map_or(0, |(index, _)| index + 1);
        match call {
            Call::Truncate { keep } => keep + 1 >= applied_end && keep + 1 < end,
            Call::Install { index, .. } => *index >= end,
            Call::Trim { index, term } => *index < applied_end && self.log.read_term(*index) == Some(*term),
            _ => true,
        }
    }

    fn make(&mut self, call: Call) {
        let number = self.run.numbers.fetch_add(1, Relaxed) + 1;
        // Numbers are shared: the entries must carry the number that this call got.
        let call = renumbered(call, number);
        self.run.sink.tell(Event::Called { number, group: self.group, call: call.clone() });
        if call == Call::Trust {
            return self.log.lower_fence();
        }
        *self.flying.count.lock() += 1;
        let done = self.callback(number, &call);
        match call {
            Call::Append { entries, sync } => {
                self.log.append(entries.iter().map(EntryId::entry).collect(), sync, done);
            }
            Call::Vote(vote) => self.log.save_vote(vote_bytes(vote), done),
            Call::Truncate { keep } => {
                self.term += 1;
                self.log.truncate_after(keep, done);
            }
            Call::Trim { index, term } => self.log.trim(index, term, done),
            Call::Install { index, term } => {
                // As the owner of a group does: its state is the snapshot's from here on.
                self.applied_end.store(index + 1, Relaxed);
                self.log.install(index, term, checkpoint_bytes(index), done);
            }
            Call::Destroy => {
                self.applied_end.store(0, Relaxed);
                self.log.destroy(done);
            }
            Call::Trust => unreachable!("nobody answers it"),
        }
    }

    fn callback(&mut self, number: u64, call: &Call) -> thalweg_storage::Done {
        let (sink, flying, log) = (self.run.sink.clone(), self.flying.clone(), self.log.clone());
        let applied_end = self.applied_end.clone();
        let applies = if self.eager { self.random.random_bool(0.9) } else { self.random.random_bool(0.1) };
        let last = match call {
            Call::Append { entries, sync: true } if applies => entries.last().map(|entry| entry.index),
            _ => None,
        };
        Box::new(move |result: Result<(), StorageError>| {
            sink.tell(Event::Answered { number, answer: Answer::from(&result) });
            if let (Some(last), Ok(())) = (last, &result) {
                applied_end.fetch_max(last + 1, Relaxed);
                log.set_applied(last);
            }
            // Whoever has waited for the last answer may open the directory again: this handle must
            // not be what keeps the log open.
            drop(log);
            *flying.count.lock() -= 1;
            flying.changed.notify_all();
        })
    }
}

fn renumbered(call: Call, number: u64) -> Call {
    match call {
        Call::Append { entries, sync } => {
            let entries = entries.into_iter().map(|entry| EntryId { call: number, ..entry }).collect();
            Call::Append { entries, sync }
        }
        other => other,
    }
}
