//! Data directories to damage: one that was closed, one whose process died, and an older copy each.

use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use thalweg_storage::Driver;

use crate::call::Event;
use crate::model::History;
use crate::node::Node;
use crate::workload::{Owner, Run};

/// Groups of a directory.
const GROUPS: u64 = 4;
/// Calls of each group before the older copy is taken, and again after it.
const CALLS: usize = 120;

/// A log without work has written its fence after this.
const FENCE_WAIT: Duration = Duration::from_millis(500);

/// How the directory was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Left {
    /// By closing the log.
    Closed,
    /// By the death of the process, with nothing on its way.
    Killed,
}

/// A filled data directory.
pub struct Golden {
    dir: PathBuf,
}

impl Golden {
    /// Where it is: `data`, `older` (the same some time before) and `events`.
    pub fn at(dir: &Path) -> Golden {
        Golden { dir: dir.to_owned() }
    }

    /// The data directory. To be copied, not to be touched.
    pub fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// The data directory as it was half-way.
    pub fn older(&self) -> PathBuf {
        self.dir.join("older")
    }

    /// Fills it. Both copies are made while nobody has the directory open.
    pub fn fill(&self, left: Left, seed: u64) -> anyhow::Result<()> {
        let work = self.dir.join("work");
        let events = Arc::new(Mutex::new(Vec::new()));
        let numbers = Arc::new(AtomicU64::new(0));
        for (target, left, seed) in [(self.older(), Left::Closed, seed), (self.data(), left, seed + 1)] {
            let node = Node::open_whole(&work, Driver::Threads)?;
            let run = Run { log: node.log.clone(), sink: events.clone(), numbers: numbers.clone() };
            let mut owners: Vec<Owner> = (0..GROUPS).map(|group| Owner::new(&run, group, seed)).collect();
            calls(&mut owners)?;
            if left == Left::Closed {
                node.log.close()?;
            } else {
                // What was acknowledged since the fence was last written, a tenth of a second ago at
                // most, looks like a torn tail when it is damaged.
                crate::fault_disk::wait(FENCE_WAIT);
            }
            drop((run, owners, node));
            copy_tree(&work, &target)?;
        }
        let mut file = BufWriter::new(std::fs::File::create(self.dir.join("events"))?);
        for event in events.lock().iter() {
            serde_json::to_writer(&mut file, event)?;
            file.write_all(b"\n")?;
        }
        file.flush()?;
        Ok(())
    }

    /// What was asked and answered when it was filled.
    pub fn history(&self) -> anyhow::Result<History> {
        let mut history = History::default();
        for line in BufReader::new(std::fs::File::open(self.dir.join("events"))?).lines() {
            let event: Event = serde_json::from_str(&line?)?;
            history.take(&event);
        }
        Ok(history)
    }
}

fn calls(owners: &mut [Owner]) -> anyhow::Result<()> {
    for _ in 0..CALLS {
        for owner in owners.iter_mut() {
            anyhow::ensure!(owner.step(&|| {}), "a log without faults failed");
        }
    }
    owners.iter().for_each(|owner| owner.settle(0, &|| {}));
    Ok(())
}

/// Copies a directory with all that is in it.
pub fn copy_tree(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
