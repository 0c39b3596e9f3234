//! The bytes of the log, version 1. All numbers are little endian, all checksums CRC-32C.
//!
//! ```text
//! segment file                                      block (starts on a page)
//! ├─ page 0: segment header, see `segment_header`   ├─ block header, 64 bytes, see `block`
//! ├─ block                                          ├─ frame: frame header (56), head, body
//! ├─ block                                          ├─ frame …
//! └─ whatever the file held before                  └─ zeros up to the next page
//! ```
//! Every block names the checksum of the one before it, the first one that of the segment header,
//! which names the last block of the segment before: one chain from the oldest to the newest byte.
//! Every frame names its segment and verifies on its own, so a record is read with one read.
//!
//! Blocks start on pages because a page that holds acknowledged bytes must never be written
//! again, and because writing whole pages spares the kernel from reading them first.

pub(crate) mod block;
pub(crate) mod fence_slot;
pub(crate) mod segment_header;

/// Alignment of blocks; also the room of the segment header.
pub(crate) const PAGE_BYTES: u64 = 4096;

/// `bytes` rounded up to whole pages.
pub(crate) fn page_ceil(bytes: u64) -> u64 {
    bytes.div_ceil(PAGE_BYTES) * PAGE_BYTES
}

/// The largest block that fits into a segment of `segment_bytes`.
pub(crate) fn block_bytes_max(segment_bytes: u64) -> u64 {
    segment_bytes.saturating_sub(PAGE_BYTES)
}

/// Puts numbers one behind the other.
pub(crate) struct Put<'a>(pub(crate) &'a mut Vec<u8>);

impl Put<'_> {
    pub(crate) fn u32(&mut self, value: u32) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub(crate) fn u64(&mut self, value: u64) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }
}

/// Takes numbers one behind the other. The caller has checked that there are enough bytes.
pub(crate) struct Take<'a>(pub(crate) &'a [u8]);

impl Take<'_> {
    pub(crate) fn u32(&mut self) -> u32 {
        let (bytes, rest) = self.0.split_first_chunk().expect("a header's length was checked");
        self.0 = rest;
        u32::from_le_bytes(*bytes)
    }

    pub(crate) fn u64(&mut self) -> u64 {
        let (bytes, rest) = self.0.split_first_chunk().expect("a header's length was checked");
        self.0 = rest;
        u64::from_le_bytes(*bytes)
    }
}

/// Overwrites the checksum at bytes 4..8 of a header with that of all bytes behind it.
pub(crate) fn seal(header: &mut [u8]) -> u32 {
    let crc = thalweg_types::crc32c(&header[8..]);
    header[4..8].copy_from_slice(&crc.to_le_bytes());
    crc
}

/// Whether a header starts with `magic` and its checksum (bytes 4..8) is right.
pub(crate) fn is_sealed(header: &[u8], magic: [u8; 4]) -> bool {
    header[..4] == magic && header[4..8] == thalweg_types::crc32c(&header[8..]).to_le_bytes()
}
