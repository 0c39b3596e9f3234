//! Everything around the catalog: controller leaders that crash, shard leaders, writers, a reader.
//!
//! Nobody here remembers an image. Whoever acts by one acts by any that ever was, so that the
//! model allows at least what nodes do whose images are old. What a leader learns from nodes is
//! true for good once it is true, so learning it late is no different from acting late.

use super::cluster::{Catalog, Command, Entry, Group, Image, Number, ShardState};
use super::{Bug, Reshards};

/// The controller's leader: nothing of it outlives a crash.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Leader {
    /// Whether it proposed the seal itself.
    pub sealed: bool,
}

/// A writer of one key, which has one write on its way at a time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Writer {
    /// Whether a write waits for its outcome.
    pub waits: bool,
    /// Shard and index of each acknowledged write.
    pub acked: Vec<(usize, usize)>,
}

/// All that there is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// Every revision of the catalog.
    pub images: Vec<Catalog>,
    /// The controller's leader, if there is one.
    pub leader: Option<Leader>,
    /// Commands in the controller's log that are not applied yet, of whatever leader.
    pub in_flight: Vec<Command>,
    /// How often somebody asked for the reshard.
    pub asked: u8,
    /// Crashes so far.
    pub crashes: u8,
    /// Shard leaders replaced so far.
    pub failovers: u8,
    /// By shard.
    pub groups: Vec<Group>,
    /// By key.
    pub writers: Vec<Writer>,
}

/// One step of one part.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// A controller begins to lead.
    Elect,
    /// It crashes; what it proposed last may be lost with it.
    Crash {
        /// Whether it is.
        lost: bool,
    },
    /// A client asks for the reshard; again, if it heard nothing from a leader that crashed.
    Ask {
        /// The leader's clock.
        now: u8,
    },
    /// The leader proposes what is due.
    Propose,
    /// The oldest command in the controller's log is applied.
    Apply,
    /// A group gets its first leader.
    Form(usize),
    /// A shard's leader proposes the seal.
    Seal(usize),
    /// A shard's oldest proposal is committed and applied.
    Commit(usize),
    /// Another replica leads, with the first `kept` proposals.
    Failover {
        /// Of which shard.
        shard: usize,
        /// Proposals that survive.
        kept: usize,
    },
    /// A writer sends its next write.
    Send {
        /// Who.
        writer: usize,
        /// The image that it routes by.
        image: Image,
        /// The image of the leader that it finds.
        leader_image: Image,
    },
}

impl State {
    pub(super) fn new(model: &Reshards) -> State {
        let catalog = Catalog::first(model);
        let groups = catalog.shards.iter().map(|_| Group { formed: true, ..Group::default() }).collect();
        State {
            images: vec![catalog],
            leader: None,
            in_flight: Vec::new(),
            asked: 0,
            crashes: 0,
            failovers: 0,
            groups,
            writers: vec![Writer::default(); 2],
        }
    }

    /// The newest revision.
    pub fn catalog(&self) -> &Catalog {
        self.images.last().expect("there is a first revision")
    }

    pub(super) fn controller_actions(&self, model: &Reshards, actions: &mut Vec<Action>) {
        if self.leader.is_none() {
            return actions.push(Action::Elect);
        }
        if self.crashes < model.crashes {
            actions.push(Action::Crash { lost: false });
            actions.extend((!self.in_flight.is_empty()).then_some(Action::Crash { lost: true }));
        }
        if self.asked < 1 + self.crashes.min(1) {
            // Its clock may stand where it stood when the parents were made.
            actions.extend([1, 3].map(|now| Action::Ask { now }));
        }
        if model.next_step(self).is_some_and(|command| !self.in_flight.contains(&command)) {
            actions.push(Action::Propose);
        }
        if !self.in_flight.is_empty() {
            actions.push(Action::Apply);
        }
    }

