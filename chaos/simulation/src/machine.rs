//! A machine of the simulated cluster: what outlives the processes on it, and what one may know of
//! the process that runs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use thalweg_controller::Image;
use thalweg_raft::Groups;
use thalweg_shard::ShardHost;
use thalweg_storage::{Begun, GroupLog, MemoryStore, NodeLog};
use thalweg_types::{GroupId, NodeId};
use thalweg_wal::{Disk, SimDisk};
use tokio::sync::{Notify, watch};

use crate::clock::SimClock;
use crate::node::DATA_DIR;

/// What a group had on this machine's disk after the last sync.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Durable {
    /// Index and term of the last entry.
    pub last: Option<(u64, u64)>,
    /// The vote: term, node, whether it leads.
    pub vote: Option<(u64, u64, bool)>,
}

impl Durable {
    /// Whether a replica's log has all of it, or what came later.
    pub fn is_in(&self, log: &GroupLog) -> bool {
        let vote = log.state().vote.as_deref().and_then(decode_vote);
        let votes_on = self.vote.is_none_or(|(term, ..)| vote.is_some_and(|(now, ..)| now >= term));
        self.entries_in(log) && votes_on
    }

    /// Whether a node has it, as [`is_in`](Self::is_in) says.
    pub fn is_on(&self, node: &NodeLog, group: GroupId) -> bool {
        node.known_group(group).is_some_and(|log| self.is_in(&log))
    }

    /// Whether a replica's log has the entries.
    pub fn entries_in(&self, log: &GroupLog) -> bool {
        let state = log.state();
        let has = |(index, term): (u64, u64)| {
            let end = state.last.map_or(0, |(last, _)| last + 1);
            let trimmed = state.trimmed.is_some_and(|(trimmed, _)| trimmed >= index);
            // An entry whose term cannot be read is damaged in the record store: that is found elsewhere.
            trimmed || (index < end && log.read_term(index).is_none_or(|found| found == term))
        };
        self.last.is_none_or(has)
    }
}

/// Acknowledgements reach the client within this.
const NEWS_MS_MAX: u64 = 10_000;

/// One machine.
pub struct Machine {
    /// The node that lives here; a machine that lost its disk is given up, its node with it.
    pub id: NodeId,
    /// The name of the machine in the network.
    pub name: String,
    /// Its disk.
    pub disk: SimDisk,
    /// The record store on it.
    store: Mutex<MemoryStore>,
    /// Its wall clock.
    pub clock: SimClock,
    random: Mutex<StdRng>,
    /// How long a sync takes, in microseconds: at least, and how much more at most.
    pub sync_micros: (AtomicU64, AtomicU64),
    /// Syncs do not return.
    pub stalled: AtomicBool,
    /// The node is asked to end in order.
    pub stop: Notify,
    /// What the node that runs here shows.
    pub view: Mutex<Option<View>>,
    /// Why the node that ran here ended by itself.
    pub ended: Mutex<Option<String>>,
    /// Starts so far.
    pub boots: AtomicU64,
    /// What was durable at the last sync, by group.
    pub durable: Mutex<BTreeMap<GroupId, Durable>>,
    /// What was durable before the disk was damaged lately, and when that was.
    pub lost: Mutex<(u64, BTreeMap<GroupId, Durable>)>,
    /// What was durable when the log's fence file was written last.
    pub remembered: Mutex<BTreeMap<GroupId, Durable>>,
    /// What damage may have taken of that, until the replica is seen to have it again.
    pub owed: Mutex<BTreeMap<GroupId, Durable>>,
    /// Groups of which the write under way takes something back: a truncation, a snapshot, an end.
    pub taken_back: Mutex<BTreeSet<GroupId>>,
}

/// A node that runs, for those who look at it. Looking changes nothing.
#[derive(Clone)]
pub struct View {
    /// Its groups.
    pub groups: Groups,
    /// Its log.
    pub log: NodeLog,
    /// Its shards.
    pub host: ShardHost,
    /// The cluster as it knows it.
    pub image: watch::Receiver<Arc<Image>>,
}

impl Machine {
    /// A machine with an empty disk.
    pub fn new(id: NodeId, clock: SimClock, seed: u64) -> Machine {
        let mut random = StdRng::seed_from_u64(seed);
        Machine {
            id,
            name: format!("node-{}", id.0),
            disk: SimDisk::new(random.random()),
            store: Mutex::new(MemoryStore::new()),
            clock,
            random: Mutex::new(random),
            sync_micros: (AtomicU64::new(500), AtomicU64::new(1_000)),
            stalled: AtomicBool::new(false),
            stop: Notify::new(),
            view: Mutex::default(),
            ended: Mutex::default(),
            boots: AtomicU64::new(0),
            durable: Mutex::default(),
            lost: Mutex::default(),
            remembered: Mutex::default(),
            owed: Mutex::default(),
            taken_back: Mutex::default(),
        }
    }

    /// The record store on it.
    pub fn store(&self) -> MemoryStore {
        self.store.lock().clone()
    }

