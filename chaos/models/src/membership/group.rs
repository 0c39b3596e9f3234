//! A group of replicas whose membership is in its log. Elections and deliveries are one step each.

use super::{BEFORE, Bug, LEAVES, Memberships, NODES, WANTED};

/// A membership: sets of nodes, one bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Config {
    /// Who votes.
    pub voters: u8,
    /// Who votes as well, while the change is joint; else 0.
    pub joint: u8,
    /// Who only receives.
    pub learners: u8,
}

impl Config {
    /// Whether `nodes` are a majority; of both halves while it is joint.
    pub fn is_quorum(&self, model: &Memberships, nodes: u8) -> bool {
        let majority = |of: u8, having: u8| having.count_ones() * 2 > of.count_ones();
        // Counted in, a learner's word stands for a voter's.
        let learners = if model.has(Bug::LearnerCounted) { self.learners } else { 0 };
        let joint = self.joint == 0 || majority(self.joint, self.joint & nodes);
        majority(self.voters, (self.voters | learners) & nodes) && joint
    }

    fn all(&self) -> u8 {
        self.voters | self.joint | self.learners
    }
}

/// What an entry says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A leader's first.
    Blank,
    /// A record.
    Record,
    /// A membership, in force as soon as it is in a log.
    Members(Config),
    /// A placement of the catalog, by which memberships are proposed from here on.
    Place(u8),
}

/// An entry of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// The term of its leader.
    pub term: u8,
    /// What it says.
    pub kind: Kind,
}

/// A replica.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Node {
    /// Its term.
    pub term: u8,
    /// Its log; index `i + 1` is at `i`.
    pub log: Vec<Entry>,
    /// Whether it leads, or has not heard yet that it does not.
    pub leads: bool,
    /// What it has committed as a leader.
    pub committed: usize,
    /// What it knows each node to have, as a leader.
    pub matched: [u8; NODES],
    /// Whether it is there.
    pub up: bool,
    /// The placement that its image of the catalog has.
    pub heard: u8,
}

impl Node {
    /// The newest membership in the log and its index.
    pub fn config(&self) -> (usize, Config) {
        let found = self.log.iter().enumerate().rev().find_map(|(at, entry)| match entry.kind {
            Kind::Members(config) => Some((at + 1, config)),
            _ => None,
        });
        found.unwrap_or((0, Config { voters: BEFORE, joint: 0, learners: 0 }))
    }

    /// The newest placement in the log.
    pub fn placement(&self) -> u8 {
        let placements = self.log.iter().filter_map(|entry| match entry.kind {
            Kind::Place(placement) => Some(placement),
            _ => None,
        });
        placements.max().unwrap_or(0)
    }

    /// Whether, as a leader, it has committed an entry of its own term.
    pub fn has_committed_in_its_term(&self) -> bool {
        self.committed > 0 && self.log[self.committed - 1].term == self.term
    }

    fn has_settled(&self) -> bool {
        let (at, config) = self.config();
        let wanted = Config { voters: WANTED, joint: 0, learners: 0 };
        self.leads && config == wanted && at <= self.committed && self.heard == 1 && self.has_committed_in_its_term()
    }

    fn newest(&self) -> (u8, usize) {
        (self.log.last().map_or(0, |entry| entry.term), self.log.len())
    }

    fn empty() -> Node {
        Node { term: 0, log: Vec::new(), leads: false, committed: 0, matched: [0; NODES], up: true, heard: 0 }
    }
}

/// The group, and what was acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// By id.
    pub nodes: Vec<Node>,
    /// Committed entries, and the term of the leader that committed each.
    pub acked: Vec<(Entry, u8)>,
    /// Records written so far.
    pub written: u8,
    /// Whether the leaving node's disk is gone.
    pub lost: bool,
    /// Whether its replica was removed.
    pub dropped: bool,
}

