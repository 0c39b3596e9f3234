//! What nodes report to the controller's leader: soft state, gathered afresh by each leader.
//!
//! Holds: of several replicas' words on who leads a group, the highest term counts; what a
//! leader alone can say (voters, readiness, the seal) is taken from that leader only.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use thalweg_catalog::{Observations, Observed};
use thalweg_types::{GroupId, NodeId};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::ReplicaReport;

/// What the leader tells everyone about groups and nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Soft {
    pub(crate) leaders: Arc<BTreeMap<GroupId, NodeId>>,
    pub(crate) connected: Arc<BTreeSet<NodeId>>,
}

/// Names one Attach stream; a node that attaches again gets a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) node: NodeId,
    number: u64,
}

/// Gathers reports and says when something changed.
pub(crate) struct Hub {
    state: Mutex<State>,
    soft: watch::Sender<Soft>,
    changes: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    sessions: BTreeMap<NodeId, Live>,
    next_session: u64,
    /// When this leader began to listen: nobody is missed for longer.
    since: Option<Instant>,
    left: BTreeMap<NodeId, Instant>,
    groups: BTreeMap<GroupId, BTreeMap<NodeId, ReplicaReport>>,
}

struct Live {
    session: Session,
    heard: Instant,
    /// Whether the node's first, complete report has come.
    complete: bool,
}

impl Hub {
    pub(crate) fn new() -> Hub {
        let (soft, changes) = (watch::channel(Soft::default()).0, watch::channel(0).0);
        Hub { state: Mutex::default(), soft, changes }
    }

    /// Forgets everything: this node begins to lead.
    pub(crate) fn begin(&self) {
        let mut state = self.state.lock();
        let next_session = state.next_session;
        *state = State { since: Some(Instant::now()), next_session, ..State::default() };
        self.soft.send_replace(Soft::default());
        self.changes.send_modify(|count| *count += 1);
    }

    /// A node is about to attach: from now on, not since long ago, it may be missed.
    pub(crate) fn expect(&self, node: NodeId) {
        self.state.lock().left.insert(node, Instant::now());
    }

    /// A node attached.
    pub(crate) fn attach(&self, node: NodeId) -> Session {
        let mut state = self.state.lock();
        state.next_session += 1;
        let session = Session { node, number: state.next_session };
        state.forget_reports(node);
        state.sessions.insert(node, Live { session, heard: Instant::now(), complete: false });
        self.publish(&state);
        session
    }

    /// Takes a report; false when the session has been replaced or forgotten.
    pub(crate) fn report(&self, session: Session, lines: Vec<(GroupId, Option<ReplicaReport>)>) -> bool {
        let mut state = self.state.lock();
        let Some(live) = state.sessions.get_mut(&session.node).filter(|live| live.session == session) else {
            return false;
        };
        live.heard = Instant::now();
        let first = !std::mem::replace(&mut live.complete, true);
        let mut news = first;
        for (group, report) in lines {
            news |= state.note(session.node, group, report);
        }
        if news {
            self.publish(&state);
        }
        true
    }

    /// The node's stream ended.
    pub(crate) fn detach(&self, session: Session) {
        let mut state = self.state.lock();
        if state.sessions.get(&session.node).is_some_and(|live| live.session == session) {
            state.drop_session(session.node);
            self.publish(&state);
        }
    }

    /// Ends the sessions of nodes that said nothing for `silence`.
    pub(crate) fn drop_silent(&self, silence: Duration) {
        let mut state = self.state.lock();
        let silent = |live: &&Live| live.heard.elapsed() > silence;
        let nodes: Vec<NodeId> = state.sessions.values().filter(silent).map(|live| live.session.node).collect();
        if !nodes.is_empty() {
            nodes.into_iter().for_each(|node| state.drop_session(node));
            self.publish(&state);
        }
    }

    /// Leaders and connections, and their changes.
    pub(crate) fn soft(&self) -> watch::Receiver<Soft> {
        self.soft.subscribe()
    }

