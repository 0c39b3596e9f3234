//! Getting the bytes of a damaged entry back from another node.
//!
//! Every read of the log checks what it gives out. Whoever meets a damaged entry comes here. Any
//! copy of the same index and term will do, committed or not, for two logs that agree on those agree
//! on the entry. So no leader is needed, and no open group: a node answers from its log, and two
//! replicas that are closed because of different entries heal each other.
//!
//! ```text
//! reader of records ── one round, else an error ────┐
//! group that opens ─── one round, else stays closed ├─► ask every node in turn ─► write the copy
//! group that runs ──── again and again, fenced ─────┘
//! ```
//! Holds: nothing acknowledged is voted away. Index and term of a damaged entry are known without
//! its bytes, so the log counts for no less in an election, and a replica that lacks an entry which
//! it has to apply or to send neither votes nor campaigns nor leads until it has it back, or needs it no
//! more. What all others have trimmed since, a group that opens skips: it takes up a peer's snapshot.
//! While it cannot apply it takes no entries either: they would only pile up in the node's
//! write-ahead log.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use thalweg_storage::{GroupLog, LogEntry, ReadError, StorageError};
use thalweg_types::{GroupId, NodeId};
use tokio::sync::watch;

use crate::Groups;
use crate::applier::Applier;
use crate::codec::{self, LogId, Snapshot};
use crate::log_store::{durable, read_entries};
use crate::transport::{Lane, Peers, Reply, Request};

/// A peer may take this long to send one entry.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// Between the first rounds in vain, and between later ones. A peer that comes up ends the pause.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(15);

/// An entry whose bytes are damaged on this node, and why no other node has given it back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("entry {index} is damaged on this node and no other node has given it back: {reason}")]
pub struct Damaged {
    /// The entry.
    pub index: u64,
    /// What the others said.
    pub reason: String,
}

/// What a node's repairs came to since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RepairCounts {
    /// Damaged entries that a peer gave back.
    pub repaired: u64,
    /// Rounds in which nobody could.
    pub failed: u64,
    /// Groups that are closed or fenced now because of a damaged entry.
    pub waiting: usize,
}

/// The repairs of all groups of a node.
#[derive(Default)]
pub(crate) struct Repairs {
    repaired: AtomicU64,
    failed: AtomicU64,
    waiting: Mutex<BTreeMap<GroupId, Damaged>>,
}

impl Repairs {
    pub(crate) fn counts(&self) -> RepairCounts {
        RepairCounts {
            repaired: self.repaired.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            waiting: self.waiting.lock().len(),
        }
    }

    /// Groups that wait for an entry.
    pub(crate) fn waiting(&self) -> BTreeMap<GroupId, Damaged> {
        self.waiting.lock().clone()
    }

    /// The group is held up by nothing any more, or is gone.
    pub(crate) fn settle(&self, group: GroupId) {
        self.waiting.lock().remove(&group);
    }

    /// Notes what holds a group up, and tells the operator when that is news.
    fn hold_up(&self, group: GroupId, damaged: &Damaged) {
        let known = self.waiting.lock().insert(group, damaged.clone());
        if known.as_ref() != Some(damaged) {
            tracing::error!(
                %group,
                index = damaged.index,
                reason = damaged.reason,
                "an entry is damaged here and this replica stands still until another node gives it back: start the \
                 nodes that hold the group's other replicas; if none of them has the entry, restore one from a backup"
            );
        }
    }
}

/// For what an entry is needed, which decides what happens while nobody gives it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// To open the group, which fails; or, since nothing of it runs yet, a snapshot of a peer that has
    /// given the entry up may stand for it.
    Survey,
    /// To open the group, which fails.
    Open,
    /// To answer somebody, who is told.
    Once,
    /// To send it to a follower.
    Send,
    /// To apply it.
    Apply,
}

/// How many reads wait for an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lacks {
    send: u32,
    apply: u32,
}

