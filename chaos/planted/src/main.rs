//! Plants one defect after the other and tells who noticed.
//!
//! `thalweg-planted [--only NAME,…] [--layers tests,simulation,crash] [--budget SECONDS] [--from SEED]
//! [--seeds N] [--cpu SECONDS] [--write]` builds what it needs with the defects once, then looks for
//! each defect with each layer. `--write` puts the table into `README.md`. Exit code 1 if a defect was
//! noticed by nobody.

mod build;
mod crash;
mod hunt;
mod layers;
mod simulation;
mod suites;
mod table;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use thalweg_types::planted::Planted;

use crate::crash::Crash;
use crate::hunt::{Found, Hunter};
use crate::layers::Layer;
use crate::simulation::Simulation;
use crate::suites::Tests;
use crate::table::Row;

/// What was asked for.
struct Asked {
    only: Vec<Planted>,
    layers: Vec<Layer>,
    /// For all tests of one program.
    budget: Duration,
    /// The first seed, and how many.
    seeds: (u64, u64),
    /// CPU time of all seeds of one defect.
    cpu: Duration,
    write: bool,
}

fn main() -> anyhow::Result<ExitCode> {
    let asked = parse(std::env::args().skip(1))?;
    eprintln!("building with {} defects ...", Planted::ALL.len());
    let hunter = hunter(&asked)?;
    let mut rows = Vec::new();
    for (number, defect) in asked.only.iter().enumerate() {
        let row = Row { defect: *defect, found: hunter.hunt(*defect) };
        eprintln!("{:>3}/{} {:<24} {}", number + 1, asked.only.len(), format!("{defect:?}"), said(&row));
        rows.push(row);
        // Kept as it grows: a long run that is broken off has its part.
        if asked.write {
            table::write(&rows).context("writing the table")?;
        }
    }
    let missed = rows.iter().filter(|row| row.is_missed()).count();
    for (at, layer) in Layer::ALL.iter().enumerate().filter(|(_, layer)| asked.layers.contains(layer)) {
        let caught = rows.iter().filter(|row| matches!(row.found[at], Found::Caught(_))).count();
        println!("{layer:?}: {caught} caught");
    }
    println!("{} defects, {} caught, {missed} not", rows.len(), rows.len() - missed);
    Ok(ExitCode::from(u8::from(missed > 0)))
}

fn hunter(asked: &Asked) -> anyhow::Result<Hunter> {
    let wanted = |layer: Layer| asked.layers.contains(&layer);
    let mut hunter = Hunter { tests: None, simulation: None, crash: None };
    if wanted(Layer::Tests) {
        let programs = build::tests()?;
        hunter.tests = Some(Tests { programs, budget: asked.budget, sound: Default::default() });
    }
    if !wanted(Layer::Simulation) && !wanted(Layer::Crash) {
        return Ok(hunter);
    }
    let build::Programs { simulation, crash } = build::programs()?;
    if wanted(Layer::Simulation) {
        let (program, seeds, budget) = (simulation, asked.seeds, asked.cpu);
        hunter.simulation = Some(Simulation { program, seeds, budget, sound: Default::default() });
    }
    if wanted(Layer::Crash) {
        hunter.crash = Some(Crash { program: crash, without: Default::default() });
    }
    Ok(hunter)
}

fn said(row: &Row) -> String {
    let words = row.found.iter().filter_map(|found| match found {
        Found::NotLooked | Found::OutOfReach => None,
        Found::Nothing => Some("-".to_owned()),
        Found::Caught(caught) => Some(format!("{} ({})", caught.by, caught.figures.join(", "))),
    });
    words.collect::<Vec<_>>().join(" | ")
}

fn parse(args: impl Iterator<Item = String>) -> anyhow::Result<Asked> {
    let mut asked = Asked {
        only: Planted::ALL.to_vec(),
        layers: Layer::ALL.to_vec(),
        budget: Duration::from_secs(300),
        seeds: (1_000, 80),
        cpu: Duration::from_secs(240),
        write: false,
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
            "--layers" => {
                let names = value()?;
                let parsed = names.split(',').map(|name| Layer::named(name).with_context(|| name.to_owned()));
                asked.layers = parsed.collect::<anyhow::Result<_>>()?;
            }
            "--budget" => asked.budget = Duration::from_secs(value()?.parse().context("--budget")?),
            "--from" => asked.seeds.0 = value()?.parse().context("--from")?,
            "--seeds" => asked.seeds.1 = value()?.parse().context("--seeds")?,
            "--cpu" => asked.cpu = Duration::from_secs(value()?.parse().context("--cpu")?),
            "--write" => asked.write = true,
            other => bail!("unknown argument {other}"),
        }
    }
    Ok(asked)
}
