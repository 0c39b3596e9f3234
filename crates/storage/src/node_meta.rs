//! What the record store keeps about the node, so that log and store can tell whether they belong
//! together, and its bytes.
//!
//! ```text
//! version u8 = 1 │ flags u8 │ commit number u64 │ durable LSN u64        (little endian)
//! ```
//! Holds: saved with every commit. The log's fence names a commit before segments are given up on
//! account of it, and a commit names a block of the log that was durable before it: a store that is
//! lost or put back is behind the fence, a log that is lost or put back is behind the store.

use bytes::{Buf, BufMut, Bytes, BytesMut};

const VERSION: u8 = 1;
const DISTRUSTS_ABSENT: u8 = 1;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct NodeMeta {
    /// Counts commits.
    pub(crate) commit: u64,
    /// A block of the write-ahead log that was durable before the commit.
    pub(crate) durable_lsn: u64,
    /// Groups may be missing altogether, see [`crate::OpenReport::distrusts_absent`].
    pub(crate) distrusts_absent: bool,
}

impl NodeMeta {
    pub(crate) fn encode(&self) -> Bytes {
        let mut bytes = BytesMut::new();
        bytes.put_u8(VERSION);
        bytes.put_u8(if self.distrusts_absent { DISTRUSTS_ABSENT } else { 0 });
        bytes.put_u64_le(self.commit);
        bytes.put_u64_le(self.durable_lsn);
        bytes.freeze()
    }

    pub(crate) fn decode(mut bytes: Bytes) -> Result<NodeMeta, &'static str> {
        if bytes.try_get_u8() != Ok(VERSION) {
            return Err("unknown version");
        }
        if bytes.len() != 17 {
            return Err("wrong length");
        }
        let distrusts_absent = bytes.get_u8() & DISTRUSTS_ABSENT != 0;
        Ok(NodeMeta { distrusts_absent, commit: bytes.get_u64_le(), durable_lsn: bytes.get_u64_le() })
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
        for distrusts_absent in [false, true] {
            let meta = NodeMeta { commit: 7, durable_lsn: u64::MAX, distrusts_absent };
            assert_eq!(NodeMeta::decode(meta.encode()), Ok(meta));
            assert!(NodeMeta::decode(meta.encode().slice(..17)).is_err());
        }
        assert!(NodeMeta::decode(Bytes::new()).is_err());
    }
}
