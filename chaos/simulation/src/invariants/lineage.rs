//! Sequence numbers rise from parents to children, and children open when their parents are closed.

use thalweg_catalog::Stream;

use crate::world::World;

pub(crate) fn check(world: &World, node: &str, stream: &Stream) {
    for child in stream.shards.iter().filter(|shard| shard.is_visible()) {
        for parent in child.parents.iter().filter_map(|parent| stream.shards.get(*parent)) {
            match parent.ending() {
                Some(ending) if ending < child.starting() => {}
                Some(ending) => {
                    let detail = format!("{node}: {} ends at {ending}, {} begins below", parent.id, child.id);
                    world.violated("lineage", detail);
                }
                None => {
                    world.violated("lineage", format!("{node}: {} is open beside its child {}", parent.id, child.id));
                }
            }
        }
    }
}
