//! One simulated file: what a reader sees, what is on the platter, and everything in between.
//!
//! Holds: after a crash each sector is the durable one or any version written since the last
//! sync, because a kernel may write pages back whenever it likes.

use std::collections::BTreeMap;

use super::Random;

/// Unit that a disk writes whole or not at all.
pub(super) const SECTOR_BYTES: usize = 512;

type Sector = [u8; SECTOR_BYTES];

/// How a crash treats what was not synced. Each is a thing disks have been seen to do.
#[derive(Clone, Copy, Debug)]
pub(super) enum Loss {
    Everything,
    Nothing,
    /// Every sector for itself.
    Mixed,
    /// Written back in order up to some sector.
    Tail,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Inode {
    /// Content as read; shorter than `len` where the rest is zero.
    now: Vec<u8>,
    len: u64,
    durable: Vec<u8>,
    durable_len: u64,
    /// Versions of each sector since the last sync, newest last.
    dirty: BTreeMap<usize, Vec<Sector>>,
}

fn sector_of(bytes: &[u8], sector: usize) -> Sector {
    let mut copy = [0; SECTOR_BYTES];
    let have = bytes.get(sector * SECTOR_BYTES..).unwrap_or_default();
    let count = have.len().min(SECTOR_BYTES);
    copy[..count].copy_from_slice(&have[..count]);
    copy
}

fn put(bytes: &mut Vec<u8>, at: usize, new: &[u8]) {
    if bytes.len() < at + new.len() {
        bytes.resize(at + new.len(), 0);
    }
    bytes[at..at + new.len()].copy_from_slice(new);
}

impl Inode {
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn read(&self, buf: &mut [u8], offset: u64) -> usize {
        let count = self.len.saturating_sub(offset).min(buf.len() as u64) as usize;
        let have = self.now.get(offset as usize..).unwrap_or_default();
        let copied = have.len().min(count);
        buf[..copied].copy_from_slice(&have[..copied]);
        buf[copied..count].fill(0);
        count
    }

    pub(super) fn write(&mut self, bytes: &[u8], offset: u64) {
        if bytes.is_empty() {
            return;
        }
        let at = offset as usize;
        put(&mut self.now, at, bytes);
        self.len = self.len.max((at + bytes.len()) as u64);
        for sector in at / SECTOR_BYTES..(at + bytes.len()).div_ceil(SECTOR_BYTES) {
            let version = sector_of(&self.now, sector);
            self.dirty.entry(sector).or_default().push(version);
        }
    }

    pub(super) fn set_len(&mut self, len: u64) {
        self.len = len;
        self.now.truncate(len as usize);
        let first_gone = (len as usize).div_ceil(SECTOR_BYTES);
        self.dirty.retain(|sector, _| *sector < first_gone);
        let partial = len as usize / SECTOR_BYTES;
        if let Some(versions) = self.dirty.get_mut(&partial) {
            versions.push(sector_of(&self.now, partial));
        }
    }

    pub(super) fn sync(&mut self) {
        for (sector, versions) in std::mem::take(&mut self.dirty) {
            put(&mut self.durable, sector * SECTOR_BYTES, versions.last().expect("a dirty sector has a version"));
        }
        self.durable_len = self.len;
        self.durable.truncate(self.len as usize);
    }

    /// A sync that fails: some sectors reached the disk, the others stay readable and are
    /// forgotten, so that a second sync would succeed and prove nothing.
    pub(super) fn fail_sync(&mut self, random: &mut Random) {
        for (sector, versions) in std::mem::take(&mut self.dirty) {
            if random.coin() {
                put(&mut self.durable, sector * SECTOR_BYTES, versions.last().expect("a dirty sector has a version"));
            }
        }
    }

    pub(super) fn crash(&mut self, loss: Loss, random: &mut Random) {
        let dirty = std::mem::take(&mut self.dirty);
        let reached = random.below(dirty.len() as u64 + 1) as usize;
        for (order, (sector, versions)) in dirty.into_iter().enumerate() {
            let newest = versions.len() - 1;
            let version = match loss {
                Loss::Everything => None,
                Loss::Nothing => Some(newest),
                Loss::Mixed => (random.below(versions.len() as u64 + 1) as usize).checked_sub(1),
                Loss::Tail => (order < reached).then_some(newest),
            };
            if let Some(version) = version {
                put(&mut self.durable, sector * SECTOR_BYTES, &versions[version]);
            }
        }
        let keeps_len = match loss {
            Loss::Everything => false,
            Loss::Nothing => true,
            Loss::Mixed | Loss::Tail => random.coin(),
        };
        self.len = if keeps_len { self.len } else { self.durable_len };
        self.durable_len = self.len;
        self.durable.truncate(self.len as usize);
        self.now.clone_from(&self.durable);
    }

    /// Flips a bit for good, in what is read and in what is stored.
    pub(super) fn flip_bit(&mut self, offset: usize, bit: u8) {
        let flip = 1 << (bit % 8);
        for bytes in [&mut self.now, &mut self.durable] {
            if bytes.len() <= offset {
                bytes.resize(offset + 1, 0);
            }
            bytes[offset] ^= flip;
        }
        for version in self.dirty.get_mut(&(offset / SECTOR_BYTES)).into_iter().flatten() {
            version[offset % SECTOR_BYTES] ^= flip;
        }
    }

    /// Cuts the file for good.
    pub(super) fn cut(&mut self, len: u64) {
        self.set_len(len);
        self.sync();
    }
}
