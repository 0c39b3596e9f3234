//! The first page of a segment: which segment it is and where it continues the log.
//!
//! ```text
//! magic "TWLS" │ crc u32 │ version u32 │ previous crc u32 │ identity u64 │ segment u64
//! │ first LSN u64 │ previous segment u64 │ previous LSN u64 │ 8 zero bytes
//! ```
//! It is synced before the file gets the segment's name, so under that name it is never torn.
//! Its existence proves that everything before it was durable: the log continues from block
//! `previous LSN` of `previous segment`, and whatever follows that block there does not count.

use super::{Put, Take, is_sealed, seal};

const MAGIC: [u8; 4] = *b"TWLS";
const VERSION: u32 = 1;
/// Bytes of the header; the rest of its page is zero.
pub(crate) const SEGMENT_HEADER_BYTES: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) identity: u64,
    pub(crate) segment: u64,
    /// LSN of the first block. Above `prev_lsn + 1` where damage lost the blocks between.
    pub(crate) first_lsn: u64,
    /// The segment this one continues, 0 if none.
    pub(crate) prev_segment: u64,
    /// The last block of `prev_segment` that counts.
    pub(crate) prev_lsn: u64,
    /// Checksum in the header of that block.
    pub(crate) prev_crc: u32,
}

/// Why a page is no segment header.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BadSegmentHeader {
    Corrupt,
    Foreign,
    Version(u32),
}

impl SegmentHeader {
    /// The bytes, and the checksum with which the chain of the segment's blocks starts.
    pub(crate) fn encode(&self) -> (Vec<u8>, u32) {
        let mut bytes = Vec::with_capacity(SEGMENT_HEADER_BYTES);
        bytes.extend_from_slice(&MAGIC);
        Put(&mut bytes).u32(0).u32(VERSION).u32(self.prev_crc).u64(self.identity).u64(self.segment);
        Put(&mut bytes).u64(self.first_lsn).u64(self.prev_segment).u64(self.prev_lsn).u64(0);
        let crc = seal(&mut bytes);
        (bytes, crc)
    }

    /// Reads the header of segment `segment` of the log `identity`, and its checksum.
    pub(crate) fn decode(bytes: &[u8], identity: u64, segment: u64) -> Result<(SegmentHeader, u32), BadSegmentHeader> {
        if bytes.len() < SEGMENT_HEADER_BYTES || !is_sealed(&bytes[..SEGMENT_HEADER_BYTES], MAGIC) {
            return Err(BadSegmentHeader::Corrupt);
        }
        let mut take = Take(&bytes[4..SEGMENT_HEADER_BYTES]);
        let (crc, version, prev_crc) = (take.u32(), take.u32(), take.u32());
        if version != VERSION {
            return Err(BadSegmentHeader::Version(version));
        }
        let header = SegmentHeader {
            identity: take.u64(),
            segment: take.u64(),
            first_lsn: take.u64(),
            prev_segment: take.u64(),
            prev_lsn: take.u64(),
            prev_crc,
        };
        let ours = header.identity == identity && header.segment == segment;
        let ordered = header.prev_segment < header.segment && header.prev_lsn < header.first_lsn;
        if ours && ordered { Ok((header, crc)) } else { Err(BadSegmentHeader::Foreign) }
    }
}
