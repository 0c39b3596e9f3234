//! Exploring a model to its end, and judging what was found.
//!
//! Holds: a run either visits every reachable state of the bounded model or ends at the first
//! counterexample. What must *happen* is judged on the
//! whole graph: from every state, with no further fault, a finished state can be reached. And what
//! a model should show at least once counts as broken when it never happens.

use std::collections::{HashMap, VecDeque};
use std::fmt::Debug;
use std::hash::Hash;
use std::time::{Duration, Instant};

use stateright::{Checker, Expectation, HasDiscoveries, Model, Property};

/// A protocol with a notion of faults and of being finished.
pub trait Protocol: Model {
    /// Whether nothing is left to do.
    fn is_finished(&self, state: &Self::State) -> bool;

    /// Whether an action is a fault: something that may happen, and on which no progress may rest.
    fn is_fault(&self, action: &Self::Action) -> bool;
}

/// What exploring a model came to.
#[derive(Clone, Debug)]
pub struct Explored {
    /// Different states that were visited.
    pub states: usize,
    /// Whether it was also asked what can still be finished.
    pub liveness: bool,
    /// Time it took.
    pub took: Duration,
    /// The first property that does not hold, and a way there.
    pub broken: Option<Broken>,
}

/// A property that does not hold.
#[derive(Clone, Debug)]
pub struct Broken {
    /// Its name.
    pub property: &'static str,
    /// The actions that lead to a state in which it does not.
    pub path: Vec<String>,
}

/// A larger graph is searched for what must never be, but not kept whole in memory.
pub const LIVENESS_STATES_MAX: usize = 600_000;

/// Name of the property that [`explore`] adds to those of a model.
pub const FINISHES: &str = "once faults end, it can always be finished";

/// Visits every state of `model`, first for what must never be, then for what must remain possible.
pub fn explore<P>(model: P) -> Explored
where
    P: Protocol + Clone + Send + Sync + 'static,
    P::State: Clone + Debug + Eq + Hash + Send + Sync + 'static,
    P::Action: Clone + Debug + PartialEq + Send + Sync + 'static,
{
    let began = Instant::now();
    let checker = model.clone().checker().threads(1).finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    let states = checker.unique_state_count();
    let (mut broken, mut vacuous) = (None, None);
    for Property { expectation, name: property, .. } in model.properties() {
        match (checker.discovery(property), expectation) {
            (Some(path), Expectation::Always) if broken.is_none() => {
                let path = path.into_actions().iter().map(|action| format!("{action:?}")).collect();
                broken = Some(Broken { property, path });
            }
            (None, Expectation::Sometimes) => vacuous = Some(Broken { property, path: Vec::new() }),
            _ => {}
        }
    }
    let liveness = || {
        if states > LIVENESS_STATES_MAX {
            return None;
        }
        let graph = graph_of(&model);
        assert_eq!(graph.states.len(), states, "both searches visit every state");
        stuck(&model, &graph).map(|path| Broken { property: FINISHES, path })
    };
    let broken = broken.or(vacuous).or_else(liveness);
    Explored { states, liveness: states <= LIVENESS_STATES_MAX, took: began.elapsed(), broken }
}

/// The graph of a model: states in the order of their discovery, and how each was reached.
struct Graph<S, A> {
    states: Vec<S>,
    found_by: Vec<Option<(usize, A)>>,
    /// Who leads to a state without a fault.
    before: Vec<Vec<u32>>,
}

/// A shortest way into a state from which no finished one can be reached any more.
fn stuck<P>(model: &P, graph: &Graph<P::State, P::Action>) -> Option<Vec<String>>
where
    P: Protocol,
    P::State: Clone + Eq + Hash,
    P::Action: Clone + Debug,
{
    let mut can_finish = vec![false; graph.states.len()];
    let finished = |at: &usize| model.is_finished(&graph.states[*at]);
    let mut queue: VecDeque<usize> = (0..graph.states.len()).filter(finished).collect();
    queue.iter().for_each(|at| can_finish[*at] = true);
    while let Some(at) = queue.pop_front() {
        for &before in &graph.before[at] {
            if !std::mem::replace(&mut can_finish[before as usize], true) {
                queue.push_back(before as usize);
            }
        }
    }
    let first_stuck = can_finish.iter().position(|can| !can)?;
    let step = |at: &usize| graph.found_by[*at].as_ref().map(|(before, _)| *before);
    let back = std::iter::successors(Some(first_stuck), step);
    let mut path: Vec<String> =
        back.filter_map(|at| graph.found_by[at].as_ref().map(|(_, action)| format!("{action:?}"))).collect();
    path.reverse();
    Some(path)
}

fn graph_of<P>(model: &P) -> Graph<P::State, P::Action>
where
    P: Protocol,
    P::State: Clone + Eq + Hash,
    P::Action: Clone,
{
    let mut numbers: HashMap<P::State, usize> = HashMap::new();
    let mut graph = Graph { states: Vec::new(), found_by: Vec::new(), before: Vec::new() };
    let mut add = |graph: &mut Graph<P::State, P::Action>, state: P::State, by: Option<(usize, P::Action)>| {
        *numbers.entry(state.clone()).or_insert_with(|| {
            graph.states.push(state);
            graph.found_by.push(by);
            graph.before.push(Vec::new());
            graph.states.len() - 1
        })
    };
    for state in model.init_states() {
        add(&mut graph, state, None);
    }
    let mut at = 0;
    while at < graph.states.len() {
        for (action, next) in model.next_steps(&graph.states[at]) {
            let fault = model.is_fault(&action);
            let to = add(&mut graph, next, Some((at, action)));
            if !fault {
                graph.before[to].push(at as u32);
            }
        }
        at += 1;
    }
    graph
}
