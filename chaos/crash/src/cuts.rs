//! Power cuts and deaths of the process: a writer on a real file system, cut off at a random moment
//! or at a chosen step, and what the next start shows.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use thalweg_storage::Driver;

use crate::call::Event;
use crate::fault_disk::{Counts, Fault, Plan, Step};
use crate::judge::nothing_lost;
use crate::model::{Crash, History};
use crate::node::Node;
use crate::sandbox::{FileSystem, Sandbox, Volume};
use crate::writer::{Orders, Phase};

/// Bytes of an image.
const IMAGE_BYTES: u64 = 320 * 1024 * 1024;
/// After so many cuts a file system is made anew.
const CUTS_OF_A_VOLUME: u64 = 50;
/// A writer that does not end in this time is stuck.
const PATIENCE: Duration = Duration::from_secs(60);

/// When the power goes, or the process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Moment {
    /// At any time while it writes.
    Anywhen,
    /// While it recovers.
    Recovery,
    /// While entries move into the record store.
    Move,
    /// While a segment is recycled into the next.
    Recycle,
    /// While the log is closed.
    Close,
    /// At a chosen write or sync of the log.
    Write,
    /// Not the power, only the process.
    Kill,
}

impl Moment {
    /// All of them.
    pub const ALL: [Moment; 7] =
        [Moment::Anywhen, Moment::Recovery, Moment::Move, Moment::Recycle, Moment::Close, Moment::Write, Moment::Kill];

    /// What it is in words.
    pub fn name(self) -> &'static str {
        match self {
            Moment::Anywhen => "power cut at any time",
            Moment::Recovery => "power cut during recovery",
            Moment::Move => "power cut during a move",
            Moment::Recycle => "power cut during recycling",
            Moment::Close => "power cut during close",
            Moment::Write => "power cut at a write or sync",
            Moment::Kill => "kill -9",
        }
    }

    fn plan(self, random: &mut StdRng) -> Option<(Phase, Plan)> {
        let at = |phase, step, nth, fault| Some((phase, Plan { step, nth, fault }));
        let around = [Fault::CutBefore, Fault::CutAfter, Fault::CutDuring][random.random_range(0..3)];
        match self {
            Moment::Anywhen | Moment::Kill => None,
            Moment::Recovery => at(Phase::Opening, None, random.random_range(0..12), around),
            Moment::Move => {
                let step = if random.random_bool(0.3) { Step::Put } else { Step::Commit };
                at(Phase::Running, Some(step), random.random_range(0..6), around)
            }
            Moment::Recycle => {
                let step = [Step::Rename, Step::SyncDir, Step::Allocate, Step::Create][random.random_range(0..4)];
                // New files are made only until there are enough to reuse.
                let nth = if matches!(step, Step::Rename | Step::SyncDir) { random.random_range(0..12) } else { 0 };
                at(Phase::Running, Some(step), nth, around)
            }
            Moment::Close => at(Phase::Closing, None, random.random_range(0..8), around),
            Moment::Write => {
                let step = if random.random() { Step::Write } else { Step::Sync };
                let half = step == Step::Write && random.random();
                let fault = if half { Fault::CutHalf } else { around };
                at(Phase::Running, Some(step), random.random_range(0..150), fault)
            }
        }
    }

    /// When the cut comes if its step does not come before.
    fn cut_after(self, random: &mut StdRng) -> Duration {
        let millis = if self == Moment::Anywhen { random.random_range(2..150) } else { 1500 };
        Duration::from_millis(millis)
    }

    fn crash(self) -> Crash {
        if self == Moment::Kill { Crash::Process } else { Crash::Machine }
    }
}

/// What the cuts came to.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Cuts by file system and moment.
    pub cuts: BTreeMap<(&'static str, Moment), u64>,
    /// Cuts that struck as planned in the middle of this step.
    pub struck: BTreeMap<String, u64>,
    /// Calls that were acknowledged, and all that were made.
    pub acknowledged: u64,
    /// Calls that were made.
    pub called: u64,
    /// Records replayed by the writers' starts.
    pub replayed: u64,
    /// Steps of the writers that ended by themselves.
    pub counts: Counts,
    /// Broken promises.
    pub broken: Vec<String>,
}

impl Tally {
    /// Cuts in all, kills not counted.
    pub fn power_cuts(&self) -> u64 {
        self.cuts.iter().filter(|((_, moment), _)| *moment != Moment::Kill).map(|(_, count)| count).sum()
    }
}

/// A file system that is cut again and again, and what was acknowledged on it.
struct Station<'a> {
    volume: Volume,
    name: &'static str,
    history: History,
    number: u64,
    tally: &'a mut Tally,
}

/// Makes `cuts` cuts on one file system. `progress` is told of each.
pub fn run(
    sandbox: &Sandbox,
    kind: FileSystem,
    cuts: u64,
    seed: u64,
    tally: &mut Tally,
    progress: &mut dyn FnMut(),
) -> anyhow::Result<()> {
    let mut done = 0;
    while done < cuts {
        let volume = Volume::make(sandbox, kind.name(), kind, IMAGE_BYTES)?;
        let mut station = Station { volume, name: kind.name(), history: History::default(), number: 0, tally };
        for _ in 0..CUTS_OF_A_VOLUME.min(cuts - done) {
            let mut random = StdRng::seed_from_u64(seed.wrapping_add(done) ^ (kind as u64) << 60);
            let moment = Moment::ALL[done as usize % Moment::ALL.len()];
            done += 1;
            progress();
            if let Err(error) = station.cut(moment, &mut random) {
                let kept = keep(&station.volume.dir());
                let what = format!("{} on {}, seed {seed}, cut {done}: {error:#}; {kept}", moment.name(), kind.name());
                station.tally.broken.push(what);
                break;
            }
        }
    }
    Ok(())
}

