//! Plants one defect after the other and tells who noticed.
//!
//! `thalweg-planted [--only NAME,…] [--budget SECONDS] [--seeds N] [--simulation-only] [--write]`
//! builds the tests with their defects once, then looks for each defect layer by layer. `--write`
//! puts the table into `README.md`. Exit code 1 if a defect was noticed by nobody.

mod build;
mod hunt;
mod layers;
mod table;

use std::cell::RefCell;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use thalweg_types::planted::Planted;

use crate::hunt::Hunter;
use crate::table::Row;

/// What was asked for.
struct Asked {
    only: Vec<Planted>,
    budget: Duration,
    seeds: u64,
    write: bool,
    simulation_only: bool,
}

fn main() -> anyhow::Result<ExitCode> {
    let asked = parse(std::env::args().skip(1))?;
    eprintln!("building the tests with {} defects ...", Planted::ALL.len());
    let (tests, simulator) = (build::tests()?, build::simulator()?);
    if simulator.is_none() {
        eprintln!("not run here: the simulation");
    }
    let (budget, seeds, sound) = (asked.budget, asked.seeds, RefCell::default());
    let simulation_only = asked.simulation_only;
    let hunter = Hunter { tests, simulator, budget, seeds, simulation_only, sound };
    let mut rows = Vec::new();
    for (number, defect) in asked.only.iter().enumerate() {
        let caught = hunter.hunt(*defect);
        let said =
            caught.as_ref().map_or("NOT CAUGHT".to_owned(), |c| format!("{:.1} s  {}", c.took.as_secs_f64(), c.by));
        eprintln!("{:>3}/{} {:<24} {said}", number + 1, asked.only.len(), format!("{defect:?}"));
        rows.push(Row { defect: *defect, caught });
        // Kept as it grows: a long run that is broken off has its part.
        if asked.write {
            table::write(&rows).context("writing the table")?;
        }
    }
    let missed = rows.iter().filter(|row| row.caught.is_none()).count();
    println!("{} defects, {} caught, {missed} not", rows.len(), rows.len() - missed);
    Ok(ExitCode::from(u8::from(missed > 0)))
}

fn parse(args: impl Iterator<Item = String>) -> anyhow::Result<Asked> {
    let mut asked = Asked {
        only: Planted::ALL.to_vec(),
        budget: Duration::from_secs(300),
        seeds: 50,
        write: false,
        simulation_only: false,
    };
    let mut args = args.peekable();
    while let Some(arg) = args.next() {
        let mut value = || args.next().with_context(|| format!("{arg} needs a value"));
        match arg.as_str() {
            "--only" => {
                let names = value()?;
                let parsed = names.split(',').map(|name| name.parse().map_err(anyhow::Error::msg));
                asked.only = parsed.collect::<anyhow::Result<_>>()?;
            }
            "--budget" => asked.budget = Duration::from_secs(value()?.parse().context("--budget")?),
            "--seeds" => asked.seeds = value()?.parse().context("--seeds")?,
            "--write" => asked.write = true,
            "--simulation-only" => asked.simulation_only = true,
            other => bail!("unknown argument {other}"),
        }
    }
    Ok(asked)
}
