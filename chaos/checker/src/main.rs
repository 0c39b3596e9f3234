//! `thalweg-check FILE`: judges a recorded history (JSON lines; `-` is standard input).
//!
//! Prints a table on a terminal and JSON in a pipe. Exit code 0 says that nothing is wrong, 1 that
//! there are anomalies, 2 that the file cannot be judged.

use std::fs::File;
use std::io::{self, BufReader, IsTerminal, Write};
use std::process::ExitCode;

use thalweg_checker::{Anomaly, Options, Report, check, json};

const USAGE: &str = "usage: thalweg-check [--json | --table] [--retention-slack-ms N] FILE

Judges a history of operations, one JSON object a line; FILE may be - for standard input.
Prints a table on a terminal, JSON in a pipe. Exit code: 0 clean, 1 anomalies, 2 not judged.";

/// What the command line asks for.
#[derive(Default)]
struct Request {
    file: Option<String>,
    json: Option<bool>,
    options: Options,
}

fn main() -> ExitCode {
    match judge(std::env::args().skip(1)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(message) => {
            eprintln!("{message}");
            ExitCode::from(2)
        }
    }
}

fn judge(arguments: impl Iterator<Item = String>) -> Result<bool, String> {
    let request = parse(arguments)?;
    let name = request.file.ok_or(USAGE)?;
    let told = |error: &dyn std::fmt::Display| format!("{name}: {error}");
    let history = match name.as_str() {
        "-" => json::read(io::stdin().lock()),
        _ => json::read(BufReader::new(File::open(&name).map_err(|error| told(&error))?)),
    };
    let report = check(&history.map_err(|error| told(&error))?, &request.options).map_err(|error| told(&error))?;
    let mut out = io::stdout().lock();
    let printed = match request.json.unwrap_or(!out.is_terminal()) {
        true => serde_json::to_writer_pretty(&mut out, &report).map_err(io::Error::from).and_then(|()| writeln!(out)),
        false => table(&mut out, &report),
    };
    printed.map_err(|error| told(&error))?;
    Ok(report.is_clean())
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Request, String> {
    let mut request = Request::default();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--json" => request.json = Some(true),
            "--table" => request.json = Some(false),
            "--retention-slack-ms" => {
                let number = arguments.next().and_then(|number| number.parse().ok());
                request.options.retention_slack_ms = number.ok_or("--retention-slack-ms takes a number")?;
            }
            option if option.starts_with("--") => return Err(USAGE.to_owned()),
            _ if request.file.is_some() => return Err(USAGE.to_owned()),
            _ => request.file = Some(argument),
        }
    }
    Ok(request)
}

fn table(out: &mut impl Write, report: &Report) -> io::Result<()> {
    let figures = &report.figures;
    let (writes, acked, read) = (figures.writes, figures.acked, figures.acked_read);
    writeln!(out, "{writes} writes, {acked} acknowledged: {read} of them read back,")?;
    let (expired, unjudged) = (figures.acked_expired, figures.acked_unjudged);
    writeln!(out, "{expired} expired, {unjudged} where no reader came. {} records read", figures.records_read)?;
    writeln!(out, "by {} readers in {} shards.", figures.readers, figures.shards)?;
    if report.is_clean() {
        return writeln!(out, "No anomalies.");
    }
    writeln!(out)?;
    let rows = report.anomalies.iter().map(row);
    let rows: Vec<[String; 4]> =
        [["anomaly", "shard", "position", "what"].map(str::to_owned)].into_iter().chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2)];
    for [kind, shard, position, what] in &rows {
        let [first, second, third] = widths;
        writeln!(out, "{kind:first$}  {shard:second$}  {position:>third$}  {what}")?;
    }
    let counts: Vec<_> = report.counts.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    writeln!(out, "\n{}", counts.join(", "))
}

fn row(anomaly: &Anomaly) -> [String; 4] {
    let text = |value: Option<String>| value.unwrap_or_default();
    [
        anomaly.kind.to_string(),
        text(anomaly.shard.map(|shard| shard.to_string())),
        text(anomaly.position.map(|position| position.to_string())),
        anomaly.detail.clone(),
    ]
}
