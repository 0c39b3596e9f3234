//! What a group's log may show, given what was asked of it and what it answered.
//!
//! Calls of one group take effect in their order. So after a crash the log is as it was after some
//! call: none before the last acknowledged one, none that was not made. What was refused never
//! counts. Votes and trims may be ahead of the entries, for they are saved with moved entries too.

use std::collections::{BTreeMap, BTreeSet};

use crate::call::{Answer, Call, Event};
use crate::entry::EntryId;

/// A group's log at one moment.
#[derive(Clone, Debug, Default, Eq)]
pub struct State {
    /// Index and term of the last trimmed entry.
    pub trimmed: Option<(u64, u64)>,
    /// Retained entries, contiguous.
    pub entries: Vec<EntryId>,
    /// The vote; of a group that has left, its last.
    pub vote: Option<u64>,
    /// Destroyed, and not used since. Only the vote is remembered.
    pub has_left: bool,
}

/// By what the log shows.
impl PartialEq for State {
    fn eq(&self, other: &State) -> bool {
        (self.trimmed, &self.entries, self.vote) == (other.trimmed, &other.entries, other.vote)
    }
}

impl State {
    /// The index of the first entry, if there is one.
    pub fn first(&self) -> u64 {
        self.trimmed.map_or(0, |(index, _)| index + 1)
    }

    /// One past the last entry.
    pub fn end(&self) -> u64 {
        self.first() + self.entries.len() as u64
    }

    /// Whether there is anything of the group.
    pub fn exists(&self) -> bool {
        (self.vote.is_some() && !self.has_left) || self.trimmed.is_some() || !self.entries.is_empty()
    }

    /// The states that a call leads through, the last being that after the call.
    fn after(&self, call: &Call) -> Vec<State> {
        let mut next = State { has_left: self.has_left && *call == Call::Trust, ..self.clone() };
        match call {
            Call::Append { entries, .. } => {
                // A cut may fall between the entries of a call that needs several blocks.
                let step = |entry: &EntryId| {
                    next.entries.push(*entry);
                    next.clone()
                };
                return entries.iter().map(step).collect();
            }
            Call::Vote(vote) => next.vote = Some(*vote),
            Call::Truncate { keep } => next.entries.retain(|entry| entry.index <= *keep),
            Call::Trim { index, term } | Call::Install { index, term } => {
                next.entries.retain(|entry| entry.index > *index);
                next.trimmed = Some((*index, *term));
            }
            Call::Destroy => next = State { vote: next.vote, has_left: true, ..State::default() },
            Call::Trust => {}
        }
        vec![next]
    }
}

#[derive(Clone, Debug)]
struct Made {
    number: u64,
    call: Call,
    answer: Option<Answer>,
}

/// How much of what was acknowledged a crash may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// The process died: what reached the page cache stays.
    Process,
    /// The machine died: only what was synced stays.
    Machine,
}

/// A group's history since a moment at which its state was known.
#[derive(Clone, Debug, Default)]
pub struct GroupHistory {
    known: State,
    fenced: bool,
    made: Vec<Made>,
}

impl GroupHistory {
    /// Every state that the log was in, in order, with those a crash may leave marked.
    fn states(&self, crash: Crash) -> (Vec<State>, usize) {
        let mut states = vec![self.known.clone()];
        let mut oldest = 0;
        for made in self.made.iter().filter(|made| made.answer != Some(Answer::Refused)) {
            let now = states.last().expect("there is always a state");
            let mut before = now.clone();
            if let Call::Append { entries, .. } = &made.call {
                self.withdraw_refused(&mut before, entries.first().map_or(u64::MAX, |entry| entry.index));
            }
            states.extend(before.after(&made.call));
            let lasts = crash == Crash::Process || made.call.is_synced();
            if made.answer == Some(Answer::Done) && lasts {
                oldest = states.len() - 1;
            }
        }
        (states, oldest)
    }

    /// An append that begins below the end of the log tells that doubtful ones before it were refused: the
    /// owner knew it by the log's end before the answer was told. What was acknowledged is never
    /// withdrawn like this.
    fn withdraw_refused(&self, state: &mut State, from: u64) {
        let doubtful =
            |call: u64| self.made.iter().any(|made| made.number == call && made.answer != Some(Answer::Done));
        while state.entries.last().is_some_and(|last| last.index >= from && doubtful(last.call)) {
            state.entries.pop();
        }
    }

    /// Every state that the log may show after a crash, oldest first.
    pub fn possible(&self, crash: Crash) -> Vec<State> {
        let (mut states, oldest) = self.states(crash);
        states.split_off(oldest)
    }