impl Lacks {
    /// Whether this replica must stand back.
    pub(crate) fn any(self) -> bool {
        self.send + self.apply > 0
    }

    /// Whether nothing can be applied.
    pub(crate) fn stands_still(self) -> bool {
        self.apply > 0
    }

    fn of(&mut self, need: Need) -> &mut u32 {
        if need == Need::Apply { &mut self.apply } else { &mut self.send }
    }
}

/// What a peer has of a damaged entry.
enum Copy {
    Entry(LogEntry),
    /// It has given the entry up.
    Snapshot(Box<Snapshot>),
}

/// Repairs one group's log on this node.
pub(crate) struct Repairer {
    group: GroupId,
    log: GroupLog,
    applier: Applier,
    peers: Arc<Peers>,
    node: Arc<Repairs>,
    initial_members: Vec<NodeId>,
    /// Those who meet the same damage together come one after the other, so that it is repaired once.
    one_at_a_time: tokio::sync::Mutex<()>,
    lacks: watch::Sender<Lacks>,
    closed: watch::Sender<bool>,
    /// What kept the group from opening; openraft hands on only its text.
    failure: Mutex<Option<Damaged>>,
    unsaved: AtomicBool,
}

impl Repairer {
    pub(crate) fn new(
        log: GroupLog,
        applier: Applier,
        peers: Arc<Peers>,
        node: Arc<Repairs>,
        initial_members: Vec<NodeId>,
    ) -> Arc<Repairer> {
        Arc::new(Repairer {
            group: log.id(),
            log,
            applier,
            peers,
            node,
            initial_members,
            one_at_a_time: tokio::sync::Mutex::new(()),
            lacks: watch::Sender::default(),
            closed: watch::Sender::new(false),
            failure: Mutex::default(),
            unsaved: AtomicBool::new(false),
        })
    }

    /// What this replica lacks to do its part.
    pub(crate) fn lacks(&self) -> watch::Receiver<Lacks> {
        self.lacks.subscribe()
    }

    /// Whether a snapshot was taken up and then not saved: the log in memory is not the one on disk, and
    /// must not be used.
    pub(crate) fn is_unsaved(&self) -> bool {
        self.unsaved.load(Ordering::Acquire)
    }

    /// One past the last applied entry.
    pub(crate) fn applied_end(&self) -> u64 {
        self.applier.applied_end()
    }

    /// Ends all waiting.
    pub(crate) fn close(&self) {
        self.closed.send_replace(true);
    }

    /// The entry without which the group cannot open.
    pub(crate) fn failure(&self) -> Option<Damaged> {
        self.failure.lock().clone()
    }

    /// Puts a peer's copy in the place of the entry at `index`, if its bytes are damaged. What a
    /// running group needs is given up only when the group is closed.
    pub(crate) async fn repair(&self, index: u64, need: Need) -> Result<(), Damaged> {
        let opens = matches!(need, Need::Survey | Need::Open);
        let mut pause = PAUSE_MIN;
        let mut _lack = None;
        loop {
            let mut up = self.peers.up();
            up.mark_unchanged();
            let Err(damaged) = self.ask_around(index, need).await else { return Ok(()) };
            if opens {
                self.node.hold_up(self.group, &damaged);
                *self.failure.lock() = Some(damaged.clone());
            }
            if opens || need == Need::Once || *self.closed.borrow() {
                return Err(damaged);
            }
            self.node.hold_up(self.group, &damaged);
            _lack.get_or_insert_with(|| Lack::new(self, need));
            let mut closed = self.closed.subscribe();
            tokio::select! {
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(PAUSE_MAX),
                _ = up.changed() => {}
                _ = closed.wait_for(|closed| *closed) => return Err(damaged),
            }
        }
    }

