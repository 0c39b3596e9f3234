//! When the faults have ended: is the cluster whole, and are all replicas equal again?

use thalweg_catalog::Shard;

use super::{Director, Power};

impl Director {
    /// What is not in order yet, if anything.
    pub(super) fn unsettled(&self) -> Option<String> {
        if let Some((node, power)) = self.power.iter().find(|(_, power)| matches!(power, Power::Down(_))) {
            return Some(format!("node {node} is {power:?}"));
        }
        let Some(image) = self.world.newest_image() else { return Some("no node has an image".to_owned()) };
        if let Some(stream) = image.catalog.streams().find(|stream| stream.scaling.is_some()) {
            return Some(format!("{} is still being scaled: {:?}", stream.name, stream.scaling));
        }
        for (stream, shard) in image.catalog.shards() {
            if let Some(why) = self.unequal(shard) {
                return Some(format!("{} {}, group {}: {why}", stream.name, shard.id, shard.group));
            }
        }
        None
    }

    fn unequal(&self, shard: &Shard) -> Option<String> {
        let mut found = Vec::new();
        let mut leaders = 0;
        for node in &shard.replicas {
            if self.power[&node.0] == Power::Gone {
                let image = self.world.newest_image()?;
                let nodes: Vec<_> = image.catalog.nodes().map(|node| (node.id, node.state)).collect();
                return Some(format!(
                    "node {node} is gone and still has a replica: {shard:?}; {nodes:?}; {}",
                    self.world.where_is(shard.group)
                ));
            }
            let Some(view) = self.world.machine(node.0).view() else { return Some(format!("node {node} is not up")) };
            let Some(group) = view.groups.get(shard.group) else { return Some(format!("not open on node {node}")) };
            let status = group.status().borrow().clone();
            if status.fenced {
                let others = self.world.where_is(shard.group);
                return Some(format!("fenced on node {node}; {others}"));
            }
            leaders += usize::from(status.leading);
            found.push((*node, *group.applied().borrow(), group.log().state().last));
        }
        if leaders != 1 {
            return Some(format!("{leaders} leaders; {}", self.world.where_is(shard.group)));
        }
        let (_, applied, last) = found[0];
        let equal = found.iter().all(|replica| (replica.1, replica.2) == (applied, last))
            && last.is_none_or(|(index, _)| index == applied);
        (!equal).then(|| {
            format!(
                "replicas differ: {}; wanted {:?}, settled {}",
                self.world.where_is(shard.group),
                shard.replicas,
                shard.settled
            )
        })
    }
}
