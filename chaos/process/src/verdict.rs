//! What a run has shown: the checker's report, what else went wrong, what was exercised.
//!
//! Holds: a run passes when nothing was found, everything acknowledged was read back, and every
//! kind of fault of its scenario happened.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use anyhow::Context;
use thalweg_checker::{History, Options, Report, json};

use crate::faults::Kind;
use crate::gaps::{Heard, Summary, summary};
use crate::nemesis::Fault;
use crate::observe::View;
use crate::record::{Recorder, Violation};
use crate::report;
use crate::run::Settings;
use crate::scenario::Scenario;
use crate::timeline::Sample;

/// How much longer than its retention a record may be read: the pace of the sweep and a replica's lag.
const RETENTION_SLACK_MS: u64 = 120_000;
/// Descriptions of anomalies that are printed.
const SHOWN_MAX: usize = 12;
/// Begins the line of a panic in a node's log.
const PANIC: &str = "panicked at";

/// What a kind of fault cost.
pub(crate) struct Row {
    /// The kind.
    pub(crate) name: &'static str,
    /// Its codes in the project's list.
    pub(crate) codes: String,
    /// What it is.
    pub(crate) about: &'static str,
    /// Silences of shards as writers saw them.
    pub(crate) writes: Summary,
    /// As a tail saw them.
    pub(crate) reads: Summary,
}

/// Everything that a run leaves behind.
#[derive(Debug)]
pub(crate) struct Verdict {
    /// The scenario's sentence about itself.
    pub(crate) about: String,
    /// What the command line said.
    pub(crate) settings: Settings,
    /// What the checker found.
    pub(crate) checked: Report,
    /// What else went wrong.
    pub(crate) violations: Vec<Violation>,
    /// Faults, in the order in which they began.
    pub(crate) faults: Vec<Fault>,
    /// Each fault's longest silence of any shard: for writers, and for a tail.
    pub(crate) gaps: Vec<(Duration, Duration)>,
    /// The same of the times between faults.
    pub(crate) quiet: (Summary, Summary),
    /// Kinds of the scenario that never happened.
    pub(crate) missing: Vec<Kind>,
    /// The run second by second.
    pub(crate) samples: Vec<Sample>,
    /// How long it took.
    pub(crate) lasted: Duration,
    /// Splits and merges.
    pub(crate) reshards: usize,
    /// Codes that the load stands for: retries that were sent again, slow consumers, a hot key.
    pub(crate) codes_of_load: Vec<&'static str>,
}

impl Verdict {
    /// Judges, and writes the report and, if something was found, the history.
    pub(crate) fn reach(
        scenario: &Scenario,
        settings: &Settings,
        recorder: &Recorder,
        view: &View,
        faults: Vec<Fault>,
        samples: Vec<Sample>,
    ) -> anyhow::Result<Verdict> {
        let lasted = recorder.elapsed();
        let reshards = view.reshards();
        let count = reshards.len();
        reshards.into_iter().for_each(|reshard| recorder.reshard(reshard));
        note_panics(settings, recorder)?;
        let history = recorder.take_history();
        let options = Options { retention_slack_ms: RETENTION_SLACK_MS };
        let checked = thalweg_checker::check(&history, &options).context("the history was recorded wrongly")?;
        let (writes, reads) = (Heard::writes(&history), Heard::reads(&history, 1));
        let gaps = faults.iter().map(|fault| (writes.gap_of(fault, &faults), reads.gap_of(fault, &faults))).collect();
        let quiet = (summary(writes.quiet_gaps(&faults)), summary(reads.quiet_gaps(&faults)));
        let happened: BTreeSet<Kind> = faults.iter().filter(|fault| !fault.failed).map(|fault| fault.kind).collect();
        let named: BTreeSet<Kind> = scenario.faults.iter().map(|fault| fault.kind).collect();
        let verdict = Verdict {
            about: scenario.about.clone(),
            settings: settings.clone(),
            checked,
            violations: recorder.violations(),
            faults,
            gaps,
            quiet,
            missing: named.difference(&happened).copied().collect(),
            samples,
            lasted,
            reshards: count,
            codes_of_load: codes_of_load(scenario, &history),
        };
        verdict.keep(&history)?;
        Ok(verdict)
    }

    fn keep(&self, history: &History) -> anyhow::Result<()> {
        let results = &self.settings.results;
        std::fs::write(results.join("report.html"), report::html(self))?;
        std::fs::write(results.join("summary.txt"), self.summary())?;
        let file = results.join("history.jsonl");
        if self.passed() {
            // What an earlier run left would be taken for this one's.
            let _ = std::fs::remove_file(file);
        } else {
            json::write(history, std::fs::File::create(file)?)?;
        }
        Ok(())
    }

    /// Whether nothing was found.
    pub(crate) fn passed(&self) -> bool {
        let unjudged = self.checked.figures.acked_unjudged > 0;
        self.checked.is_clean() && self.violations.is_empty() && self.missing.is_empty() && !unjudged
    }

