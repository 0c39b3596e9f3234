//! What the record store keeps about the node, so that log and store can tell whether they belong
//! together, and its bytes.
//!
//! ```text
//! version u8 │ flags u8 │ commit number u64 │ durable LSN u64
//!            │ version 2, after damage: distrusts below u64 │ damage mark u64          (little endian)
//! ```
//! Version 1 where nothing was ever lost, so that older builds can read it; its flag tells of damage
//! that such a build has met.
//!
//! Holds: saved with every commit. The log's fence names a commit before segments are given up on
//! account of it, and a commit names a block of the log that was durable before it: a store that is
//! lost or put back is behind the fence, a log that is lost or put back is behind the store.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use thalweg_types::GroupId;

const VERSION: u8 = 1;
const VERSION_DAMAGED: u8 = 2;
const DISTRUSTS_ABSENT: u8 = 1;

/// Why metadata of a later format cannot be read.
pub(crate) const UNKNOWN_VERSION: &str =
    "a version that this build does not know: a newer build wrote it, and has to be used again";

/// More than a group's terms rise between two losses.
const MARKS_APART: u64 = 1 << 20;

/// No group's id is below this.
pub(crate) const NO_GROUP: GroupId = GroupId(0);
/// Every group's id is below this.
pub(crate) const EVERY_GROUP: GroupId = GroupId(u64::MAX);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NodeMeta {
    /// Counts commits.
    pub(crate) commit: u64,
    /// A block of the write-ahead log that was durable before the commit.
    pub(crate) durable_lsn: u64,
    /// Groups with lower ids may be missing altogether, see [`crate::NodeLog::distrusts_below`].
    pub(crate) distrusts_below: GroupId,
    /// What the owner gave the start that met damage last, see [`crate::Options::damage_mark`].
    pub(crate) damage_mark: u64,
}

impl Default for NodeMeta {
    fn default() -> NodeMeta {
        NodeMeta { commit: 0, durable_lsn: 0, distrusts_below: NO_GROUP, damage_mark: 0 }
    }
}

impl NodeMeta {
    pub(crate) fn encode(&self) -> Bytes {
        let mut bytes = BytesMut::new();
        let damaged = self.distrusts_below != NO_GROUP;
        bytes.put_u8(if damaged { VERSION_DAMAGED } else { VERSION });
        bytes.put_u8(if damaged { DISTRUSTS_ABSENT } else { 0 });
        bytes.put_u64_le(self.commit);
        bytes.put_u64_le(self.durable_lsn);
        if damaged {
            bytes.put_u64_le(self.distrusts_below.0);
            bytes.put_u64_le(self.damage_mark);
        }
        bytes.freeze()
    }

    pub(crate) fn decode(mut bytes: Bytes) -> Result<NodeMeta, &'static str> {
        let length = match bytes.try_get_u8() {
            Ok(VERSION) => 17,
            Ok(VERSION_DAMAGED) => 33,
            _ => return Err(UNKNOWN_VERSION),
        };
        if bytes.len() != length {
            return Err("wrong length");
        }
        let distrusts = bytes.get_u8() & DISTRUSTS_ABSENT != 0;
        let (commit, durable_lsn) = (bytes.get_u64_le(), bytes.get_u64_le());
        let below = bytes.try_get_u64_le().map_or(EVERY_GROUP, GroupId);
        let damage_mark = bytes.try_get_u64_le().unwrap_or(0);
        Ok(NodeMeta { commit, durable_lsn, distrusts_below: if distrusts { below } else { NO_GROUP }, damage_mark })
    }

    /// The mark of a start that finds damage again and was `given` one. A clock may have gone back since
    /// the last one, and what was promised since then is little above that.
    pub(crate) fn mark_after(&self, given: u64) -> u64 {
        let earlier = self.damage_mark;
        if earlier == 0 || given > earlier { given } else { earlier.saturating_add(MARKS_APART) }
    }

    /// Why log and store do not belong together; nothing if they do.
    pub(crate) fn mismatch(&self, log_relies_on: u64, log_durable_lsn: u64) -> Option<String> {
        if self.commit < log_relies_on {
            let commit = self.commit;
            return Some(format!("the record store is at commit {commit}, the log relies on commit {log_relies_on}"));
        }
        if log_durable_lsn < self.durable_lsn {
            let lsn = self.durable_lsn;
            return Some(format!("the log ends at block {log_durable_lsn}, the record store remembers block {lsn}"));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_back_and_nothing_else_does() {
        for distrusts_below in [NO_GROUP, GroupId(1), GroupId(40), EVERY_GROUP] {
            let damage_mark = if distrusts_below == NO_GROUP { 0 } else { 1 << 50 };
            let meta = NodeMeta { commit: 7, durable_lsn: u64::MAX, distrusts_below, damage_mark };
            let bytes = meta.encode();
            assert_eq!(NodeMeta::decode(bytes.clone()), Ok(meta));
            assert!(NodeMeta::decode(bytes.slice(..bytes.len() - 1)).is_err());
        }
        assert!(NodeMeta::decode(Bytes::new()).is_err());
    }
}
