//! What the record store keeps about a group besides its entries, and its bytes.
//!
//! ```text
//! version u8 = 1 │ flags u8 │ life u64 │ moved end u64 │ trimmed index, term u64 u64
//! │ checkpoint index u64 │ checkpoint length u32, bytes │ vote length u32, bytes
//! │ term runs: count u32, (start u64, term u64)…                        (little endian)
//! ```
//! Holds: it is saved atomically with the moved entries it speaks of.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::node_meta::UNKNOWN_VERSION;
use crate::terms::TermRuns;

const VERSION: u8 = 1;
const FENCED: u8 = 1;
const TRIMMED: u8 = 2;
const CHECKPOINT: u8 = 4;
const VOTE: u8 = 8;
const HAS_LEFT: u8 = 16;

/// The saved state of a group: where replay of the write-ahead log begins for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct GroupMeta {
    /// Counts destructions, so that records of an earlier life are told apart.
    pub(crate) life: u64,
    /// One past the last entry in the record store.
    pub(crate) moved_end: u64,
    pub(crate) trimmed: Option<(u64, u64)>,
    pub(crate) checkpoint: Option<(u64, Bytes)>,
    pub(crate) vote: Option<Bytes>,
    /// Terms of the entries in the record store.
    pub(crate) terms: TermRuns,
    pub(crate) fenced: bool,
    /// The group was destroyed here and has not been used since; the vote is from before.
    pub(crate) has_left: bool,
}

impl GroupMeta {
    pub(crate) fn encode(&self) -> Bytes {
        let mut bytes = BytesMut::new();
        bytes.put_u8(VERSION);
        bytes.put_u8(self.flags());
        bytes.put_u64_le(self.life);
        bytes.put_u64_le(self.moved_end);
        let (index, term) = self.trimmed.unwrap_or_default();
        bytes.put_u64_le(index);
        bytes.put_u64_le(term);
        let (index, state) = self.checkpoint.clone().unwrap_or_default();
        bytes.put_u64_le(index);
        put_bytes(&mut bytes, &state);
        put_bytes(&mut bytes, self.vote.as_deref().unwrap_or_default());
        bytes.put_u32_le(self.terms.runs().len() as u32);
        for (start, term) in self.terms.runs() {
            bytes.put_u64_le(*start);
            bytes.put_u64_le(*term);
        }
        bytes.freeze()
    }

    fn flags(&self) -> u8 {
        let flag = |set, flag| if set { flag } else { 0 };
        flag(self.fenced, FENCED)
            | flag(self.trimmed.is_some(), TRIMMED)
            | flag(self.checkpoint.is_some(), CHECKPOINT)
            | flag(self.vote.is_some(), VOTE)
            | flag(self.has_left, HAS_LEFT)
    }

    pub(crate) fn decode(mut bytes: Bytes) -> Result<GroupMeta, &'static str> {
        if bytes.try_get_u8() != Ok(VERSION) {
            return Err(UNKNOWN_VERSION);
        }
        Self::decode_v1(&mut bytes).filter(|_| bytes.is_empty()).ok_or("wrong length")
    }

    fn decode_v1(bytes: &mut Bytes) -> Option<GroupMeta> {
        let flags = bytes.try_get_u8().ok()?;
        let has = |flag| flags & flag != 0;
        let life = bytes.try_get_u64_le().ok()?;
        let moved_end = bytes.try_get_u64_le().ok()?;
        let trimmed = (bytes.try_get_u64_le().ok()?, bytes.try_get_u64_le().ok()?);
        let checkpoint = (bytes.try_get_u64_le().ok()?, take_bytes(bytes)?);
        let vote = take_bytes(bytes)?;
        let count = bytes.try_get_u32_le().ok()?;
        let mut run = || Some((bytes.try_get_u64_le().ok()?, bytes.try_get_u64_le().ok()?));
        let runs = (0..count).map(|_| run()).collect::<Option<Vec<_>>>()?;
        Some(GroupMeta {
            life,
            moved_end,
            trimmed: has(TRIMMED).then_some(trimmed),
            checkpoint: has(CHECKPOINT).then_some(checkpoint),
            vote: has(VOTE).then_some(vote),
            terms: TermRuns::from_runs(runs),
            fenced: has(FENCED),
            has_left: has(HAS_LEFT),
        })
    }
}

fn put_bytes(to: &mut BytesMut, bytes: &[u8]) {
    to.put_u32_le(bytes.len() as u32);
    to.put_slice(bytes);
}

/// Copies, so that small parts do not keep the whole alive.
fn take_bytes(from: &mut Bytes) -> Option<Bytes> {
    let len = from.try_get_u32_le().ok()? as usize;
    (from.len() >= len).then(|| Bytes::copy_from_slice(&from.split_to(len)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Pair = (u64, u64);

    proptest! {
        #[test]
        fn metadata_reads_back_and_nothing_shorter_does(
            life: u64, moved_end: u64, trimmed: Option<Pair>, checkpoint: Option<(u64, Vec<u8>)>,
            vote: Option<Vec<u8>>, runs: Vec<Pair>, fenced: bool, has_left: bool,
        ) {
            let meta = GroupMeta {
                life, moved_end, trimmed, fenced, has_left,
                checkpoint: checkpoint.map(|(index, state)| (index, state.into())),
                vote: vote.map(Into::into),
                terms: TermRuns::from_runs(runs),
            };
            let bytes = meta.encode();
            prop_assert_eq!(GroupMeta::decode(bytes.clone()), Ok(meta));
            prop_assert!(GroupMeta::decode(bytes.slice(..bytes.len() - 1)).is_err());
        }
    }
}
