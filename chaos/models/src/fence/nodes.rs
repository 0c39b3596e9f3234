//! The replicas, one step at a time.
//!
//! A leader's message arrives in the step that sends it: one that came later on the same stream
//! would find a follower that is merely slow, and one of an earlier stream never arrives. What
//! does take its time is answers: a vote waits with its candidate, an acknowledgement in `ack`.

use super::{Bug, Fences, NODES, Votes};

/// An entry, told apart from every other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// The term; with the index all that Raft looks at.
    pub term: u8,
    /// Who wrote it.
    pub by: usize,
    /// In which of its lives.
    pub life: u8,
}

/// What a replica is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Follows, or waits.
    Follower,
    /// Has asked for votes in its term.
    Candidate,
    /// Leads its term.
    Leader,
}

/// One replica.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Node {
    /// Its term.
    pub term: u8,
    /// Whom it voted for in that term.
    pub voted: Option<usize>,
    /// Its log; index `i + 1` is at `i`.
    pub log: Vec<Entry>,
    /// The log before the last truncation, if that may come back.
    pub untruncated: Vec<Entry>,
    /// What it is.
    pub role: Role,
    /// Votes that a candidate has, one bit a node.
    pub granted: u8,
    /// What a leader knows each node to have.
    pub matched: [u8; NODES],
    /// What it knows to be committed.
    pub committed: usize,
    /// An answer on its way to the leader of that term: `(leader, term, matched)`.
    pub ack: Option<(usize, u8, u8)>,
    /// Whether it has no say.
    pub fenced: bool,
    /// Who has said that nothing is missing here, one bit a node.
    pub vouched: u8,
    /// It votes in no term up to this.
    pub floor: u8,
    /// How often it lost something.
    pub life: u8,
}

/// The group, and what was acknowledged to clients.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// The replicas.
    pub nodes: Vec<Node>,
    /// Committed entries and the term of the leader that committed each.
    pub acked: Vec<(Entry, u8)>,
    /// Ordinary restarts so far.
    pub crashes: u8,
    /// Whether a fence came down, ever.
    pub lowered: bool,
}

/// One step.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Begins a term as candidate.
    Campaign(usize),
    /// `voter` grants `candidate` its vote.
    Vote {
        /// Who asks.
        candidate: usize,
        /// Who is asked.
        voter: usize,
    },
    /// A fenced node hears from one that forgot nothing where its log ends, and has that entry.
    Vouch {
        /// The other.
        whole: usize,
        /// Who asked.
        fenced: usize,
    },
    /// A candidate with a majority leads.
    Lead(usize),
    /// A leader takes a command.
    Write(usize),
    /// A leader's entries up to `upto`, and its commit, reach a follower.
    Deliver {
        /// From whom.
        leader: usize,
        /// To whom.
        to: usize,
        /// How much of the log.
        upto: usize,
    },
    /// A follower's answer reaches its leader.
    Ack(usize),
    /// A restart that loses nothing.
    Crash(usize),
    /// A restart with a log of which only the beginning is left, or with one from before a truncation.
    Forget {
        /// Who.
        node: usize,
        /// Entries that are left.
        kept: usize,
        /// Whether the last truncation is forgotten too.
        untruncated: bool,
        /// Whether the vote is forgotten too.
        vote: bool,
    },
}

impl State {
    /// Node 0 leads term 1, and everybody has its first entry.
    pub(super) fn new(nodes: usize) -> State {
        let entry = Entry { term: 1, by: 0, life: 0 };
        let node = |id| Node {
            term: 1,
            voted: Some(0),
            log: vec![entry],
            untruncated: Vec::new(),
            role: if id == 0 { Role::Leader } else { Role::Follower },
            granted: 0,
            matched: if id == 0 { [1; NODES] } else { [0; NODES] },
            committed: usize::from(id == 0),
            ack: None,
            fenced: false,
            vouched: 0,
            floor: 0,
            life: 0,
        };
        State { nodes: (0..nodes).map(node).collect(), acked: vec![(entry, 1)], crashes: 0, lowered: false }
    }

