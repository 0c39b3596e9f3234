//! Following the chain of segments from the oldest that is needed, as far as it holds.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::walk::{BLOCK_BYTES_MIN, Beyond, End, Segment};
use super::{OpenError, during};
use crate::disk::{DiskFile, OpenMode};
use crate::format::PAGE_BYTES;
use crate::format::fence_slot::FenceSlot;
use crate::format::segment_header::{BadSegmentHeader, SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::record::{Position, Record};
use crate::segments::{Files, Listing};

/// The headers of all segments from the first needed one on; nothing where one is unreadable.
pub(super) struct Chain {
    first: u64,
    headers: BTreeMap<u64, Option<(SegmentHeader, u32)>>,
}

/// A segment whose records were replayed.
pub(super) struct Live {
    pub(super) segment: u64,
    pub(super) used_bytes: u64,
    pub(super) file: Arc<dyn DiskFile>,
}

/// Where the log breaks off although more had been acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Break {
    pub(super) segment: u64,
    pub(super) offset: u64,
    pub(super) reason: String,
}

/// What a fresh segment continues: segment, LSN and checksum of the last block that counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) segment: u64,
    pub(super) lsn: u64,
    pub(super) crc: u32,
}

/// What was replayed and how it ended.
#[derive(Default)]
pub(super) struct Prefix {
    /// The oldest segment that is needed.
    pub(super) first: u64,
    pub(super) live: Vec<Live>,
    /// Segments without a single block, which the fresh one replaces.
    pub(super) empty: Vec<u64>,
    pub(super) link: Link,
    /// Where the last walk ended: segment and offset.
    pub(super) ended: (u64, u64),
    /// The last LSN that is accounted for, by a block or as given up earlier.
    pub(super) lsn: u64,
    /// The highest LSN that any header names.
    pub(super) seen_lsn: u64,
    /// Bytes at the end that may not be durable yet: from and to, in the last walked segment.
    pub(super) unproven: Option<(u64, u64, u64)>,
    pub(super) torn: bool,
    pub(super) broken: Option<Break>,
}

impl Chain {
    /// Reads the segment headers. A lost fence names no first segment; then it is the oldest.
    pub(super) fn read(files: &Files, listing: &Listing, first: u64) -> Result<Chain, OpenError> {
        let mut headers = BTreeMap::new();
        for &segment in listing.segments.range(first..) {
            headers.insert(segment, read_header(files, segment)?);
        }
        let oldest = headers.keys().next().copied();
        let first = if first == 0 { oldest.unwrap_or(0) } else { first };
        Ok(Chain { first, headers })
    }

    /// The segment that continues `segment`: the newest that says so, because a start that found
    /// damage begins a new continuation and the older one no longer counts.
    fn next(&self, segment: u64) -> Option<SegmentHeader> {
        let continues = |header: &&SegmentHeader| header.prev_segment == segment;
        self.headers.values().flatten().map(|(header, _)| header).rfind(continues).copied()
    }

    fn has_above(&self, segment: u64) -> bool {
        self.headers.range(segment + 1..).next().is_some()
    }

    /// There are newer segments, but this one, which must lead to them, does not.
    fn gap(&self, segment: u64) -> Break {
        let reason = match self.headers.get(&segment) {
            None => "it is missing",
            Some(None) => "its header is corrupt",
            Some(Some(_)) => "it does not continue the one before",
        };
        Break { segment, offset: 0, reason: reason.into() }
    }

    /// Replays the records of the chain from its start to where it ends or breaks.
    pub(super) fn replay(
        &self,
        files: &Files,
        fence: &FenceSlot,
        replay: &mut dyn FnMut(Record, Position),
    ) -> Result<Prefix, OpenError> {
        let mut prefix = Prefix { first: self.first, ended: (self.first, 0), ..Prefix::default() };
        prefix.seen_lsn = self.headers.values().flatten().map(|(header, _)| header.first_lsn - 1).max().unwrap_or(0);
        let expected = !self.headers.is_empty() || fence.segment > 0;
        let mut at = expected.then_some(self.first);
        while let Some(segment) = at {
            let Some(&Some((header, crc))) = self.headers.get(&segment) else {
                prefix.broken = Some(self.gap(segment));
                break;
            };
            let next = self.next(segment);
            self.replay_segment(files, &header, crc, next, &mut prefix, replay)?;
            if prefix.broken.is_none() && next.is_none() && self.has_above(segment) {
                prefix.broken = Some(self.gap(segment + 1));
            }
            at = next.map(|next| next.segment).filter(|_| prefix.broken.is_none());
        }
        Ok(prefix)
    }

