//! One slot of the fence file.
//!
//! ```text
//! magic "TWLF" │ crc u32 │ version u32 │ damaged u32 │ identity u64 │ generation u64 │ durable LSN u64
//! │ segment u64 │ first segment u64 │ damaged segment u64 │ damaged offset u64 │ owner's mark u64
//! ```
//! Version 1 had no owner's mark and ends before it.

use super::{Put, Take, is_sealed, seal};

const MAGIC: [u8; 4] = *b"TWLF";
const VERSION: u32 = 2;
/// Bytes of a slot that carry meaning.
pub(crate) const FENCE_SLOT_BYTES: usize = 80;
/// Bytes of a slot of version 1.
const V1_BYTES: usize = 72;

/// What the fence remembers. All but the damage only ever rises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct FenceSlot {
    pub(crate) generation: u64,
    /// Everything up to this block has been synced, or given up as damaged.
    pub(crate) durable_lsn: u64,
    /// The newest segment that exists, 0 before the first.
    pub(crate) segment: u64,
    /// The oldest segment that is still needed.
    pub(crate) first_segment: u64,
    /// Damage (segment and offset) that was found and not yet made good by the owner.
    pub(crate) damage: Option<(u64, u64)>,
    /// A number of the owner's, see [`crate::Wal::remember_for_owner`].
    pub(crate) owner_mark: u64,
}

impl FenceSlot {
    pub(crate) fn encode(&self, identity: u64) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(FENCE_SLOT_BYTES);
        bytes.extend_from_slice(&MAGIC);
        let (segment, offset) = self.damage.unwrap_or_default();
        Put(&mut bytes).u32(0).u32(VERSION).u32(self.damage.is_some().into()).u64(identity);
        Put(&mut bytes).u64(self.generation).u64(self.durable_lsn).u64(self.segment).u64(self.first_segment);
        Put(&mut bytes).u64(segment).u64(offset).u64(self.owner_mark);
        seal(&mut bytes);
        bytes
    }

    /// Reads a slot of the log `identity`; nothing when it is not whole or not ours.
    pub(crate) fn decode(bytes: &[u8], identity: u64) -> Result<Option<FenceSlot>, FenceVersion> {
        let sealed = |len: usize| bytes.get(..len).filter(|slot| is_sealed(slot, MAGIC));
        let Some(slot) = sealed(FENCE_SLOT_BYTES).or_else(|| sealed(V1_BYTES)) else { return Ok(None) };
        let mut take = Take(&slot[8..]);
        let (version, damaged) = (take.u32(), take.u32() != 0);
        if version != if slot.len() == V1_BYTES { 1 } else { VERSION } {
            return Err(FenceVersion(version));
        }
        let ours = take.u64() == identity;
        let (generation, durable_lsn) = (take.u64(), take.u64());
        let (segment, first_segment) = (take.u64(), take.u64());
        let damage = (take.u64(), take.u64());
        let owner_mark = if version == 1 { 0 } else { take.u64() };
        let damage = damaged.then_some(damage);
        let slot = FenceSlot { generation, durable_lsn, segment, first_segment, damage, owner_mark };
        Ok(ours.then_some(slot))
    }
}

/// A newer release wrote the fence.
#[derive(Debug, thiserror::Error)]
#[error("the fence has format version {0}, which this release does not read")]
pub(crate) struct FenceVersion(u32);

#[cfg(test)]
mod tests {
    use super::*;

    const SLOT: FenceSlot = FenceSlot {
        generation: 7,
        durable_lsn: 99,
        segment: 12,
        first_segment: 10,
        damage: Some((11, 4096)),
        owner_mark: 5,
    };

    #[test]
    fn a_slot_reads_back_for_its_own_log_only() {
        assert_eq!(FenceSlot::decode(&SLOT.encode(3), 3).unwrap(), Some(SLOT));
        assert_eq!(FenceSlot::decode(&SLOT.encode(3), 4).unwrap(), None);
    }

    #[test]
    fn a_slot_of_version_1_is_one_without_an_owners_mark() {
        let mut bytes = SLOT.encode(3);
        bytes.truncate(V1_BYTES);
        bytes[8..12].copy_from_slice(&1u32.to_le_bytes());
        seal(&mut bytes);
        bytes.resize(4096, 0);
        assert_eq!(FenceSlot::decode(&bytes, 3).unwrap(), Some(FenceSlot { owner_mark: 0, ..SLOT }));
    }
}
