//! What a shard's log holds, its leaders let through: nothing behind a seal, nothing twice, no arrival
//! below an earlier one, no placement older than one before. Apply would drop such an entry, but its
//! writer was told nothing good.

use std::collections::BTreeMap;

use thalweg_shard::command::Command;
use thalweg_storage::LogEntry;
use thalweg_types::{GroupId, ProducerId, UnixMillis};

use crate::world::World;

/// How `thalweg_raft` marks the head of an entry that holds a command.
const KIND_COMMAND: u8 = 1;

/// What the committed entries of each shard amount to.
#[derive(Default)]
pub struct Admitted(BTreeMap<GroupId, Shard>);

#[derive(Default)]
struct Shard {
    next: u64,
    arrived: UnixMillis,
    sealed: bool,
    trimmed: bool,
    placement: u64,
    /// The last batch of each, and its index.
    producers: BTreeMap<ProducerId, (u64, u64)>,
}

impl Admitted {
    /// An entry that no replica had applied before.
    pub(crate) fn applied(&mut self, world: &World, group: GroupId, entry: &LogEntry) {
        let shard = self.0.entry(group).or_default();
        if entry.index != shard.next {
            // Entries were trimmed before anybody looked: what they said is not known.
            *shard = Shard { trimmed: true, ..Shard::default() };
        }
        shard.next = entry.index + 1;
        let Some((&KIND_COMMAND, command)) = entry.head.split_first() else { return };
        let Ok(command) = Command::decode(command) else { return };
        if let Command::Trim { last, .. } = command {
            super::trims::trimmed(world, group, last);
        }
        if let Some(wrong) = shard.take(entry.index, &command) {
            world.violated("admitted", format!("group {group}, index {}: {wrong}: {command:?}", entry.index));
        }
    }
}

impl Shard {
    /// What is wrong with the command, if anything.
    fn take(&mut self, index: u64, command: &Command) -> Option<String> {
        match *command {
            Command::Append { .. } if self.sealed => Some("behind the seal".to_owned()),
            Command::Append { arrived, tag, .. } => {
                let before = self.arrived;
                self.arrived = before.max(arrived);
                if arrived < before {
                    return Some(format!("the arrival falls below {before:?}"));
                }
                let tag = tag?;
                let (last, _) = self.producers.insert(tag.producer, (tag.sequence, index))?;
                let follows = tag.sequence == last + 1 || (self.trimmed && tag.sequence > last);
                (!follows).then(|| format!("the producer's last batch was {last}"))
            }
            Command::Seal { .. } => {
                self.sealed = true;
                None
            }
            Command::Place { placement, .. } => {
                let before = self.placement;
                self.placement = before.max(placement);
                (placement < before).then(|| format!("placement {before} came before"))
            }
            Command::Trim { last, .. } => {
                // Producers of whom nothing is left are forgotten, and may begin anew.
                self.producers.retain(|_, (_, index)| *index > last.index);
                None
            }
        }
    }
}