    /// Moves with every change of anything observed.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// What the workflows go by.
    pub(crate) fn sight(&self) -> Sight {
        let state = self.state.lock();
        let mut sight = Sight { connected: state.connected(), ..Sight::default() };
        for (group, reports) in &state.groups {
            sight.observed.insert(*group, observed(reports));
            sight.holders.insert(*group, reports.keys().copied().collect());
            if leader_report(reports).is_some_and(|(_, report)| report.expired) {
                sight.expired.insert(*group);
            }
        }
        sight.listening = state.since.map_or(Duration::ZERO, |since| since.elapsed());
        sight.absent = state.left.iter().map(|(node, left)| (*node, left.elapsed())).collect();
        sight
    }

    fn publish(&self, state: &State) {
        let leaders = state.groups.iter().filter_map(|(group, reports)| Some((*group, leader(reports)?)));
        let (leaders, connected): (BTreeMap<_, _>, _) = (leaders.collect(), state.connected());
        self.soft.send_if_modified(|soft| {
            let same = *soft.leaders == leaders && *soft.connected == connected;
            if !same {
                *soft = Soft { leaders: Arc::new(leaders), connected: Arc::new(connected) };
            }
            !same
        });
        self.changes.send_modify(|count| *count += 1);
    }
}

/// What a leader sees of the cluster at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sight {
    pub(crate) observed: Observations,
    /// Nodes that report a replica of the group.
    pub(crate) holders: BTreeMap<GroupId, BTreeSet<NodeId>>,
    /// Groups whose leader says that everything is past retention.
    pub(crate) expired: BTreeSet<GroupId>,
    /// Nodes whose first report has come.
    pub(crate) connected: BTreeSet<NodeId>,
    /// Nodes that were connected once, and for how long they have not been.
    pub(crate) absent: BTreeMap<NodeId, Duration>,
    /// How long this leader has been listening.
    pub(crate) listening: Duration,
}

impl Sight {
    /// How long a node has been out of contact.
    pub(crate) fn absence(&self, node: NodeId) -> Duration {
        match self.connected.contains(&node) {
            true => Duration::ZERO,
            false => self.absent.get(&node).copied().unwrap_or(self.listening),
        }
    }
}

impl State {
    /// Whether it says more than another rate: those change all the time, and nobody waits for them.
    fn note(&mut self, node: NodeId, group: GroupId, report: Option<ReplicaReport>) -> bool {
        let reports = self.groups.entry(group).or_default();
        let now = report.as_ref().map(ReplicaReport::without_rates);
        let before = match report {
            Some(report) => reports.insert(node, report),
            None => reports.remove(&node),
        };
        if reports.is_empty() {
            self.groups.remove(&group);
        }
        before.map(|report| report.without_rates()) != now
    }

    fn drop_session(&mut self, node: NodeId) {
        self.sessions.remove(&node);
        self.left.insert(node, Instant::now());
        self.forget_reports(node);
    }

    fn forget_reports(&mut self, node: NodeId) {
        self.groups.retain(|_, reports| {
            reports.remove(&node);
            !reports.is_empty()
        });
    }

    fn connected(&self) -> BTreeSet<NodeId> {
        self.sessions.values().filter(|live| live.complete).map(|live| live.session.node).collect()
    }
}

/// Who leads, by the word of the replica with the highest term that knows.
fn leader(reports: &BTreeMap<NodeId, ReplicaReport>) -> Option<NodeId> {
    let knowing = reports.values().filter(|report| report.leader.is_some());
    knowing.max_by_key(|report| report.term)?.leader
}

/// The report of the leader itself.
fn leader_report(reports: &BTreeMap<NodeId, ReplicaReport>) -> Option<(NodeId, &ReplicaReport)> {
    let leader = leader(reports)?;
    let report = reports.get(&leader)?;
    (report.leader == Some(leader)).then_some((leader, report))
}

fn observed(reports: &BTreeMap<NodeId, ReplicaReport>) -> Observed {
    match leader_report(reports) {
        Some((leader, report)) => Observed {
            leader: Some(leader),
            voters: report.voters.iter().copied().collect(),
            placed: report.placed,
            ready: report.ready,
            sealed_at: report.sealed_at,
            write: report.write,
        },
        None => Observed { leader: leader(reports), ..Observed::default() },
    }
}

#[cfg(test)]
mod hub_test;