    /// By kind: how often it happened, and the gaps of writers and of a tail.
    pub(crate) fn by_kind(&self) -> BTreeMap<Kind, (Summary, Summary)> {
        let mut gaps: BTreeMap<Kind, (Vec<Duration>, Vec<Duration>)> = BTreeMap::new();
        for (fault, (write, read)) in self.faults.iter().zip(&self.gaps).filter(|(fault, _)| !fault.failed) {
            let of_kind = gaps.entry(fault.kind).or_default();
            of_kind.0.push(*write);
            of_kind.1.push(*read);
        }
        gaps.into_iter().map(|(kind, (writes, reads))| (kind, (summary(writes), summary(reads)))).collect()
    }

    /// A line for each kind, and one for no fault if it was ever quiet: name, code, what it is, and
    /// the gaps of writers and of a tail.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let row = |(kind, (writes, reads)): (Kind, _)| Row {
            name: kind.name(),
            codes: kind.codes().join(" "),
            about: kind.about(),
            writes,
            reads,
        };
        let (writes, reads) = self.quiet;
        let about = "what the load and the machine make of it by themselves";
        let quiet = Row { name: "(no fault)", codes: String::new(), about, writes, reads };
        self.by_kind().into_iter().map(row).chain((writes.count > 0).then_some(quiet)).collect()
    }

    /// Codes of the project's list that were exercised, by faults or by the load itself.
    pub(crate) fn codes(&self) -> BTreeSet<&'static str> {
        let of_faults = self.by_kind().into_keys().flat_map(|kind| kind.codes().iter().copied());
        of_faults.chain(self.codes_of_load.iter().copied()).collect()
    }

    /// The end of what is printed.
    pub(crate) fn summary(&self) -> String {
        let mut text = String::new();
        self.write_summary(&mut text).expect("a string takes everything");
        text
    }

    fn write_summary(&self, to: &mut String) -> std::fmt::Result {
        writeln!(to, "\n{:<20} {:>5}  longest gap of a shard in ms: writes        a tail", "fault", "times")?;
        writeln!(
            to,
            "{:<20} {:>5}  {:>9} {:>8} {:>8}   {:>8} {:>8}",
            "", "", "p50", "p99", "longest", "p50", "longest"
        )?;
        for Row { name, writes, reads, .. } in self.rows() {
            let ms = |time: Duration| time.as_millis();
            let (p50, p99, longest) = (ms(writes.p50), ms(writes.p99), ms(writes.longest));
            let (read_p50, read_longest) = (ms(reads.p50), ms(reads.longest));
            let count = writes.count;
            writeln!(to, "{name:<20} {count:>5}  {p50:>9} {p99:>8} {longest:>8}   {read_p50:>8} {read_longest:>8}")?;
        }
        let figures = &self.checked.figures;
        writeln!(
            to,
            "\n{} faults of {} kinds ({} of the list's 56) in {:.0} s; {} reshards",
            self.faults.iter().filter(|fault| !fault.failed).count(),
            self.by_kind().len(),
            self.codes().len(),
            self.lasted.as_secs_f64(),
            self.reshards
        )?;
        writeln!(
            to,
            "{} records acknowledged, {} of them read back where they should be, {} not judged; {} refused, {} unknown; \
             {} received by {} readers and passes in {} shards",
            figures.acked,
            figures.acked_read,
            figures.acked_unjudged,
            figures.definite,
            figures.indefinite,
            figures.records_read,
            figures.readers,
            figures.shards
        )?;
        self.write_findings(to)
    }

    fn write_findings(&self, to: &mut String) -> std::fmt::Result {
        for (kind, count) in &self.checked.counts {
            writeln!(to, "FOUND {count} x {kind}")?;
        }
        for anomaly in self.checked.anomalies.iter().take(SHOWN_MAX) {
            let shard = anomaly.shard.map_or_else(String::new, |shard| format!(" in {shard}"));
            writeln!(to, "  {}{shard}: {}", anomaly.kind, anomaly.detail)?;
        }
        for violation in &self.violations {
            writeln!(to, "VIOLATION at {:.1} s: {}", violation.at as f64 / 1e9, violation.what)?;
        }
        for kind in &self.missing {
            writeln!(to, "MISSING: `{}` never happened", kind.name())?;
        }
        let Settings { name, seed, results, .. } = &self.settings;
        let verdict = if self.passed() { "PASSED" } else { "FAILED" };
        writeln!(to, "{verdict}: {name}, seed {seed}; report: {}", results.join("report.html").display())?;
        if !self.passed() {
            let minutes = self.settings.lasts.as_secs_f64() / 60.0;
            writeln!(to, "again: make chaos SCENARIO={name} SEED={seed} MINUTES={minutes:.1}")?;
        }
        Ok(())
    }
}

fn codes_of_load(scenario: &Scenario, history: &History) -> Vec<&'static str> {
    let retried = history.writes.iter().any(|write| write.attempts > 1);
    let all = [("F53", retried), ("F54", scenario.load.slow > 0), ("F56", scenario.load.hot_key > 0.0)];
    all.into_iter().filter(|(_, present)| *present).map(|(code, _)| code).collect()
}

/// A panic in any node's log is a violation, whatever became of it.
fn note_panics(settings: &Settings, recorder: &Recorder) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(&settings.results)?.flatten() {
        if entry.path().extension().is_some_and(|extension| extension == "log") {
            let log = std::fs::read_to_string(entry.path()).unwrap_or_default();
            for line in log.lines().filter(|line| line.contains(PANIC)) {
                recorder.violation(format!("{}: {line}", entry.file_name().to_string_lossy()));
            }
        }
    }
    Ok(())
}
