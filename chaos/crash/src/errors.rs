//! Disks that err, fill up, turn read-only, are slow or stand still.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use parking_lot::Mutex;
use thalweg_storage::{Driver, Health, ReadError, StorageError};
use thalweg_types::GroupId;

use crate::call::Event;
use crate::entry::EntryId;
use crate::fault_disk::{Fault, Faults, Plan, Step, wait};
use crate::judge::nothing_lost;
use crate::model::{Crash, History};
use crate::node::{Node, Place};
use crate::sandbox::{FileSystem, Sandbox, Volume};
use crate::seen::{read_group, vote_bytes};
use crate::workload::{Owner, Run};

/// Groups of a node.
const GROUPS: u64 = 4;
/// Something that must happen has happened by then.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes of the file system that fills up.
const SMALL_BYTES: u64 = 24 * 1024 * 1024;

/// A way in which a disk is bad, and what must follow.
pub struct Scenario {
    /// What happens.
    pub name: &'static str,
    run: fn(&Sandbox, Duration) -> anyhow::Result<()>,
}

impl Scenario {
    /// Runs it; `stall` is how long a sync that stands still takes.
    pub fn run(&self, sandbox: &Sandbox, stall: Duration) -> anyhow::Result<()> {
        (self.run)(sandbox, stall)
    }
}

/// All of them.
pub const SCENARIOS: [Scenario; 9] = [
    Scenario { name: "write error", run: |sandbox, _| write_error(sandbox, Step::Write) },
    Scenario { name: "sync error", run: |sandbox, _| write_error(sandbox, Step::Sync) },
    Scenario { name: "read error", run: |sandbox, _| read_error(sandbox) },
    Scenario { name: "disk full, ext4", run: |sandbox, _| disk_full(sandbox, FileSystem::Ext4) },
    Scenario { name: "disk full, xfs", run: |sandbox, _| disk_full(sandbox, FileSystem::Xfs) },
    Scenario { name: "read-only remount, ext4", run: |sandbox, _| read_only(sandbox, FileSystem::Ext4) },
    Scenario { name: "read-only remount, xfs", run: |sandbox, _| read_only(sandbox, FileSystem::Xfs) },
    Scenario { name: "slow disk", run: |sandbox, _| slow(sandbox) },
    Scenario { name: "sync stall", run: stalled },
];

/// A node that is written to, and what it has answered.
struct Work {
    node: Node,
    faults: Faults,
    events: Arc<Mutex<Vec<Event>>>,
    owners: Vec<Owner>,
}

impl Work {
    fn start(dir: &Path) -> anyhow::Result<Work> {
        let faults = Faults::default();
        let node = Node::open(dir, &Place::Real, &faults, Driver::Threads)?;
        let events = Arc::new(Mutex::new(Vec::new()));
        let run = Run { log: node.log.clone(), sink: events.clone(), numbers: Arc::new(AtomicU64::new(0)) };
        let owners = (0..GROUPS).map(|group| Owner::new(&run, group, 11)).collect();
        Ok(Work { node, faults, events, owners })
    }

    /// Makes calls in turn, until the log fails.
    fn calls(&mut self, rounds: usize) {
        for _ in 0..rounds {
            if !self.owners.iter_mut().all(|owner| owner.step(&|| {})) {
                break;
            }
        }
        self.owners.iter().for_each(|owner| owner.settle(0, &|| {}));
    }

    fn history(&self) -> History {
        let mut history = History::default();
        self.events.lock().iter().for_each(|event| history.take(event));
        history
    }

    /// Every group reads whole while the log runs.
    fn reads(&self) -> anyhow::Result<()> {
        for group in 0..GROUPS {
            let seen = read_group(&self.node.log, group).map_err(anyhow::Error::msg)?;
            ensure!(seen.unreadable.is_empty(), "group {group}: {:?}", seen.unreadable.first());
        }
        Ok(())
    }

    /// Ends it without closing and starts again: all that was acknowledged is there.
    fn nothing_lost(self, dir: &Path) -> anyhow::Result<()> {
        let mut history = self.history();
        ensure!(history.acknowledged > 50, "only {} calls were acknowledged", history.acknowledged);
        drop(self);
        let node = Node::open_whole(dir, Driver::Threads)?;
        nothing_lost(&node, &mut history, Crash::Process).map_err(anyhow::Error::msg)
    }

    fn wait_for(&self, what: &str, is: impl Fn(&Health) -> bool) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !is(&self.node.log.health().borrow()) {
            ensure!(Instant::now() < deadline, "{what}: health is still {:?}", *self.node.log.health().borrow());
            wait(Duration::from_millis(5));
        }
        Ok(())
    }
}

