//! Faults and operations: how each kind begins and ends.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::{Director, Power, RESTART_MS, damage};
use crate::faults::{Event, Kind};
use crate::machine::Machine;
use crate::workload::operations::Operation;
use crate::workload::{APP, stream};

/// More than any retention of a simulation.
const LEAP_MS: u64 = 60 * 24 * 3_600_000;
/// How many times as many records come as usual.
const OVERLOAD: u32 = 8;

impl Director {
    pub(super) fn begin(&mut self, event: Event) -> bool {
        let Event { id, node, for_ms, dice, .. } = event;
        let until = Some(self.now() + for_ms);
        let machine: Arc<Machine> = self.world.machine(node).clone();
        match event.kind {
            Kind::Kill if self.is_up(node) => self.kill(node, until),
            Kind::CrashLoop if self.is_up(node) => self.kill(node, None),
            Kind::KillAll => self.nodes_up().into_iter().for_each(|node| self.kill(node, until)),
            Kind::PowerCut if self.is_up(node) => self.cut_power(id, node, until),
            Kind::PowerCutAll => self.nodes_up().into_iter().for_each(|node| self.cut_power(id, node, until)),
            // Machines that hang on the same supply.
            Kind::PowerCutSome => {
                let hit = |node: &u64| dice >> node & 1 == 1;
                self.nodes_up().into_iter().filter(hit).for_each(|node| self.cut_power(id, node, until));
            }
            Kind::TornWrite if self.is_up(node) => machine.disk.power_off_after(dice % 12),
            Kind::Restart if self.is_up(node) => machine.stop.notify_one(),
            Kind::Isolate if self.is_up(node) => self.isolate(&event, node),
            Kind::IsolateLeader | Kind::IsolateController => {
                let Some(leader) = self.leader(&event).filter(|leader| self.is_up(*leader)) else { return false };
                self.isolate(&event, leader);
            }
            Kind::OneWay | Kind::Halves | Kind::Bridge | Kind::BlackHole | Kind::ClientCutOff | Kind::Flap => {
                let pairs = self.pairs_for(&event);
                self.links.cut(id, pairs);
                self.links.apply(&mut self.sim);
            }
            Kind::Hold => {
                let pairs = self.pairs_for(&event);
                self.links.hold(id, pairs);
                self.links.apply(&mut self.sim);
            }
            Kind::Delay | Kind::Loss => {
                let ms = if event.kind == Kind::Loss { 500 + dice % 2_500 } else { 20 + dice % 300 };
                let pairs = self.pairs_for(&event);
                self.links.lag(id, ms, pairs);
                self.links.apply(&mut self.sim);
            }
            Kind::Reset => {
                let name = machine.name.clone();
                self.world.connections.reset(|from, to| from == name || to == name);
            }
            Kind::SlowDisk => {
                machine.sync_micros.0.store(5_000 + dice % 100_000, Relaxed);
                machine.sync_micros.1.store(200_000, Relaxed);
            }
            Kind::SyncStall => machine.stalled.store(true, Relaxed),
            Kind::SyncError if self.is_up(node) => machine.disk.fail_next_sync(),
            Kind::WriteError if self.is_up(node) => machine.disk.fail_next_write(),
            Kind::ReadError => return damage::make_unreadable(&machine, dice),
            Kind::ReadOnly => machine.disk.set_read_only(true),
            Kind::DiskFull => damage::fill(&machine, dice, self.world.plan.tuning.reserve_bytes),
            Kind::FlipLog | Kind::CutLog | Kind::LoseLog => return self.damage_log(&event),
            Kind::CorruptRecord => return self.corrupt_record(&event),
            Kind::ClockJump => machine.clock.jump_ms((dice % 60_000) as i64 - 30_000),
            // One clock far off is told by the others; of two among three nobody can tell which are right.
            Kind::ClockJumpFar if self.running.iter().all(|(_, other)| other.kind != Kind::ClockJumpFar) => {
                const YEARS_MS: i64 = 10 * 365 * 86_400_000;
                machine.clock.jump_ms(if dice % 2 == 0 { YEARS_MS } else { -YEARS_MS });
            }
            Kind::ClockDrift => machine.clock.drift_ppm((dice % 400_000) as i64 - 200_000),
            Kind::ClockFreeze => machine.clock.drift_ppm(-1_000_000),
            Kind::Overload => self.world.load_factor.store(OVERLOAD, Relaxed),
            Kind::Split
            | Kind::Merge
            | Kind::Scale
            | Kind::Retention
            | Kind::Drain
            | Kind::Transfer
            | Kind::OtherStream => self.operate(&event, node, false),
            Kind::TimePasses => self.let_time_pass(until),
            // Whoever starts meanwhile would have to believe it.
            Kind::ClockJumpAll if self.nodes_down() == 0 => self.world.time.leap_ms(LEAP_MS),
            Kind::ReturnEmpty => return self.return_empty(&event),
            Kind::DamagedStart => return self.damage_start(&event),
            Kind::SplitTwice => {
                self.operate(&Event { kind: Kind::Split, ..event }, node, false);
                self.operate(&Event { kind: Kind::Split, ..event }, node, false);
            }
            Kind::AddNode => return self.add_node(),
            Kind::ReplaceNode => return self.replace_node(&event),
            _ => return false,
        }
        true
    }

