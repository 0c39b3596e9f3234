//! One fault at every step of a run, one run a step: nothing that is done to the disk or the record
//! store is left out.
//!
//! A run is the same every time: one thread makes calls, writes and moves in turn, closes the log,
//! opens it again and goes on. On the simulated disk what was not synced is lost in a crash, sector by
//! sector; on the real one a cut leaves exactly the steps before it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use thalweg_storage::{Driver, Health, MemoryStore};
use thalweg_wal::SimDisk;

use crate::call::Event;
use crate::fault_disk::{Counts, Fault, Faults, Plan, Step};
use crate::judge::nothing_lost;
use crate::model::{Crash, History};
use crate::node::{Node, Place};
use crate::workload::{Owner, Run};

/// Groups of a run.
const GROUPS: u64 = 4;

/// What the sweeps came to.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Runs by place, kind of step and fault.
    pub runs: BTreeMap<(&'static str, Step, Fault), u64>,
    /// Runs whose log stopped, and went on at the next start.
    pub stopped: u64,
    /// Runs that went on, because only space was missing.
    pub went_on: u64,
    /// Broken promises.
    pub broken: Vec<String>,
}

/// Which runs.
#[derive(Clone, Copy, Debug)]
pub struct Sweep {
    /// What the calls follow from.
    pub seed: u64,
    /// Rounds of calls in a run.
    pub rounds: usize,
    /// Only every so-many-th step, beginning with a seeded one; 1 for all.
    pub stride: u64,
    /// On the machine's file system with RocksDB, or simulated.
    pub real: bool,
}

/// Runs a sweep; `dir` is used on the machine's file system. `progress` is told of each run.
pub fn sweep(dir: &Path, sweep: Sweep, tally: &mut Tally, progress: &mut dyn FnMut(u64, u64)) {
    let counts = match trial(dir, sweep, None) {
        Ok((_, counts)) => counts,
        Err(error) => return tally.broken.push(format!("without a fault: {error}")),
    };
    let plans = plans(&counts, sweep);
    let of = plans.len() as u64;
    for (at, (step, plan)) in plans.into_iter().enumerate() {
        progress(at as u64 + 1, of);
        match trial(dir, sweep, Some(&plan)) {
            Ok((Ended::Untouched, _)) => {}
            Ok((ended, _)) => {
                let place = if sweep.real { "real" } else { "simulated" };
                *tally.runs.entry((place, step, plan.fault)).or_default() += 1;
                tally.stopped += u64::from(ended == Ended::Stopped);
                tally.went_on += u64::from(ended == Ended::WentOn);
            }
            Err(error) => tally.broken.push(format!("{sweep:?}, {step:?} {}, {:?}: {error}", plan.nth, plan.fault)),
        }
    }
}

/// Every step of every kind with every fault that fits it, thinned out by the stride.
fn plans(counts: &Counts, sweep: Sweep) -> Vec<(Step, Plan)> {
    let mut random = StdRng::seed_from_u64(sweep.seed);
    let mut plans = Vec::new();
    for (&step, &count) in counts {
        for fault in Fault::ALL.into_iter().filter(|fault| fault.fits(step)) {
            // Kinds of steps that are few are never thinned out to nothing.
            let stride = sweep.stride.min(count.max(1));
            let first = random.random_range(0..stride);
            let nths = (first..count).step_by(stride as usize);
            plans.extend(nths.map(|nth| (step, Plan { step: Some(step), nth, fault })));
        }
    }
    plans
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// The step did not come.
    Untouched,
    Stopped,
    WentOn,
}

struct Trial<'a> {
    dir: &'a Path,
    place: Place,
    faults: Faults,
    events: Arc<Mutex<Vec<Event>>>,
    numbers: Arc<AtomicU64>,
    seed: u64,
    rounds: usize,
}

