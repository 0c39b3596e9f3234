//! The files of the log directory: names, creation by recycling, release.
//!
//! ```text
//! fence                     see `fence`
//! wal-0000000000000007.seg  segment 7, in use; its header is intact from the moment it has the name
//! spare-0000000000000003.seg a file to become a segment; contents mean nothing
//! lost-0000000000000005.seg  cut off by damage, kept until the owner discards it
//! ```
//! A segment is made as a spare: allocated, given its header, synced, and only then renamed.

use std::collections::BTreeSet;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::{Disk, DiskFile, OpenMode};
use crate::format::PAGE_BYTES;
use crate::format::segment_header::SegmentHeader;
use crate::options::Options;
use thalweg_types::planted::{Planted, planted};

/// Zeros for padding a header or a block to whole pages.
pub(crate) static ZEROS: [u8; PAGE_BYTES as usize] = [0; PAGE_BYTES as usize];

/// The log directory and how files in it are made.
#[derive(Clone)]
pub(crate) struct Files {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) options: Options,
}

/// What a log directory holds.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    pub(crate) fence: bool,
    pub(crate) segments: BTreeSet<u64>,
    pub(crate) spares: Vec<u64>,
    pub(crate) lost: Vec<u64>,
}

impl Listing {
    /// Whether the directory holds nothing of a log.
    pub(crate) fn is_new(&self) -> bool {
        !self.fence && self.segments.is_empty() && self.spares.is_empty() && self.lost.is_empty()
    }
}

/// Why a segment could not be made.
#[derive(Debug)]
pub(crate) enum CreateError {
    /// It does not exist, and nothing else changed.
    NotCreated(io::Error),
    /// It may or may not exist after a crash.
    Unknown(io::Error),
}

impl CreateError {
    pub(crate) fn source(self) -> io::Error {
        match self {
            CreateError::NotCreated(source) | CreateError::Unknown(source) => source,
        }
    }
}

fn number(name: &str, prefix: &str) -> Option<u64> {
    let digits = name.strip_prefix(prefix)?.strip_suffix(".seg")?;
    if digits.len() == 16 { u64::from_str_radix(digits, 16).ok() } else { None }
}

impl Files {
    pub(crate) fn dir(&self) -> &Path {
        &self.options.dir
    }

    pub(crate) fn segment_path(&self, segment: u64) -> PathBuf {
        self.dir().join(format!("wal-{segment:016x}.seg"))
    }

    fn spare_path(&self, spare: u64) -> PathBuf {
        self.dir().join(format!("spare-{spare:016x}.seg"))
    }

    fn lost_path(&self, segment: u64) -> PathBuf {
        self.dir().join(format!("lost-{segment:016x}.seg"))
    }

    pub(crate) fn list(&self) -> io::Result<Listing> {
        let mut listing = Listing::default();
        for name in self.disk.list(self.dir())? {
            listing.fence |= name == crate::fence::FILE_NAME;
            listing.segments.extend(number(&name, "wal-"));
            listing.spares.extend(number(&name, "spare-"));
            listing.lost.extend(number(&name, "lost-"));
        }
        Ok(listing)
    }

    pub(crate) fn open(&self, segment: u64, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.open(&self.segment_path(segment), mode)
    }

    /// Makes the segment that `header` describes, durably, out of a spare file if there is one.
    /// Returns it and the checksum with which the chain of its blocks starts.
    pub(crate) fn create(
        &self,
        header: &SegmentHeader,
        spares: &mut Vec<u64>,
    ) -> Result<(Arc<dyn DiskFile>, u32), CreateError> {
        let spare = match spares.pop() {
            Some(spare) => spare,
            None => self.create_spare(header.segment).map_err(CreateError::NotCreated)?,
        };
        let (file, crc) = self.prepare(spare, header).map_err(|error| {
            spares.push(spare);
            CreateError::NotCreated(error)
        })?;
        let renamed = self.disk.rename(&self.spare_path(spare), &self.segment_path(header.segment));
        let sync = || if planted(Planted::DirectoryNotSynced) { Ok(()) } else { self.disk.sync_dir(self.dir()) };
        renamed.and_then(|()| sync()).map_err(CreateError::Unknown)?;
        Ok((file, crc))
    }

    fn create_spare(&self, number: u64) -> io::Result<u64> {
        let path = self.spare_path(number);
        let allocated =
            self.disk.open(&path, OpenMode::CreateNew).and_then(|file| file.allocate(self.options.segment_bytes));
        if let Err(error) = allocated {
            // Space that could not be had in full is given back; what remains is tidied at start.
            let _ = self.disk.remove(&path);
            return Err(error);
        }
        Ok(number)
    }

    fn prepare(&self, spare: u64, header: &SegmentHeader) -> io::Result<(Arc<dyn DiskFile>, u32)> {
        let file = self.disk.open(&self.spare_path(spare), OpenMode::ReadWrite)?;
        let (bytes, crc) = header.encode();
        let padding = &ZEROS[bytes.len()..];
        file.write_vectored_at(&[IoSlice::new(&bytes), IoSlice::new(padding)], 0)?;
        file.sync_data()?;
        Ok((file, crc))
    }

    /// Turns a segment that nobody needs into a spare, or removes it when there are enough.
    pub(crate) fn recycle(&self, segment: u64, spares: &mut Vec<u64>) -> io::Result<()> {
        let path = self.segment_path(segment);
        let right_size = self.disk.open(&path, OpenMode::Read)?.len()? == self.options.segment_bytes;
        if spares.len() >= self.options.recycled_max || !right_size {
            return self.disk.remove(&path);
        }
        self.disk.rename(&path, &self.spare_path(segment))?;
        spares.push(segment);
        Ok(())
    }

    /// Keeps the spares that fit the settings and removes the others.
    pub(crate) fn keep_spares(&self, found: &[u64]) -> io::Result<Vec<u64>> {
        let mut kept = Vec::new();
        for &spare in found {
            let path = self.spare_path(spare);
            let right_size = self.disk.open(&path, OpenMode::Read)?.len()? == self.options.segment_bytes;
            if right_size && kept.len() < self.options.recycled_max {
                kept.push(spare);
            } else {
                self.disk.remove(&path)?;
            }
        }
        Ok(kept)
    }

    /// Puts a segment that damage cut off out of the log's way, for a person to look at.
    pub(crate) fn set_aside(&self, segment: u64) -> io::Result<()> {
        self.disk.rename(&self.segment_path(segment), &self.lost_path(segment))
    }

    pub(crate) fn remove_lost(&self, lost: &[u64]) -> io::Result<()> {
        lost.iter().try_for_each(|&segment| self.disk.remove(&self.lost_path(segment)))
    }

    pub(crate) fn remove_spares(&self, spares: &[u64]) -> io::Result<()> {
        spares.iter().try_for_each(|&spare| self.disk.remove(&self.spare_path(spare)))
    }
}