/// The first failure ends writing; reads go on; the next start has all that was acknowledged.
fn write_error(sandbox: &Sandbox, step: Step) -> anyhow::Result<()> {
    let dir = sandbox.dir(&format!("error-{step:?}"))?;
    let mut work = Work::start(&dir)?;
    work.calls(30);
    work.faults.plan(Plan { step: Some(step), nth: 10, fault: Fault::ErrorHalf });
    if step == Step::Sync {
        work.faults.plan(Plan { step: Some(step), nth: 10, fault: Fault::ErrorBefore });
    }
    work.calls(200);
    work.wait_for("after the error", |health| matches!(health, Health::Failed(_)))?;
    let refused = vote(&work, 1);
    ensure!(matches!(refused, Err(StorageError::Failed { .. })), "a vote after the error: {refused:?}");
    work.reads()?;
    work.nothing_lost(&dir)
}

/// Reads err and nothing is taken for missing; when the disk answers again all is as before.
fn read_error(sandbox: &Sandbox) -> anyhow::Result<()> {
    let dir = sandbox.dir("read-error")?;
    let mut work = Work::start(&dir)?;
    work.calls(60);
    // More than memory keeps, and not applied, so that it lies in the write-ahead log only.
    let group = work.node.log.group(GroupId(GROUPS));
    let entries =
        (0..8).map(|index| EntryId { group: GROUPS, index, term: 1, call: index, body_bytes: 40_000 }.entry());
    let (sender, answer) = channel();
    group.append(entries.collect(), true, Box::new(move |result| drop(sender.send(result))));
    answer.recv_timeout(PATIENCE)??;
    // Memory is cut back after the answer, and before the next one.
    vote(&work, 1)?;
    work.faults.fail_reads(true);
    let read = group.read(0, 1, 1);
    ensure!(matches!(read, Err(ReadError::Io(_))), "a read that the disk does not answer: {read:?}");
    drop(group);
    let refused = Node::open(&sandbox.dir("read-error-2")?, &Place::Real, &work.faults, Driver::Threads);
    ensure!(refused.is_err(), "a log opens on a disk that does not answer");
    work.faults.fail_reads(false);
    work.reads()?;
    work.nothing_lost(&dir)
}

/// Appends are refused definitely, votes and reads go on, and with space it goes on by itself.
fn disk_full(sandbox: &Sandbox, kind: FileSystem) -> anyhow::Result<()> {
    let bytes = if kind == FileSystem::Xfs { 320 * 1024 * 1024 } else { SMALL_BYTES };
    let volume = Volume::make(sandbox, &format!("full-{}", kind.name()), kind, bytes)?;
    let dir = volume.dir();
    let mut work = Work::start(&dir)?;
    work.calls(30);
    let ballast = dir.join("ballast");
    // No move is under way when space goes; one that is ends the log, see below.
    work.node.log.flush()?;
    fill(&ballast)?;
    work.calls(40);
    work.wait_for("with a full disk", |health| *health != Health::Ok)?;
    if matches!(*work.node.log.health().borrow(), Health::Failed(_)) {
        std::fs::remove_file(&ballast)?;
        return work.nothing_lost(&dir);
    }
    let refused = append(&work, 1);
    ensure!(matches!(refused, Err(StorageError::Full { .. })), "an append with a full disk: {refused:?}");
    vote(&work, 1).context("a vote with a full disk")?;
    work.reads().context("with a full disk")?;
    std::fs::remove_file(&ballast)?;
    work.wait_for("with space again", |health| *health == Health::Ok)?;
    let before = work.history().acknowledged;
    work.calls(40);
    ensure!(work.history().acknowledged > before + 50, "it does not go on");
    work.reads()?;
    work.nothing_lost(&dir)
}

/// Takes all the space there is, but for less than the log's reserve.
fn fill(path: &Path) -> anyhow::Result<()> {
    use std::io::Write;
    let mut file = std::fs::File::create(path)?;
    let chunk = vec![1; 64 * 1024];
    loop {
        match file.write_all(&chunk) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::StorageFull => break,
            Err(error) => bail!(error),
        }
    }
    let len = file.metadata()?.len();
    // Votes need a little; the log keeps its reserve for them.
    file.set_len(len.saturating_sub(600 * 1024))?;
    Ok(file.sync_all()?)
}