/// One step.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// A node is elected by these.
    Elect {
        /// Who.
        node: usize,
        /// By whom.
        by: u8,
    },
    /// A leader's log reaches a node, and the answer the leader.
    Deliver {
        /// From whom.
        leader: usize,
        /// To whom.
        to: usize,
    },
    /// A leader takes a record.
    Write(usize),
    /// A leader proposes what brings it closer to the placement that it knows.
    Change(usize),
    /// A node hears of the catalog's newest placement.
    Hear(usize),
    /// The leaving node's disk is gone for good.
    Lose,
    /// It comes back with an empty disk, under its old id.
    Return,
    /// Its replica is removed, data and all.
    Drop,
}

impl State {
    /// Node 0 leads term 1 and its first entry is everywhere.
    pub(super) fn new() -> State {
        let blank = Entry { term: 1, kind: Kind::Blank };
        let mut nodes: Vec<Node> = (0..NODES).map(|_| Node::empty()).collect();
        for node in nodes.iter_mut().take(3) {
            (node.term, node.log) = (1, vec![blank]);
        }
        (nodes[0].leads, nodes[0].committed, nodes[0].matched) = (true, 1, [1, 1, 1, 0]);
        State { nodes, acked: vec![(blank, 1)], written: 0, lost: false, dropped: false }
    }

    pub(super) fn actions_of(&self, model: &Memberships, id: usize, actions: &mut Vec<Action>) {
        let node = &self.nodes[id];
        if !node.up {
            return;
        }
        if node.heard == 0 {
            actions.push(Action::Hear(id));
        }
        let (_, config) = node.config();
        if node.leads {
            if self.written < model.writes {
                actions.push(Action::Write(id));
            }
            if model.next_change(self, id).is_some() {
                actions.push(Action::Change(id));
            }
            let others = (0..NODES).filter(|to| *to != id && self.nodes[*to].up && config.all() & (1 << to) != 0);
            actions.extend(others.map(|to| Action::Deliver { leader: id, to }));
        } else if node.term < model.terms && (config.voters | config.joint) & (1 << id) != 0 {
            let sets = (0..1u8 << NODES).filter(|set| set & (1 << id) != 0 && config.is_quorum(model, *set));
            let sets = sets.filter(|set| self.would_vote(id, *set) && set & !(config.voters | config.joint) == 0);
            actions.extend(sets.map(|by| Action::Elect { node: id, by }));
        }
    }

    /// Whether all of `set` vote for `id` in the term after its own.
    fn would_vote(&self, id: usize, set: u8) -> bool {
        let candidate = &self.nodes[id];
        let votes = |voter: usize| {
            let asked = &self.nodes[voter];
            asked.up && asked.term <= candidate.term && asked.newest() <= candidate.newest()
        };
        (0..NODES).filter(|voter| *voter != id && set & (1 << voter) != 0).all(votes)
    }

    pub(super) fn actions_around(&self, model: &Memberships, actions: &mut Vec<Action>) {
        let leaver = &self.nodes[LEAVES];
        if leaver.up && !self.lost && !self.dropped {
            actions.push(Action::Lose);
        }
        let again = (self.lost && model.has(Bug::IdReused)) || (self.dropped && model.has(Bug::DroppedBeforeSettled));
        if again && !leaver.up {
            actions.push(Action::Return);
        }
        let may_drop = self.is_said_to_be_settled() || model.has(Bug::DroppedBeforeSettled);
        if leaver.up && !self.lost && !self.dropped && may_drop {
            actions.push(Action::Drop);
        }
    }

    pub(super) fn step(&mut self, model: &Memberships, action: &Action) {
        match *action {
            Action::Elect { node: id, by } => {
                let term = self.nodes[id].term + 1;
                for voter in (0..NODES).filter(|voter| by & (1 << voter) != 0) {
                    (self.nodes[voter].term, self.nodes[voter].leads) = (term, false);
                }
                let node = &mut self.nodes[id];
                (node.leads, node.committed, node.matched) = (true, 0, [0; NODES]);
                self.append(id, Kind::Blank);
            }
            Action::Write(id) => {
                self.written += 1;
                self.append(id, Kind::Record);
            }
            Action::Change(id) => {
                let change = model.next_change(self, id).expect("one is due");
                self.append(id, change);
                self.commit(model, id);
            }
            Action::Hear(id) => self.nodes[id].heard = 1,
            Action::Deliver { leader, to } => self.deliver(model, leader, to),
            Action::Lose | Action::Drop => {
                (self.lost, self.dropped) =
                    (*action == Action::Lose || self.lost, *action == Action::Drop || self.dropped);
                self.nodes[LEAVES] = Node { up: false, ..Node::empty() };
            }
            Action::Return => self.nodes[LEAVES] = Node::empty(),
        }
    }