    pub(super) fn actions_of(&self, model: &Fences, id: usize, actions: &mut Vec<Action>) {
        let node = &self.nodes[id];
        let others = || (0..model.nodes).filter(move |other| *other != id);
        if !node.fenced {
            let new = |other: &usize| self.nodes[*other].vouched & (1 << id) == 0;
            let asks = others().filter(|other| self.nodes[*other].fenced && self.has_all_of(*other, id)).filter(new);
            actions.extend(asks.map(|fenced| Action::Vouch { whole: id, fenced }));
        }
        let may_campaign = !node.fenced || model.has(Bug::FencedCampaigns);
        if node.role != Role::Leader && node.term < model.terms && may_campaign {
            actions.push(Action::Campaign(id));
        }
        match node.role {
            Role::Candidate if node.granted.count_ones() >= 2 => actions.push(Action::Lead(id)),
            Role::Candidate => {
                let voters = others().filter(|voter| self.grants(model, id, *voter));
                actions.extend(voters.map(|voter| Action::Vote { candidate: id, voter }));
            }
            Role::Leader => {
                if node.log.len() < model.entries {
                    actions.push(Action::Write(id));
                }
                let known = |to: usize| usize::from(node.matched[to]).min(node.log.len());
                let pairs = others().flat_map(|to| (known(to)..=node.log.len()).map(move |upto| (to, upto)));
                actions.extend(pairs.map(|(to, upto)| Action::Deliver { leader: id, to, upto }));
            }
            Role::Follower => {}
        }
        if node.ack.is_some() {
            actions.push(Action::Ack(id));
        }
        if self.crashes < model.crashes {
            actions.push(Action::Crash(id));
        }
        self.losses_of(model, id, actions);
    }

    /// Every way in which this node may forget now.
    fn losses_of(&self, model: &Fences, id: usize, actions: &mut Vec<Action>) {
        let (node, lives) = (&self.nodes[id], self.nodes.iter().map(|node| node.life).sum::<u8>());
        let alone = self.nodes.iter().enumerate().all(|(other, node)| other == id || !node.fenced);
        if lives >= model.losses || !alone {
            return;
        }
        let votes: &[bool] = if model.votes == Votes::Kept { &[false] } else { &[false, true] };
        for &vote in votes {
            let cut = (0..node.log.len()).map(|kept| Action::Forget { node: id, kept, untruncated: false, vote });
            actions.extend(cut);
            if !node.untruncated.is_empty() {
                let kept = node.untruncated.len();
                actions.push(Action::Forget { node: id, kept, untruncated: true, vote });
            }
        }
    }

    fn grants(&self, model: &Fences, candidate: usize, voter: usize) -> bool {
        let (asks, asked) = (&self.nodes[candidate], &self.nodes[voter]);
        let newest = |node: &Node| (node.log.last().map_or(0, |entry| entry.term), node.log.len());
        let free = asks.term > asked.term || (asks.term == asked.term && asked.voted.is_none_or(|to| to == candidate));
        let has_say = !asked.fenced || model.has(Bug::FencedVotes) || model.are_pair();
        let complete = newest(asks) >= newest(asked) || model.has(Bug::VoteForAnyLog);
        has_say && free && complete && asks.term > asked.floor && asks.granted & (1 << voter) == 0
    }

    /// Whether the last entry of `whole` is in the log of `fenced`, as far as index and term tell.
    fn has_all_of(&self, fenced: usize, whole: usize) -> bool {
        let (whole, fenced) = (&self.nodes[whole].log, &self.nodes[fenced].log);
        let last = whole.last().map(|entry| entry.term);
        last == whole.len().checked_sub(1).and_then(|at| fenced.get(at)).map(|entry| entry.term)
    }

