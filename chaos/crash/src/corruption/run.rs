//! Running the matrix: worker processes, and the table of what each kind of damage led to.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use super::case::{Case, Damage};
use super::files::FileKind;
use super::golden::{Golden, Left};
use super::worker::{Outcome, golden_dir};
use crate::judge::Finding;

/// A case that takes longer stands still.
const PATIENCE: Duration = Duration::from_secs(60);

/// What all cases came to.
#[derive(Default)]
pub struct Tally {
    /// How often a kind of file and a kind of damage led to what.
    pub led_to: BTreeMap<(FileKind, &'static str), BTreeMap<Finding, u64>>,
    /// Cases whose damage changed a file.
    pub damaged: u64,
    /// Cases after which peers had something to give back, and gave it back.
    pub healed: u64,
    /// Broken promises.
    pub broken: Vec<(Case, String)>,
}

struct Worker {
    child: Child,
    input: ChildStdin,
    answers: Receiver<String>,
}

impl Worker {
    fn start(program: &Path, dir: &Path) -> anyhow::Result<Worker> {
        let mut child = Command::new(program)
            .arg("corruption-worker")
            .arg(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let input = child.stdin.take().expect("it was piped");
        let output = BufReader::new(child.stdout.take().expect("it was piped"));
        let (sender, answers) = channel();
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Ok(Worker { child, input, answers })
    }

    /// Runs one case; the error if the process died of it or stands still.
    fn run(&mut self, case: &Case) -> anyhow::Result<Result<Outcome, String>> {
        let mut line = serde_json::to_string(case)?;
        line.push('\n');
        self.input.write_all(line.as_bytes())?;
        self.input.flush()?;
        match self.answers.recv_timeout(PATIENCE) {
            Ok(answer) => Ok(Ok(serde_json::from_str(&answer)?)),
            Err(RecvTimeoutError::Timeout) => Ok(Err("the process stands still".into())),
            Err(RecvTimeoutError::Disconnected) => Ok(Err(format!("the process died: {}", self.child.wait()?))),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It ends by itself when its input does; one that died needs only to be waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Fills the directories below `dir` and runs `count` cases and a tenth more, because some damage
/// changes nothing: zeros where zeros were. `progress` is told of each.
pub fn run(
    program: &Path,
    dir: &Path,
    count: usize,
    seed: u64,
    progress: &mut dyn FnMut(usize, usize),
) -> anyhow::Result<Tally> {
    let [closed, killed] = [Left::Closed, Left::Killed].map(|left| (left, Golden::at(&golden_dir(dir, left))));
    for (left, golden) in [&closed, &killed] {
        golden.fill(*left, seed)?;
    }
    let cases = super::matrix::cases(&closed.1, &killed.1, count + count / 10, seed)?;
    let mut tally = Tally::default();
    let mut worker = Worker::start(program, dir)?;
    for (at, case) in cases.iter().enumerate() {
        let outcome = match worker.run(case)? {
            Ok(outcome) => outcome,
            Err(why) => {
                worker = Worker::start(program, dir)?;
                Outcome::Broken(why)
            }
        };
        tally.count(case, outcome);
        progress(at + 1, cases.len());
    }
    Ok(tally)
}

impl Tally {
    fn count(&mut self, case: &Case, outcome: Outcome) {
        let (finding, healed) = match outcome {
            Outcome::NoDamage => return,
            Outcome::Kept { finding, said, .. } if case.damage == Damage::Nothing => {
                if finding != Finding::Whole {
                    self.broken.push((case.clone(), format!("{finding} without any damage: {said}")));
                }
                return;
            }
            Outcome::Kept { finding, healed, .. } => (finding, healed),
            Outcome::Broken(why) => {
                self.damaged += 1;
                return self.broken.push((case.clone(), why));
            }
        };
        self.damaged += 1;
        self.healed += u64::from(healed);
        *self.led_to.entry((case.kind, case.damage.name())).or_default().entry(finding).or_default() += 1;
    }
}
