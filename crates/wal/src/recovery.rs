//! What a start believes of the log, and why. Strict: see "Holds".
//!
//! ```text
//! first segment ──► next (its header names the last block before it) ──► … ──► last
//!   walk the chain    walk                                              walk, then ask:
//!   up to that block                                                    was anything beyond acknowledged?
//! ```
//! The log ends at the first block that does not verify. Whether that is a *torn tail*, which any
//! crash leaves, or *damage* is decided by witnesses of what had been acknowledged: later blocks
//! (each names the durable LSN of its time), later segments (made only when all before them was
//! durable), and the fence.
//!
//! Holds: what is replayed is a prefix of what was appended; if it lacks anything acknowledged
//! that a witness tells of, the verdict is damaged. What is replayed is durable afterwards, and
//! bytes behind the end never count again: the next segment's header names the end.
//!
//! After damage the log goes on in a fresh segment behind the prefix. The fence keeps repeating
//! the verdict until the owner has taken note ([`crate::Wal::clear_damage`]).

mod chain;
mod walk;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use self::chain::{Break, Chain, Prefix};
use self::walk::Segment;
use crate::disk::OpenMode;
use crate::fence::Fence;
use crate::format::PAGE_BYTES;
use crate::format::fence_slot::FenceSlot;
use crate::format::segment_header::SegmentHeader;
use crate::reader::OpenSegments;
use crate::record::{Position, Record};
use crate::segments::{CreateError, Files, Listing};
use crate::wal::Wal;
use thalweg_types::planted::{Planted, planted};

/// What a start found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// Whether all that was acknowledged is there.
    pub verdict: Verdict,
    /// Records replayed.
    pub records: u64,
    /// Segments they came from.
    pub segments: usize,
    /// The last block that was replayed, 0 if none.
    pub last_lsn: u64,
    /// The durable LSN that the fence remembered, 0 if it was lost or new.
    pub fence_lsn: u64,
    /// What the owner last let the fence remember, 0 if nothing or if the fence was lost.
    pub owner_mark: u64,
}

/// Whether the log is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It ends as it was left.
    Clean,
    /// The last block is incomplete and was never acknowledged, as far as any witness tells.
    TornTail {
        /// Where the incomplete block starts.
        segment: u64,
        /// Where the incomplete block starts.
        offset: u64,
    },
    /// Acknowledged records are missing from here on, or may be.
    Damaged {
        /// The segment in which the log breaks off.
        segment: u64,
        /// Where in it.
        offset: u64,
        /// What told of it.
        reason: String,
    },
}

/// Why a log could not be opened. Nothing that counts was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The disk refused.
    #[error("{doing} failed in the log directory `{}`", dir.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The log's directory.
        dir: PathBuf,
        /// What the disk said.
        source: io::Error,
    },
    /// A newer release wrote this log.
    #[error("segment {segment} has format version {version}, which this release does not read")]
    Version {
        /// The segment.
        segment: u64,
        /// Its version.
        version: u32,
    },
}

/// Turns an I/O error into one that says what was being done.
fn during(files: &Files, doing: &'static str) -> impl Fn(io::Error) -> OpenError {
    let dir = files.dir().to_path_buf();
    move |source| OpenError::Io { doing, dir: dir.clone(), source }
}

/// Opens the log, see [`Wal::open`].
pub(crate) fn open(files: Files, replay: &mut dyn FnMut(Record, Position)) -> Result<(Wal, Recovery), OpenError> {
    let listing = list(&files)?;
    let fence = open_fence(&files, &listing)?;
    let remembered = fence.as_ref().map(Fence::now).unwrap_or_default();

    let mut records = 0;
    let mut count = |record, position| {
        records += 1;
        replay(record, position);
    };
    let chain = Chain::read(&files, &listing, remembered.first_segment)?;
    let prefix = chain.replay(&files, &remembered, &mut count)?;
    let found = find_damage(&prefix, &listing, fence.as_ref().map(Fence::now).as_ref());
    let verdict = judge(&found, remembered.damage, &prefix);
    let segments = prefix.live.len();
    let (fence_lsn, owner_mark) = (remembered.durable_lsn, remembered.owner_mark);
    let recovery = Recovery { verdict, records, segments, last_lsn: prefix.lsn, fence_lsn, owner_mark };

    let damage = match recovery.verdict {
        Verdict::Damaged { segment, offset, .. } => Some((segment, offset)),
        _ => None,
    };
    let fence = remember(&files, fence, damage, &listing, &prefix)?;
    let wal = go_on(files, fence, &listing, prefix, found.is_some())?;
    Ok((wal, recovery))
}

fn list(files: &Files) -> Result<Listing, OpenError> {
    let made = files.disk.create_dir_all(files.dir());
    made.and_then(|()| files.list()).map_err(during(files, "listing"))
}

/// The fence; nothing when it is missing or both its slots are bad.
fn open_fence(files: &Files, listing: &Listing) -> Result<Option<Fence>, OpenError> {
    if listing.fence { Fence::open(files).map_err(during(files, "reading the fence")) } else { Ok(None) }
}

/// Damage that this start found. Witnesses are heard in the order of how exactly they know the
/// place.
fn find_damage(prefix: &Prefix, listing: &Listing, fence: Option<&FenceSlot>) -> Option<Break> {
    let (segment, offset) = prefix.ended;
    let damaged = |reason: String| Some(Break { segment, offset, reason });
    if prefix.broken.is_some() {
        return prefix.broken.clone();
    }
    let Some(fence) = fence else {
        // The fence is made before anything else, so without it only an empty directory is new.
        return if listing.is_new() { None } else { damaged("the fence is lost".into()) };
    };
    if fence.segment > 0 && !listing.segments.contains(&fence.segment) {
        return damaged(format!("segment {} is missing", fence.segment));
    }
    if fence.durable_lsn > prefix.lsn {
        let (ends, remembered) = (prefix.lsn, fence.durable_lsn);
        return damaged(format!("the log ends at block {ends}, the fence remembers block {remembered}"));
    }
    None
}

