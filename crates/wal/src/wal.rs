//! Writing: blocks, syncs, segment switches, release.
//!
//! Holds: a block is written by one vectored write, straight from the records' bytes. A segment
//! is synced before its successor exists. A failed write or sync ends this log's life: what is on
//! disk is then unknown, and only a new start can find out. The one exception is a disk that is
//! full, where nothing was written or what was written is withdrawn durably.

mod errors;

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, IoSlice};
use std::sync::Arc;

pub use self::errors::{AppendError, FenceError, ReleaseError, SyncError};
use crate::disk::{Disk, DiskFile, is_disk_full};
use crate::fence::Fence;
use crate::format::block::{BLOCK_HEADER_BYTES, BlockHeader, FRAME_HEADER_BYTES, frame_bytes, put_frame_header};
use crate::format::fence_slot::FenceSlot;
use crate::format::segment_header::SegmentHeader;
use crate::format::{PAGE_BYTES, page_ceil};
use crate::options::Options;
use crate::reader::{OpenSegments, Reader};
use crate::record::{Position, Record};
use crate::recovery::{self, OpenError, Recovery};
use crate::segments::{CreateError, Files, ZEROS};
use thalweg_types::planted::{Planted, planted};

/// The log of a node, open for writing. One owner; see [`Reader`] for reading.
pub struct Wal {
    pub(crate) files: Files,
    pub(crate) fence: Fence,
    pub(crate) open: Arc<OpenSegments>,
    /// Segments in use and the bytes of blocks in each; the last is the current one.
    pub(crate) used: BTreeMap<u64, u64>,
    pub(crate) spares: Vec<u64>,
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) segment: u64,
    /// Where the next block goes.
    pub(crate) offset: u64,
    pub(crate) last_lsn: u64,
    pub(crate) durable_lsn: u64,
    /// Checksum that the next block names.
    pub(crate) chain: u32,
    pub(crate) damage: Option<(u64, u64)>,
    pub(crate) owner_mark: u64,
    pub(crate) failed: Option<String>,
    /// Frame headers of the block being written; kept for its capacity.
    pub(crate) frame_headers: Vec<u8>,
}

impl fmt::Debug for Wal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Wal");
        debug.field("dir", &self.files.dir()).field("segment", &self.segment).field("offset", &self.offset);
        debug.field("last_lsn", &self.last_lsn).field("durable_lsn", &self.durable_lsn);
        debug.field("failed", &self.failed).finish_non_exhaustive()
    }
}

impl Wal {
    /// Recovers what is in `options.dir`, hands every record that counts to `replay` in order,
    /// and opens a fresh segment for writing.
    ///
    /// Everything replayed is durable when this returns. What the start found is in the
    /// [`Recovery`]: after [`crate::Verdict::Damaged`] acknowledged records may be missing, the
    /// verdict is repeated at every start until [`Wal::clear_damage`].
    pub fn open(
        disk: Arc<dyn Disk>,
        options: Options,
        replay: &mut dyn FnMut(Record, Position),
    ) -> Result<(Wal, Recovery), OpenError> {
        recovery::open(Files { disk, options: options.bounded() }, replay)
    }

    /// Bytes of the block that `records` would form, to compare with [`Options::block_bytes_max`].
    pub fn block_bytes(records: &[Record]) -> u64 {
        BLOCK_HEADER_BYTES as u64 + records.iter().map(frame_bytes).sum::<u64>()
    }

    /// What such a block takes in a segment.
    pub fn padded_block_bytes(records: &[Record]) -> u64 {
        page_ceil(Self::block_bytes(records))
    }

    /// Writes one block of records, which becomes visible after a crash as a whole or not at all.
    /// It is readable at once and durable after [`Wal::sync`].
    pub fn append(&mut self, records: &[Record]) -> Result<Vec<Position>, AppendError> {
        self.check().map_err(|reason| AppendError::Failed { reason })?;
        if records.is_empty() {
            return Ok(Vec::new());
        }
        let (bytes, limit) = (Self::block_bytes(records), self.files.options.block_bytes_max());
        if bytes > limit {
            return Err(AppendError::BlockTooLarge { bytes, limit });
        }
        if self.offset + page_ceil(bytes) > self.files.options.segment_bytes {
            self.switch_segment()?;
        }
        let header = self.block_header(records, bytes as u32);
        let (header, chain) = header.encode();
        if let Err(error) = self.write_block(&header, records, bytes) {
            return Err(self.withdraw_block(error));
        }
        let positions = self.positions(records);
        self.offset += page_ceil(bytes);
        *self.used.entry(self.segment).or_default() += page_ceil(bytes);
        self.last_lsn += 1;
        self.chain = chain;
        Ok(positions)
    }

