//! The loop: steps the simulation, lets faults begin and end, restarts nodes, looks at the invariants
//! after every step.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use parking_lot::Mutex;
use turmoil::{Builder, Sim};

use crate::faults::Event;
use crate::invariants::Invariants;
use crate::links::Links;
use crate::node;
use crate::outcome::Outcome;
use crate::plan::{Plan, Request};
use crate::workload::{self, APP};
use crate::world::{Phase, World};

mod damage;
mod events;
mod machines;
mod settle;
mod verdict;

/// One step of the simulation.
const TICK: Duration = Duration::from_millis(5);
/// Between two looks at how far the run has come.
const LOOK_MS: u64 = 100;
/// Between two lines about every disk in the trace.
const PULSE_MS: u64 = 1_000;
/// The cluster forms within this.
const FORMS_WITHIN_MS: u64 = 60_000;
/// A node that ended by itself is started again after this.
const RESTART_MS: u64 = 1_000;
/// After the faults, everything is over within this.
const SETTLES_WITHIN_MS: u64 = 120_000;
/// Segments that a connection may have under way.
const TCP_CAPACITY: usize = 1 << 16;
/// What a black hole swallowed keeps its port for long.
const EPHEMERAL_PORTS: std::ops::RangeInclusive<u16> = 10_000..=65_535;

/// Panics of this process.
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Simulates what is asked for. To be called once a process, before anything has asked the system
/// for the time or for random bytes.
pub fn run(request: &Request) -> Outcome {
    std::panic::set_hook(Box::new(|panic| PANICS.lock().push(panic.to_string())));
    mad_turmoil::rand::set_rng(rand_entropy::SeedableRng::seed_from_u64(request.seed));
    let request = request.clone();
    // The thread's own random sources must not exist yet.
    let simulating = std::thread::Builder::new().stack_size(16 << 20).spawn(move || {
        let _clocks = mad_turmoil::time::SimClocksGuard::init();
        simulate(&request)
    });
    simulating.expect("a thread can be started").join().expect("the director does not panic")
}

fn simulate(request: &Request) -> Outcome {
    let plan = Plan::of(request);
    let file = request.trace.as_ref().map(|path| std::fs::File::create(path).expect("the trace can be written"));
    let world = World::new(plan, file);
    world.trace(format_args!("plan {:?}", world.plan));
    let mut director = Director::new(world.clone());
    let finished = director.run();
    director.finish(finished);
    director.judge(request)
}

/// Whether a machine runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Power {
    /// Not part of the cluster yet.
    Spare,
    Up,
    /// Starts again at this time, or when an event says so.
    Down(Option<u64>),
    /// Its disk is lost, and the node with it.
    Gone,
}

struct Director {
    world: Arc<World>,
    sim: Sim<'static>,
    links: Links,
    power: BTreeMap<u64, Power>,
    invariants: Invariants,
    /// Events in force, with the time of their end.
    running: Vec<(u64, Event)>,
    happened: Vec<u32>,
    load_from: Option<u64>,
    peace_from: Option<u64>,
}

impl Director {
    fn new(world: Arc<World>) -> Director {
        let plan = &world.plan;
        let mut sim = Builder::new()
            .rng_seed(plan.seed)
            .tick_duration(TICK)
            .min_message_latency(Duration::from_millis(1))
            .max_message_latency(Duration::from_millis(plan.latency_ms_max))
            .tcp_capacity(TCP_CAPACITY)
            .ephemeral_ports(EPHEMERAL_PORTS)
            .simulation_duration(Duration::from_secs(1 << 30))
            .enable_random_order()
            .build();
        let mut power = BTreeMap::new();
        for machine in &world.machines {
            let (world, machine) = (world.clone(), machine.clone());
            let (id, name) = (machine.id.0, machine.name.clone());
            let boots = Rc::new((world.clone(), machine));
            sim.host(name.as_str(), move || node::run(boots.0.clone(), boots.1.clone()));
            let spare = id > world.plan.nodes;
            power.insert(id, if spare { Power::Spare } else { Power::Up });
        }
        sim.client(APP, workload::run(world.clone()));
        let mut links = Links::new(plan.latency_ms_max);
        links.apply(&mut sim);
        let mut director = Director {
            links,
            sim,
            power,
            invariants: Invariants::default(),
            running: Vec::new(),
            happened: Vec::new(),
            load_from: None,
            peace_from: None,
            world,
        };
        for id in director.world.plan.nodes + 1..=director.world.plan.nodes + director.world.plan.spares {
            director.drop_process(id);
        }
        director
    }

    fn now(&self) -> u64 {
        self.world.time.now_ms()
    }

