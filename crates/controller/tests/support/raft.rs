//! A node's raft groups for tests: the real log on a simulated disk, in a runtime of its own, so
//! that killing it ends every task and socket of the node at once, as with a process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use thalweg_raft::{Groups, Options, TcpConnector};
use thalweg_storage::{Driver, MemoryStore, NodeLog};
use thalweg_types::NodeId;
use thalweg_wal::SimDisk;
use tokio::runtime::{Builder, Handle, Runtime};

/// Hands out disks.
#[derive(Default)]
pub struct World {
    disks: AtomicU64,
}

/// What survives a crash.
#[derive(Clone)]
pub struct Disk {
    wal: SimDisk,
    store: MemoryStore,
}

/// The running part of a node.
pub struct Node {
    groups: Groups,
    log: NodeLog,
    runtime: Option<Runtime>,
}

impl World {
    /// A number for a disk that nobody had before.
    pub fn next_disk(&self) -> u64 {
        self.disks.fetch_add(1, Ordering::Relaxed)
    }

    pub fn fresh_disk(&self) -> Disk {
        Disk { wal: SimDisk::new(self.next_disk()), store: MemoryStore::new() }
    }
}

impl Node {
    pub async fn start(id: NodeId, disk: &Disk) -> Node {
        let options = thalweg_storage::Options { segment_bytes: 1 << 20, ..thalweg_storage::Options::new("wal") };
        let opened = NodeLog::open(options, Arc::new(disk.wal.clone()), Arc::new(disk.store.clone()), Driver::Threads);
        let log = opened.expect("the log opens").0;
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let groups = {
            let _within = runtime.enter();
            Groups::start(id, Options::default(), log.clone(), Arc::new(TcpConnector))
        };
        Node { groups, log, runtime: Some(runtime) }
    }

    pub fn groups(&self) -> Groups {
        self.groups.clone()
    }

    pub fn runtime(&self) -> &Handle {
        self.runtime.as_ref().expect("the node runs").handle()
    }

    /// Ends everything where it is.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.runtime.take().into_iter().for_each(Runtime::shutdown_background);
        let _ = self.log.close();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.end();
    }
}