    fn replay_segment(
        &self,
        files: &Files,
        header: &SegmentHeader,
        crc: u32,
        next: Option<SegmentHeader>,
        prefix: &mut Prefix,
        replay: &mut dyn FnMut(Record, Position),
    ) -> Result<(), OpenError> {
        let reading = during(files, "reading a segment");
        let number = header.segment;
        let file = files.open(number, OpenMode::Read).map_err(&reading)?;
        let len = file.len().map_err(&reading)?.min(u32::MAX.into());
        let segment = Segment { file: &*file, len, identity: header.identity, segment: number };
        let lsn = header.first_lsn - 1;
        let start = End { lsn, chain: crc, offset: PAGE_BYTES, durable_lsn: lsn, unproven: None };
        let end = segment.walk(start, next.map(|next| next.prev_lsn), replay).map_err(&reading)?;

        (prefix.ended, prefix.lsn) = ((number, end.offset), end.lsn);
        prefix.seen_lsn = prefix.seen_lsn.max(end.lsn);
        prefix.unproven = end.unproven.map(|(_, from)| (number, from, end.offset));
        match next {
            Some(next) => prefix.broken = cut_short(&end, &next, number),
            None if !self.has_above(number) => {
                let beyond = if end.offset + BLOCK_BYTES_MIN <= len {
                    segment.look_beyond(end.offset).map_err(&reading)?
                } else {
                    Beyond::default()
                };
                prefix.look(&end, &beyond, number);
            }
            None => {}
        }
        prefix.keep(Live { segment: number, used_bytes: end.offset - PAGE_BYTES, file }, &end);
        Ok(())
    }
}

/// Whether a segment ends before the block that its successor continues.
fn cut_short(end: &End, next: &SegmentHeader, segment: u64) -> Option<Break> {
    let whole = end.lsn == next.prev_lsn && end.chain == next.prev_crc;
    let reason =
        || format!("block {} does not verify, segment {} continues block {}", end.lsn + 1, next.segment, next.prev_lsn);
    (!whole).then(|| Break { segment, offset: end.offset, reason: reason() })
}

impl Prefix {
    /// Judges what lies behind the end of the newest segment.
    fn look(&mut self, end: &End, beyond: &Beyond, segment: u64) {
        self.torn = beyond.begun;
        self.seen_lsn = self.seen_lsn.max(beyond.lsn).max(beyond.durable_lsn);
        if beyond.durable_lsn > end.lsn {
            let reason = format!(
                "block {} does not verify, a later one tells that {} was durable",
                end.lsn + 1,
                beyond.durable_lsn
            );
            self.broken = Some(Break { segment, offset: end.offset, reason });
        }
    }

    /// Takes a walked segment into the log, unless it holds nothing and can be replaced.
    fn keep(&mut self, live: Live, end: &End) {
        if live.used_bytes == 0 && !self.live.is_empty() {
            self.empty.push(live.segment);
            return;
        }
        self.link = Link { segment: live.segment, lsn: end.lsn, crc: end.chain };
        self.live.push(live);
    }
}

fn read_header(files: &Files, segment: u64) -> Result<Option<(SegmentHeader, u32)>, OpenError> {
    let reading = during(files, "reading a segment header");
    let file = files.open(segment, OpenMode::Read).map_err(&reading)?;
    let mut bytes = [0; SEGMENT_HEADER_BYTES];
    let read = file.read_at(&mut bytes, 0).map_err(&reading)?;
    match SegmentHeader::decode(&bytes[..read], files.options.identity, segment) {
        Ok(header) => Ok(Some(header)),
        Err(BadSegmentHeader::Version(version)) => Err(OpenError::Version { segment, version }),
        Err(BadSegmentHeader::Corrupt | BadSegmentHeader::Foreign) => Ok(None),
    }
}
