//! The process that writes until something cuts it off, and tells of every call on its standard
//! output.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use thalweg_storage::Driver;

use crate::call::Event;
use crate::fault_disk::{Faults, Plan, Step};
use crate::node::{Node, Place};
use crate::sandbox::cut_command;
use crate::workload::{Owner, Run, Sink};

/// Groups that a writer writes.
pub const GROUPS: u64 = 4;

/// When steps begin to count for a writer's planned cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Phase {
    /// From the start, which recovers.
    Opening,
    /// When the log is open and calls are made.
    Running,
    /// When the log is being closed.
    Closing,
}

/// What a writer is to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orders {
    /// The data directory.
    pub dir: PathBuf,
    /// Where the file system is mounted that is to be cut.
    pub mount: PathBuf,
    /// What its calls follow from.
    pub seed: u64,
    /// The number of the first call, less one.
    pub number: u64,
    /// How long it writes before it closes.
    pub run_for: Duration,
    /// A cut at a certain step: when steps begin to count, and which.
    pub plan: Option<(Phase, Plan)>,
    /// A cut so long after the log opened, whatever is going on then.
    pub cut_after: Option<Duration>,
}

struct Pipe(Mutex<std::io::Stdout>);

impl Sink for Pipe {
    fn tell(&self, event: Event) {
        let mut line = serde_json::to_vec(&event).expect("events become JSON");
        line.push(b'\n');
        let mut out = self.0.lock();
        // If nobody listens any more, the run is over.
        let _ = out.write_all(&line).and_then(|()| out.flush());
    }
}

/// Writes as ordered.
pub fn run(orders: &Orders) -> anyhow::Result<()> {
    let sink: Arc<dyn Sink> = Arc::new(Pipe(Mutex::new(std::io::stdout())));
    let faults = Faults::default();
    faults.on_strike(striker(&orders.mount, &faults, &sink, orders));
    let plan_for =
        |phase| orders.plan.iter().filter(move |plan| plan.0 == phase).for_each(|plan| faults.plan(plan.1.clone()));
    plan_for(Phase::Opening);
    let node = Node::open(&orders.dir, &Place::Real, &faults, Driver::Threads)?;
    sink.tell(Event::Opened { damaged: node.report.damaged.clone(), replayed: node.report.replayed_records });
    plan_for(Phase::Running);
    let run = Run { log: node.log.clone(), sink: sink.clone(), numbers: Arc::new(AtomicU64::new(orders.number)) };
    if let Some(after) = orders.cut_after {
        cut_later(orders.mount.clone(), after, &faults, &sink);
    }
    write(&run, orders);
    plan_for(Phase::Closing);
    sink.tell(Event::Closing);
    let closed = node.log.close();
    sink.tell(Event::Counts(faults.counts()));
    sink.tell(Event::Closed(closed.is_ok()));
    Ok(())
}

fn write(run: &Run, orders: &Orders) {
    let end = Instant::now() + orders.run_for;
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for group in 0..GROUPS {
            let mut owner = Owner::new(run, group, orders.seed);
            let stop = &stop;
            scope.spawn(move || {
                while Instant::now() < end && !stop.load(Relaxed) && owner.step(&|| {}) {}
                stop.store(true, Relaxed);
            });
        }
    });
}

/// Cuts the file system from a thread of its own.
fn cut_later(mount: PathBuf, after: Duration, faults: &Faults, sink: &Arc<dyn Sink>) {
    let (faults, sink) = (faults.clone(), sink.clone());
    thread::spawn(move || {
        crate::fault_disk::wait(after);
        faults.cut(|| drop(cut_command(&mount).status()));
        sink.tell(Event::Struck("any".into()));
    });
}

/// What cuts the file system at the planned step, and tells of it.
fn striker(mount: &Path, faults: &Faults, sink: &Arc<dyn Sink>, orders: &Orders) -> Arc<dyn Fn() + Send + Sync> {
    let (mount, faults, sink) = (mount.to_owned(), faults.clone(), sink.clone());
    let waits = orders.plan.as_ref().is_none_or(|(_, plan)| plan.fault != crate::fault_disk::Fault::CutDuring);
    Arc::new(move || {
        let mut command = cut_command(&mount);
        let done = if waits { command.status().map(drop) } else { command.spawn().map(drop) };
        done.expect("xfs_io starts, as it did before");
        sink.tell(Event::Struck(format!("{:?}", faults.struck().unwrap_or(Step::Write))));
    })
}
