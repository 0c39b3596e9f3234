//! In every image of every node, the open shards of each stream tile the hash space exactly.

use std::collections::BTreeMap;

use thalweg_catalog::Stream;
use thalweg_types::HashRange;

use super::{Seen, lineage};
use crate::world::World;

/// The newest revision looked at, by node.
#[derive(Default)]
pub struct Tiling(BTreeMap<(u64, u64), u64>);

impl Tiling {
    pub(crate) fn check(&mut self, world: &World, seen: &[Seen<'_>]) {
        for node in seen {
            let image = node.view.image.borrow().clone();
            let revision = image.catalog.revision();
            let at = (node.machine.id.0, node.boot);
            let before = self.0.insert(at, revision);
            if before == Some(revision) {
                continue;
            }
            if before.is_some_and(|before| before > revision) {
                let detail = format!("{}: revision {revision} after {before:?}", node.machine.name);
                world.violated("tiling", detail);
            }
            for stream in image.catalog.streams().filter(|stream| stream.serves()) {
                if let Some(broken) = broken(stream) {
                    let name = &node.machine.name;
                    world.violated("tiling", format!("{name}, revision {revision}, {}: {broken}", stream.name));
                }
                lineage::check(world, &node.machine.name, stream);
            }
        }
    }
}

fn broken(stream: &Stream) -> Option<String> {
    let mut ranges: Vec<HashRange> = stream.open_shards().map(|shard| shard.range).collect();
    ranges.sort_unstable();
    let whole = HashRange::tile(1)[0];
    let ends = ranges.first().zip(ranges.last());
    let reaches = ends.is_some_and(|(first, last)| first.start() == whole.start() && last.end() == whole.end());
    let joined = ranges.windows(2).all(|pair| pair[0].touches(&pair[1]));
    (!reaches || !joined).then(|| format!("open ranges {ranges:?}"))
}
