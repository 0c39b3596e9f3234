//! A disk that counts what is done to it and, at a chosen step, does it wrong.
//!
//! Wraps any [`Disk`]. Every call that changes something is a step. A plan names one step and what
//! happens there; what the other steps do is not touched, but for a cut, after which all fail.

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use thalweg_wal::{Disk, DiskFile, OpenMode};

/// What a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Step {
    /// A file is made.
    Create,
    /// Bytes are written.
    Write,
    /// A file is synced.
    Sync,
    /// Space is reserved.
    Allocate,
    /// A file gets another name.
    Rename,
    /// A file is removed.
    Remove,
    /// A directory is synced.
    SyncDir,
    /// Entries are put into the record store.
    Put,
    /// The record store commits.
    Commit,
    /// The record store gives space back.
    Reclaim,
}

/// How often each kind of step was done.
pub type Counts = BTreeMap<Step, u64>;

/// What happens at the chosen step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Fault {
    /// Nothing is done, and an I/O error is returned.
    ErrorBefore,
    /// It is done, but an I/O error is returned.
    ErrorAfter,
    /// Half of a write is done, then an I/O error is returned.
    ErrorHalf,
    /// Nothing is done: no space is left.
    Full,
    /// Half of a write is done, then no space is left.
    FullHalf,
    /// The power goes before it.
    CutBefore,
    /// The power goes after it.
    CutAfter,
    /// Half of a write is done, then the power goes.
    CutHalf,
    /// The power goes while it is being done. Only for cuts of a real file system.
    CutDuring,
}

impl Fault {
    /// All that need no help from outside.
    pub const ALL: [Fault; 8] = [
        Fault::ErrorBefore,
        Fault::ErrorAfter,
        Fault::ErrorHalf,
        Fault::Full,
        Fault::FullHalf,
        Fault::CutBefore,
        Fault::CutAfter,
        Fault::CutHalf,
    ];

    /// Whether everything ends with it.
    pub fn is_cut(self) -> bool {
        matches!(self, Fault::CutBefore | Fault::CutAfter | Fault::CutHalf)
    }

    fn is_half(self) -> bool {
        matches!(self, Fault::ErrorHalf | Fault::FullHalf | Fault::CutHalf)
    }

    fn is_done(self) -> bool {
        matches!(self, Fault::ErrorAfter | Fault::CutAfter)
    }

    /// Whether the step can go wrong in this way.
    pub fn fits(self, step: Step) -> bool {
        let takes_space = matches!(step, Step::Create | Step::Write | Step::Allocate);
        match self {
            Fault::ErrorHalf | Fault::CutHalf => step == Step::Write,
            Fault::FullHalf => step == Step::Write,
            Fault::Full => takes_space,
            _ => true,
        }
    }

    fn error(self) -> io::Error {
        match self {
            Fault::Full | Fault::FullHalf => io::ErrorKind::StorageFull.into(),
            _ => io::Error::from_raw_os_error(5),
        }
    }
}

/// What to do when the planned step comes.
pub type OnStrike = Arc<dyn Fn() + Send + Sync>;

/// One fault at one step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Only steps of this kind count, or all.
    pub step: Option<Step>,
    /// Which of them, from 0.
    pub nth: u64,
    /// What happens.
    pub fault: Fault,
}

#[derive(Default)]
struct State {
    counts: Counts,
    counted: u64,
    plan: Option<Plan>,
    struck: Option<Step>,
    is_off: bool,
    /// The power is going: what has not returned yet never will.
    is_going: bool,
    /// Errors that last, by kind of step.
    failing: BTreeMap<Step, io::ErrorKind>,
    read_errors: bool,
    /// Delay of every sync.
    sync_delay: Duration,
    on_strike: Option<OnStrike>,
}

/// Shared by the disk, its files and the record store of a node: one sequence of steps.
#[derive(Clone, Default)]
pub struct Faults(Arc<Mutex<State>>);

/// How a step is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    Whole,
    /// With this fault at its place.
    Faulty(Fault),
}

impl Faults {
    /// The next fault; steps count from here.
    pub fn plan(&self, plan: Plan) {
        let mut state = self.0.lock();
        (state.plan, state.counted, state.struck) = (Some(plan), 0, None);
    }

    /// Called, without any lock, in the middle of the planned step, before it fails.
    pub fn on_strike(&self, act: OnStrike) {
        self.0.lock().on_strike = Some(act);
    }

    /// The step at which the fault struck, if it did.
    pub fn struck(&self) -> Option<Step> {
        self.0.lock().struck
    }

    /// Steps so far.
    pub fn counts(&self) -> Counts {
        self.0.lock().counts.clone()
    }

    /// Lets every step of a kind fail from now on, or none.
    pub fn fail_all(&self, step: Step, error: Option<io::ErrorKind>) {
        let failing = &mut self.0.lock().failing;
        match error {
            Some(error) => failing.insert(step, error),
            None => failing.remove(&step),
        };
    }

    /// Lets every read fail from now on, or none.
    pub fn fail_reads(&self, fail: bool) {
        self.0.lock().read_errors = fail;
    }

    /// Lets every sync take this long.
    pub fn delay_syncs(&self, delay: Duration) {
        self.0.lock().sync_delay = delay;
    }

