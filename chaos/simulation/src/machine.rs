//! A machine of the simulated cluster: what outlives the processes on it, and what one may know of
//! the process that runs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use thalweg_controller::Image;
use thalweg_raft::Groups;
use thalweg_shard::ShardHost;
use thalweg_storage::{MemoryStore, NodeLog};
use thalweg_types::{GroupId, NodeId};
use thalweg_wal::SimDisk;
use tokio::sync::{Notify, watch};

use crate::clock::SimClock;

/// What a group had on this machine's disk after the last sync.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Durable {
    /// Index and term of the last entry.
    pub last: Option<(u64, u64)>,
    /// The vote: term, node, whether it leads.
    pub vote: Option<(u64, u64, bool)>,
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
    pub store: MemoryStore,
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
    /// What was durable before the disk was damaged last, and when that was.
    pub lost: Mutex<(u64, BTreeMap<GroupId, Durable>)>,
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
            store: MemoryStore::new(),
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
        }
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

    /// What was durable may be so no more. Clients may yet hear of what it had acknowledged by `now`.
    pub fn lose(&self, now: u64) {
        *self.lost.lock() = (now, std::mem::take(&mut *self.durable.lock()));
    }

    /// Whether entry `index` of a group is, or was until just before `now`, on this disk.
    pub fn has(&self, group: GroupId, index: u64, now: u64) -> bool {
        let reaches = |durable: &BTreeMap<GroupId, Durable>| {
            durable.get(&group).and_then(|durable| durable.last).is_some_and(|(last, _)| last >= index)
        };
        let lost = self.lost.lock();
        reaches(&self.durable.lock()) || (now < lost.0 + NEWS_MS_MAX && reaches(&lost.1))
    }

    /// A sync covered `what`.
    pub fn synced(&self, what: BTreeMap<GroupId, Durable>) {
        *self.durable.lock() = what;
    }
}

/// A vote as `thalweg_raft` writes it: term, node, whether a quorum confirmed it.
fn decode_vote(bytes: &[u8]) -> Option<(u64, u64, bool)> {
    let term = u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?);
    let node = u64::from_le_bytes(bytes.get(8..16)?.try_into().ok()?);
    Some((term, node, *bytes.get(16)? == 1))
}
