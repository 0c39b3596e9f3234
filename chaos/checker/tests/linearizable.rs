//! On small histories the verdict equals that of a search through all orders.
//!
//! The searcher is written from the definition alone and shares nothing with the checker: a
//! history of one shard is linearizable if its operations can be put in one order that agrees with
//! real time and that a sequential log could have answered. An append gives a position above all
//! earlier ones; a read gives everything there is; a refused append never happens; one of unknown
//! outcome happens once, at any time after its call, or never.

mod support;

use support::model::Random;
use support::*;
use thalweg_checker::{History, Options, Outcome, Read, Seen, Start, Write, check};

/// The searcher's state: who has happened, and the log so far.
struct Search<'a> {
    writes: &'a [Write],
    reads: &'a [Read],
    happened: Vec<bool>,
    log: Vec<Seen>,
}

impl Search<'_> {
    fn interval(&self, at: usize) -> (u64, u64) {
        match at.checked_sub(self.writes.len()) {
            Some(read) => (self.reads[read].call, self.reads[read].done),
            None if self.writes[at].outcome == Outcome::Indefinite => (self.writes[at].call, u64::MAX),
            None => (self.writes[at].call, self.writes[at].done),
        }
    }

    /// Whether it has to happen in the end.
    fn must(&self, at: usize) -> bool {
        self.writes.get(at).is_none_or(|write| matches!(write.outcome, Outcome::Ok(_)))
    }

    fn succeeds(&mut self) -> bool {
        let left: Vec<usize> = (0..self.happened.len()).filter(|at| !self.happened[*at]).collect();
        if left.iter().all(|at| !self.must(*at)) {
            return true;
        }
        // What must happen and returned before an operation was called, has to come before it.
        let soonest = left.iter().filter(|at| self.must(**at)).map(|at| self.interval(*at).1).min().unwrap_or(u64::MAX);
        left.into_iter().filter(|at| self.interval(*at).0 <= soonest).collect::<Vec<_>>().into_iter().any(|at| {
            self.happened[at] = true;
            let possible = self.happens(at);
            self.happened[at] = false;
            possible
        })
    }

    fn happens(&mut self, at: usize) -> bool {
        if let Some(read) = at.checked_sub(self.writes.len()) {
            return self.reads[read].records == self.log && self.succeeds();
        }
        let write = &self.writes[at];
        let above = self.log.last().map_or(0, |seen| seen.position.0);
        let candidates: Vec<u128> = match write.outcome {
            Outcome::Ok(place) => vec![place.position.0],
            Outcome::Definite => vec![],
            Outcome::Indefinite => POSITIONS.to_vec(),
        };
        candidates.into_iter().filter(|position| *position > above).any(|position| {
            self.log.push(Seen { hash: write.hash, ..seen(position, 0) });
            let possible = self.succeeds();
            self.log.pop();
            possible
        })
    }
}

/// All positions of these histories.
const POSITIONS: [u128; 6] = [1, 2, 3, 4, 5, 6];

fn linearizable(history: &History) -> bool {
    let happened = vec![false; history.writes.len() + history.reads.len()];
    Search { writes: &history.writes, reads: &history.reads, happened, log: Vec::new() }.succeeds()
}

/// Up to four writes and three complete reads: taken from a true order, then spoiled now and then.
fn small(random: &mut Random) -> History {
    let mut history = History::default();
    let (mut log, mut position) = (Vec::new(), 0u128);
    for id in 1..=1 + random.below(4) {
        let moment = 10 * (id + random.below(3));
        let (call, done) = (moment.saturating_sub(random.below(25)), moment + random.below(25));
        position += 1;
        let outcome = [Outcome::Indefinite, Outcome::Definite].into_iter().nth(random.below(6) as usize);
        let write = match outcome {
            Some(outcome) => unacked(id, call, done, outcome),
            None => acked(id, 0, position, call, done),
        };
        if write.outcome != Outcome::Definite {
            log.push((moment, seen(position, id)));
        }
        history.writes.push(write);
    }
    for reader in 0..random.below(4) as u32 {
        let moment = 10 * random.below(8);
        let there = log.iter().filter(|(stored, _)| *stored <= moment).count();
        let there = if random.one_in(5) { random.below(log.len() as u64 + 1) as usize } else { there };
        let records = log[..there].iter().map(|(_, seen)| *seen).collect();
        let (call, done) = (moment.saturating_sub(random.below(15)), moment + random.below(15));
        history.reads.push(Read { call, done, fresh: true, records, ..read(reader, 0, 0, Start::Horizon, &[]) });
    }
    if random.one_in(3) {
        spoil(&mut history, random);
    }
    history
}

fn spoil(history: &mut History, random: &mut Random) {
    let writes = history.writes.len() as u64;
    let (one, other) = (random.below(writes) as usize, random.below(writes) as usize);
    match random.below(5) {
        0 => history.writes[one].outcome = Outcome::Definite,
        1 => {
            (history.writes[one].outcome, history.writes[other].outcome) =
                (history.writes[other].outcome, history.writes[one].outcome)
        }
        2 => (history.writes[one].call, history.writes[one].done) = (50, 70),
        choice => {
            for read in history.reads.iter_mut().filter(|read| !read.records.is_empty()).take(1) {
                let at = random.below(read.records.len() as u64) as usize;
                if choice == 3 { _ = read.records.remove(at) } else { read.records[at].hash = hash(random.below(7)) }
            }
        }
    }
}

#[test]
fn the_verdict_equals_that_of_a_search_through_all_orders() {
    let cases = if cfg!(debug_assertions) { 20_000 } else { 200_000 };
    let mut verdicts = [0u32; 2];
    let mut random = Random(7);
    for case in 0..cases {
        let history = small(&mut random);
        let report = check(&history, &Options::default()).unwrap();
        let expected = linearizable(&history);
        assert_eq!(report.is_clean(), expected, "case {case}: {history:#?}\n{report:#?}");
        verdicts[usize::from(expected)] += 1;
    }
    assert!(verdicts.iter().all(|count| *count > cases / 10), "one-sided: {verdicts:?}");
}