fn judge(found: &Option<Break>, told: Option<(u64, u64)>, prefix: &Prefix) -> Verdict {
    if let Some(Break { segment, offset, reason }) = found.clone().filter(|_| !planted(Planted::DamageTakenForTorn)) {
        return Verdict::Damaged { segment, offset, reason };
    }
    if let Some((segment, offset)) = told.filter(|_| !planted(Planted::DamageReportedOnce)) {
        let reason = "an earlier start found damage that has not been made good".into();
        return Verdict::Damaged { segment, offset, reason };
    }
    let (segment, offset) = prefix.ended;
    if prefix.torn { Verdict::TornTail { segment, offset } } else { Verdict::Clean }
}

/// Writes damage into the fence before anything makes the log look whole; makes a fence if there
/// is none.
fn remember(
    files: &Files,
    fence: Option<Fence>,
    damage: Option<(u64, u64)>,
    listing: &Listing,
    prefix: &Prefix,
) -> Result<Fence, OpenError> {
    let writing = during(files, "writing the fence");
    if let Some(mut fence) = fence {
        fence.write(FenceSlot { damage, ..fence.now() }).map_err(writing)?;
        return Ok(fence);
    }
    let slot = FenceSlot {
        generation: 0,
        durable_lsn: prefix.lsn,
        segment: listing.segments.last().copied().unwrap_or(0),
        first_segment: listing.segments.first().copied().unwrap_or(1),
        damage,
        owner_mark: 0,
    };
    // Without the fence nobody knows which blocks the spare files may hold.
    files.remove_spares(&listing.spares).map_err(during(files, "removing spare files"))?;
    Fence::create(files, slot).map_err(writing)
}

/// Makes the prefix durable, starts a fresh segment behind it, and tidies what it replaces.
fn go_on(
    files: Files,
    mut fence: Fence,
    listing: &Listing,
    prefix: Prefix,
    found_damage: bool,
) -> Result<Wal, OpenError> {
    if let Some((segment, from, to)) = prefix.unproven {
        make_durable(&files, segment, from, to).map_err(during(&files, "syncing the log's tail"))?;
    }
    let found = files.list().map_err(during(&files, "listing"))?.spares;
    let mut spares = files.keep_spares(&found).map_err(during(&files, "tidying spare files"))?;
    let header = fresh_header(&files, &fence.now(), listing, &prefix);
    let made = files.create(&header, &mut spares).map_err(CreateError::source);
    let (file, chain) = made.map_err(during(&files, "making a segment"))?;

    let first_segment = prefix.live.first().map_or(header.segment, |live| live.segment);
    let last_lsn = header.first_lsn - 1;
    let slot = FenceSlot { durable_lsn: last_lsn, segment: header.segment, first_segment, ..fence.now() };
    fence.write(slot).map_err(during(&files, "writing the fence"))?;
    let cut_off = |segment: &u64| {
        let replaced = prefix.empty.contains(segment) && !found_damage;
        slot.damage.is_some() && *segment >= prefix.first && !replaced
    };
    tidy(&files, listing, &prefix, cut_off, &mut spares).map_err(during(&files, "tidying"))?;

    let open = Arc::new(OpenSegments::default());
    let mut used: BTreeMap<u64, u64> = prefix.live.iter().map(|live| (live.segment, live.used_bytes)).collect();
    used.insert(header.segment, 0);
    prefix.live.into_iter().for_each(|live| open.insert(live.segment, live.file));
    open.insert(header.segment, file.clone());
    Ok(Wal {
        files,
        fence,
        open,
        used,
        spares,
        file,
        segment: header.segment,
        offset: PAGE_BYTES,
        last_lsn,
        durable_lsn: last_lsn,
        chain,
        damage: slot.damage,
        owner_mark: slot.owner_mark,
        failed: None,
        frame_headers: Vec::new(),
    })
}

/// The header of a segment that continues the prefix, numbered above everything ever seen.
fn fresh_header(files: &Files, fence: &FenceSlot, listing: &Listing, prefix: &Prefix) -> SegmentHeader {
    let newest = listing.segments.iter().chain(&listing.lost).copied().max().unwrap_or(0);
    SegmentHeader {
        identity: files.options.identity,
        segment: newest.max(fence.segment) + 1,
        first_lsn: prefix.seen_lsn.max(prefix.lsn).max(fence.durable_lsn) + 1,
        prev_segment: prefix.link.segment,
        prev_lsn: prefix.link.lsn,
        prev_crc: prefix.link.crc,
    }
}

fn make_durable(files: &Files, number: u64, from: u64, to: u64) -> io::Result<()> {
    let file = files.open(number, OpenMode::ReadWrite)?;
    let segment = Segment { file: &*file, len: to, identity: files.options.identity, segment: number };
    segment.write_again(from, to)
}

/// Takes every segment that does not count out of the way: those that damage cut off are kept
/// for a person to look at; those that were released, given up earlier or stayed empty are recycled.
fn tidy(
    files: &Files,
    listing: &Listing,
    prefix: &Prefix,
    cut_off: impl Fn(&u64) -> bool,
    spares: &mut Vec<u64>,
) -> io::Result<()> {
    let counts = |segment: &u64| prefix.live.iter().any(|live| live.segment == *segment);
    for segment in listing.segments.iter().filter(|segment| !counts(segment)) {
        if cut_off(segment) {
            files.set_aside(*segment)?;
        } else {
            files.recycle(*segment, spares)?;
        }
    }
    Ok(())
}
