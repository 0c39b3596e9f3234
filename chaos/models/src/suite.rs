//! All models with all their planted bugs, as one list to be run.

use std::fmt::Debug;
use std::hash::Hash;

use crate::dedupe::{self, Dedupe};
use crate::explore::{Explored, Protocol, explore};
use crate::fence::{self, Fences, Votes};
use crate::membership::{self, Memberships};
use crate::reshard::{self, Reshards};

/// What exploring a case should come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Every property holds.
    Holds,
    /// A property does not.
    Broken,
}

/// One model with one set of bounds, and perhaps a planted bug.
pub struct Case {
    /// The model.
    pub model: &'static str,
    /// What is different about it; empty for the model as it is.
    pub variant: String,
    /// What it should come to.
    pub expected: Expected,
    run: Box<dyn Fn() -> Explored>,
}

impl Case {
    fn new<P>(model: &'static str, variant: impl Into<String>, expected: Expected, of: P) -> Case
    where
        P: Protocol + Clone + Send + Sync + 'static,
        P::State: Clone + Debug + Eq + Hash + Send + Sync + 'static,
        P::Action: Clone + Debug + PartialEq + Send + Sync + 'static,
    {
        Case { model, variant: variant.into(), expected, run: Box::new(move || explore(of.clone())) }
    }

    /// Explores it.
    pub fn run(&self) -> Explored {
        (self.run)()
    }
}

/// Every case; with the larger bounds if `long`.
pub fn cases(long: bool) -> Vec<Case> {
    let mut cases = reshards(long);
    cases.extend(fences(long));
    cases.extend(dedupes(long));
    cases.extend(memberships(long));
    cases
}

fn reshards(long: bool) -> Vec<Case> {
    let mut cases = Vec::new();
    for (model, merge) in [("split", false), ("merge", true)] {
        let right = if long { Reshards::long(merge) } else { Reshards::short(merge) };
        cases.push(Case::new(model, "", Expected::Holds, right));
        let planted = |bug| Reshards { bug: Some(bug), ..Reshards::short(merge) };
        let with = |bug: reshard::Bug| Case::new(model, format!("{bug:?}"), Expected::Broken, planted(bug));
        cases.extend(reshard::Bug::ALL.map(with));
    }
    cases
}

fn fences(long: bool) -> Vec<Case> {
    let right = if long { Fences::long() } else { Fences::short() };
    let with_votes = |votes| Fences { votes, entries: 2, ..Fences::short() };
    let mut cases = vec![
        Case::new("fence", "", Expected::Holds, right),
        Case::new("fence", "votes lost with the log", Expected::Broken, with_votes(Votes::Lost)),
        Case::new("fence", "votes lost, terms bounded", Expected::Holds, with_votes(Votes::Floor)),
        Case::new("fence", "of two", Expected::Holds, if long { Fences::long_pair() } else { Fences::pair() }),
    ];
    let planted = |bug| Fences { bug: Some(bug), ..Fences::planted() };
    cases.extend(fence::Bug::ALL.map(|bug| Case::new("fence", format!("{bug:?}"), Expected::Broken, planted(bug))));
    cases
}

fn dedupes(long: bool) -> Vec<Case> {
    let right = if long { Dedupe::long() } else { Dedupe::short() };
    let mut cases = vec![Case::new("dedupe", "", Expected::Holds, right)];
    let planted = |bug| Dedupe { bug: Some(bug), ..Dedupe::short() };
    cases.extend(dedupe::Bug::ALL.map(|bug| Case::new("dedupe", format!("{bug:?}"), Expected::Broken, planted(bug))));
    cases
}

fn memberships(long: bool) -> Vec<Case> {
    let right = if long { Memberships::long() } else { Memberships::short() };
    let mut cases = vec![Case::new("membership", "", Expected::Holds, right)];
    let planted = |bug| Memberships { bug: Some(bug), ..Memberships::short() };
    let with = |bug: membership::Bug| Case::new("membership", format!("{bug:?}"), Expected::Broken, planted(bug));
    cases.extend(membership::Bug::ALL.map(with));
    cases
}