    /// Asks one node after the other for the entry, until one gives it.
    async fn ask_around(&self, index: u64, need: Need) -> Result<(), Damaged> {
        let _one_at_a_time = self.one_at_a_time.lock().await;
        // Of an entry that was trimmed or withdrawn meanwhile there is nothing to repair.
        let Some(term) = self.log.read_term(index) else { return Ok(()) };
        let read = read_entries(&self.log, index, index + 1, 1).await;
        if read.err().and_then(|error| damaged_index(&error)) != Some(index) {
            return Ok(());
        }
        let (mut answers, mut snapshots) = (Vec::new(), Vec::new());
        for node in self.whom_to_ask() {
            match self.fetch(node, index, term, need == Need::Survey).await {
                Ok(Copy::Entry(entry)) => return self.replace(node, entry).await,
                Ok(Copy::Snapshot(snapshot)) => snapshots.push((node, snapshot)),
                Err(why) => answers.push(format!("node {node} {why}")),
            }
        }
        for (node, snapshot) in snapshots {
            match self.skip(node, index, *snapshot).await {
                Ok(()) => return Ok(()),
                Err(why) => answers.push(format!("the snapshot of node {node}: {why}")),
            }
        }
        self.node.failed.fetch_add(1, Ordering::Relaxed);
        let reason = if answers.is_empty() { "no other node is connected".to_owned() } else { answers.join(", ") };
        Err(Damaged { index, reason })
    }

    /// The group's members first; then all others that are up, for the last word on who is a member
    /// may be what is damaged.
    fn whom_to_ask(&self) -> Vec<NodeId> {
        let members: BTreeSet<NodeId> =
            self.applier.members().into_iter().chain(self.initial_members.clone()).collect();
        let others: Vec<NodeId> = self.peers.up().borrow().difference(&members).copied().collect();
        members.into_iter().filter(|node| *node != self.peers.node()).chain(others).collect()
    }

    /// The entry, or the snapshot that stands for it if that will do.
    async fn fetch(&self, node: NodeId, index: u64, term: u64, or_snapshot: bool) -> Result<Copy, String> {
        let exchange = async {
            let sent = self.peers.send(node, Lane::Data, Request::Fetch(self.group, index, term, or_snapshot)).await;
            sent.map_err(|_| "is not connected")?.await.map_err(|_| "does not answer")
        };
        let reply = tokio::time::timeout(FETCH_TIMEOUT, exchange).await.unwrap_or(Err("does not answer"))?;
        match reply {
            Reply::Entry(entry) if (entry.index, entry.term) == (index, term) => {
                let readable = codec::from_log_entry(entry.clone());
                readable.map(|_| Copy::Entry(entry)).map_err(|error| format!("sent what is no entry: {error}"))
            }
            Reply::GivenUp(meta, snapshot)
                if or_snapshot && meta.last_log_id.is_some_and(|last| last.index >= index) =>
            {
                Ok(Copy::Snapshot(Box::new(Snapshot { meta, snapshot })))
            }
            Reply::No => Err("does not have it".to_owned()),
            Reply::Refused(why) => Err(why),
            _ => Err("sent something else".to_owned()),
        }
    }

    /// Takes up the snapshot: everything that it stands for is given up here as well.
    async fn skip(&self, from: NodeId, index: u64, snapshot: Snapshot) -> std::io::Result<()> {
        let group = self.group;
        let last = snapshot.meta.last_log_id.ok_or_else(|| std::io::Error::other("it stands for nothing"))?;
        self.withdraw_conflict(&last).await?;
        let taken = self.applier.take_up(&snapshot.meta, snapshot.snapshot).await;
        if taken.is_err() && self.log.state().trimmed.is_some_and(|(trimmed, _)| trimmed >= last.index) {
            self.unsaved.store(true, Ordering::Release);
        }
        taken?;
        self.node.repaired.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(%group, index, %from, "all have given a damaged entry up; another node's snapshot stands for it");
        Ok(())
    }

