//! Looking for a defect with simulated clusters: seed after seed, until one breaks a promise.
//!
//! Holds: a seed counts only if the same program keeps all promises without the defect.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use thalweg_types::planted::Planted;

use crate::hunt::{Catch, seconds};

/// A seed that takes more CPU than this goes round in circles, which is a finding as well.
const SEED_CPU_S_MAX: u64 = 120;

/// Looks with simulated clusters.
pub(crate) struct Simulation {
    pub(crate) program: PathBuf,
    /// The first seed, and how many at most.
    pub(crate) seeds: (u64, u64),
    /// CPU time for one defect.
    pub(crate) budget: Duration,
    /// Seeds that were seen to pass without a defect, or not.
    pub(crate) sound: RefCell<BTreeMap<u64, bool>>,
}

/// What one seed came to.
struct Run {
    broken: Option<String>,
    simulated_ms: u64,
    cpu_ms: u64,
}

impl Simulation {
    /// Looks for a defect. Nothing if no seed within the bounds fails because of it.
    pub(crate) fn hunt(&self, defect: Planted) -> Option<Catch> {
        let (mut simulated_ms, mut cpu_ms) = (0, 0);
        for seed in self.seeds.0..self.seeds.0 + self.seeds.1 {
            let run = self.run(seed, Some(defect));
            simulated_ms += run.simulated_ms;
            cpu_ms += run.cpu_ms;
            if let Some(broken) = run.broken.filter(|_| self.is_sound(seed)) {
                let hours = format!("{:.2}", simulated_ms as f64 / 3.6e6);
                let figures = vec![hours, seconds(Duration::from_millis(cpu_ms))];
                return Some(Catch { by: format!("seed {seed}: {broken}"), figures });
            }
            if cpu_ms > self.budget.as_millis() as u64 {
                break;
            }
        }
        None
    }

    fn is_sound(&self, seed: u64) -> bool {
        *self.sound.borrow_mut().entry(seed).or_insert_with(|| self.run(seed, None).broken.is_none())
    }

    fn run(&self, seed: u64, defect: Option<Planted>) -> Run {
        let mut simulate = Command::new("sh");
        simulate.args(["-c", &format!("ulimit -t {SEED_CPU_S_MAX} 2>/dev/null; exec \"$0\" \"$@\"")]);
        simulate.arg(&self.program).args(["--json", "--seed", &seed.to_string()]);
        if let Some(defect) = defect {
            simulate.args(["--plant", &format!("{defect:?}")]);
        }
        simulate.env_remove("THALWEG_PLANT").stdin(Stdio::null()).stderr(Stdio::null());
        let output = simulate.output().expect("a shell starts");
        let said = String::from_utf8_lossy(&output.stdout);
        let outcome = said.lines().rev().find_map(|line| serde_json::from_str::<Value>(line).ok());
        outcome.map_or_else(Run::without_end, |outcome| Run::of(&outcome))
    }
}

impl Run {
    fn of(outcome: &Value) -> Run {
        let figure = |name: &str| outcome[name].as_u64().unwrap_or(0);
        let broken = outcome["violations"][0]["invariant"].as_str().map(str::to_owned);
        Run { broken, simulated_ms: figure("simulated_ms"), cpu_ms: figure("cpu_ms") }
    }

    fn without_end() -> Run {
        Run { broken: Some("it does not end".to_owned()), simulated_ms: 0, cpu_ms: SEED_CPU_S_MAX * 1_000 }
    }
}
