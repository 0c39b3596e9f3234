//! A node's log on a data directory, with faults in reach.

use std::path::Path;
use std::sync::Arc;

use thalweg_storage::{Driver, MemoryStore, NodeLog, OpenError, OpenReport, RecordStore, RocksStore};
use thalweg_wal::{Disk, RealDisk, SimDisk};

use crate::fault_disk::{FaultDisk, Faults};
use crate::fault_store::FaultStore;
use crate::settings::{STORE, options};

/// A running log.
pub struct Node {
    /// The log.
    pub log: NodeLog,
    /// What its start found.
    pub report: OpenReport,
}

/// What a node's log lies on.
#[derive(Clone)]
pub enum Place {
    /// The machine's file system and RocksDB, below a directory.
    Real,
    /// A disk and a store in memory.
    Simulated(SimDisk, MemoryStore),
}

impl Node {
    /// Opens the log in `dir`.
    pub fn open(dir: &Path, place: &Place, faults: &Faults, driver: Driver) -> Result<Node, OpenError> {
        let (disk, store): (Arc<dyn Disk>, Arc<dyn RecordStore>) = match place {
            Place::Real => {
                std::fs::create_dir_all(dir).map_err(OpenError::Threads)?;
                (Arc::new(RealDisk), Arc::new(RocksStore::open(&dir.join(STORE))?))
            }
            Place::Simulated(disk, store) => (Arc::new(disk.clone()), Arc::new(store.clone())),
        };
        let disk = Arc::new(FaultDisk::new(disk, faults));
        let store = Arc::new(FaultStore::new(store, faults));
        let (log, report) = NodeLog::open(options(dir), disk, store, driver)?;
        Ok(Node { log, report })
    }

    /// Opens the log in `dir` on the machine's file system, with nothing wrong.
    pub fn open_whole(dir: &Path, driver: Driver) -> Result<Node, OpenError> {
        Node::open(dir, &Place::Real, &Faults::default(), driver)
    }
}
