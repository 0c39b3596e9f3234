//! What is acknowledged is synced on a majority, before the client hears of it.

use thalweg_types::{SequenceNumber, ShardId};

use crate::workload::{REPLICATION, stream};
use crate::world::World;

/// A client was told of a record's place.
pub fn acknowledged(world: &World, shard: ShardId, at: SequenceNumber) {
    let Some(group) = world.group_of(&stream(), shard) else { return };
    let durable = world.durable_on(group, at.raft_index());
    let majority = REPLICATION as usize / 2 + 1;
    if durable < majority {
        let index = at.raft_index();
        let detail = format!("{shard}, group {group}, index {index}: synced on {durable} of {REPLICATION} replicas");
        world.violated("durable", detail);
    }
}