    /// Whether a fence may be there without damage: it was there, or the group has left since.
    pub fn may_be_fenced(&self) -> bool {
        let left = |made: &Made| made.call == Call::Destroy && made.answer != Some(Answer::Refused);
        self.fenced || self.made.iter().any(left)
    }

    /// Whether there may be no fence: a group that has left is fenced until its peers vouch for it.
    pub fn may_be_trusted(&self) -> bool {
        self.made.iter().fold(!self.fenced, |trusted, made| match (&made.call, made.answer) {
            (Call::Destroy, Some(Answer::Done)) => false,
            (Call::Trust, _) => true,
            _ => trusted,
        })
    }

    /// The last calls, for whoever looks for the cause of a finding.
    pub fn last_calls(&self, count: usize) -> String {
        let brief = |made: &Made| format!("{} {}: {:?}", made.number, made.call.brief(), made.answer);
        let from = self.made.len().saturating_sub(count);
        let calls: Vec<String> = self.made[from..].iter().map(brief).collect();
        format!("known {}; {}", brief_state(&self.known), calls.join("; "))
    }

    /// Why the log may not show `seen` after a crash; nothing if it may.
    pub fn objection(&self, seen: &State, crash: Crash) -> Option<String> {
        let possible = self.possible(crash);
        if possible.contains(seen) {
            return None;
        }
        if !possible.iter().any(|state| state.vote == seen.vote) {
            return Some(format!("vote {:?} instead of {:?}", seen.vote, possible[0].vote));
        }
        if !possible.iter().any(|state| state.trimmed == seen.trimmed) {
            return Some(format!("trimmed {:?} instead of {:?}", seen.trimmed, possible[0].trimmed));
        }
        let kept = |state: &State| -> Vec<EntryId> {
            state.entries.iter().filter(|entry| entry.index >= seen.first()).copied().collect()
        };
        if possible.iter().any(|state| kept(state) == seen.entries) {
            return None;
        }
        let (oldest, newest) = (&possible[0], possible.last().expect("there is always a state"));
        let [seen, oldest, newest] = [seen, oldest, newest].map(brief_state);
        Some(format!("entries {seen}, not one of those from {oldest} to {newest}; {}", self.last_calls(12)))
    }
}

fn brief_state(state: &State) -> String {
    format!("{}..{}", state.first(), state.end())
}

/// What was asked of all groups of a node.
#[derive(Clone, Debug, Default)]
pub struct History {
    groups: BTreeMap<u64, GroupHistory>,
    of_call: BTreeMap<u64, u64>,
    /// Every entry that was ever handed to an append and not definitely refused.
    written: BTreeSet<EntryId>,
    /// How many calls were answered with success, and how many in all.
    pub acknowledged: u64,
    /// How many calls were made.
    pub called: u64,
}

impl History {
    /// Takes what a writer told.
    pub fn take(&mut self, event: &Event) {
        match event {
            Event::Called { number, group, call } => {
                self.called += 1;
                self.of_call.insert(*number, *group);
                if let Call::Append { entries, .. } = call {
                    self.written.extend(entries);
                }
                let made = Made { number: *number, call: call.clone(), answer: None };
                self.groups.entry(*group).or_default().made.push(made);
            }
            Event::Answered { number, answer } => self.answered(*number, *answer),
            _ => {}
        }
    }

    fn answered(&mut self, number: u64, answer: Answer) {
        self.acknowledged += u64::from(answer == Answer::Done);
        let group = self.of_call.get(&number).expect("a call is told before its answer");
        let calls = &mut self.groups.get_mut(group).expect("the group was called").made;
        let made = calls.iter_mut().rfind(|made| made.number == number).expect("the call is remembered");
        made.answer = Some(answer);
        if let (Answer::Refused, Call::Append { entries, .. }) = (answer, &made.call) {
            let refused: BTreeSet<EntryId> = entries.iter().copied().collect();
            self.written.retain(|entry| !refused.contains(entry));
        }
    }

    /// The groups that were ever called.
    pub fn groups(&self) -> impl Iterator<Item = (u64, &GroupHistory)> {
        self.groups.iter().map(|(group, history)| (*group, history))
    }

    /// Whether some call appended this entry and was not definitely refused.
    pub fn was_written(&self, entry: &EntryId) -> bool {
        self.written.contains(entry)
    }

