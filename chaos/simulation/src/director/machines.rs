//! Machines: which of them run, how they go down and come back, and who leads what.

use super::{Director, Power};
use crate::faults::{Event, Kind};
use crate::workload::{APP, stream};

impl Director {
    pub(super) fn is_up(&self, id: u64) -> bool {
        self.power[&id] == Power::Up
    }

    pub(super) fn nodes_up(&self) -> Vec<u64> {
        self.power.iter().filter(|(_, power)| **power == Power::Up).map(|(id, _)| *id).collect()
    }

    pub(super) fn nodes_down(&self) -> usize {
        self.power.values().filter(|power| matches!(power, Power::Down(_))).count()
    }

    /// A machine is no longer part of anything.
    pub(super) fn give_up(&mut self, id: u64) {
        self.drop_process(id);
        self.power.insert(id, Power::Gone);
    }

    /// Ends the process of a machine: its connections are reset.
    pub(super) fn drop_process(&mut self, id: u64) {
        let machine = self.world.machine(id).clone();
        *machine.view.lock() = None;
        *machine.ended.lock() = None;
        self.sim.crash(machine.name.as_str());
        // RocksDB keeps no log: what was not flushed dies with the process.
        machine.store().crash();
    }

    pub(super) fn kill(&mut self, id: u64, restart_at: Option<u64>) {
        self.world.trace(format_args!("node-{id} is killed"));
        self.drop_process(id);
        self.power.insert(id, Power::Down(restart_at));
    }

    /// The power of a machine fails: nobody hears of it, and what was not synced is lost.
    pub(super) fn cut_power(&mut self, event: u32, id: u64, restart_at: Option<u64>) {
        self.world.trace(format_args!("node-{id} loses power"));
        let name = self.world.machine(id).name.clone();
        let others: Vec<(String, String)> = self.pairs_of(id).collect();
        self.links.cut(event, others);
        self.links.apply(&mut self.sim);
        self.drop_process(id);
        self.world.machine(id).disk.crash();
        self.links.end(event);
        self.links.apply(&mut self.sim);
        self.world.trace(format_args!("{name} is dark"));
        self.power.insert(id, Power::Down(restart_at));
    }

    pub(super) fn start(&mut self, id: u64) {
        let machine = self.world.machine(id).clone();
        self.world.time.leap_ms(0);
        *machine.ended.lock() = None;
        self.sim.bounce(machine.name.as_str());
        self.power.insert(id, Power::Up);
    }

    /// All links of a machine, both ways.
    pub(super) fn pairs_of(&self, id: u64) -> impl Iterator<Item = (String, String)> + use<> {
        let name = self.world.machine(id).name.clone();
        let others: Vec<String> = self.names().into_iter().filter(|other| *other != name).collect();
        others.into_iter().flat_map(move |other| [(name.clone(), other.clone()), (other, name.clone())])
    }

    pub(super) fn names(&self) -> Vec<String> {
        let machines = self.world.machines.iter().map(|machine| machine.name.clone());
        machines.chain([APP.to_owned()]).collect()
    }

    /// The node that leads the controller, or some shard.
    pub(super) fn leader(&self, event: &Event) -> Option<u64> {
        let image = self.world.newest_image()?;
        if event.kind == Kind::IsolateController {
            return image.controller_leader.map(|node| node.0);
        }
        let stream = image.catalog.stream(&stream())?;
        let open: Vec<_> = stream.open_shards().collect();
        let shard = open.get(event.dice as usize % open.len().max(1))?;
        image.leaders.get(&shard.group).map(|node| node.0)
    }
}
