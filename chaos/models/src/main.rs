//! Explores every model and prints what was visited and found.
//!
//! `thalweg-models` with the bounds of CI, `thalweg-models --long` with larger ones, and
//! `--paths` to see how each planted bug shows. Exit code 1 if anything is not as it should be.

use std::process::ExitCode;

use thalweg_models::suite::{Case, Expected, cases};

fn main() -> ExitCode {
    let given: Vec<String> = std::env::args().skip(1).collect();
    if let Some(unknown) = given.iter().find(|arg| !["--long", "--paths"].contains(&arg.as_str())) {
        eprintln!("unknown argument {unknown}: thalweg-models [--long] [--paths]");
        return ExitCode::from(2);
    }
    let has = |flag: &str| given.iter().any(|arg| arg == flag);
    let (mut states, mut wrong, mut planted) = (0, 0, 0);
    println!("{:<11} {:<32} {:>10} {:>8}  found", "model", "variant", "states", "seconds");
    for case in cases(has("--long")) {
        let (visited, good) = report(&case, has("--paths"));
        states += visited;
        wrong += usize::from(!good);
        planted += usize::from(case.expected == Expected::Broken && good);
    }
    println!("{states} states in all; {planted} planted bugs found; {wrong} not as expected");
    ExitCode::from(u8::from(wrong > 0))
}

/// One line; the states visited and whether it is as it should be.
fn report(case: &Case, paths: bool) -> (usize, bool) {
    let explored = case.run();
    let found = if explored.broken.is_some() { Expected::Broken } else { Expected::Holds };
    let good = found == case.expected;
    let what = explored.broken.as_ref().map_or("", |broken| broken.property);
    let mark = if good { "" } else { "  NOT AS EXPECTED" };
    let liveness = if explored.liveness { "" } else { "  (too large to ask what can be finished)" };
    let (seconds, variant) = (explored.took.as_secs_f64(), &case.variant);
    println!("{:<11} {variant:<32} {:>10} {seconds:>8.2}  {what}{mark}{liveness}", case.model, explored.states);
    if let Some(broken) = explored.broken.filter(|_| paths || !good) {
        broken.path.iter().for_each(|step| println!("              {step}"));
    }
    (explored.states, good)
}
