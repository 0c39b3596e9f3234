//! An open simulated file: checks that it may be used, applies faults, and leaves bytes to `inode`.

use std::io::{self, IoSlice};
use std::path::PathBuf;

use parking_lot::MutexGuard;

use super::faults::{self, Outcome};
use super::inode::Inode;
use super::{SimDisk, State, answer};
use crate::disk::DiskFile;

pub(super) struct SimFile {
    pub(super) disk: SimDisk,
    pub(super) inode: u64,
    pub(super) boot: u64,
    pub(super) writable: bool,
    pub(super) path: PathBuf,
}

impl SimFile {
    /// The disk, if this file was opened since its last crash.
    fn state(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.disk.lock();
        state.faults.check_power()?;
        if state.boot != self.boot {
            return Err(io::Error::other("opened before the machine crashed"));
        }
        Ok(state)
    }

    fn writable(&self) -> io::Result<MutexGuard<'_, State>> {
        if self.writable { self.state() } else { Err(io::Error::other("opened for reading only")) }
    }
}

/// An open file may outlive its name; then nobody minds that its bytes are gone.
fn inode(state: &mut State, number: u64) -> &mut Inode {
    state.inodes.entry(number).or_default()
}

impl DiskFile for SimFile {
    fn write_vectored_at(&self, parts: &[IoSlice<'_>], offset: u64) -> io::Result<()> {
        let state = &mut *self.writable()?;
        let mut bytes = Vec::new();
        parts.iter().for_each(|part| bytes.extend_from_slice(part));
        let outcome = state.faults.mutation()?;
        let room = inode(state, self.inode).len().saturating_sub(offset).saturating_add(state.free_bytes());
        let full = state.faults.take_full_write() || bytes.len() as u64 > room;
        let failed = state.faults.take_failed_write();
        let whole = bytes.len();
        if full || failed || outcome == Outcome::PowerFails {
            bytes.truncate(state.random.below(whole as u64 + 1).min(room) as usize);
        }
        state.faults.count_written(bytes.len() as u64);
        inode(state, self.inode).write(&bytes, offset);
        answer(state.faults.power())?;
        if failed {
            return Err(io::Error::other("simulated failure of a write"));
        }
        if full { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = &mut *self.state()?;
        state.faults.check_read(&self.path)?;
        Ok(inode(state, self.inode).read(buf, offset))
    }

    fn sync_data(&self) -> io::Result<()> {
        let state = &mut *self.state()?;
        let outcome = state.faults.mutation()?;
        state.faults.count_sync();
        if outcome == Outcome::PowerFails {
            return Err(faults::power_failed());
        }
        let failed = state.faults.sync_fails();
        let file = state.inodes.entry(self.inode).or_default();
        if failed {
            file.fail_sync(&mut state.random);
            return Err(io::Error::other("simulated failure of a sync"));
        }
        file.sync();
        Ok(())
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        let state = &mut *self.writable()?;
        let outcome = state.faults.mutation()?;
        let have = inode(state, self.inode).len();
        if len.saturating_sub(have) > state.free_bytes() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if len > have && (outcome == Outcome::Done || state.random.coin()) {
            inode(state, self.inode).set_len(len);
        }
        answer(state.faults.power())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(inode(&mut *self.state()?, self.inode).len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let state = &mut *self.writable()?;
        if state.faults.mutation()? == Outcome::Done || state.random.coin() {
            inode(state, self.inode).set_len(len);
        }
        answer(state.faults.power())
    }
}