    pub(super) fn end(&mut self, event: Event) {
        let machine = self.world.machine(event.node).clone();
        match event.kind {
            Kind::CrashLoop => self.crash_again(event),
            Kind::TornWrite => self.end_of_power(&event, event.node),
            Kind::DamagedStart => self.end_of_power(&event, self.world.plan.victim),
            Kind::SlowDisk => {
                machine.sync_micros.0.store(500, Relaxed);
                machine.sync_micros.1.store(1_000, Relaxed);
            }
            Kind::SyncStall => machine.stalled.store(false, Relaxed),
            Kind::DiskFull => machine.disk.set_capacity(None),
            Kind::ReadError => machine.disk.set_all_readable(),
            Kind::ReadOnly => machine.disk.set_read_only(false),
            Kind::Overload => self.world.load_factor.store(1, Relaxed),
            Kind::ClockJumpFar | Kind::ClockFreeze | Kind::ClockDrift => machine.clock.set_right(),
            Kind::Drain => self.operate(&event, event.node, true),
            Kind::ClockJumpAll => self.world.time.leap_ms(0),
            Kind::ReturnEmpty => self.give_up(self.world.plan.victim),
            _ => {}
        }
        let cut = self.links.end(event.id);
        self.links.apply(&mut self.sim);
        if event.kind != Kind::BlackHole && !cut.is_empty() {
            // What was swallowed is not sent again, see `network`.
            let pairs: BTreeSet<(&str, &str)> = cut.iter().map(|(from, to)| (from.as_str(), to.as_str())).collect();
            self.world.connections.reset(|a, b| pairs.contains(&(a, b)) || pairs.contains(&(b, a)));
        }
    }

    /// A disk that stopped in the middle of something is that of a machine without power.
    fn end_of_power(&mut self, event: &Event, node: u64) {
        if !matches!(self.power[&node], Power::Gone | Power::Spare) {
            let now = self.now();
            self.cut_power(event.id, node, Some(now + RESTART_MS));
        }
    }

    /// The victim's log is damaged, and the power fails in the middle of the start that finds out.
    fn damage_start(&mut self, event: &Event) -> bool {
        let damaged = self.damage_log(&Event { kind: Kind::FlipLog, for_ms: event.for_ms / 2, ..*event });
        if damaged {
            self.world.machine(self.world.plan.victim).disk.power_off_after(event.dice % 16);
        }
        damaged
    }

    /// A node that was killed comes back, and one that came back is killed, some times in turn.
    pub(super) fn crash_again(&mut self, event: Event) {
        let node = event.node;
        match self.power[&node] {
            Power::Up if !event.dice.is_multiple_of(8) => self.kill(node, None),
            Power::Down(_) => self.start(node),
            _ => {}
        }
        if !event.dice.is_multiple_of(8) && self.power[&node] != Power::Gone {
            let dice = event.dice - 1;
            self.running.push((self.now() + 20 + (dice >> 8) % 700, Event { dice, ..event }));
        }
    }

