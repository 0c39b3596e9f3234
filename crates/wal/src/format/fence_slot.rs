//! One slot of the fence file.
//!
//! ```text
//! magic "TWLF" │ crc u32 │ version u32 │ damaged u32 │ identity u64 │ generation u64 │ durable LSN u64
//! │ segment u64 │ first segment u64 │ damaged segment u64 │ damaged offset u64
//! ```

use super::{Put, Take, is_sealed, seal};

const MAGIC: [u8; 4] = *b"TWLF";
const VERSION: u32 = 1;
/// Bytes of a slot that carry meaning.
pub(crate) const FENCE_SLOT_BYTES: usize = 72;

/// What the fence remembers. Generation, durable LSN and both segments only ever rise.
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
}

impl FenceSlot {
    pub(crate) fn encode(&self, identity: u64) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(FENCE_SLOT_BYTES);
        bytes.extend_from_slice(&MAGIC);
        let (segment, offset) = self.damage.unwrap_or_default();
        Put(&mut bytes).u32(0).u32(VERSION).u32(self.damage.is_some().into()).u64(identity);
        Put(&mut bytes).u64(self.generation).u64(self.durable_lsn).u64(self.segment).u64(self.first_segment);
        Put(&mut bytes).u64(segment).u64(offset);
        seal(&mut bytes);
        bytes
    }

    /// Reads a slot of the log `identity`; nothing when it is not whole or not ours.
    pub(crate) fn decode(bytes: &[u8], identity: u64) -> Result<Option<FenceSlot>, FenceVersion> {
        if bytes.len() < FENCE_SLOT_BYTES || !is_sealed(&bytes[..FENCE_SLOT_BYTES], MAGIC) {
            return Ok(None);
        }
        let mut take = Take(&bytes[8..FENCE_SLOT_BYTES]);
        let (version, damaged) = (take.u32(), take.u32() != 0);
        if version != VERSION {
            return Err(FenceVersion(version));
        }
        let ours = take.u64() == identity;
        let (generation, durable_lsn) = (take.u64(), take.u64());
        let (segment, first_segment) = (take.u64(), take.u64());
        let damage = (take.u64(), take.u64());
        let slot = FenceSlot { generation, durable_lsn, segment, first_segment, damage: damaged.then_some(damage) };
        Ok(ours.then_some(slot))
    }
}

/// A newer release wrote the fence.
#[derive(Debug, thiserror::Error)]
#[error("the fence has format version {0}, which this release does not read")]
pub(crate) struct FenceVersion(u32);
