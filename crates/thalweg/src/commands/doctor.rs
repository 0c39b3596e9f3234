//! `thalweg doctor`: whether this machine is fit to run a node.
//!
//! Reading the machine is in [`machine`], judging what was read in [`verdict`].

mod machine;
mod verdict;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use crate::cli::{Format, OutputArgs};
use crate::exit::Exit;
use crate::output::{Listing, print_text};
use crate::progress;
use verdict::{Check, Verdict};

/// Arguments of `thalweg doctor`.
#[derive(Args, Debug)]
#[command(after_help = "Exit code 1 when a check fails; warnings do not count.")]
pub(crate) struct DoctorArgs {
    /// Where a node here keeps or would keep its data
    #[arg(long, value_name = "DIR", default_value = ".")]
    data_dir: PathBuf,
    /// Ports that a node here would listen on
    #[arg(long, value_name = "PORT", value_delimiter = ',', default_value = "4567,4568,4569")]
    port: Vec<u16>,
    #[command(flatten)]
    output: OutputArgs,
}

/// Runs all checks and says what to do about those that found something.
pub(crate) async fn run(args: DoctorArgs) -> anyhow::Result<ExitCode> {
    let format = args.output.format();
    let spinner = progress::spinner("checking this machine");
    let checks = tokio::task::spawn_blocking(move || all(&args)).await?;
    spinner.finish_and_clear();
    show(&checks, format)?;
    let failed = checks.iter().any(|check| check.verdict == Verdict::Fails);
    Ok(if failed { Exit::Generic.into() } else { ExitCode::SUCCESS })
}

fn all(args: &DoctorArgs) -> Vec<Check> {
    let mut checks = vec![
        machine::sync(&args.data_dir, 4 * 1024),
        machine::sync(&args.data_dir, 64 * 1024),
        machine::free_space(&args.data_dir),
        machine::open_files(),
        machine::memory(),
        machine::processor(),
        machine::clock(),
        machine::time_service(),
    ];
    checks.extend(args.port.iter().map(|port| machine::port(*port)));
    checks
}

fn show(checks: &[Check], format: Format) -> std::io::Result<()> {
    let mut listing = Listing::new(&["CHECK", "VERDICT", "FOUND"]);
    for check in checks {
        let object = json!({
            "check": check.name,
            "verdict": check.verdict.as_str(),
            "found": check.found,
            "advice": check.advice,
        });
        listing.push(vec![check.name.clone(), check.verdict.as_str().to_owned(), check.found.clone()], object);
    }
    listing.print(format)?;
    if format == Format::Table {
        let advised = checks.iter().filter_map(|check| Some(format!("{}: {}\n", check.name, check.advice.as_ref()?)));
        let advice: String = advised.collect();
        if !advice.is_empty() {
            print_text(&format!("\n{advice}"))?;
        }
    }
    Ok(())
}
