//! The catalog's rules and a shard's log, as small as they can be.
//!
//! Numbers: `16 × creation time + index`, so that a shard created later lies above as a whole.

use super::{Bug, Reshards};

/// A place in a stream.
pub type Number = u8;
/// A revision of the catalog.
pub type Image = usize;

/// Where a shard is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ShardState {
    /// Being formed; nobody may know of it.
    Opening,
    /// Takes writes.
    Open,
    /// Takes writes until its leader has sealed it.
    Sealing,
    /// Ended at this number.
    Closed(Number),
}

/// A shard as the catalog has it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Shard {
    /// The keys it takes, one bit each.
    pub keys: u8,
    /// When it was created.
    pub created: u8,
    /// Whom it takes over from.
    pub parents: Vec<usize>,
    /// Where it is in its life.
    pub state: ShardState,
}

impl Shard {
    /// Below its first number.
    pub fn start(&self) -> Number {
        self.created * 16
    }

    /// Whether images offer it to writers.
    pub fn is_open(&self) -> bool {
        matches!(self.state, ShardState::Open | ShardState::Sealing)
    }
}

/// A split or merge that runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reshard {
    /// Closed by it.
    pub parents: Vec<usize>,
    /// Opened by it.
    pub children: Vec<usize>,
    /// Whether the parents' leaders are told to seal.
    pub sealing: bool,
}

/// A command of the controller's log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Command {
    /// Begin, at this time by the proposer's clock.
    Plan {
        /// The clock.
        now: u8,
    },
    /// Tell the parents' leaders to seal.
    SealParents,
    /// Close the parents where they ended, and open the children.
    Flip {
        /// Where the parents ended.
        endings: Vec<(usize, Number)>,
    },
}

/// One revision of the catalog.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Catalog {
    /// By id.
    pub shards: Vec<Shard>,
    /// Those that run.
    pub reshards: Vec<Reshard>,
    /// Only with [`Bug::FlipInTwoCommands`]: parents still to be closed.
    pub to_close: Vec<(usize, Number)>,
}

impl Catalog {
    pub(super) fn first(model: &Reshards) -> Catalog {
        let shard = |keys| Shard { keys, created: 1, parents: Vec::new(), state: ShardState::Open };
        let shards = if model.merge { vec![shard(0b01), shard(0b10)] } else { vec![shard(0b11)] };
        Catalog { shards, ..Catalog::default() }
    }

    /// The catalog after `command`, or as it was when the command is refused.
    pub fn apply(&self, model: &Reshards, command: &Command) -> Catalog {
        let mut next = self.clone();
        let done = match command {
            Command::Plan { now } => next.plan(model, *now),
            Command::SealParents => next.seal_parents(),
            Command::Flip { endings } => next.flip(model, endings),
        };
        done.map_or_else(|| self.clone(), |()| next)
    }

    fn plan(&mut self, model: &Reshards, now: u8) -> Option<()> {
        let parents: Vec<usize> = if model.merge { vec![0, 1] } else { vec![0] };
        let open = parents.iter().all(|parent| self.shards[*parent].state == ShardState::Open);
        // It may be planned already, by a leader that crashed or for a request that was sent twice.
        let free = open && self.reshards.is_empty();
        if !free && !model.has(Bug::PlanTwice) {
            return None;
        }
        let above = parents.iter().map(|parent| self.shards[*parent].created + 1).max()?;
        let created = if model.has(Bug::ChildrenNotYoungerThanParents) { now } else { now.max(above) };
        let early = model.has(Bug::ChildrenOpenedByThePlan);
        let state = if early { ShardState::Open } else { ShardState::Opening };
        let first = self.shards.len();
        for keys in if model.merge { vec![0b11] } else { vec![0b01, 0b10] } {
            self.shards.push(Shard { keys, created, parents: parents.clone(), state });
        }
        self.reshards.push(Reshard { parents, children: (first..self.shards.len()).collect(), sealing: false });
        Some(())
    }

    fn seal_parents(&mut self) -> Option<()> {
        let reshard = self.reshards.first_mut()?;
        reshard.sealing = true;
        reshard.parents.iter().for_each(|parent| self.shards[*parent].state = ShardState::Sealing);
        Some(())
    }

    fn flip(&mut self, model: &Reshards, endings: &[(usize, Number)]) -> Option<()> {
        if !self.to_close.is_empty() {
            let close = std::mem::take(&mut self.to_close);
            self.close(&close);
            self.reshards.remove(0);
            return Some(());
        }
        let reshard = self.reshards.first()?.clone();
        if !reshard.sealing && !model.has(Bug::PublishBeforeSeal) {
            return None;
        }
        let above = reshard.children.iter().map(|child| self.shards[*child].start()).min()?;
        let fits = |(parent, end): &(usize, Number)| *end >= self.shards[*parent].start() && *end < above;
        if !endings.iter().all(fits) {
            return None;
        }
        reshard.children.iter().for_each(|child| self.shards[*child].state = ShardState::Open);
        if model.has(Bug::FlipInTwoCommands) {
            self.to_close = endings.to_vec();
            return Some(());
        }
        self.close(endings);
        self.reshards.remove(0);
        Some(())
    }

    fn close(&mut self, endings: &[(usize, Number)]) {
        endings.iter().for_each(|(parent, end)| self.shards[*parent].state = ShardState::Closed(*end));
    }

    /// Whether the open shards take every key exactly once.
    pub fn tiles(&self) -> bool {
        [0b01, 0b10].iter().all(|key| self.shards.iter().filter(|s| s.is_open() && s.keys & key != 0).count() == 1)
    }

    /// The open shard that takes `key`.
    pub fn route(&self, key: u8) -> Option<usize> {
        self.shards.iter().position(|shard| shard.is_open() && shard.keys & (1 << key) != 0)
    }
}

/// An entry of a shard's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Entry {
    /// A write.
    Append {
        /// Whose.
        writer: usize,
    },
    /// The end.
    Seal,
}

/// A shard's Raft group: what is committed and applied, and what is proposed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Group {
    /// Whether it has a leader.
    pub formed: bool,
    /// Committed entries; index `i + 1` is at `i`.
    pub log: Vec<Entry>,
    /// Proposed by the leader, in order.
    pub pending: Vec<Entry>,
}

impl Group {
    /// Entries that count as data, by index: none behind the seal.
    pub fn data(&self) -> impl Iterator<Item = (usize, Entry)> + '_ {
        let sealed = self.log.iter().position(|entry| *entry == Entry::Seal).unwrap_or(self.log.len());
        self.log.iter().copied().take(sealed).enumerate().map(|(at, entry)| (at + 1, entry))
    }

    /// Whether the seal is applied.
    pub fn is_sealed(&self) -> bool {
        self.log.contains(&Entry::Seal)
    }

    /// The number of the last record, or where the shard starts.
    pub fn last_number(&self, catalog: &Catalog, shard: usize) -> Number {
        catalog.shards[shard].start() + self.data().last().map_or(0, |(index, _)| index as u8)
    }
}
