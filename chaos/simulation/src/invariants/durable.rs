//! What is acknowledged is synced on a majority, before the client hears of it; and so is what is read.

use thalweg_types::{SequenceNumber, ShardId};

use crate::workload::stream;
use crate::world::World;

/// A client was told of a record's place.
pub fn acknowledged(world: &World, shard: ShardId, at: SequenceNumber) {
    let Some((group, replicas)) = world.group_of(&stream(), shard) else { return };
    let durable = world.durable_on(group, at.raft_index());
    if durable < replicas / 2 + 1 {
        let index = at.raft_index();
        let where_it_is = world.where_is(group);
        let detail =
            format!("{shard}, group {group}, index {index}: synced on {durable} of {replicas} replicas; {where_it_is}");
        return world.violated("durable", detail);
    }
    world.note_committed(group, at.raft_index());
}

/// A client was given a record.
pub fn read(world: &World, shard: ShardId, at: SequenceNumber) {
    let Some((group, replicas)) = world.group_of(&stream(), shard) else { return };
    let (index, majority) = (at.raft_index(), replicas / 2 + 1);
    if world.was_applied(group, index) || world.durable_on(group, index) >= majority {
        return world.note_committed(group, index);
    }
    let durable = world.durable_on(group, index);
    let where_it_is = world.where_is(group);
    let detail = format!(
        "{shard}, group {group}, index {index}: read, and synced on {durable} of {replicas} replicas; {where_it_is}"
    );
    world.violated("uncommitted", detail);
}