    /// If another entry stands where a snapshot ends, which is committed, everything from there on never was.
    async fn withdraw_conflict(&self, committed: &LogId) -> std::io::Result<()> {
        match self.log.read_term(committed.index) {
            Some(term) if term != codec::term_of(committed) => {}
            _ => return Ok(()),
        }
        if committed.index < self.log.state().moved_end {
            return Err(std::io::Error::other("it contradicts what was applied here"));
        }
        durable(|done| self.log.truncate_after(committed.index.saturating_sub(1), done)).await
    }

    async fn replace(&self, from: NodeId, entry: LogEntry) -> Result<(), Damaged> {
        let (index, group) = (entry.index, self.group);
        let written = durable(|done| self.log.repair(entry, done)).await;
        match written.map_err(|error| (withdrawn(&error), error)) {
            Ok(()) => {
                self.node.repaired.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(%group, index, %from, "a damaged entry was replaced by another node's copy");
                Ok(())
            }
            Err((true, _)) => Ok(()),
            Err((false, error)) => Err(Damaged { index, reason: format!("node {from} has it, but {error}") }),
        }
    }
}

/// A running group's want of one entry; ends with the read that wants it. Also a leader that cannot send
/// an entry which is applied here stands back: a new one begins by sending from the middle of its log,
/// perhaps what nobody else has because all others have trimmed it, and would send nothing ever again.
struct Lack<'a> {
    repairer: &'a Repairer,
    need: Need,
}

impl<'a> Lack<'a> {
    fn new(repairer: &'a Repairer, need: Need) -> Lack<'a> {
        repairer.lacks.send_modify(|lacks| *lacks.of(need) += 1);
        Lack { repairer, need }
    }
}

impl Drop for Lack<'_> {
    fn drop(&mut self) {
        self.repairer.lacks.send_modify(|lacks| *lacks.of(self.need) -= 1);
        self.repairer.node.settle(self.repairer.group);
    }
}

/// The damaged entry that made a read fail.
pub(crate) fn damaged_index(error: &std::io::Error) -> Option<u64> {
    match error.get_ref()?.downcast_ref::<ReadError>()? {
        ReadError::Corrupt { index, .. } => Some(*index),
        _ => None,
    }
}

/// Whether a copy could not be written because the entry is not in the log any more.
fn withdrawn(error: &std::io::Error) -> bool {
    let storage = error.get_ref().and_then(|inner| inner.downcast_ref::<StorageError>());
    matches!(storage, Some(StorageError::NotRepairable { .. }))
}

/// Answers a node that asks for an entry. The group need not be open here, unless a snapshot is to
/// stand for what was trimmed.
pub(crate) async fn answer(groups: &Groups, group: GroupId, index: u64, term: u64, or_snapshot: bool) -> Reply {
    let log = groups.node_log().known_group(group);
    let trimmed = log.as_ref().and_then(|log| log.state().trimmed).is_some_and(|(trimmed, _)| trimmed >= index);
    if trimmed && or_snapshot {
        return beyond(groups, group, index);
    }
    let Some(log) = log.filter(|log| !trimmed && log.read_term(index) == Some(term)) else { return Reply::No };
    match read_entries(&log, index, index + 1, 1).await {
        Ok(entries) => entries.into_iter().find(|entry| entry.term == term).map_or(Reply::No, Reply::Entry),
        Err(error) if damaged_index(&error).is_some() => Reply::Refused("has a damaged copy as well".to_owned()),
        Err(error) => Reply::Refused(format!("cannot read it: {error}")),
    }
}

/// The snapshot that stands for an entry which this node has trimmed, if the group is open here.
fn beyond(groups: &Groups, group: GroupId, index: u64) -> Reply {
    let snapshot = groups.get(group).and_then(|group| group.inner().applier.current_snapshot().ok().flatten());
    let stands_for_it = |last: &LogId| last.index >= index;
    match snapshot.filter(|snapshot| snapshot.meta.last_log_id.as_ref().is_some_and(stands_for_it)) {
        Some(Snapshot { meta, snapshot }) => Reply::GivenUp(meta, snapshot),
        None => Reply::No,
    }
}
