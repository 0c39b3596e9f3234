//! What happens to bytes: full disks, flipped bits, cut and lost files.

use std::path::{Path, PathBuf};

use thalweg_types::GroupId;
use thalweg_wal::{Disk, OpenMode};

use super::Director;
use crate::faults::{Event, Kind};
use crate::machine::Machine;
use crate::node::DATA_DIR;

/// Leaves less room than the reserve, so that appends are refused.
pub(super) fn fill(machine: &Machine, dice: u64, reserve_bytes: u64) {
    machine.disk.set_capacity(None);
    let free = machine.disk.free_bytes(Path::new(DATA_DIR)).unwrap_or(0);
    let used = (1u64 << 50) - free;
    machine.disk.set_capacity(Some(used + dice % (2 * reserve_bytes)));
}

/// A file of the log cannot be read for a while.
pub(super) fn make_unreadable(machine: &Machine, dice: u64) -> bool {
    let file = pick_file(machine, dice);
    file.inspect(|file| machine.disk.set_unreadable(file, true)).is_some()
}

impl Director {
    /// Kills the victim, spoils a file of its log, and lets it start again.
    pub(super) fn damage_log(&mut self, event: &Event) -> bool {
        let victim = self.world.plan.victim;
        if !self.is_up(victim) {
            return false;
        }
        let machine = self.world.machine(victim).clone();
        let until = self.now() + event.for_ms;
        self.kill(victim, Some(until));
        let Some(file) = pick_file(&machine, event.dice) else { return false };
        let len = machine.disk.open(&file, OpenMode::Read).and_then(|file| file.len()).unwrap_or(0);
        let at = (event.dice >> 16) % len.max(1);
        match event.kind {
            Kind::FlipLog => machine.disk.flip_bit(&file, at, (event.dice >> 8) as u8),
            Kind::CutLog => machine.disk.truncate(&file, at),
            _ => machine.disk.lose(&file),
        }
        // What it once had synced it may have no more.
        machine.lose(self.now());
        self.world.trace(format_args!("{} of {} is damaged at {at} of {len}", file.display(), machine.name));
        true
    }

    /// Flips a bit of a record that the victim has moved to its record store.
    pub(super) fn corrupt_record(&mut self, event: &Event) -> bool {
        let machine = self.world.machine(self.world.plan.victim).clone();
        let Some(view) = machine.view() else { return false };
        let groups: Vec<GroupId> = view.log.groups();
        let Some(group) = groups.get(event.dice as usize % groups.len().max(1)) else { return false };
        let Some(state) = view.log.known_group(*group).map(|log| log.state()) else { return false };
        let first = state.trimmed.map_or(0, |(index, _)| index + 1);
        if state.moved_end <= first {
            return false;
        }
        let index = first + (event.dice >> 16) % (state.moved_end - first);
        self.world.trace(format_args!("{}: entry {index} of group {group} is corrupt", machine.name));
        machine.store().corrupt(*group, index)
    }
}

fn pick_file(machine: &Machine, dice: u64) -> Option<PathBuf> {
    let dir = Path::new(DATA_DIR).join("wal");
    let files = machine.disk.list(&dir).ok()?;
    let file = files.get((dice >> 4) as usize % files.len().max(1))?;
    Some(dir.join(file))
}