    /// Where a shard ended, once its leader says that it is sealed.
    pub(super) fn sealed_at(&self, model: &Reshards, id: usize) -> Option<Number> {
        let group = &self.groups[id];
        let proposed = model.has(Bug::EndReportedBeforeTheSeal) && group.pending.contains(&Entry::Seal);
        (group.is_sealed() || proposed).then(|| group.last_number(self.catalog(), id))
    }

    pub(super) fn shard_actions(&self, model: &Reshards, actions: &mut Vec<Action>) {
        for (id, group) in self.groups.iter().enumerate() {
            if !group.formed {
                actions.push(Action::Form(id));
                continue;
            }
            let sealing =
                |image: &Catalog| image.shards.get(id).is_some_and(|shard| shard.state == ShardState::Sealing);
            if self.images.iter().any(sealing) && !group.is_sealed() && !group.pending.contains(&Entry::Seal) {
                actions.push(Action::Seal(id));
            }
            if !group.pending.is_empty() {
                actions.push(Action::Commit(id));
            }
            if self.failovers < model.failovers && !group.pending.is_empty() {
                actions.extend((0..=group.pending.len()).map(|kept| Action::Failover { shard: id, kept }));
            }
        }
    }

    pub(super) fn client_actions(&self, model: &Reshards, actions: &mut Vec<Action>) {
        for (id, writer) in self.writers.iter().enumerate() {
            if writer.waits || writer.acked.len() == usize::from(model.writes) {
                continue;
            }
            for image in 0..self.images.len() {
                let leaders = 0..self.images.len();
                actions.extend(leaders.map(|leader_image| Action::Send { writer: id, image, leader_image }));
            }
        }
    }

    pub(super) fn step(&mut self, model: &Reshards, action: Action) {
        match action {
            Action::Elect => self.leader = Some(Leader::default()),
            Action::Crash { lost } => {
                self.leader = None;
                self.crashes += 1;
                if lost {
                    self.in_flight.pop();
                }
            }
            Action::Ask { now } => {
                self.asked += 1;
                self.in_flight.push(Command::Plan { now });
            }
            Action::Propose => {
                let command = model.next_step(self).expect("something is due");
                let leader = self.leader.as_mut().expect("a leader proposes");
                leader.sealed |= model.has(Bug::WorkflowInMemory) && command == Command::SealParents;
                self.in_flight.push(command);
            }
            Action::Apply => self.apply(model),
            Action::Form(id) => self.groups[id].formed = true,
            Action::Seal(id) => self.groups[id].pending.push(Entry::Seal),
            Action::Commit(id) => self.commit(model, id),
            Action::Failover { shard, kept } => {
                self.failovers += 1;
                let dropped = self.groups[shard].pending.split_off(kept);
                // A leader that was just elected takes nothing before it has applied what it found.
                (0..kept).for_each(|_| self.commit(model, shard));
                dropped.iter().for_each(|entry| self.answer(*entry, None));
            }
            Action::Send { writer, image, leader_image } => self.send(model, writer, image, leader_image),
        }
    }

    fn apply(&mut self, model: &Reshards) {
        let command = self.in_flight.remove(0);
        let next = self.catalog().apply(model, &command);
        if next != *self.catalog() {
            self.groups.resize(next.shards.len(), Group::default());
            self.images.push(next);
        }
    }

    /// A writer asks the shard that its image names; a refusal changes nothing.
    fn send(&mut self, model: &Reshards, id: usize, image: Image, leader_image: Image) {
        let Some(shard) = self.images[image].route(id as u8) else { return };
        let takes = self.images[leader_image].shards.get(shard).is_some_and(|shard| shard.is_open());
        let group = &mut self.groups[shard];
        let sealing = group.is_sealed() || group.pending.contains(&Entry::Seal);
        if !group.formed || !takes || (sealing && !model.has(Bug::SealIgnoredByApply)) {
            return;
        }
        group.pending.push(Entry::Append { writer: id });
        let index = group.log.len() + group.pending.len();
        if model.has(Bug::AckBeforeCommit) {
            self.writers[id].acked.push((shard, index));
        } else {
            self.writers[id].waits = true;
        }
    }