    /// Another disk, an empty one, takes the place of the one that was here.
    pub fn wipe(&self, now: u64) {
        for dir in [Path::new(DATA_DIR).join("wal"), Path::new(DATA_DIR).to_owned()] {
            for file in self.disk.list(&dir).unwrap_or_default() {
                self.disk.lose(&dir.join(file));
            }
        }
        *self.store.lock() = MemoryStore::new();
        self.lose(now);
        self.owed.lock().clear();
        self.taken_back.lock().clear();
    }

    /// Bytes for a node that starts.
    pub fn entropy(&self) -> [u8; 40] {
        let mut bytes = [0; 40];
        self.random.lock().fill(&mut bytes[..]);
        bytes
    }

    /// How long the next sync takes.
    pub fn sync_takes(&self) -> Duration {
        let (least, more) = (self.sync_micros.0.load(Ordering::Relaxed), self.sync_micros.1.load(Ordering::Relaxed));
        Duration::from_micros(least + self.random.lock().random_range(0..=more))
    }

    /// Whether syncs do not return just now.
    pub fn disk_stalls(&self) -> bool {
        self.stalled.load(Ordering::Relaxed)
    }

    /// The node that runs here, if one does.
    pub fn view(&self) -> Option<View> {
        self.view.lock().clone()
    }

    /// What is in memory now, and will be durable after the next write and sync.
    pub fn queued(&self, log: &NodeLog) -> BTreeMap<GroupId, Durable> {
        let durable = |group: GroupId| {
            let state = log.known_group(group)?.state();
            Some((group, Durable { last: state.last, vote: state.vote.as_deref().and_then(decode_vote) }))
        };
        log.groups().into_iter().filter_map(durable).collect()
    }

    /// What is written, and will be durable after the next sync. Whether a vote is cannot be seen, so
    /// one that may still wait, or was refused, counts as it was before.
    pub fn written(&self, log: &NodeLog, begun: Begun) -> BTreeMap<GroupId, Durable> {
        let mut queued = self.queued(log);
        let before = self.durable.lock();
        for (group, durable) in &mut queued {
            let Some(log) = log.known_group(*group).filter(|_| begun != Begun::All) else { continue };
            let vote = before.get(group).and_then(|before| before.vote);
            *durable = Durable { last: log.last_written(), vote };
        }
        queued
    }

    /// What was durable may be so no more. Clients may yet hear of what it had acknowledged by `now`.
    pub fn lose(&self, now: u64) {
        let mut lost = self.lost.lock();
        if now >= lost.0 + NEWS_MS_MAX {
            lost.1.clear();
        }
        lost.0 = now;
        add(&mut lost.1, std::mem::take(&mut *self.durable.lock()));
        add(&mut self.owed.lock(), std::mem::take(&mut *self.remembered.lock()));
    }

    /// Whether entry `index` of a group is, or was until just before `now`, on this disk.
    pub fn has(&self, group: GroupId, index: u64, now: u64) -> bool {
        let reaches = |durable: &BTreeMap<GroupId, Durable>| {
            durable.get(&group).and_then(|durable| durable.last).is_some_and(|(last, _)| last >= index)
        };
        let lost = self.lost.lock();
        reaches(&self.durable.lock()) || (now < lost.0 + NEWS_MS_MAX && reaches(&lost.1))
    }

    /// A write of what is in memory now begins.
    pub fn writes(&self, log: &NodeLog) {
        let here: BTreeSet<GroupId> = log.groups().into_iter().collect();
        let durable = self.durable.lock();
        let taken_back = durable.iter().filter(|(group, before)| !(here.contains(group) && before.is_on(log, **group)));
        *self.taken_back.lock() = taken_back.map(|(group, _)| *group).collect();
        // What a leader had taken back is not missed either.
        self.remembered.lock().retain(|group, before| before.is_on(log, *group));
    }

    /// A sync covered `what`.
    pub fn synced(&self, what: BTreeMap<GroupId, Durable>) {
        *self.durable.lock() = what;
        self.taken_back.lock().clear();
    }

    /// The log's fence file was written.
    pub fn remembers(&self) {
        *self.remembered.lock() = self.durable.lock().clone();
    }
}

/// Adds what is further on in `more`.
fn add(to: &mut BTreeMap<GroupId, Durable>, more: BTreeMap<GroupId, Durable>) {
    for (group, durable) in more {
        let known = to.entry(group).or_default();
        let term_first = |last: &Option<(u64, u64)>| last.map(|(index, term)| (term, index));
        known.last = std::cmp::max_by_key(known.last, durable.last, term_first);
        known.vote = known.vote.max(durable.vote);
    }
}

/// A vote as `thalweg_raft` writes it: term, node, whether a quorum confirmed it.
fn decode_vote(bytes: &[u8]) -> Option<(u64, u64, bool)> {
    let term = u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?);
    let node = u64::from_le_bytes(bytes.get(8..16)?.try_into().ok()?);
    Some((term, node, *bytes.get(16)? == 1))
}