    pub(super) fn step(&mut self, model: &Fences, action: &Action) {
        match *action {
            Action::Campaign(id) => {
                let node = &mut self.nodes[id];
                let term = (node.term + 1).max(node.floor + 1);
                (node.term, node.voted, node.role, node.granted) = (term, Some(id), Role::Candidate, 1 << id);
            }
            Action::Vote { candidate, voter } => {
                let term = self.nodes[candidate].term;
                let asked = &mut self.nodes[voter];
                (asked.term, asked.voted, asked.role) = (term, Some(candidate), Role::Follower);
                self.nodes[candidate].granted |= 1 << voter;
            }
            Action::Vouch { whole, fenced } => {
                let node = &mut self.nodes[fenced];
                node.vouched |= 1 << whole;
                let others = if model.has(Bug::OneIsAsked) { 1 } else { model.nodes - 1 };
                if node.vouched.count_ones() as usize >= others {
                    (node.fenced, node.vouched) = (false, 0);
                    self.lowered = true;
                }
            }
            Action::Lead(id) => {
                let node = &mut self.nodes[id];
                (node.role, node.granted, node.matched) = (Role::Leader, 0, [0; NODES]);
                self.write(id);
            }
            Action::Write(id) => self.write(id),
            Action::Deliver { leader, to, upto } => self.deliver(model, leader, to, upto),
            Action::Ack(id) => self.take_ack(id),
            Action::Crash(id) => {
                self.crashes += 1;
                self.restart(id, false);
            }
            Action::Forget { node, kept, untruncated, vote } => self.forget(model, node, kept, untruncated, vote),
        }
        self.drop_what_says_nothing();
    }

    /// Leaves out what nobody will look at again, so that equal situations are equal states.
    fn drop_what_says_nothing(&mut self) {
        for node in &mut self.nodes {
            match node.role {
                Role::Leader => node.granted = 0,
                Role::Candidate => node.matched = [0; NODES],
                Role::Follower => (node.granted, node.matched) = (0, [0; NODES]),
            }
        }
        for id in 0..self.nodes.len() {
            let awaited = |ack: &(usize, u8, u8)| {
                let leader = &self.nodes[ack.0];
                leader.role == Role::Leader && leader.term == ack.1 && leader.matched[id] < ack.2
            };
            self.nodes[id].ack = self.nodes[id].ack.filter(awaited);
        }
    }

    fn write(&mut self, id: usize) {
        let node = &mut self.nodes[id];
        node.log.push(Entry { term: node.term, by: id, life: node.life });
        node.matched[id] = node.log.len() as u8;
    }

    fn deliver(&mut self, model: &Fences, leader: usize, to: usize, upto: usize) {
        let (from, follower) = (self.nodes[leader].clone(), &mut self.nodes[to]);
        let newer = from.term > follower.term;
        if !newer && (from.term < follower.term || follower.voted != Some(leader)) {
            return;
        }
        (follower.term, follower.voted, follower.role) = (from.term, Some(leader), Role::Follower);
        let same = from.log.iter().zip(&follower.log).take(upto).take_while(|(a, b)| a.term == b.term).count();
        if same < upto {
            if model.truncations_lost && same < follower.log.len() {
                follower.untruncated = follower.log.clone();
            }
            if same < follower.log.len() {
                follower.vouched = 0;
            }
            follower.log.truncate(same);
            follower.log.extend_from_slice(&from.log[same..upto]);
        }
        follower.committed = follower.committed.max(from.committed.min(upto));
        if usize::from(from.matched[to]) < upto {
            follower.ack = Some((leader, from.term, upto as u8));
        }
        if follower.fenced && State::may_lower(model, &from, follower) {
            (follower.fenced, follower.vouched) = (false, 0);
            self.lowered = true;
        }
    }

    /// Whether what the leader says shows that the follower has everything back.
    pub fn may_lower(model: &Fences, leader: &Node, follower: &Node) -> bool {
        let Some(at) = leader.committed.checked_sub(1) else { return model.has(Bug::LoweredByContact) };
        let own_term = leader.log[at].term == leader.term || model.has(Bug::LoweredByAnyCommit);
        (own_term && follower.log.len() >= leader.committed) || model.has(Bug::LoweredByContact)
    }

