//! A disk in memory that loses, tears, flips, fills up and fails, all from one seed.
//!
//! Clones share the disk, so that a test keeps one hand on it while a log uses the other.
//! A *process* that dies is simulated by dropping whatever uses the disk; a *machine* that dies
//! by [`SimDisk::crash`], after which files opened before are useless.
//!
//! Files: `inode` (bytes), `file` (open files), `dir` (names), `faults` (what goes wrong, and counts).

mod dir;
mod faults;
mod file;
mod inode;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use self::dir::Dir;
use self::faults::{Faults, Outcome};
use self::file::SimFile;
use self::inode::{Inode, Loss};
use super::{Disk, DiskFile, OpenMode};

/// A simulated disk. Cheap to clone; clones are the same disk.
#[derive(Clone)]
pub struct SimDisk(Arc<Mutex<State>>);

#[derive(Clone)]
struct State {
    random: Random,
    faults: Faults,
    dirs: BTreeMap<PathBuf, Dir>,
    inodes: BTreeMap<u64, Inode>,
    inodes_made: u64,
    /// Rises with every crash; a file opened in an earlier one is stale.
    boot: u64,
}

/// A small generator (splitmix64): all that goes wrong follows from its seed.
#[derive(Clone, Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn coin(&mut self) -> bool {
        self.next() & 1 == 1
    }
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimDisk").finish_non_exhaustive()
    }
}

impl SimDisk {
    /// An empty disk; `seed` decides everything that chance decides.
    pub fn new(seed: u64) -> SimDisk {
        SimDisk(Arc::new(Mutex::new(State {
            random: Random(seed),
            faults: Faults::default(),
            dirs: BTreeMap::new(),
            inodes: BTreeMap::new(),
            inodes_made: 0,
            boot: 0,
        })))
    }

    /// The machine loses power and comes back: of what was not synced, each sector and each name
    /// survives or not. Injected failures end, damage stays.
    pub fn crash(&self) {
        let state = &mut *self.0.lock();
        let loss = [Loss::Everything, Loss::Nothing, Loss::Mixed, Loss::Tail][state.random.below(4) as usize];
        state.dirs.values_mut().for_each(|dir| dir.crash(loss, &mut state.random));
        state.inodes.values_mut().for_each(|inode| inode.crash(loss, &mut state.random));
        state.boot += 1;
        state.faults.end();
        state.forget_unnamed();
    }

    /// Another disk that holds the same: what happens to one does not happen to the other.
    pub fn fork(&self) -> SimDisk {
        SimDisk(Arc::new(Mutex::new(self.lock().clone())))
    }

    /// Flips one bit of a file, for good.
    pub fn flip_bit(&self, path: &Path, offset: u64, bit: u8) {
        self.damage(path, |inode| inode.flip_bit(offset as usize, bit));
    }

    /// Cuts a file to `len` bytes, for good.
    pub fn truncate(&self, path: &Path, len: u64) {
        self.damage(path, |inode| inode.cut(len));
    }

    /// Makes a file disappear, for good.
    pub fn lose(&self, path: &Path) {
        let state = &mut *self.0.lock();
        let (dir, name) = state.split(path).expect("the file to lose exists");
        dir.lose(&name);
        state.forget_unnamed();
    }

    fn damage(&self, path: &Path, damage: impl FnOnce(&mut Inode)) {
        let state = &mut *self.0.lock();
        let inode = state.lookup(path).expect("the file to damage exists");
        damage(state.inodes.get_mut(&inode).expect("a name leads to an inode"));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock()
    }
}

fn not_found(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("no such file or directory: {}", path.display()))
}

impl State {
    fn split(&mut self, path: &Path) -> io::Result<(&mut Dir, String)> {
        let name = path.file_name().and_then(|name| name.to_str()).ok_or(io::ErrorKind::InvalidInput)?;
        let parent = path.parent().unwrap_or(Path::new(""));
        let dir = self.dirs.get_mut(parent).ok_or_else(|| not_found(parent))?;
        Ok((dir, name.to_owned()))
    }

    fn lookup(&mut self, path: &Path) -> io::Result<u64> {
        let (dir, name) = self.split(path)?;
        dir.now.get(&name).copied().ok_or_else(|| not_found(path))
    }

    fn forget_unnamed(&mut self) {
        let dirs = &self.dirs;
        self.inodes.retain(|inode, _| dirs.values().any(|dir| dir.holds(*inode)));
    }

    fn used_bytes(&self) -> u64 {
        let named: BTreeSet<&u64> = self.dirs.values().flat_map(|dir| dir.now.values()).collect();
        named.into_iter().filter_map(|inode| self.inodes.get(inode)).map(Inode::len).sum()
    }

    fn free_bytes(&self) -> u64 {
        self.faults.capacity_bytes().saturating_sub(self.used_bytes())
    }

    /// Whether a change of names happens. Power that fails in it may leave it done.
    fn change_names(&mut self) -> io::Result<bool> {
        match self.faults.mutation()? {
            Outcome::Done => Ok(true),
            Outcome::PowerFails => Ok(self.random.coin()),
        }
    }
}

fn answer(power_held: bool) -> io::Result<()> {
    if power_held { Ok(()) } else { Err(faults::power_failed()) }
}

impl Disk for SimDisk {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.faults.check_power()?;
        for dir in dir.ancestors() {
            state.dirs.entry(dir.to_path_buf()).or_default();
        }
        Ok(())
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.lock();
        state.faults.check_power()?;
        let found = state.lookup(path);
        let inode = match (mode, found) {
            (OpenMode::CreateNew, Ok(_)) => return Err(io::ErrorKind::AlreadyExists.into()),
            (OpenMode::CreateNew, Err(_)) => {
                let made = state.change_names()?;
                state.inodes_made += 1;
                let inode = state.inodes_made;
                if made {
                    let (dir, name) = state.split(path)?;
                    dir.link(name, inode);
                    state.inodes.insert(inode, Inode::default());
                }
                state.faults.check_power()?;
                inode
            }
            (_, found) => found?,
        };
        let writable = mode != OpenMode::Read;
        Ok(Arc::new(SimFile { disk: self.clone(), inode, boot: state.boot, writable, path: path.to_path_buf() }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let state = self.lock();
        state.faults.check_power()?;
        Ok(state.dirs.get(dir).ok_or_else(|| not_found(dir))?.now.keys().cloned().collect())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.lock();
        if from.parent() != to.parent() {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "a simulated rename stays in its directory"));
        }
        state.lookup(from)?;
        if state.change_names()? {
            let (_, to) = state.split(to)?;
            let (dir, from) = state.split(from)?;
            dir.rename(&from, &to);
        }
        answer(state.faults.power())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.lookup(path)?;
        if state.change_names()? {
            let (dir, name) = state.split(path)?;
            dir.unlink(&name);
        }
        answer(state.faults.power())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.lock();
        if state.change_names()? {
            state.dirs.get_mut(dir).ok_or_else(|| not_found(dir))?.sync();
            state.forget_unnamed();
        }
        state.faults.count_sync();
        answer(state.faults.power())
    }

    fn free_bytes(&self, _dir: &Path) -> io::Result<u64> {
        Ok(self.lock().free_bytes())
    }
}
