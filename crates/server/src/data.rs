//! The data of a node: who it is, and its log, opened from one directory.
//!
//! Holds: an identity whose log is gone is refused; see [`crate::identity`].

use std::path::Path;
use std::sync::Arc;

use thalweg_controller::IdentityStore;
use thalweg_storage::{Driver, NodeLog, RecordStore};
use thalweg_types::{Incarnation, NodeId};
use thalweg_wal::Disk;

use crate::StartError;
use crate::identity::IdentityFile;

/// Who a node is, and its log.
pub struct Data {
    /// The identity, kept in the same directory.
    pub identity: Arc<dyn IdentityStore>,
    /// The log.
    pub log: NodeLog,
    /// Whether the log lost acknowledged bytes, so that what is not there is not to be trusted.
    pub damaged: bool,
}

impl Data {
    /// Opens what is in `dir`; the first time, for the node `id` with the `incarnation`. The log
    /// takes `options`, but for its directory and identity. Blocks while the log is replayed.
    pub fn open(
        (id, incarnation): (NodeId, Incarnation),
        dir: &Path,
        options: thalweg_storage::Options,
        disk: Arc<dyn Disk>,
        store: impl FnOnce() -> Result<Arc<dyn RecordStore>, String>,
        driver: Driver,
    ) -> Result<Data, StartError> {
        let failed = |reason: String| StartError::Storage { dir: dir.display().to_string(), reason };
        let identity = IdentityFile::open(disk.clone(), dir, id, incarnation).map_err(StartError::Identity)?;
        let kept = identity.load().map_err(StartError::Identity)?.incarnation;
        let options = thalweg_storage::Options { identity: kept.0, dir: dir.join("wal"), ..options };
        let store = store().map_err(failed)?;
        let (log, report) = NodeLog::open(options, disk, store, driver).map_err(|error| failed(error.to_string()))?;
        if let Some(damage) = &report.damaged {
            tracing::error!(
                damage,
                groups = report.fenced_groups,
                "acknowledged bytes may be missing here: replicas are fenced until their peers have given them back"
            );
        }
        Ok(Data { identity: Arc::new(identity), log, damaged: report.damaged.is_some() })
    }
}
