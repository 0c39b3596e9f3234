//! Any sequence of calls, moves, crashes and power cuts, against plain vectors.
//!
//! The model of a group keeps every state since the last one that is known to be durable. After a
//! crash the node must show one of them; which, is then the truth the model goes on with.

use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use thalweg_storage::{GroupLog, LogEntry, Options, ReadError};
use thalweg_types::GroupId;

use crate::support::{Node, done, entries_of_term, small_options, unasked};

const GROUPS: u64 = 3;

#[derive(Clone, Debug)]
enum Op {
    Append {
        group: u64,
        count: u64,
        bytes: usize,
    },
    Truncate {
        group: u64,
        keep: prop::sample::Index,
    },
    Trim {
        group: u64,
        upto: prop::sample::Index,
    },
    Install {
        group: u64,
        ahead: u64,
    },
    Applied {
        group: u64,
        upto: prop::sample::Index,
    },
    Vote {
        group: u64,
    },
    Destroy {
        group: u64,
    },
    Read {
        group: u64,
        from: prop::sample::Index,
        page_bytes: usize,
    },
    Write,
    Move,
    Flush,
    Crash,
    /// Power goes off in the middle of one of the next operations on the disk.
    PowerCut {
        after: u64,
    },
    /// The record store takes so many more commits; with the next write to it everything ends.
    StoreEnds {
        after: u64,
    },
}