    /// From now on this is the state of a group, which it must keep.
    pub fn settle(&mut self, group: u64, known: State, fenced: bool) {
        let history = self.groups.entry(group).or_default();
        *history = GroupHistory { known, fenced, made: Vec::new() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(index: u64) -> EntryId {
        EntryId { group: 1, index, term: 1, call: index, body_bytes: 1 }
    }

    fn append(number: u64, range: std::ops::Range<u64>, sync: bool) -> Event {
        Event::Called { number, group: 1, call: Call::Append { entries: range.map(id).collect(), sync } }
    }

    fn told(events: &[Event]) -> History {
        let mut history = History::default();
        events.iter().for_each(|event| history.take(event));
        history
    }

    fn shows(history: &History, entries: std::ops::Range<u64>, crash: Crash) -> bool {
        let seen = State { entries: entries.map(id).collect(), ..State::default() };
        history.groups[&1].objection(&seen, crash).is_none()
    }

    #[test]
    fn acknowledged_calls_must_show_and_unanswered_ones_may() {
        let done = |number| Event::Answered { number, answer: Answer::Done };
        let history = told(&[append(1, 0..3, true), done(1), append(2, 3..6, true)]);
        assert!(!shows(&history, 0..2, Crash::Machine));
        assert!((3..=6).all(|end| shows(&history, 0..end, Crash::Machine)));
        assert!(!shows(&history, 0..7, Crash::Machine));
    }

    #[test]
    fn what_was_only_written_may_go_with_the_machine_but_not_with_the_process() {
        let history = told(&[append(1, 0..3, false), Event::Answered { number: 1, answer: Answer::Done }]);
        assert!(shows(&history, 0..0, Crash::Machine));
        assert!(!shows(&history, 0..0, Crash::Process));
    }

    #[test]
    fn a_group_that_has_left_is_fenced_until_its_peers_vouch_for_it() {
        let called = |number, call| Event::Called { number, group: 1, call };
        let left = [called(1, Call::Destroy), Event::Answered { number: 1, answer: Answer::Done }];
        let may_be = |events: &[Event]| {
            let history = told(events);
            (history.groups[&1].may_be_fenced(), history.groups[&1].may_be_trusted())
        };
        assert_eq!(may_be(&[append(1, 0..3, true)]), (false, true));
        assert_eq!(may_be(&left[..1]), (true, true), "perhaps it has not left");
        assert_eq!(may_be(&left), (true, false));
        let vouched = [&left[..], &[called(2, Call::Trust)]].concat();
        assert_eq!(may_be(&vouched), (true, true), "it is saved soon");
    }

    #[test]
    fn an_append_in_the_place_of_an_unanswered_one_tells_that_it_was_refused() {
        let entry = |call, index| EntryId { call, ..id(index) };
        let append = |number: u64, range: std::ops::Range<u64>| {
            let entries = range.map(|index| entry(number, index)).collect();
            Event::Called { number, group: 1, call: Call::Append { entries, sync: true } }
        };
        let seen = |calls: &[(u64, u64)]| {
            let entries = calls.iter().map(|(call, index)| entry(*call, *index)).collect();
            State { entries, ..State::default() }
        };
        let unanswered = told(&[append(1, 0..2), append(2, 0..3)]);
        let may_show = |history: &History, state: &State| history.groups[&1].objection(state, Crash::Process).is_none();
        assert!(may_show(&unanswered, &seen(&[(2, 0), (2, 1), (2, 2)])));
        assert!(may_show(&unanswered, &seen(&[(1, 0), (1, 1)])), "the refusal is a guess until it is told");
        assert!(!may_show(&unanswered, &seen(&[(1, 0), (1, 1), (2, 2)])));
        let done = Event::Answered { number: 1, answer: Answer::Done };
        let acknowledged = told(&[append(1, 0..2), done, append(2, 0..3)]);
        assert!(!may_show(&acknowledged, &seen(&[(2, 0), (2, 1), (2, 2)])), "never instead of an acknowledged one");
    }

    #[test]
    fn refused_calls_never_show() {
        let refused = Event::Answered { number: 1, answer: Answer::Refused };
        let history = told(&[append(1, 0..3, true), refused]);
        assert!(shows(&history, 0..0, Crash::Process) && !shows(&history, 0..1, Crash::Process));
        assert!(!history.was_written(&id(0)));
    }

    #[test]
    fn a_vote_may_be_ahead_of_entries_but_an_acknowledged_one_never_goes_back() {
        let voted = |number, vote| Event::Called { number, group: 1, call: Call::Vote(vote) };
        let done = Event::Answered { number: 1, answer: Answer::Done };
        let history = told(&[voted(1, 5), done, append(2, 0..2, true), voted(3, 6)]);
        let seen = |vote| State { vote: Some(vote), ..State::default() };
        assert_eq!(history.groups[&1].objection(&seen(5), Crash::Machine), None);
        assert_eq!(history.groups[&1].objection(&seen(6), Crash::Machine), None);
        assert!(history.groups[&1].objection(&seen(4), Crash::Machine).is_some());
    }
}
