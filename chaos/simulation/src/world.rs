//! What the director, the nodes and the clients of one run share.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use thalweg_controller::Image;
use thalweg_types::{GroupId, NodeId, ShardId, StreamName, UnixMillis};
use tokio::sync::{mpsc, watch};

use crate::clock::{SimClock, SimTime};
use crate::machine::Machine;
use crate::network::Connections;
use crate::plan::Plan;
use crate::trace::Trace;
use crate::workload::operations::Operation;
use crate::workload::recorder::Recorder;

/// How far a run has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// The cluster forms.
    Forming,
    /// Clients are at work, faults come.
    Load,
    /// All faults have ended.
    Healing,
    /// The clients have read everything.
    Done,
}

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// Which promise is broken, by the name of its file or of the checker's finding.
    pub invariant: String,
    /// When it was noticed, in simulated milliseconds.
    pub at_ms: u64,
    /// What was seen.
    pub detail: String,
}

/// Of each kind so many are described.
const DESCRIBED_MAX: usize = 8;

/// What is shared.
pub struct World {
    /// The plan.
    pub plan: Plan,
    /// The time.
    pub time: SimTime,
    /// What happens.
    pub trace: Trace,
    /// All connections.
    pub connections: Connections,
    /// All machines, spare ones too, in the order of their nodes.
    pub machines: Vec<Arc<Machine>>,
    /// What clients see.
    pub recorder: Recorder,
    /// How far the run has come.
    pub phase: watch::Sender<Phase>,
    /// For the clients to do.
    pub operations: mpsc::UnboundedSender<Operation>,
    /// Where they find it.
    pub to_do: Mutex<Option<mpsc::UnboundedReceiver<Operation>>>,
    /// All shards of the stream under load that ever were, with their creation.
    pub shards: Mutex<BTreeMap<GroupId, (ShardId, UnixMillis)>>,
    /// Up to where a group is known to be committed.
    pub applied: Mutex<BTreeMap<GroupId, u64>>,
    /// How many times as many records come as the load says.
    pub load_factor: AtomicU32,
    violations: Mutex<Vec<Violation>>,
    coverage: Mutex<BTreeMap<String, u64>>,
}

impl World {
    /// The world of a plan, with a trace into `file`.
    pub fn new(plan: Plan, file: Option<std::fs::File>) -> Arc<World> {
        let time = SimTime::default();
        let machine = |id: u64| {
            let clock = SimClock::new(time.clone());
            clock.jump_ms(plan.skew_ms[id as usize - 1]);
            Arc::new(Machine::new(NodeId(id), clock, plan.seed.wrapping_mul(1_000_003) ^ id))
        };
        let (operations, to_do) = mpsc::unbounded_channel();
        Arc::new(World {
            trace: Trace::new(time.clone(), file),
            connections: Connections::default(),
            machines: (1..=plan.nodes + plan.spares).map(machine).collect(),
            recorder: Recorder::default(),
            phase: watch::Sender::new(Phase::Forming),
            operations,
            to_do: Mutex::new(Some(to_do)),
            shards: Mutex::default(),
            applied: Mutex::default(),
            load_factor: AtomicU32::new(1),
            violations: Mutex::default(),
            coverage: Mutex::default(),
            time,
            plan,
        })
    }

    /// Notes what happens.
    pub fn trace(&self, what: std::fmt::Arguments<'_>) {
        self.trace.line(what);
    }

    /// Notes that something was exercised.
    pub fn cover(&self, what: impl Into<String>) {
        *self.coverage.lock().entry(what.into()).or_default() += 1;
    }

    /// How often what was exercised.
    pub fn coverage(&self) -> BTreeMap<String, u64> {
        self.coverage.lock().clone()
    }

    /// Something is not as it must be.
    pub fn violated(&self, invariant: &str, detail: String) {
        let mut violations = self.violations.lock();
        if violations.iter().filter(|known| known.invariant == invariant).count() < DESCRIBED_MAX {
            self.trace.line(format_args!("VIOLATED {invariant}: {detail}"));
            violations.push(Violation { invariant: invariant.to_owned(), at_ms: self.time.now_ms(), detail });
        }
    }

    /// What was not as it must be.
    pub fn violations(&self) -> Vec<Violation> {
        self.violations.lock().clone()
    }

    /// The machine of a node.
    pub fn machine(&self, node: u64) -> &Arc<Machine> {
        &self.machines[node as usize - 1]
    }

    /// The group of a shard, as the newest image of any node has it, and how many replicas it has at
    /// least: fewer than asked for while nodes are dead or draining.
    pub fn group_of(&self, stream: &StreamName, shard: ShardId) -> Option<(GroupId, usize)> {
        let image = self.newest_image()?;
        let shard = image.catalog.shard(stream, shard)?;
        let before = if shard.previous.is_empty() { usize::MAX } else { shard.previous.len() };
        Some((shard.group, shard.replicas.len().min(before)))
    }

    /// The newest image of any node.
    pub fn newest_image(&self) -> Option<Arc<Image>> {
        let images = self.machines.iter().filter_map(|machine| Some(machine.view()?.image.borrow().clone()));
        images.max_by_key(|image| image.catalog.revision())
    }

    /// Whether any replica has applied entry `index` of a group.
    pub fn was_applied(&self, group: GroupId, index: u64) -> bool {
        let running = self.machines.iter().filter_map(|machine| machine.view()?.groups.get(group));
        let now = running.map(|replica| *replica.applied().borrow()).max();
        let before = self.applied.lock().get(&group).copied();
        now.max(before).is_some_and(|applied| applied >= index)
    }

    /// Entry `index` of a group is committed, even if those who have applied it end before anybody looks.
    pub fn note_committed(&self, group: GroupId, index: u64) {
        let mut applied = self.applied.lock();
        let applied = applied.entry(group).or_default();
        *applied = (*applied).max(index);
    }

    /// Where each machine stands in a group, for whoever has to find out.
    pub fn where_is(&self, group: GroupId) -> String {
        let on = |machine: &Arc<Machine>| {
            let durable = machine.durable.lock().get(&group).cloned();
            let lost = machine.lost.lock().1.get(&group).cloned();
            let replica = machine.view().and_then(|view| view.groups.get(group));
            let replica = replica.map(|replica| {
                let (status, last) = (replica.status().borrow().clone(), replica.log().state().last);
                let (applied, behind) = (*replica.applied().borrow(), replica.entries_behind());
                format!("{status:?}, last {last:?}, applied {applied}, behind {behind:?}")
            });
            let known = durable.is_some() || lost.is_some() || replica.is_some();
            let replica = replica.unwrap_or_else(|| "not open".to_owned());
            known.then(|| format!("{}: {replica}, durable {durable:?}, lost {lost:?}", machine.name))
        };
        self.machines.iter().filter_map(on).collect::<Vec<_>>().join("; ")
    }

    /// On how many machines entry `index` of a group is durable.
    pub fn durable_on(&self, group: GroupId, index: u64) -> usize {
        let now = self.time.now_ms();
        let has = |machine: &&Arc<Machine>| machine.has(group, index, now);
        self.machines.iter().filter(has).count()
    }
}