/// Copies a data directory to where it can be looked at later.
fn keep(dir: &std::path::Path) -> String {
    let kept = tempfile::Builder::new().prefix("thalweg-crash-kept-").tempdir().map(tempfile::TempDir::keep);
    match kept.and_then(|to| crate::corruption::golden::copy_tree(dir, &to).map(|()| to)) {
        Ok(to) => format!("the directory is kept in {}", to.display()),
        Err(error) => format!("the directory could not be kept: {error}"),
    }
}

impl Station<'_> {
    fn cut(&mut self, moment: Moment, random: &mut StdRng) -> anyhow::Result<()> {
        let orders = Orders {
            dir: self.volume.dir(),
            mount: self.volume.dir().parent().expect("a mount point").to_owned(),
            seed: random.random(),
            number: self.number,
            run_for: if moment == Moment::Close { Duration::from_millis(60) } else { Duration::from_secs(20) },
            plan: moment.plan(random),
            cut_after: (moment != Moment::Kill).then(|| moment.cut_after(random)),
        };
        let mut writer = Writer::start(&orders)?;
        writer.listen_until_cut(moment, Duration::from_millis(random.random_range(5..150)))?;
        writer.listen_to_the_end(moment)?;
        self.take(writer)?;
        if moment != Moment::Kill {
            // A writer may end before its cut, or before it could tell; then this is the cut.
            let _ = self.volume.cut();
            self.volume.unmount()?;
            self.volume.mount()?;
        }
        let node = Node::open_whole(&self.volume.dir(), Driver::Threads)?;
        nothing_lost(&node, &mut self.history, moment.crash()).map_err(anyhow::Error::msg)?;
        *self.tally.cuts.entry((self.name, moment)).or_default() += 1;
        Ok(())
    }

    fn take(&mut self, writer: Writer) -> anyhow::Result<()> {
        let (called, acknowledged) = (self.history.called, self.history.acknowledged);
        for event in &writer.heard {
            match event {
                Event::Opened { damaged: Some(reason), .. } => anyhow::bail!("damage where there is none: {reason}"),
                Event::Opened { replayed, .. } => self.tally.replayed += replayed,
                Event::Called { number, .. } => self.number = self.number.max(*number),
                Event::Struck(step) => *self.tally.struck.entry(step.clone()).or_default() += 1,
                Event::Counts(counts) => {
                    counts.iter().for_each(|(step, count)| *self.tally.counts.entry(*step).or_default() += count);
                }
                _ => {}
            }
            self.history.take(event);
        }
        self.tally.called += self.history.called - called;
        self.tally.acknowledged += self.history.acknowledged - acknowledged;
        Ok(())
    }
}

/// A writer that runs, and what it has told so far.
struct Writer {
    child: Child,
    told: Receiver<Event>,
    heard: Vec<Event>,
    ended: bool,
}

impl Writer {
    fn start(orders: &Orders) -> anyhow::Result<Writer> {
        let mut child = Command::new(program()?)
            .arg("writer")
            .arg(serde_json::to_string(orders)?)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let output = BufReader::new(child.stdout.take().expect("it was piped"));
        let (sender, told) = channel();
        thread::spawn(move || {
            // The last line may be cut off, with the call that it tells of never made.
            for event in output.lines().map_while(Result::ok).map_while(|line| serde_json::from_str(&line).ok()) {
                if sender.send(event).is_err() {
                    return;
                }
            }
        });
        Ok(Writer { child, told, heard: Vec::new(), ended: false })
    }

    /// Takes the next event; false when there are none for `wait`, or none any more.
    fn listen(&mut self, wait: Duration) -> bool {
        match self.told.recv_timeout(wait) {
            Ok(event) => {
                self.heard.push(event);
                true
            }
            Err(RecvTimeoutError::Disconnected) => {
                self.ended = true;
                false
            }
            Err(RecvTimeoutError::Timeout) => false,
        }
    }

    /// Listens until the writer's cut has struck, or kills it some time after the log opened.
    fn listen_until_cut(&mut self, moment: Moment, after: Duration) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let opened = |event: &Event| matches!(event, Event::Opened { .. });
        let struck = |event: &Event| matches!(event, Event::Struck(_));
        let mut kill_at = None;
        while !self.ended && !self.heard.iter().any(struck) {
            anyhow::ensure!(Instant::now() < deadline, "no cut came");
            self.listen(Duration::from_millis(5));
            if moment == Moment::Kill && self.heard.first().is_some_and(opened) {
                let at = *kill_at.get_or_insert(Instant::now() + after);
                if Instant::now() >= at {
                    return self.child.kill().context("the writer could not be killed");
                }
            }
        }
        Ok(())
    }

    /// Gives the writer a moment to run into the cut, ends it, and hears the rest.
    fn listen_to_the_end(&mut self, moment: Moment) -> anyhow::Result<()> {
        let until = Instant::now() + if moment == Moment::Kill { Duration::ZERO } else { Duration::from_millis(40) };
        while !self.ended && Instant::now() < until {
            self.listen(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        self.child.wait()?;
        let deadline = Instant::now() + PATIENCE;
        while !self.ended {
            self.listen(Duration::from_millis(100));
            anyhow::ensure!(Instant::now() < deadline, "the writer's pipe stays open");
        }
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program() -> anyhow::Result<PathBuf> {
    Ok(std::env::current_exe()?)
}
