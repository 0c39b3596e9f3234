//! One simulated directory: names now, names on the platter, and the changes between.
//!
//! Holds: a crash keeps a prefix of the unsynced changes, as a journaling file system does.

use std::collections::BTreeMap;

use super::Random;
use super::inode::Loss;

#[derive(Clone, Debug)]
enum Change {
    Link(String, u64),
    Unlink(String),
    Rename(String, String),
}

#[derive(Clone, Debug, Default)]
pub(super) struct Dir {
    pub(super) now: BTreeMap<String, u64>,
    durable: BTreeMap<String, u64>,
    pending: Vec<Change>,
}

impl Change {
    fn apply(&self, names: &mut BTreeMap<String, u64>) {
        match self {
            Change::Link(name, inode) => {
                names.insert(name.clone(), *inode);
            }
            Change::Unlink(name) => {
                names.remove(name);
            }
            Change::Rename(from, to) => {
                if let Some(inode) = names.remove(from) {
                    names.insert(to.clone(), inode);
                }
            }
        }
    }
}

impl Dir {
    fn change(&mut self, change: Change) {
        change.apply(&mut self.now);
        self.pending.push(change);
    }

    pub(super) fn link(&mut self, name: String, inode: u64) {
        self.change(Change::Link(name, inode));
    }

    pub(super) fn unlink(&mut self, name: &str) {
        self.change(Change::Unlink(name.into()));
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) {
        self.change(Change::Rename(from.into(), to.into()));
    }

    pub(super) fn sync(&mut self) {
        self.pending.clear();
        self.durable.clone_from(&self.now);
    }

    pub(super) fn crash(&mut self, loss: Loss, random: &mut Random) {
        let kept = match loss {
            Loss::Everything => 0,
            Loss::Nothing => self.pending.len(),
            Loss::Mixed | Loss::Tail => random.below(self.pending.len() as u64 + 1) as usize,
        };
        for change in self.pending.drain(..).take(kept) {
            change.apply(&mut self.durable);
        }
        self.now.clone_from(&self.durable);
    }

    /// Removes a name for good.
    pub(super) fn lose(&mut self, name: &str) {
        self.unlink(name);
        self.sync();
    }

    /// Whether a name, now or after a crash, leads to the inode.
    pub(super) fn holds(&self, inode: u64) -> bool {
        let linked = |change: &Change| matches!(change, Change::Link(_, linked) if *linked == inode);
        self.now.values().chain(self.durable.values()).any(|held| *held == inode) || self.pending.iter().any(linked)
    }
}
