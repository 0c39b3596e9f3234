//! The fence: a small file beside the log that remembers how far the log must reach.
//!
//! A log cannot tell by itself that its end was cut off. The fence can: it names the durable LSN
//! and the segments that existed, at every segment switch, about every 100 ms while there are
//! syncs, and exactly when the log is closed.
//!
//! ```text
//! page 0: slot, even generations │ page 1: slot, odd generations
//! ```
//! Holds: a write goes to the older slot and is synced before the other may be overwritten, so
//! that one slot is always whole; what it says never goes back. Both slots bad is damage.

use std::io::{self, IoSlice};
use std::sync::Arc;

use crate::disk::{DiskFile, OpenMode};
use crate::format::PAGE_BYTES;
use crate::format::fence_slot::{FENCE_SLOT_BYTES, FenceSlot};
use crate::segments::{Files, ZEROS};

/// Name of the file in the log directory.
pub(crate) const FILE_NAME: &str = "fence";
/// Under this name the file is made; it is renamed when it is whole.
const TEMPORARY_NAME: &str = "fence.tmp";

pub(crate) struct Fence {
    file: Arc<dyn DiskFile>,
    identity: u64,
    now: FenceSlot,
    /// Page of the slot that holds `now`.
    page: u64,
    /// Whether the other slot says the same, so that losing one loses nothing.
    mirrored: bool,
}

impl Fence {
    /// Makes a new fence that says `slot`, durably.
    pub(crate) fn create(files: &Files, slot: FenceSlot) -> io::Result<Fence> {
        let temporary = files.dir().join(TEMPORARY_NAME);
        if files.disk.list(files.dir())?.iter().any(|name| name == TEMPORARY_NAME) {
            files.disk.remove(&temporary)?;
        }
        let file = files.disk.open(&temporary, OpenMode::CreateNew)?;
        file.allocate(2 * PAGE_BYTES)?;
        let mut fence = Fence { file, identity: files.options.identity, now: slot, page: 1, mirrored: false };
        fence.put(slot)?;
        fence.put(slot)?;
        fence.mirrored = true;
        files.disk.rename(&temporary, &files.dir().join(FILE_NAME))?;
        files.disk.sync_dir(files.dir())?;
        Ok(fence)
    }

    /// Reads the fence; nothing when neither slot is whole.
    pub(crate) fn open(files: &Files) -> io::Result<Option<Fence>> {
        let file = files.disk.open(&files.dir().join(FILE_NAME), OpenMode::ReadWrite)?;
        let identity = files.options.identity;
        let slots = [read_slot(&*file, 0, identity)?, read_slot(&*file, 1, identity)?];
        let newest =
            (0..2).filter_map(|page| Some((slots[page as usize]?, page))).max_by_key(|(slot, _)| slot.generation);
        let Some((now, page)) = newest else { return Ok(None) };
        let fence = Fence { file, identity, now, page, mirrored: false };
        // A killed process may have left the newest slot in the page cache only, and the next
        // write goes over the other one: the newest must be durable before it is relied on.
        fence.put_bytes(now, page)?;
        Ok(Some(fence))
    }

    pub(crate) fn now(&self) -> FenceSlot {
        self.now
    }

    /// Makes the fence say `slot` (but for its generation). When it says so already, the other
    /// slot is brought up to it, and after that nothing is written.
    pub(crate) fn write(&mut self, slot: FenceSlot) -> io::Result<()> {
        let slot = FenceSlot {
            generation: self.now.generation,
            durable_lsn: slot.durable_lsn.max(self.now.durable_lsn),
            segment: slot.segment.max(self.now.segment),
            first_segment: slot.first_segment.max(self.now.first_segment),
            damage: slot.damage,
            owner_mark: slot.owner_mark.max(self.now.owner_mark),
        };
        let same = slot == self.now;
        if same && self.mirrored {
            return Ok(());
        }
        self.put(slot)?;
        self.mirrored = same;
        Ok(())
    }

    fn put(&mut self, slot: FenceSlot) -> io::Result<()> {
        let slot = FenceSlot { generation: self.now.generation + 1, ..slot };
        let page = 1 - self.page;
        self.put_bytes(slot, page)?;
        (self.now, self.page) = (slot, page);
        Ok(())
    }

    fn put_bytes(&self, slot: FenceSlot, page: u64) -> io::Result<()> {
        let bytes = slot.encode(self.identity);
        let padding = &ZEROS[bytes.len()..];
        self.file.write_vectored_at(&[IoSlice::new(&bytes), IoSlice::new(padding)], page * PAGE_BYTES)?;
        self.file.sync_data()
    }
}

fn read_slot(file: &dyn DiskFile, page: u64, identity: u64) -> io::Result<Option<FenceSlot>> {
    let mut bytes = [0; FENCE_SLOT_BYTES];
    file.read_at(&mut bytes, page * PAGE_BYTES)?;
    FenceSlot::decode(&bytes, identity).map_err(|version| io::Error::new(io::ErrorKind::InvalidData, version))
}