    pub(super) fn isolate(&mut self, event: &Event, node: u64) {
        let pairs: Vec<(String, String)> = self.pairs_of(node).collect();
        if event.dice.is_multiple_of(3) {
            self.links.hold(event.id, pairs)
        } else {
            self.links.cut(event.id, pairs)
        }
        self.links.apply(&mut self.sim);
    }

    /// The links that an event is about.
    pub(super) fn pairs_for(&self, event: &Event) -> Vec<(String, String)> {
        let name = |id: u64| self.world.machine(id).name.clone();
        let nodes = self.world.plan.nodes;
        let (node, other) = (event.node, (event.node + event.dice % (nodes - 1)) % nodes + 1);
        let both = |a: String, b: String| [(a.clone(), b.clone()), (b, a)];
        match event.kind {
            Kind::OneWay => vec![(name(node), name(other))],
            Kind::ClientCutOff => both(name(node), APP.to_owned()).to_vec(),
            // Two nodes see each other only through the others.
            Kind::Bridge => both(name(node), name(other)).to_vec(),
            Kind::Halves => {
                let side = |id: u64| event.dice >> id & 1 == 1;
                let all = (1..=nodes).flat_map(|a| (1..a).map(move |b| (a, b)));
                all.filter(|(a, b)| side(*a) != side(*b)).flat_map(|(a, b)| both(name(a), name(b))).collect()
            }
            _ if event.dice.is_multiple_of(2) => self.pairs_of(node).collect(),
            _ => both(name(node), name(other)).to_vec(),
        }
    }

    /// All nodes are shut down, and started again when what they hold is past its retention.
    fn let_time_pass(&mut self, until: Option<u64>) {
        let image = self.world.newest_image();
        let hours = image.as_ref().and_then(|image| image.catalog.stream(&stream())).map_or(24, |s| s.retention_hours);
        self.nodes_up().into_iter().for_each(|node| self.kill(node, until));
        self.world.time.sleep_ms((u64::from(hours) + 1) * 3_600_000);
        self.world.trace(format_args!("{hours} hours and one pass"));
    }

    /// The victim comes back with an empty disk, under its old name. The cluster has no place for it:
    /// another machine joins, and the node is removed.
    fn return_empty(&mut self, event: &Event) -> bool {
        let victim = self.world.plan.victim;
        if !self.replace_node(event) {
            return false;
        }
        self.world.machine(victim).wipe(self.now());
        self.start(victim);
        true
    }

    pub(super) fn operate(&self, event: &Event, node: u64, undo: bool) {
        let _ = self.world.operations.send(Operation { kind: event.kind, node, dice: event.dice, undo });
    }

    pub(super) fn add_node(&mut self) -> bool {
        let Some(spare) = self.power.iter().find(|(_, power)| **power == Power::Spare).map(|(id, _)| *id) else {
            return false;
        };
        self.start(spare);
        true
    }

    /// Whether a group has no majority without the node: one that was formed with fewer than three.
    fn is_needed(&self, node: u64) -> bool {
        let mut views = self.world.machines.iter().filter_map(|machine| machine.view());
        views.any(|view| {
            view.log.groups().into_iter().filter_map(|group| view.groups.get(group)).any(|group| {
                let voters = group.status().borrow().voters.clone();
                voters.len() < 3 && voters.iter().any(|voter| voter.0 == node)
            })
        })
    }

    /// The victim's disk is gone for good: another machine joins, and the node is removed.
    pub(super) fn replace_node(&mut self, event: &Event) -> bool {
        let victim = self.world.plan.victim;
        if self.power[&victim] == Power::Gone || self.is_needed(victim) || !self.add_node() {
            return false;
        }
        if self.is_up(victim) {
            self.cut_power(event.id, victim, None);
        }
        self.power.insert(victim, Power::Gone);
        self.world.machine(victim).lose(self.now());
        self.operate(event, victim, false);
        true
    }
}
