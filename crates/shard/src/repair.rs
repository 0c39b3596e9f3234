//! Healing a damaged copy of a committed entry from another replica, for a reader.

use crate::read::ReadError;
use crate::replica::Replica;

/// Replaces the entry at `index` by a peer's intact copy.
pub(crate) async fn repair(replica: &Replica, index: u64) -> Result<(), ReadError> {
    replica.group().repair(index).await.map_err(|damaged| {
        tracing::error!(group = %replica.group().id(), index, reason = damaged.reason, "an entry is corrupt");
        ReadError::Corrupt { index, reason: damaged.reason }
    })
}