fn trial(dir: &Path, sweep: Sweep, plan: Option<&Plan>) -> Result<(Ended, Counts), String> {
    if sweep.real && dir.exists() {
        std::fs::remove_dir_all(dir).map_err(|error| error.to_string())?;
    }
    let (disk, store) = (SimDisk::new(sweep.seed ^ plan.map_or(0, |plan| plan.nth)), MemoryStore::new());
    let place = if sweep.real { Place::Real } else { Place::Simulated(disk.clone(), store.clone()) };
    let faults = Faults::default();
    let trial = Trial {
        dir,
        place: place.clone(),
        faults: faults.clone(),
        events: Arc::default(),
        numbers: Arc::default(),
        seed: sweep.seed,
        rounds: sweep.rounds,
    };
    plan.iter().for_each(|plan| faults.plan((*plan).clone()));
    let ended = trial.run()?;
    let counts = faults.counts();
    let mut history = History::default();
    trial.events.lock().iter().for_each(|event| history.take(event));
    let crash = trial.die(plan);
    let node = Node::open(dir, &place, &Faults::default(), Driver::Manual).map_err(|error| error.to_string())?;
    nothing_lost(&node, &mut history, crash)?;
    trial.go_on(node, &mut history, crash)?;
    let ended = if faults.struck().is_none() { Ended::Untouched } else { ended };
    Ok((ended, counts))
}

impl Trial<'_> {
    /// Two lives of the log: the second recovers what the first left, the first is closed.
    fn run(&self) -> Result<Ended, String> {
        for life in 0..2 {
            let Ok(node) = Node::open(self.dir, &self.place, &self.faults, Driver::Manual) else {
                return Ok(Ended::Stopped);
            };
            self.calls(&node, life, self.rounds);
            if matches!(&*node.log.health().borrow(), Health::Failed(_)) {
                return Ok(Ended::Stopped);
            }
            if life == 0 && node.log.close().is_err() {
                return Ok(Ended::Stopped);
            }
        }
        Ok(Ended::WentOn)
    }

    fn calls(&self, node: &Node, life: u64, rounds: usize) {
        let run = Run { log: node.log.clone(), sink: self.events.clone(), numbers: self.numbers.clone() };
        let write = || while node.log.run_writer_once() {};
        let mut owners: Vec<Owner> = (0..GROUPS).map(|group| Owner::new(&run, group, self.seed ^ life << 20)).collect();
        for round in 0..rounds {
            let alive = owners.iter_mut().all(|owner| owner.step(&write));
            if round % 3 == 0 {
                write();
            }
            if round % 5 == 0 {
                node.log.run_mover_once();
            }
            if round % 40 == 39 {
                let _ = node.log.flush();
            }
            if !alive {
                break;
            }
        }
        write();
        owners.iter().for_each(|owner| owner.settle(0, &write));
    }

    /// The machine or the process dies. Where an error was returned the process is started again on a
    /// machine that lives; a simulated one dies all the same, which is the harder case.
    fn die(&self, plan: Option<&Plan>) -> Crash {
        match &self.place {
            Place::Simulated(disk, store) => {
                disk.crash();
                store.crash();
                Crash::Machine
            }
            Place::Real if plan.is_some_and(|plan| plan.fault.is_cut()) => Crash::Machine,
            Place::Real => Crash::Process,
        }
    }

    /// The log works as if nothing had been.
    fn go_on(&self, node: Node, history: &mut History, crash: Crash) -> Result<(), String> {
        let known = self.events.lock().len();
        self.calls(&node, 9, 12);
        node.log.close().map_err(|error| format!("afterwards: {error}"))?;
        drop(node);
        self.events.lock()[known..].iter().for_each(|event| history.take(event));
        let node = Node::open(self.dir, &self.place, &Faults::default(), Driver::Manual);
        let node = node.map_err(|error| format!("afterwards: {error}"))?;
        nothing_lost(&node, history, crash).map_err(|error| format!("afterwards: {error}"))
    }
}