    fn block_header(&mut self, records: &[Record], len: u32) -> BlockHeader {
        self.frame_headers.clear();
        for record in records {
            put_frame_header(&mut self.frame_headers, record, self.segment);
        }
        BlockHeader {
            identity: self.files.options.identity,
            segment: self.segment,
            lsn: self.last_lsn + 1,
            durable_lsn: self.durable_lsn,
            len,
            count: records.len() as u32,
            prev_crc: self.chain,
            frames_crc: thalweg_types::crc32c(&self.frame_headers),
        }
    }

    fn write_block(&self, header: &[u8], records: &[Record], bytes: u64) -> io::Result<()> {
        let mut parts = Vec::with_capacity(2 + 3 * records.len());
        parts.push(IoSlice::new(header));
        for (record, frame_header) in records.iter().zip(self.frame_headers.chunks_exact(FRAME_HEADER_BYTES)) {
            parts.push(IoSlice::new(frame_header));
            parts.extend([&record.head, &record.body].into_iter().filter(|b| !b.is_empty()).map(|b| IoSlice::new(b)));
        }
        parts.push(IoSlice::new(&ZEROS[..(page_ceil(bytes) - bytes) as usize]));
        self.file.write_vectored_at(&parts, self.offset)
    }

    fn positions(&self, records: &[Record]) -> Vec<Position> {
        let mut offset = self.offset + BLOCK_HEADER_BYTES as u64;
        let place = |record: &Record| {
            let len = frame_bytes(record);
            let position = Position { segment: self.segment, offset: offset as u32, len: len as u32 };
            offset += len;
            position
        };
        records.iter().map(place).collect()
    }

    /// A block could not be written. When only space was missing, whatever reached the file is
    /// made unreadable for good, so that the refusal is definite.
    fn withdraw_block(&mut self, error: io::Error) -> AppendError {
        if is_disk_full(&error) {
            let erased = self.file.write_vectored_at(&[IoSlice::new(&ZEROS)], self.offset);
            match erased.and_then(|()| self.file.sync_data()) {
                Ok(()) => {
                    self.durable_lsn = self.last_lsn;
                    return AppendError::DiskFull { source: error };
                }
                Err(source) => return AppendError::Failed { reason: self.fail("erasing a refused block", &source) },
            }
        }
        AppendError::Failed { reason: self.fail("writing a block", &error) }
    }

    /// Ends the current segment, durably, and starts the next.
    fn switch_segment(&mut self) -> Result<(), AppendError> {
        self.sync().map_err(|SyncError::Failed { reason }| AppendError::Failed { reason })?;
        let header = SegmentHeader {
            identity: self.files.options.identity,
            segment: self.segment + 1,
            first_lsn: self.last_lsn + 1,
            prev_segment: self.segment,
            prev_lsn: self.last_lsn,
            prev_crc: self.chain,
        };
        let (file, chain) = self.files.create(&header, &mut self.spares).map_err(|error| match error {
            CreateError::NotCreated(source) if is_disk_full(&source) => AppendError::DiskFull { source },
            other => AppendError::Failed { reason: self.fail("making a segment", &other.source()) },
        })?;
        self.open.insert(header.segment, file.clone());
        self.used.insert(header.segment, 0);
        (self.file, self.segment, self.offset, self.chain) = (file, header.segment, PAGE_BYTES, chain);
        self.write_fence().map_err(|FenceError::Failed { reason }| AppendError::Failed { reason })
    }

    /// Makes every appended block durable. After a failure this log refuses everything for ever.
    pub fn sync(&mut self) -> Result<(), SyncError> {
        self.check().map_err(|reason| SyncError::Failed { reason })?;
        if self.durable_lsn == self.last_lsn {
            return Ok(());
        }
        let synced = if planted(Planted::SyncSkipped) { Ok(()) } else { self.file.sync_data() };
        if let Err(error) = synced {
            if planted(Planted::SyncErrorForgotten) {
                return Err(SyncError::Failed { reason: error.to_string() });
            }
            return Err(SyncError::Failed { reason: self.fail("syncing the log", &error) });
        }
        self.durable_lsn = self.last_lsn;
        Ok(())
    }

