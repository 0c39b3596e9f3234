//! What one replica has applied, every replica applies: the same entry at the same place, for ever.

use std::collections::BTreeMap;

use thalweg_raft::Group;
use thalweg_storage::{LogEntry, ReadError};
use thalweg_types::GroupId;

use super::Seen;
use super::admitted::Admitted;
use crate::world::World;

/// Bytes looked at in one go.
const PAGE_BYTES: usize = 256 * 1024;

/// The controller's group; all others are shards.
const CATALOG_GROUP: GroupId = GroupId(0);

/// Term and checksum of each applied entry, and how far each start of a node has been compared.
#[derive(Default)]
pub struct Committed {
    entries: BTreeMap<GroupId, BTreeMap<u64, (u64, u32)>>,
    compared: BTreeMap<(u64, u64, GroupId), u64>,
    admitted: Admitted,
}

impl Committed {
    pub(crate) fn check(&mut self, world: &World, seen: &[Seen<'_>]) {
        for node in seen {
            for group in &node.groups {
                let at = (node.machine.id.0, node.boot, group.id());
                let from = self.compared.get(&at).copied().unwrap_or(0);
                let next = self.compare(world, &node.machine.name, group, from);
                self.compared.insert(at, next);
                world.note_committed(group.id(), *group.applied().borrow());
            }
        }
    }

    fn compare(&mut self, world: &World, node: &str, group: &Group, from: u64) -> u64 {
        let end = *group.applied().borrow() + 1;
        let known = self.entries.entry(group.id()).or_default();
        let mut next = from;
        while next < end {
            let page = match group.log().cached(next, end, PAGE_BYTES) {
                Some(page) => page,
                None => match group.log().read(next, end, PAGE_BYTES) {
                    Ok(page) if page.is_empty() => return next,
                    Ok(page) => page,
                    Err(ReadError::Trimmed { first }) => {
                        next = first;
                        continue;
                    }
                    // Damage is found and mended by the node itself.
                    Err(_) => return next,
                },
            };
            for entry in page {
                next = entry.index + 1;
                let found = (entry.term, checksum(&entry));
                let first = *known.entry(entry.index).or_insert_with(|| {
                    if group.id() != CATALOG_GROUP {
                        self.admitted.applied(world, group.id(), &entry);
                    }
                    found
                });
                if first != found {
                    let (id, index) = (group.id(), entry.index);
                    let detail = format!("{node}, group {id}, index {index}: applied {found:?}, elsewhere {first:?}");
                    world.violated("committed", detail);
                }
            }
        }
        next
    }
}

fn checksum(entry: &LogEntry) -> u32 {
    thalweg_types::crc32c(&entry.head).rotate_left(7) ^ thalweg_types::crc32c(&entry.body)
}