fn op() -> impl Strategy<Value = Op> {
    let group = 0..GROUPS;
    let index = any::<prop::sample::Index>;
    prop_oneof![
        8 => (group.clone(), 1u64..12, 0usize..6000).prop_map(|(group, count, bytes)| Op::Append { group, count, bytes }),
        2 => (group.clone(), index()).prop_map(|(group, keep)| Op::Truncate { group, keep }),
        1 => (group.clone(), index()).prop_map(|(group, upto)| Op::Trim { group, upto }),
        1 => (group.clone(), 1u64..20).prop_map(|(group, ahead)| Op::Install { group, ahead }),
        5 => (group.clone(), index()).prop_map(|(group, upto)| Op::Applied { group, upto }),
        2 => group.clone().prop_map(|group| Op::Vote { group }),
        1 => group.clone().prop_map(|group| Op::Destroy { group }),
        5 => (group, index(), 1usize..20_000).prop_map(|(group, from, page_bytes)| Op::Read { group, from, page_bytes }),
        8 => Just(Op::Write),
        3 => Just(Op::Move),
        2 => Just(Op::Flush),
        1 => Just(Op::Crash),
        1 => (0u64..12).prop_map(|after| Op::PowerCut { after }),
        1 => (0u64..3).prop_map(|after| Op::StoreEnds { after }),
    ]
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Group {
    trimmed: Option<(u64, u64)>,
    entries: Vec<LogEntry>,
    vote: Option<Bytes>,
    fenced: bool,
}

impl Group {
    fn first(&self) -> u64 {
        self.trimmed.map_or(0, |(index, _)| index + 1)
    }

    fn end(&self) -> u64 {
        self.first() + self.entries.len() as u64
    }

    fn last(&self) -> Option<(u64, u64)> {
        self.entries.last().map(|entry| (entry.index, entry.term)).or(self.trimmed)
    }

    fn trim(&mut self, index: u64, term: u64) {
        self.entries.retain(|entry| entry.index > index);
        self.trimmed = Some((index, term));
    }

    /// What the node shows.
    fn seen(log: &GroupLog) -> Group {
        let state = log.state();
        let first = state.trimmed.map_or(0, |(index, _)| index + 1);
        let end = state.last.map_or(0, |(index, _)| index + 1);
        let mut entries = Vec::new();
        while first + (entries.len() as u64) < end {
            entries.extend(log.read(first + entries.len() as u64, end, 50_000).unwrap());
        }
        Group { trimmed: state.trimmed, entries, vote: state.vote, fenced: state.fenced }
    }
}

/// A group's state without its bytes.
fn brief(group: &Group) -> String {
    let entries: Vec<(u64, u64)> = group.entries.iter().map(|entry| (entry.index, entry.term)).collect();
    format!("trimmed {:?}, entries {entries:?}, vote {:?}, fenced {}", group.trimmed, group.vote, group.fenced)
}

#[derive(Default)]
struct Model {
    /// States since the last durable one, which is the first.
    history: Vec<Group>,
    applied_end: u64,
}

impl Model {
    fn now(&self) -> &Group {
        self.history.last().expect("there is always a state")
    }

    fn change(&mut self, change: impl FnOnce(&mut Group)) {
        let mut next = self.now().clone();
        change(&mut next);
        self.history.push(next);
    }

    /// Takes what the node shows after a crash, if it may show that. Votes and trims are saved
    /// with moved entries, so each may be ahead of the rest.
    fn recover(&mut self, seen: Group) {
        let durable = &self.history[0];
        if !self.history.contains(&seen) {
            let any = |is: &dyn Fn(&Group) -> bool| self.history.iter().any(is);
            assert!(any(&|state| state.vote == seen.vote), "vote {:?}", seen.vote);
            assert!(any(&|state| state.trimmed == seen.trimmed), "trimmed {:?}", seen.trimmed);
            let kept = |state: &Group| -> Vec<LogEntry> {
                state.entries.iter().filter(|entry| entry.index >= seen.first()).cloned().collect()
            };
            assert!(any(&|state| kept(state) == seen.entries), "{} instead of {}", brief(&seen), brief(durable));
        }
        self.applied_end = self.applied_end.min(seen.end());
        self.history = vec![seen];
    }

    fn written(&mut self) {
        self.history = vec![self.now().clone()];
    }
}

struct World {
    node: Option<Node>,
    groups: Vec<Model>,
    term: u64,
    power_is_off: bool,
    store_ends: bool,
}

impl World {
    fn new(cache_bytes: u64) -> World {
        let options = Options { cache_bytes, move_bytes: 4096, hot_tail_bytes: 48 * 1024, ..small_options() };
        let model = || Model { history: vec![Group::default()], applied_end: 0 };
        let groups = (0..GROUPS).map(|_| model()).collect();
        let world = World { node: Some(Node::with(options)), groups, term: 1, power_is_off: false, store_ends: false };
        world.set_sources();
        world
    }

    fn node(&self) -> &Node {
        self.node.as_ref().expect("a node runs")
    }

    fn log(&self, group: u64) -> GroupLog {
        self.node().log.group(GroupId(group))
    }

    /// Checkpoints that tell what was applied when they were taken.
    fn set_sources(&self) {
        for group in 0..GROUPS {
            let log = self.log(group);
            self.log(group).set_checkpoint_source(Arc::new(move || {
                let applied = log.state().applied_hint.unwrap_or(0);
                Some((applied, Bytes::from(applied.to_string())))
            }));
        }
    }

    fn run(&mut self, op: Op) {
        match op {
            Op::Append { group, count, bytes } => self.append(group, count, bytes),
            Op::Truncate { group, keep } => self.truncate(group, keep),
            Op::Trim { group, upto } => self.trim(group, upto),
            Op::Install { group, ahead } => self.install(group, ahead),
            Op::Applied { group, upto } => self.apply(group, upto),
            Op::Vote { group } => self.vote(group),
            Op::Destroy { group } => self.destroy(group),
            Op::Read { .. } if self.power_is_off => {}
            Op::Read { group, from, page_bytes } => self.read(group, from, page_bytes),
            Op::Write => self.write(),
            Op::Move => drop(self.node().log.run_mover_once()),
            Op::Flush => drop(self.node().log.flush()),
            Op::Crash => self.crash(),
            Op::PowerCut { after } => {
                self.node().disk.power_off_after(after);
                self.power_is_off = true;
            }
            Op::StoreEnds { after } => {
                self.node().store.fail_after_commits(after);
                self.store_ends = true;
            }
        }
        if matches!(&*self.node().log.health().borrow(), thalweg_storage::Health::Failed(_)) {
            assert!(self.power_is_off || self.store_ends, "nothing fails without a fault");
            self.crash();
        }
    }

    fn append(&mut self, group: u64, count: u64, bytes: usize) {
        self.term += 1;
        let end = self.groups[group as usize].now().end();
        let entries = entries_of_term(end..end + count, self.term / 4, bytes);
        let full = self.node().log.stats().wal_bytes > 700_000;
        if !full {
            self.log(group).append(entries.clone(), true, unasked());
            // A cut may fall between the entries of one call.
            entries.into_iter().for_each(|entry| self.groups[group as usize].change(|state| state.entries.push(entry)));
        }
    }

    fn truncate(&mut self, group: u64, keep: prop::sample::Index) {
        let model = &mut self.groups[group as usize];
        let (low, end) = (model.applied_end.max(model.now().first()).max(1), model.now().end());
        if low < end {
            let keep = low + keep.index((end - low) as usize) as u64 - 1;
            model.change(|state| state.entries.retain(|entry| entry.index <= keep));
            self.log(group).truncate_after(keep, unasked());
        }
    }

    fn trim(&mut self, group: u64, upto: prop::sample::Index) {
        let model = &mut self.groups[group as usize];
        let (first, end) = (model.now().first(), model.applied_end);
        if first < end {
            let index = first + upto.index((end - first) as usize) as u64;
            let term = model.now().entries[(index - first) as usize].term;
            model.change(|state| state.trim(index, term));
            self.log(group).trim(index, term, unasked());
        }
    }

    fn install(&mut self, group: u64, ahead: u64) {
        let (index, term) = (self.groups[group as usize].now().end() + ahead, self.term / 4);
        self.groups[group as usize].change(|state| state.trim(index, term));
        self.groups[group as usize].applied_end = index + 1;
        self.log(group).install(index, term, Bytes::from(index.to_string()), unasked());
    }

    /// Only what is durable is applied, so that a crash cannot take it back.
    fn apply(&mut self, group: u64, upto: prop::sample::Index) {
        let model = &mut self.groups[group as usize];
        let end = model.history.iter().map(Group::end).min().expect("there is always a state");
        if model.applied_end < end && model.history.iter().all(|state| state.trimmed == model.now().trimmed) {
            let applied = model.applied_end + upto.index((end - model.applied_end) as usize) as u64;
            model.applied_end = applied + 1;
            self.log(group).set_applied(applied);
        }
    }

    fn vote(&mut self, group: u64) {
        self.term += 1;
        let vote = Bytes::from(self.term.to_string());
        self.groups[group as usize].change(|state| state.vote = Some(vote.clone()));
        self.log(group).save_vote(vote, unasked());
    }

    fn destroy(&mut self, group: u64) {
        self.write();
        if self.power_is_off {
            return;
        }
        self.log(group).destroy(unasked());
        self.groups[group as usize]
            .change(|state| *state = Group { fenced: true, vote: state.vote.take(), ..Group::default() });
        self.groups[group as usize].applied_end = 0;
        self.write();
    }

    fn read(&self, group: u64, from: prop::sample::Index, page_bytes: usize) {
        let state = self.groups[group as usize].now();
        let from = from.index(state.end() as usize + 2) as u64;
        let read = self.log(group).read(from, u64::MAX, page_bytes);
        if from < state.first() {
            assert_eq!(read, Err(ReadError::Trimmed { first: state.first() }));
        } else if from >= state.end() {
            assert_eq!(read, Err(ReadError::Missing));
        } else {
            let read = read.unwrap();
            assert!(!read.is_empty());
            assert_eq!(read, state.entries[(from - state.first()) as usize..][..read.len()]);
        }
    }

    fn write(&mut self) {
        let (callback, answer) = done();
        self.log(0).append(Vec::new(), true, callback);
        self.node().write();
        assert!(answer.try_recv().is_ok(), "everything queued is answered");
        if !self.power_is_off {
            self.groups.iter_mut().for_each(Model::written);
        }
    }

    fn crash(&mut self) {
        let node = self.node.take().expect("a node runs").crash();
        assert_eq!(node.report.damaged, None);
        self.node = Some(node);
        (self.power_is_off, self.store_ends) = (false, false);
        for group in 0..GROUPS {
            let seen = Group::seen(&self.log(group));
            let state = self.log(group).state();
            let model = &mut self.groups[group as usize];
            model.recover(seen);
            assert_eq!(state.last, model.now().last());
            let checkpoint_index = state.checkpoint.as_ref().map(|(applied, _)| *applied);
            assert!(checkpoint_index >= state.trimmed.map(|(index, _)| index), "state stands for what is trimmed");
            if let Some((applied, bytes)) = state.checkpoint {
                assert_eq!(bytes, applied.to_string());
                assert!(applied < model.now().end());
            }
            // The owner applies again what it had applied.
            if let Some(applied) = self.groups[group as usize].applied_end.checked_sub(1) {
                self.log(group).set_applied(applied);
            }
        }
        self.set_sources();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn the_log_behaves_like_a_vector_through_moves_crashes_and_power_cuts(
        ops in prop::collection::vec(op(), 1..120), cache_bytes in prop_oneof![Just(0u64), Just(20_000), Just(1 << 30)],
    ) {
        let mut world = World::new(cache_bytes);
        ops.into_iter().for_each(|op| world.run(op));
        world.crash();
    }
}