    /// Until everything is read, or too late.
    fn run(&mut self) -> bool {
        let mut pulse_at = 0;
        let mut look_at = 0;
        loop {
            if let Err(error) = self.sim.step() {
                self.world.violated("harness", format!("a step failed: {error}"));
                return false;
            }
            let now = self.sim.elapsed().as_millis() as u64;
            self.world.time.set_ms(now);
            for panic in PANICS.lock().drain(..) {
                self.world.violated("panic", panic);
            }
            // Before anything is killed: what a node did last counts too.
            self.invariants.check(&self.world, !self.running.is_empty());
            self.sweep_up();
            self.begin_and_end();
            if now >= look_at {
                look_at = now + LOOK_MS;
                if let Some(finished) = self.advance() {
                    return finished;
                }
            }
            if now >= pulse_at {
                self.pulse();
                pulse_at = now + PULSE_MS;
            }
        }
    }

    /// What every disk has done so far: two runs that differ anywhere differ here soon.
    fn pulse(&self) {
        for machine in self.world.machines.iter().filter(|machine| machine.boots.load(Relaxed) > 0) {
            let (operations, bytes) = (machine.disk.operations(), machine.disk.written_bytes());
            self.world.trace(format_args!("{} disk {operations} {bytes}", machine.name));
        }
    }

    /// From phase to phase. Says whether it went well when it is over.
    fn advance(&mut self) -> Option<bool> {
        let phase = *self.world.phase.borrow();
        let now = self.now();
        match phase {
            Phase::Forming if now > FORMS_WITHIN_MS => {
                self.world.violated("liveness", "the cluster did not form".to_owned());
                Some(false)
            }
            Phase::Forming => None,
            Phase::Load => {
                let from = *self.load_from.get_or_insert(now);
                if now >= from + self.world.plan.load_ms {
                    self.make_peace();
                }
                None
            }
            Phase::Healing | Phase::Done => {
                let peace = self.peace_from.unwrap_or(now);
                let over = now >= peace + SETTLES_WITHIN_MS;
                if phase == Phase::Healing && !over {
                    return None;
                }
                let unsettled = self.unsettled();
                if phase == Phase::Done && unsettled.is_none() {
                    return Some(true);
                }
                if !over {
                    return None;
                }
                let why = unsettled.unwrap_or_else(|| "the clients have not read everything".to_owned());
                self.world.violated("liveness", format!("{SETTLES_WITHIN_MS} ms after the last fault: {why}"));
                Some(false)
            }
        }
    }

    /// Nodes that ended by themselves are swept away and started again.
    fn sweep_up(&mut self) {
        let now = self.now();
        for machine in self.world.machines.clone() {
            let id = machine.id.0;
            let ended = machine.ended.lock().take();
            if let (Some(reason), Power::Up) = (ended, self.power[&id]) {
                self.world.cover(format!("node ended: {}", kind_of_end(&reason)));
                self.drop_process(id);
                self.power.insert(id, Power::Down(Some(now + RESTART_MS)));
            }
            if let Power::Down(Some(at)) = self.power[&id]
                && now >= at
            {
                self.start(id);
            }
        }
    }

    fn begin_and_end(&mut self) {
        let Some(from) = self.load_from.filter(|_| self.peace_from.is_none()) else { return };
        let now = self.now();
        let over: Vec<Event> = self.running.iter().filter(|(end, _)| now >= *end).map(|(_, event)| *event).collect();
        self.running.retain(|(end, _)| now < *end);
        over.into_iter().for_each(|event| self.end(event));
        let due: Vec<Event> = {
            let seen: BTreeSet<u32> = self.happened.iter().copied().collect();
            let events = self.world.plan.events.iter();
            events.filter(|event| now >= from + event.at_ms && !seen.contains(&event.id)).copied().collect()
        };
        for event in due {
            self.happened.push(event.id);
            let began = self.begin(event);
            self.world.trace(format_args!("event {event:?} {}", if began { "begins" } else { "is passed over" }));
            if began {
                self.world.cover(format!("fault {}", event.kind));
                self.running.push((now + event.for_ms, event));
            }
        }
    }

    fn make_peace(&mut self) {
        let over: Vec<Event> = self.running.drain(..).map(|(_, event)| event).collect();
        over.into_iter().for_each(|event| self.end(event));
        let now = self.now();
        self.world.time.leap_ms(0);
        self.peace_from = Some(now);
        for machine in self.world.machines.clone() {
            machine.stalled.store(false, Relaxed);
            machine.disk.set_capacity(None);
            machine.clock.set_right();
            if let Power::Down(_) = self.power[&machine.id.0] {
                self.power.insert(machine.id.0, Power::Down(Some(now)));
            }
        }
        self.world.trace(format_args!("peace"));
        self.world.phase.send_replace(Phase::Healing);
    }
}

/// Why a node ended, without what differs from run to run.
fn kind_of_end(reason: &str) -> &str {
    let known = ["asked to", "did not start", "storage failed", "raft group"];
    known.into_iter().find(|known| reason.starts_with(known)).unwrap_or("refused")
}