    /// Lets the fence remember everything synced so far. Called about every 100 ms while there
    /// are syncs and once more when they stop. The call after one that had nothing new to say
    /// writes the second slot; further ones write nothing.
    pub fn write_fence(&mut self) -> Result<(), FenceError> {
        self.check().map_err(|reason| FenceError::Failed { reason })?;
        if planted(Planted::FenceFileNotWritten) {
            return Ok(());
        }
        let slot = FenceSlot {
            generation: 0,
            durable_lsn: self.durable_lsn,
            segment: self.segment,
            first_segment: self.oldest_segment(),
            damage: self.damage,
            owner_mark: self.owner_mark,
        };
        self.fence.write(slot).map_err(|error| FenceError::Failed { reason: self.fail("writing the fence", &error) })
    }

    /// Lets the fence remember a number of the owner's, from its next write on and before any later
    /// release of segments. A start reports it ([`Recovery::owner_mark`]); it never goes back. With
    /// it the owner knows again what it relied on when it gave segments up.
    pub fn remember_for_owner(&mut self, mark: u64) {
        self.owner_mark = self.owner_mark.max(mark);
    }

    /// Declares that segments below `segment` hold nothing that anyone needs. The current segment
    /// always stays. Their files are kept for reuse, or removed when there are enough.
    pub fn release_below(&mut self, segment: u64) -> Result<(), ReleaseError> {
        self.check().map_err(|reason| ReleaseError::Failed { reason })?;
        let kept = self.used.split_off(&segment.min(self.segment));
        let released = std::mem::replace(&mut self.used, kept);
        if released.is_empty() {
            return Ok(());
        }
        // The fence first: a start must not miss what is about to go.
        self.write_fence().map_err(|FenceError::Failed { reason }| ReleaseError::Failed { reason })?;
        let mut tidied = Ok(());
        for &segment in released.keys() {
            self.open.remove(segment);
            tidied = tidied.and(self.files.recycle(segment, &mut self.spares));
        }
        tidied.map_err(|source| ReleaseError::Tidy { source })
    }

    /// Ends the repetition of damage that a start reported: the owner has everything back, or has
    /// durably noted for itself what may be missing.
    pub fn clear_damage(&mut self) -> Result<(), FenceError> {
        self.check().map_err(|reason| FenceError::Failed { reason })?;
        self.damage = None;
        self.write_fence()
    }

    /// Removes the segments that damage cut off (`lost-*.seg`) and returns how many there were.
    /// Nothing else ever does: they may hold the last copy of something.
    pub fn discard_lost(&mut self) -> io::Result<usize> {
        let lost = self.files.list()?.lost;
        self.files.remove_lost(&lost)?;
        Ok(lost.len())
    }

    /// Syncs and writes the fence exactly, into both slots.
    pub fn close(mut self) -> Result<(), SyncError> {
        self.sync()?;
        let failed = |FenceError::Failed { reason }| SyncError::Failed { reason };
        self.write_fence().map_err(failed)?;
        self.write_fence().map_err(failed)
    }

    /// A reader of everything in use, for any thread.
    pub fn reader(&self) -> Reader {
        Reader { segments: self.open.clone(), frame_bytes_max: self.files.options.segment_bytes }
    }

    /// Whether blocks of `bytes` in all, with padding, may need a segment file that is not there yet:
    /// nothing else takes space.
    pub fn takes_space(&self, bytes: u64) -> bool {
        let room = self.files.options.segment_bytes * (1 + self.spares.len() as u64);
        self.offset + bytes > room
    }

    /// The segment that is being written.
    pub fn current_segment(&self) -> u64 {
        self.segment
    }

    /// The oldest segment in use.
    pub fn oldest_segment(&self) -> u64 {
        self.used.keys().next().copied().unwrap_or(self.segment)
    }

    /// Bytes of blocks, with padding, in the segments in use.
    pub fn bytes_in_use(&self) -> u64 {
        self.used.values().sum()
    }

    /// The last block that is known to be durable. Blocks count from 1, over all starts.
    pub fn durable_lsn(&self) -> u64 {
        self.durable_lsn
    }

    /// Damage (segment and offset) that was reported and not yet cleared.
    pub fn damage(&self) -> Option<(u64, u64)> {
        self.damage
    }

    fn check(&self) -> Result<(), String> {
        self.failed.clone().map_or(Ok(()), Err)
    }

    fn fail(&mut self, doing: &str, error: &io::Error) -> String {
        let reason = format!("{doing}: {error}");
        self.failed.get_or_insert(reason).clone()
    }
}