    fn take_ack(&mut self, id: usize) {
        let Some((leader, term, matched)) = self.nodes[id].ack.take() else { return };
        let node = &mut self.nodes[leader];
        if node.role != Role::Leader || node.term != term {
            return;
        }
        node.matched[id] = node.matched[id].max(matched);
        // Of two nodes the third has nothing, so that what both have is in the middle.
        let mut sorted = node.matched;
        sorted.sort_unstable();
        let majority = usize::from(sorted[NODES / 2]).min(node.log.len());
        let own = majority > 0 && node.log[majority - 1].term == term;
        if own && majority > node.committed {
            node.committed = majority;
            let newly = node.log[self.acked.len().min(majority)..majority].to_vec();
            self.acked.extend(newly.into_iter().map(|entry| (entry, term)));
        }
    }

    fn restart(&mut self, id: usize, leads_on: bool) {
        let node = &mut self.nodes[id];
        if !leads_on {
            (node.role, node.granted, node.matched, node.committed) = (Role::Follower, 0, [0; NODES], 0);
        }
        (node.ack, node.vouched) = (None, 0);
        // Streams to it break, and answers on them are never taken.
        for other in &mut self.nodes {
            other.ack = other.ack.filter(|(leader, ..)| *leader != id);
        }
    }

    fn forget(&mut self, model: &Fences, id: usize, kept: usize, untruncated: bool, vote: bool) {
        let ack = self.nodes[id].ack;
        let leads_on = model.has(Bug::LeaderRestored) && self.nodes[id].role == Role::Leader;
        self.restart(id, leads_on);
        let node = &mut self.nodes[id];
        if untruncated {
            node.log = std::mem::take(&mut node.untruncated);
        }
        node.log.truncate(kept);
        node.untruncated.clear();
        if leads_on {
            (node.matched[id], node.committed) = (kept as u8, node.committed.min(kept));
        }
        match model.votes {
            // It goes on in the highest term in which it can have voted, and votes above it only.
            Votes::Floor if vote => (node.floor, node.voted) = (node.term, None),
            _ if vote => (node.term, node.voted) = (node.log.last().map_or(0, |entry| entry.term), None),
            _ => {}
        }
        node.life += 1;
        let trusted = model.has(Bug::FenceOff) || (model.has(Bug::EmptyTrusted) && kept == 0);
        node.fenced = !trusted;
        if model.has(Bug::AckOutlivesItsStream) {
            node.ack = ack;
        }
    }
}

impl State {
    /// Whether every leader has what was committed in its term or before.
    pub(super) fn leaders_are_complete(&self) -> bool {
        let complete = |leader: &Node| {
            self.acked
                .iter()
                .enumerate()
                .all(|(at, (entry, term))| leader.term < *term || leader.log.get(at) == Some(entry))
        };
        self.nodes.iter().filter(|node| node.role == Role::Leader).all(complete)
    }

    pub(super) fn one_leader_a_term(&self) -> bool {
        let leaders: Vec<u8> = self.nodes.iter().filter(|n| n.role == Role::Leader).map(|n| n.term).collect();
        leaders.iter().enumerate().all(|(at, term)| !leaders[..at].contains(term))
    }

    /// Whether somebody leads and nobody is fenced.
    pub(super) fn is_settled(&self) -> bool {
        let newest = self.nodes.iter().map(|node| node.term).max();
        let leads = |node: &Node| node.role == Role::Leader && Some(node.term) == newest;
        self.nodes.iter().any(leads) && !self.nodes.iter().any(|node| node.fenced)
    }

    /// Whether terms or room ran out before they could.
    pub(super) fn is_at_the_bound(&self, model: &Fences) -> bool {
        self.nodes.iter().any(|node| node.term >= model.terms || node.log.len() >= model.entries)
    }
}
