//! Walking the blocks of one segment, and looking beyond the end for what was acknowledged.
//!
//! Holds: a record is handed on only after its whole block verified and continues the chain.

use std::io;

use bytes::Bytes;

use crate::disk::DiskFile;
use crate::format::block::{BLOCK_HEADER_BYTES, BlockHeader, take_frames};
use crate::format::{PAGE_BYTES, page_ceil};
use crate::record::{Position, Record};

/// Bytes read at once while looking beyond the end.
const SCAN_BYTES: usize = 1 << 20;

/// A segment as recovery reads it.
pub(super) struct Segment<'a> {
    pub(super) file: &'a dyn DiskFile,
    pub(super) len: u64,
    pub(super) identity: u64,
    pub(super) segment: u64,
}

/// How far the chain of blocks holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    /// The last block that verified.
    pub(super) lsn: u64,
    /// Its checksum.
    pub(super) chain: u32,
    /// The first byte behind it.
    pub(super) offset: u64,
    /// The highest durable LSN that any of the blocks names.
    pub(super) durable_lsn: u64,
    /// Where blocks start that no durable LSN seen so far covers, if there are any.
    pub(super) unproven: Option<(u64, u64)>,
}

/// What lies behind the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Beyond {
    /// A block of this segment was begun there.
    pub(super) begun: bool,
    /// The highest LSN of an intact block header there.
    pub(super) lsn: u64,
    /// The highest durable LSN that such a header names.
    pub(super) durable_lsn: u64,
}

enum Step {
    Block(BlockHeader, u32, Vec<(Record, u32, u32)>),
    End,
}

impl Segment<'_> {
    /// Hands on the records of every block from `end` to where the chain breaks, or to block
    /// `last_lsn`.
    pub(super) fn walk(
        &self,
        mut end: End,
        last_lsn: Option<u64>,
        replay: &mut dyn FnMut(Record, Position),
    ) -> io::Result<End> {
        while last_lsn != Some(end.lsn) {
            let Step::Block(header, chain, records) = self.step(&end)? else { break };
            for (record, at, len) in records {
                replay(record, Position { segment: self.segment, offset: end.offset as u32 + at, len });
            }
            end.durable_lsn = end.durable_lsn.max(header.durable_lsn);
            end.unproven = end.unproven.filter(|(lsn, _)| *lsn > end.durable_lsn);
            // Blocks between the first unproven and the one that proves it are proven late: the
            // range to write again is then larger than it must be, never smaller.
            end.unproven = end.unproven.or((header.lsn > end.durable_lsn).then_some((header.lsn, end.offset)));
            end.offset += page_ceil(header.len.into());
            (end.lsn, end.chain) = (header.lsn, chain);
        }
        Ok(end)
    }

    fn step(&self, end: &End) -> io::Result<Step> {
        let mut bytes = vec![0; PAGE_BYTES as usize];
        let read = self.file.read_at(&mut bytes, end.offset)?;
        let Some((header, crc)) = BlockHeader::decode(&bytes[..read], self.identity, self.segment) else {
            return Ok(Step::End);
        };
        let fits = end.offset + u64::from(header.len) <= self.len;
        if header.lsn != end.lsn + 1 || header.prev_crc != end.chain || !fits {
            return Ok(Step::End);
        }
        let len = header.len as usize;
        bytes.resize(len, 0);
        let have = read.min(len);
        let read = self.file.read_at(&mut bytes[have..], end.offset + have as u64)?;
        if have + read < len {
            return Ok(Step::End);
        }
        Ok(take_frames(&header, &Bytes::from(bytes)).map_or(Step::End, |records| Step::Block(header, crc, records)))
    }

    /// Looks for blocks of this segment from `offset` to its end.
    pub(super) fn look_beyond(&self, offset: u64) -> io::Result<Beyond> {
        let mut beyond = Beyond::default();
        let mut bytes = vec![0; SCAN_BYTES];
        let mut at = offset;
        while at < self.len {
            let read = self.file.read_at(&mut bytes, at)?;
            for page in bytes[..read].chunks(PAGE_BYTES as usize) {
                beyond.begun |= BlockHeader::resembles(page, self.identity, self.segment);
                if let Some((header, _)) = BlockHeader::decode(page, self.identity, self.segment) {
                    beyond.begun = true;
                    beyond.lsn = beyond.lsn.max(header.lsn);
                    beyond.durable_lsn = beyond.durable_lsn.max(header.durable_lsn);
                }
            }
            if read < SCAN_BYTES {
                break;
            }
            at += read as u64;
        }
        Ok(beyond)
    }

    /// Writes the bytes from `from` to `to` once more, as they are, and syncs them.
    ///
    /// They verified, but nobody knows whether they lie on the disk or only in the page cache,
    /// possibly marked clean by a sync that failed; a sync alone would then do nothing.
    pub(super) fn write_again(&self, from: u64, to: u64) -> io::Result<()> {
        let mut bytes = vec![0; SCAN_BYTES];
        let mut at = from;
        while at < to {
            let want = SCAN_BYTES.min((to - at) as usize);
            let read = self.file.read_at(&mut bytes[..want], at)?;
            if read == 0 {
                break;
            }
            self.file.write_vectored_at(&[io::IoSlice::new(&bytes[..read])], at)?;
            at += read as u64;
        }
        self.file.sync_data()
    }
}

/// Room that a block needs at least; nothing can start closer to the end.
pub(super) const BLOCK_BYTES_MIN: u64 = BLOCK_HEADER_BYTES as u64;