/// A file system that turns read-only under the log, as ext4 does after an error; and a log that is
/// opened on one that is read-only.
fn read_only(sandbox: &Sandbox, kind: FileSystem) -> anyhow::Result<()> {
    let mut volume = Volume::make(sandbox, &format!("ro-{}", kind.name()), kind, 320 * 1024 * 1024)?;
    let dir = volume.dir();
    let mut work = Work::start(&dir)?;
    work.calls(60);
    let mut history = work.history();
    drop(work);
    volume.set_read_only(true)?;
    ensure!(Node::open_whole(&dir, Driver::Threads).is_err(), "a log opens where it cannot write");
    volume.set_read_only(false)?;
    let node = Node::open_whole(&dir, Driver::Threads)?;
    nothing_lost(&node, &mut history, Crash::Process).map_err(anyhow::Error::msg)?;
    drop(node);
    if kind == FileSystem::Ext4 { turned_read_only(&mut volume) } else { Ok(()) }
}

fn turned_read_only(volume: &mut Volume) -> anyhow::Result<()> {
    let dir = volume.dir().with_file_name("second");
    let mut work = Work::start(&dir)?;
    work.calls(60);
    volume.fail_into_read_only()?;
    work.calls(200);
    work.wait_for("on a file system that became read-only", |health| matches!(health, Health::Failed(_)))?;
    work.reads()?;
    let mut history = work.history();
    drop(work);
    // After an error ext4 is writable again only when it is mounted anew.
    volume.unmount()?;
    volume.mount()?;
    let node = Node::open_whole(&dir, Driver::Threads)?;
    nothing_lost(&node, &mut history, Crash::Process).map_err(anyhow::Error::msg)
}

/// Every sync takes 15 ms: slower, and otherwise the same.
fn slow(sandbox: &Sandbox) -> anyhow::Result<()> {
    let dir = sandbox.dir("slow")?;
    let mut work = Work::start(&dir)?;
    work.faults.delay_syncs(Duration::from_millis(15));
    work.calls(60);
    ensure!(*work.node.log.health().borrow() == Health::Ok, "a slow disk is no failure");
    work.reads()?;
    work.nothing_lost(&dir)
}

/// A sync that stands still: what waits is bounded and refused definitely beyond that, reads go on,
/// the figures show it, and when the disk moves again everything queued is answered.
fn stalled(sandbox: &Sandbox, stall: Duration) -> anyhow::Result<()> {
    let dir = sandbox.dir("stall")?;
    let mut work = Work::start(&dir)?;
    work.calls(60);
    work.faults.delay_syncs(stall);
    let group = work.node.log.group(GroupId(GROUPS));
    let started = Instant::now();
    let (sender, answers) = channel();
    let mut sent = 0;
    let overloaded = loop {
        let entry = EntryId { group: GROUPS, index: sent, term: 1, call: sent, body_bytes: 40_000 };
        match group.admits(&[entry.entry()]) {
            Ok(()) => {
                let sender = sender.clone();
                group.append(vec![entry.entry()], true, Box::new(move |result| drop(sender.send(result))));
                sent += 1;
            }
            Err(refused) => break refused,
        }
        ensure!(started.elapsed() < stall, "the queue of a log that stands still has no bound");
    };
    ensure!(matches!(overloaded, StorageError::Overloaded { .. } | StorageError::LogFull { .. }), "{overloaded:?}");
    work.reads().context("while a sync stands still")?;
    ensure!(answers.try_recv().is_err(), "acknowledged before the sync returned");
    // A sync of the fence may have stood still first.
    let shown = || {
        let slowest = work.node.log.stats().sync_micros.iter().rposition(|count| *count > 0).unwrap_or(0);
        1u128 << slowest >= stall.as_micros() / 2
    };
    while !shown() {
        ensure!(started.elapsed() < 4 * stall + PATIENCE, "the figures do not show the stall");
        wait(Duration::from_millis(20));
    }
    work.faults.delay_syncs(Duration::ZERO);
    for _ in 0..sent {
        answers.recv_timeout(PATIENCE).context("a queued append was never answered")??;
    }
    ensure!(started.elapsed() >= stall, "the sync did not stand still");
    ensure!(group.state().last == Some((sent - 1, 1)), "not all is there");
    drop(group);
    work.nothing_lost(&dir)
}

fn vote(work: &Work, vote: u64) -> Result<(), StorageError> {
    let (sender, answer) = channel();
    work.node.log.group(GroupId(99)).save_vote(vote_bytes(vote), Box::new(move |result| drop(sender.send(result))));
    answer.recv_timeout(PATIENCE).unwrap_or(Err(StorageError::Closed))
}

fn append(work: &Work, bytes: u32) -> Result<(), StorageError> {
    let entry = EntryId { group: 98, index: 0, term: 1, call: 0, body_bytes: bytes };
    let (sender, answer) = channel();
    let group = work.node.log.group(GroupId(98));
    group.append(vec![entry.entry()], true, Box::new(move |result| drop(sender.send(result))));
    answer.recv_timeout(PATIENCE).unwrap_or(Err(StorageError::Closed))
}
