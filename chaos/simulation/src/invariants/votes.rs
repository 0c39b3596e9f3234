//! A vote that was synced is never taken back: terms do not fall, and no term gets two votes.

use std::collections::BTreeMap;

use thalweg_types::GroupId;

use crate::world::World;

/// The newest synced vote of each replica.
#[derive(Default)]
pub struct Votes(BTreeMap<(u64, GroupId), (u64, u64, bool)>);

impl Votes {
    pub(crate) fn check(&mut self, world: &World) {
        for machine in &world.machines {
            let durable = machine.durable.lock();
            // A replica that was given up begins anew, and so does a disk that lost something.
            self.0.retain(|(node, group), _| *node != machine.id.0 || durable.contains_key(group));
            for (group, durable) in &*durable {
                let Some(now) = durable.vote else { continue };
                let Some(before) = self.0.insert((machine.id.0, *group), now) else { continue };
                // Following the leader that others elected takes no vote back.
                let fell = now.0 < before.0 || (now.0 == before.0 && before.2 && !now.2);
                let twice = now.0 == before.0 && now.1 != before.1 && now.2 == before.2;
                if fell || twice {
                    let detail = format!("{}, group {group}: {before:?}, then {now:?}", machine.name);
                    world.violated("votes", detail);
                }
            }
        }
    }
}