    fn commit(&mut self, model: &Reshards, id: usize) {
        let group = &mut self.groups[id];
        let entry = group.pending.remove(0);
        let counts = !group.is_sealed() || model.has(Bug::SealIgnoredByApply);
        group.log.push(entry);
        let index = group.log.len();
        self.answer(entry, counts.then_some((id, index)));
    }

    /// Tells the writer where its write is, or that it is nowhere.
    fn answer(&mut self, entry: Entry, at: Option<(usize, usize)>) {
        let Entry::Append { writer } = entry else { return };
        let writer = &mut self.writers[writer];
        if std::mem::take(&mut writer.waits) {
            writer.acked.extend(at);
        }
    }
}

impl State {
    /// Whether each acknowledged write is where its writer was told, before the shard's end.
    pub(super) fn acked_stand(&self, model: &Reshards) -> bool {
        let stands = |writer: usize, (shard, index): (usize, usize)| {
            let group = &self.groups[shard];
            let is_it = |(at, entry)| at == index && entry == Entry::Append { writer };
            let on_its_way = model.has(Bug::AckBeforeCommit) && index > group.log.len() && !group.pending.is_empty();
            let end = match self.catalog().shards[shard].state {
                ShardState::Closed(end) => end,
                _ => Number::MAX,
            };
            (on_its_way || group.data().any(is_it)) && self.number(shard, index) <= end
        };
        self.acked().all(|(writer, at)| stands(writer, at))
    }

    pub(super) fn numbers_rise(&self) -> bool {
        let number = |&(shard, index): &(usize, usize)| self.number(shard, index);
        let rising = |writer: &Writer| writer.acked.iter().map(number).is_sorted_by(|one, next| one < next);
        let above = |shard: &super::Shard| {
            let end = |parent: &usize| self.groups[*parent].last_number(self.catalog(), *parent);
            !shard.is_open() || shard.parents.iter().all(|parent| end(parent) < shard.start())
        };
        self.writers.iter().all(rising) && self.catalog().shards.iter().all(above)
    }

    /// Whether a reader that goes by any image, at a replica that has applied any part of a
    /// parent, begins a child only with the whole parent read.
    pub(super) fn children_read_last(&self, model: &Reshards) -> bool {
        let early = |image: &Catalog, parent: usize, read: usize| {
            let ended = model.has(Bug::ChildReadEarly) || self.ends(model, image, parent, read);
            let group = &self.groups[parent];
            let whole = group.is_sealed() && read >= group.data().count();
            ended && !whole
        };
        let readable = |image: &Catalog| {
            let children = image.shards.iter().filter(|shard| shard.state != ShardState::Opening);
            let mut parents = children.flat_map(|shard| shard.parents.clone());
            parents.all(|parent| (0..=self.groups[parent].log.len()).all(|read| !early(image, parent, read)))
        };
        self.images.iter().all(readable)
    }

    /// Whether a replica that has applied the first `applied` entries says that nothing follows.
    fn ends(&self, model: &Reshards, image: &Catalog, id: usize, applied: usize) -> bool {
        let closed = matches!(image.shards[id].state, ShardState::Closed(_));
        let sealed = self.groups[id].log[..applied].contains(&Entry::Seal);
        closed && (sealed || model.has(Bug::EndByImage))
    }

    pub(super) fn child_written(&self) -> bool {
        self.acked().any(|(_, (shard, _))| !self.catalog().shards[shard].parents.is_empty())
    }

    pub(super) fn all_written(&self, model: &Reshards) -> bool {
        self.writers.iter().all(|writer| writer.acked.len() == usize::from(model.writes))
    }

    fn number(&self, shard: usize, index: usize) -> Number {
        self.catalog().shards[shard].start() + index as u8
    }

    fn acked(&self) -> impl Iterator<Item = (usize, (usize, usize))> + '_ {
        self.writers.iter().enumerate().flat_map(|(id, writer)| writer.acked.iter().map(move |at| (id, *at)))
    }
}
