//! The disk's free space, and what follows when it runs low.
//!
//! Below the reserve appends are refused before anything is written. Votes, truncations and trims
//! use the reserve, reads go on, and with space the log recovers by itself.

use crate::shared::Shared;
use crate::{Health, StorageError};

/// Looks at the free space and sets the health accordingly.
pub(crate) fn check(shared: &Shared) {
    let Ok(free_bytes) = shared.disk.free_bytes(&shared.options.dir) else { return };
    let need_bytes = shared.options.reserve_bytes;
    set(shared, if free_bytes < need_bytes { Health::DiskFull { free_bytes, need_bytes } } else { Health::Ok });
}

/// Why nothing that may wait takes space now. Looked at whenever space is about to be taken, so that
/// the reserve does not depend on how much is written between two looks.
pub(crate) fn refuse_below_reserve(shared: &Shared) -> Result<(), StorageError> {
    check(shared);
    match &*shared.health.borrow() {
        Health::DiskFull { free_bytes, need_bytes } => {
            Err(StorageError::Full { free_bytes: *free_bytes, need_bytes: *need_bytes })
        }
        Health::Ok | Health::Failed(_) => Ok(()),
    }
}

/// A write found no space.
pub(crate) fn ran_out(shared: &Shared) -> StorageError {
    let free_bytes = shared.disk.free_bytes(&shared.options.dir).unwrap_or(0);
    let need_bytes = shared.options.reserve_bytes.max(free_bytes + 1);
    set(shared, Health::DiskFull { free_bytes, need_bytes });
    StorageError::Full { free_bytes, need_bytes }
}

fn set(shared: &Shared, now: Health) {
    shared.health.send_if_modified(|health| {
        let changes =
            !matches!(health, Health::Failed(_)) && std::mem::discriminant(health) != std::mem::discriminant(&now);
        if changes {
            tracing::info!(health = ?now, "disk space");
            *health = now;
        }
        changes
    });
}