    /// Counts a step and tells how to do it.
    pub(crate) fn step(&self, step: Step) -> io::Result<How> {
        let (fault, act) = {
            let mut state = self.0.lock();
            if state.is_off {
                return Err(io::Error::from_raw_os_error(5));
            }
            *state.counts.entry(step).or_default() += 1;
            if let Some(kind) = state.failing.get(&step) {
                return Err((*kind).into());
            }
            let Some(plan) = state.plan.clone().filter(|plan| plan.step.is_none_or(|wanted| wanted == step)) else {
                return Ok(How::Whole);
            };
            state.counted += 1;
            if state.counted != plan.nth + 1 {
                return Ok(How::Whole);
            }
            state.struck = Some(step);
            state.is_off = plan.fault.is_cut();
            state.is_going |= state.is_off;
            (plan.fault, state.on_strike.clone())
        };
        if fault == Fault::CutDuring {
            self.0.lock().is_going = true;
            act.iter().for_each(|act| act());
            return Ok(How::Whole);
        }
        // What is to be done first is done by the caller; the act is the fault itself.
        if let Some(act) = act.filter(|_| !fault.is_done() && !fault.is_half()) {
            act();
        }
        Ok(How::Faulty(fault))
    }

    /// Ends a step that was done with a fault.
    pub(crate) fn end(&self, fault: Fault) -> io::Error {
        let act = self.0.lock().on_strike.clone();
        if let Some(act) = act.filter(|_| fault.is_done() || fault.is_half()) {
            act();
        }
        fault.error()
    }

    /// The power goes now: `cut` is called, and no step that has not returned says that all is well.
    ///
    /// A machine without power acknowledges nothing. A file system that is being shut down may: on
    /// XFS of Linux 6.18 an `fdatasync` that meets the shutdown can return success.
    pub fn cut(&self, cut: impl FnOnce()) {
        self.0.lock().is_going = true;
        cut();
        self.0.lock().is_off = true;
    }

    fn check_power<T>(&self, done: T) -> io::Result<T> {
        if self.0.lock().is_going { Err(io::Error::from_raw_os_error(5)) } else { Ok(done) }
    }

    /// Does a step that has no half.
    pub(crate) fn around<T>(&self, step: Step, run: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        match self.step(step)? {
            How::Whole => run().and_then(|done| self.check_power(done)),
            How::Faulty(fault) if fault.is_done() => {
                run()?;
                Err(self.end(fault))
            }
            How::Faulty(fault) => Err(fault.error()),
        }
    }

    fn check_read(&self) -> io::Result<()> {
        let state = self.0.lock();
        if state.is_off || state.read_errors { Err(io::Error::from_raw_os_error(5)) } else { Ok(()) }
    }

    fn sync_delay(&self) -> Duration {
        self.0.lock().sync_delay
    }
}

/// A disk with faults.
pub struct FaultDisk {
    inner: Arc<dyn Disk>,
    faults: Faults,
}

struct FaultFile {
    inner: Arc<dyn DiskFile>,
    faults: Faults,
}

impl FaultDisk {
    /// The same disk, obeying `faults`.
    pub fn new(inner: Arc<dyn Disk>, faults: &Faults) -> FaultDisk {
        FaultDisk { inner, faults: faults.clone() }
    }
}

impl Disk for FaultDisk {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.faults.check_read()?;
        self.inner.create_dir_all(dir)
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let open = || self.inner.open(path, mode);
        let inner = match mode {
            OpenMode::CreateNew => self.faults.around(Step::Create, open)?,
            OpenMode::Read | OpenMode::ReadWrite => {
                self.faults.check_read()?;
                open()?
            }
        };
        Ok(Arc::new(FaultFile { inner, faults: self.faults.clone() }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.faults.check_read()?;
        self.inner.list(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.faults.around(Step::Rename, || self.inner.rename(from, to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.faults.around(Step::Remove, || self.inner.remove(path))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.faults.around(Step::SyncDir, || self.inner.sync_dir(dir))
    }

    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        self.inner.free_bytes(dir)
    }
}

/// The first half of what is to be written.
fn half_of(parts: &[IoSlice<'_>]) -> Vec<u8> {
    let all: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
    let half = all.len() / 2;
    all[..half].to_vec()
}

impl DiskFile for FaultFile {
    fn write_vectored_at(&self, parts: &[IoSlice<'_>], offset: u64) -> io::Result<()> {
        match self.faults.step(Step::Write)? {
            How::Whole => {
                self.inner.write_vectored_at(parts, offset)?;
                self.faults.check_power(())
            }
            How::Faulty(fault) if fault.is_half() => {
                self.inner.write_vectored_at(&[IoSlice::new(&half_of(parts))], offset)?;
                Err(self.faults.end(fault))
            }
            How::Faulty(fault) if fault.is_done() => {
                self.inner.write_vectored_at(parts, offset)?;
                Err(self.faults.end(fault))
            }
            How::Faulty(fault) => Err(fault.error()),
        }
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.faults.check_read()?;
        self.inner.read_at(buf, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        let delay = self.faults.sync_delay();
        if !delay.is_zero() {
            wait(delay);
        }
        self.faults.around(Step::Sync, || self.inner.sync_data())
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.faults.around(Step::Allocate, || self.inner.allocate(len))
    }

    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.faults.around(Step::Write, || self.inner.set_len(len))
    }
}

/// Lets time pass: for slow disks, and for cuts that come at any time.
#[allow(clippy::disallowed_methods)]
pub(crate) fn wait(delay: Duration) {
    std::thread::sleep(delay);
}
