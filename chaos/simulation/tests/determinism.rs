//! The same seed is the same run: without that, no failure could be repeated.

use std::path::Path;
use std::process::Command;

use thalweg_simulation::Outcome;

const SEEDS: [u64; 5] = [1, 2, 3, 4, 5];
const SECONDS: &str = "15";

fn simulate(seed: u64, trace: &Path) -> Outcome {
    let output = Command::new(env!("CARGO_BIN_EXE_thalweg-simulate"))
        .args(["--json", "--seconds", SECONDS, "--seed", &seed.to_string(), "--trace"])
        .arg(trace)
        .output()
        .expect("the simulation starts");
    let said = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    serde_json::from_str(said.trim()).unwrap_or_else(|error| panic!("seed {seed}: {error}: {said} {complaint}"))
}

#[test]
fn the_same_seed_gives_the_same_trace_byte_for_byte() {
    let dir = tempfile::tempdir().unwrap();
    for seed in SEEDS {
        let (one, other) = (dir.path().join("one"), dir.path().join("other"));
        let (first, second) = (simulate(seed, &one), simulate(seed, &other));
        let (one, other) = (std::fs::read(one).unwrap(), std::fs::read(other).unwrap());
        let differs = one.split(|byte| *byte == b'\n').zip(other.split(|byte| *byte == b'\n')).find(|(a, b)| a != b);
        let show = |line: &[u8]| String::from_utf8_lossy(line).into_owned();
        assert!(one == other, "seed {seed}: {:?}", differs.map(|(a, b)| (show(a), show(b))));
        assert_eq!(first.trace, second.trace);
        assert!(first.trace.1 > 100, "a run that does nothing proves nothing");
        assert!(first.acked > 0);
        assert_eq!(first.violations, Vec::new(), "seed {seed}");
    }
}

#[test]
fn another_seed_is_another_run() {
    let dir = tempfile::tempdir().unwrap();
    let trace = dir.path().join("trace");
    assert_ne!(simulate(1, &trace).trace.0, simulate(2, &trace).trace.0);
}
