//! What a run exercised and what it came to, as tables; and what it should have met and did not.

use std::collections::BTreeMap;
use std::fmt::Write;

use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;

use crate::corruption::case::Damage;
use crate::corruption::files::FileKind;
use crate::cuts::Moment;
use crate::fault_disk::Fault;
use crate::judge::Finding;
use crate::sandbox::FileSystem;
use crate::{corruption, cuts, errors, failpoints};

/// What each part came to; nothing for a part that did not run.
#[derive(Default)]
pub struct Report {
    /// Failpoints.
    pub failpoints: Option<failpoints::Tally>,
    /// Bad disks: each scenario, and what went wrong.
    pub errors: Option<Vec<(&'static str, Option<String>)>>,
    /// Damaged files.
    pub corruptions: Option<corruption::run::Tally>,
    /// Power cuts.
    pub cuts: Option<cuts::Tally>,
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header(header.to_vec());
    table
}

impl Report {
    /// Everything as text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let mut part = |title: String, table: Table| {
            writeln!(text, "\n{title}\n{table}").expect("text can be written to text");
        };
        if let Some(tally) = &self.failpoints {
            part(failpoint_title(tally), failpoint_table(tally));
        }
        if let Some(scenarios) = &self.errors {
            let mut rows = table(&["disk", "result"]);
            for (name, failure) in scenarios {
                rows.add_row([*name, failure.as_deref().map_or("kept the promise", |_| "BROKEN")]);
            }
            part(format!("Bad disks: {}", scenarios.len()), rows);
        }
        if let Some(tally) = &self.corruptions {
            let title = format!("Damaged files: {} cases, {} healed by a peer's copies", tally.damaged, tally.healed);
            part(title, corruption_table(tally));
        }
        if let Some(tally) = &self.cuts {
            part(cut_title(tally), cut_table(tally));
        }
        text
    }

    /// Broken promises.
    pub fn broken(&self) -> Vec<String> {
        let mut broken = Vec::new();
        broken.extend(self.failpoints.iter().flat_map(|tally| tally.broken.clone()));
        let failures = |(name, failure): &(&'static str, Option<String>)| Some(format!("{name}: {}", failure.clone()?));
        broken.extend(self.errors.iter().flatten().filter_map(failures));
        let cases = self.corruptions.iter().flat_map(|tally| &tally.broken);
        broken.extend(cases.map(|(case, why)| format!("{case:?}: {why}")));
        broken.extend(self.cuts.iter().flat_map(|tally| tally.broken.clone()));
        broken
    }

    /// Kinds of faults that a part which ran never met.
    pub fn unmet(&self) -> Vec<String> {
        let mut unmet = Vec::new();
        if let Some(tally) = &self.failpoints {
            for fault in Fault::ALL {
                for place in ["simulated", "real"] {
                    let met = tally.runs.keys().any(|(at, _, met)| *at == place && *met == fault);
                    unmet.extend((!met).then(|| format!("failpoint {fault:?} on the {place} disk")));
                }
            }
        }
        if let Some(scenarios) = &self.errors {
            let known = errors::SCENARIOS.iter().map(|scenario| scenario.name);
            unmet.extend(known.filter(|name| !scenarios.iter().any(|(met, _)| met == name)).map(str::to_owned));
        }
        if let Some(tally) = &self.corruptions {
            let met = |is: &dyn Fn(&(FileKind, &str)) -> bool| tally.led_to.keys().any(is);
            let kinds = FileKind::ALL.into_iter().filter(|kind| !met(&|(of, _)| of == kind));
            unmet.extend(kinds.map(|kind| format!("damage to a {kind}")));
            let names = Damage::NAMES.into_iter().filter(|name| !met(&|(_, by)| by == name));
            unmet.extend(names.map(|name| format!("damage `{name}`")));
        }
        if let Some(tally) = &self.cuts {
            for (moment, kind) in Moment::ALL.into_iter().flat_map(|m| FileSystem::ALL.map(|kind| (m, kind.name()))) {
                let met = tally.cuts.contains_key(&(kind, moment));
                unmet.extend((!met).then(|| format!("{} on {kind}", moment.name())));
            }
        }
        unmet
    }
}

fn failpoint_title(tally: &failpoints::Tally) -> String {
    let runs: u64 = tally.runs.values().sum();
    format!("Failpoints: {runs} runs; the log stopped in {}, went on in {}", tally.stopped, tally.went_on)
}

fn failpoint_table(tally: &failpoints::Tally) -> Table {
    let mut rows = table(&["step", "simulated disk", "real file system and RocksDB"]);
    let mut steps: BTreeMap<_, [u64; 2]> = BTreeMap::new();
    for ((place, step, _), runs) in &tally.runs {
        steps.entry(*step).or_default()[usize::from(*place == "real")] += runs;
    }
    for (step, [simulated, real]) in steps {
        rows.add_row([format!("{step:?}"), simulated.to_string(), real.to_string()]);
    }
    rows
}

fn corruption_table(tally: &corruption::run::Tally) -> Table {
    let mut header = vec!["file".to_owned(), "damage".to_owned()];
    header.extend(Finding::ALL.map(|finding| finding.to_string()));
    let mut rows = Table::new();
    rows.load_style(UTF8_FULL_CONDENSED).set_header(header);
    for ((kind, damage), led_to) in &tally.led_to {
        let mut row = vec![kind.to_string(), (*damage).to_owned()];
        row.extend(Finding::ALL.map(|finding| led_to.get(&finding).map_or(String::new(), u64::to_string)));
        rows.add_row(row);
    }
    rows
}

fn cut_title(tally: &cuts::Tally) -> String {
    let (cuts, acknowledged, replayed) = (tally.power_cuts(), tally.acknowledged, tally.replayed);
    format!("Power cuts: {cuts}; {acknowledged} of {} calls acknowledged, {replayed} records replayed", tally.called)
}

fn cut_table(tally: &cuts::Tally) -> Table {
    let mut rows = table(&["moment", "ext4", "xfs"]);
    for moment in Moment::ALL {
        let count = |kind: FileSystem| tally.cuts.get(&(kind.name(), moment)).copied().unwrap_or(0).to_string();
        rows.add_row([moment.name().to_owned(), count(FileSystem::Ext4), count(FileSystem::Xfs)]);
    }
    rows
}
