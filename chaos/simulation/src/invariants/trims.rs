//! Writes down where horizons moved to, which shards there were, and which were forgotten: the checker
//! judges whether what went was old enough, and does not miss it.

use std::collections::BTreeSet;

use thalweg_checker::Position;
use thalweg_shard::command::EntryFacts;
use thalweg_types::{GroupId, SequenceNumber};

use crate::workload::recorder::Kin;
use crate::workload::stream;
use crate::world::World;

/// No clock that is believed is further off than this.
const CLOCKS_OFF_MS: u64 = 3_600_000;

/// The newest revision that was looked at, and who was there in it.
#[derive(Default)]
pub struct Trims {
    revision: u64,
    there: BTreeSet<GroupId>,
}

impl Trims {
    pub(crate) fn check(&mut self, world: &World) {
        let Some(image) = world.newest_image() else { return };
        let Some(load) = image.catalog.stream(&stream()) else { return };
        if image.catalog.revision() <= self.revision {
            return;
        }
        self.revision = image.catalog.revision();
        let mut known = world.shards.lock();
        known.extend(load.shards.iter().map(|shard| (shard.group, (shard.id, shard.created_at))));
        for shard in load.shards.iter().filter(|shard| shard.is_visible()) {
            let last = shard.ending().map(Position::from);
            world.recorder.there_is(shard.id, Kin { range: shard.range, parents: shard.parents.clone(), last });
        }
        let there: BTreeSet<GroupId> = load.shards.iter().map(|shard| shard.group).collect();
        for (shard, _) in self.there.difference(&there).filter_map(|group| known.get(group)) {
            world.trace(format_args!("{shard} is forgotten"));
            world.recorder.trimmed(*shard, Position(u128::MAX), since_ns(world), may_be_ms(world));
        }
        self.there = there;
    }
}

/// Entries of a shard up to this one were given up.
pub(crate) fn trimmed(world: &World, group: GroupId, last: EntryFacts) {
    let Some((shard, created)) = world.shards.lock().get(&group).copied() else { return };
    if !world.time.was_moved() {
        // By stamps of a clock that was wrong, say, which most others were not.
        world.violated("trims", format!("{shard}: {last:?} went, and nothing in this run is a day old"));
    }
    let next = SequenceNumber::new(created, shard, last.index + 1, 0, last.arrived);
    world.cover("trim");
    world.recorder.trimmed(shard, next.into(), since_ns(world), may_be_ms(world));
}

/// Nothing expires before time has passed.
fn since_ns(world: &World) -> u64 {
    world.time.slept_first_at().unwrap_or_else(|| world.time.now_ms()) * 1_000_000
}

fn may_be_ms(world: &World) -> u64 {
    world.time.shown_max().0 + CLOCKS_OFF_MS
}