    fn append(&mut self, id: usize, kind: Kind) {
        let node = &mut self.nodes[id];
        node.log.push(Entry { term: node.term, kind });
        node.matched[id] = node.log.len() as u8;
    }

    fn deliver(&mut self, model: &Memberships, leader: usize, to: usize) {
        let (from, follower) = (self.nodes[leader].clone(), &mut self.nodes[to]);
        if from.term < follower.term {
            (self.nodes[leader].leads, self.nodes[leader].term) = (false, self.nodes[to].term);
            return;
        }
        (follower.term, follower.leads, follower.committed) = (from.term, false, 0);
        follower.matched = [0; NODES];
        follower.log.clone_from(&from.log);
        self.nodes[leader].matched[to] = from.log.len() as u8;
        self.commit(model, leader);
    }

    /// Commits as far as a quorum holds, by the membership in force.
    fn commit(&mut self, model: &Memberships, id: usize) {
        let node = &mut self.nodes[id];
        let (_, config) = node.config();
        let holds = |index: usize| {
            let set =
                (0..NODES).filter(|other| usize::from(node.matched[*other]) >= index).fold(0, |set, n| set | (1 << n));
            node.log[index - 1].term == node.term && config.is_quorum(model, set)
        };
        let Some(committed) = (node.committed + 1..=node.log.len()).rev().find(|index| holds(*index)) else { return };
        node.committed = committed;
        let newly = node.log[self.acked.len().min(committed)..committed].to_vec();
        let term = node.term;
        self.acked.extend(newly.into_iter().map(|entry| (entry, term)));
    }
}

impl State {
    pub(super) fn leaders_are_complete(&self) -> bool {
        let complete = |leader: &Node| {
            let mut acked = self.acked.iter().enumerate();
            acked.all(|(at, (entry, term))| leader.term < *term || leader.log.get(at) == Some(entry))
        };
        self.nodes.iter().filter(|node| node.leads).all(complete)
    }

    pub(super) fn one_leader_a_term(&self) -> bool {
        let terms: Vec<u8> = self.nodes.iter().filter(|node| node.leads).map(|node| node.term).collect();
        terms.iter().enumerate().all(|(at, term)| !terms[..at].contains(term))
    }

    /// Whether acknowledged entries are on two disks, or on one after another was lost.
    pub(super) fn acked_are_held_twice(&self) -> bool {
        let holds = |node: &Node| self.acked.iter().enumerate().all(|(at, (entry, _))| node.log.get(at) == Some(entry));
        let copies = self.nodes.iter().filter(|node| holds(node)).count();
        copies + usize::from(self.lost || self.dropped) >= 2 && copies >= 1
    }

    /// Whether anybody who takes itself for the leader has committed the wanted voters by the placement
    /// that asks for them.
    fn is_said_to_be_settled(&self) -> bool {
        self.nodes.iter().any(Node::has_settled)
    }

    /// Whether the leader of the newest term says so.
    fn is_settled(&self) -> bool {
        let newest = self.nodes.iter().map(|node| node.term).max();
        self.nodes.iter().any(|node| Some(node.term) == newest && node.has_settled())
    }

    /// Whether the replica that was released is outside of what the leader of the newest term goes by.
    pub(super) fn released_votes_no_more(&self) -> bool {
        let newest = self.nodes.iter().map(|node| node.term).max();
        let votes = |node: &&Node| {
            let (_, config) = node.config();
            node.leads && Some(node.term) == newest && (config.voters | config.joint) & (1 << LEAVES) != 0
        };
        !self.dropped || !self.nodes.iter().any(|node| votes(&node))
    }

    pub(super) fn is_replaced(&self) -> bool {
        self.is_settled() && (self.dropped || self.lost)
    }
}
