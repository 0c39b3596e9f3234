//! Blocks and the frames in them.
//!
//! ```text
//! block header, 64 bytes                     frame header, 56 bytes
//!   0  magic "TWLB"                            0  kind u8, 3 zero bytes
//!   4  crc of bytes 8..64                      4  crc of bytes 8..56 and of the kind
//!   8  identity                                8  segment
//!  16  segment                                16  group
//!  24  LSN, one above the block before         24  index
//!  32  durable LSN when this was written       32  term
//!  40  length with all frames, u32             40  head length u32
//!  44  frames, u32                             44  body length u32
//!  48  crc of the block before                 48  head crc
//!  52  crc of all frame headers                52  body crc
//!  56  zero
//! ```
//! Payload bytes are passed over once, for the crc in their frame header; the block's own crc
//! covers them through the frame headers.

use bytes::Bytes;
use thalweg_types::planted::{Planted, planted};
use thalweg_types::{GroupId, crc32c};

use super::{Put, Take, is_sealed, seal};
use crate::record::{Kind, Record};

const BLOCK_MAGIC: [u8; 4] = *b"TWLB";
/// Bytes of a block header.
pub(crate) const BLOCK_HEADER_BYTES: usize = 64;
/// Bytes of a frame header.
pub(crate) const FRAME_HEADER_BYTES: usize = 56;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BlockHeader {
    pub(crate) identity: u64,
    pub(crate) segment: u64,
    pub(crate) lsn: u64,
    pub(crate) durable_lsn: u64,
    pub(crate) len: u32,
    pub(crate) count: u32,
    pub(crate) prev_crc: u32,
    pub(crate) frames_crc: u32,
}

impl BlockHeader {
    /// The bytes, and the checksum that the next block names.
    pub(crate) fn encode(&self) -> (Vec<u8>, u32) {
        let mut bytes = Vec::with_capacity(BLOCK_HEADER_BYTES);
        bytes.extend_from_slice(&BLOCK_MAGIC);
        Put(&mut bytes).u32(0).u64(self.identity).u64(self.segment).u64(self.lsn).u64(self.durable_lsn);
        Put(&mut bytes).u32(self.len).u32(self.count).u32(self.prev_crc).u32(self.frames_crc).u64(0);
        let crc = seal(&mut bytes);
        (bytes, crc)
    }

    /// Reads a header of the given segment, and its checksum. Anything else is nothing.
    pub(crate) fn decode(bytes: &[u8], identity: u64, segment: u64) -> Option<(BlockHeader, u32)> {
        let bytes = bytes.get(..BLOCK_HEADER_BYTES)?;
        if !is_sealed(bytes, BLOCK_MAGIC) {
            return None;
        }
        let mut take = Take(&bytes[4..]);
        let crc = take.u32();
        let header = BlockHeader {
            identity: take.u64(),
            segment: take.u64(),
            lsn: take.u64(),
            durable_lsn: take.u64(),
            len: take.u32(),
            count: take.u32(),
            prev_crc: take.u32(),
            frames_crc: take.u32(),
        };
        let ours = header.identity == identity && header.segment == segment;
        let room = BLOCK_HEADER_BYTES as u64 + u64::from(header.count) * FRAME_HEADER_BYTES as u64;
        (ours && u64::from(header.len) >= room).then_some((header, crc))
    }

    /// Whether bytes look like the start of a block of this segment, intact or not.
    pub(crate) fn resembles(bytes: &[u8], identity: u64, segment: u64) -> bool {
        bytes.len() >= 24
            && bytes[..4] == BLOCK_MAGIC
            && bytes[8..16] == identity.to_le_bytes()
            && bytes[16..24] == segment.to_le_bytes()
    }
}

/// Bytes of a record's frame.
pub(crate) fn frame_bytes(record: &Record) -> u64 {
    (FRAME_HEADER_BYTES + record.head.len() + record.body.len()) as u64
}

/// Appends a record's frame header to `bytes`: the one pass over its payload.
pub(crate) fn put_frame_header(bytes: &mut Vec<u8>, record: &Record, segment: u64) {
    let start = bytes.len();
    // While the checksum is taken the kind stands in its place, so that it is covered too.
    let kind = u32::from(record.kind as u8);
    Put(bytes).u32(kind).u32(kind).u64(segment).u64(record.group.0).u64(record.index).u64(record.term);
    Put(bytes).u32(record.head.len() as u32).u32(record.body.len() as u32);
    Put(bytes).u32(crc32c(&record.head)).u32(crc32c(&record.body));
    let crc = crc32c(&bytes[start + 4..]);
    bytes[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
}

/// Why a frame was not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadFrame {
    Header,
    Payload,
}

/// Verifies and takes the frame at the start of `bytes`, without copying its payload.
pub(crate) fn take_frame(bytes: &Bytes, segment: u64) -> Result<(Record, usize), BadFrame> {
    let header = bytes.get(..FRAME_HEADER_BYTES).ok_or(BadFrame::Header)?;
    let mut covered = [0; FRAME_HEADER_BYTES - 4];
    covered.copy_from_slice(&header[4..]);
    covered[..4].copy_from_slice(&header[..4]);
    if header[4..8] != crc32c(&covered).to_le_bytes() {
        return Err(BadFrame::Header);
    }
    let kind = Kind::from_byte(header[0]).ok_or(BadFrame::Header)?;
    let mut take = Take(&header[8..]);
    if take.u64() != segment {
        return Err(BadFrame::Header);
    }
    let (group, index, term) = (GroupId(take.u64()), take.u64(), take.u64());
    let (head_len, body_len) = (take.u32() as usize, take.u32() as usize);
    let (head_crc, body_crc) = (take.u32(), take.u32());
    let body_start = FRAME_HEADER_BYTES + head_len;
    let end = body_start + body_len;
    if bytes.len() < end {
        return Err(BadFrame::Header);
    }
    let (head, body) = (bytes.slice(FRAME_HEADER_BYTES..body_start), bytes.slice(body_start..end));
    let intact = crc32c(&head) == head_crc && crc32c(&body) == body_crc;
    if !intact && !planted(Planted::LogChecksumIgnored) {
        return Err(BadFrame::Payload);
    }
    Ok((Record { group, kind, index, term, head, body }, end))
}

/// Verifies all frames of a block (its header being verified) and returns their records, each
/// with its place in the block.
pub(crate) fn take_frames(header: &BlockHeader, block: &Bytes) -> Result<Vec<(Record, u32, u32)>, BadFrame> {
    let mut at = BLOCK_HEADER_BYTES;
    let mut frame_headers = Vec::with_capacity(header.count as usize * FRAME_HEADER_BYTES);
    let mut records = Vec::with_capacity(header.count as usize);
    for _ in 0..header.count {
        let (record, len) = take_frame(&block.slice(at..), header.segment)?;
        frame_headers.extend_from_slice(&block[at..at + FRAME_HEADER_BYTES]);
        records.push((record, at as u32, len as u32));
        at += len;
    }
    let whole = at == header.len as usize && crc32c(&frame_headers) == header.frames_crc;
    if whole { Ok(records) } else { Err(BadFrame::Header) }
}
