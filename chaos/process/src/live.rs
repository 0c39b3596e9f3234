//! What is happening, for whoever watches: a panel on a terminal, a line now and then in a pipe.

use std::collections::BTreeSet;
use std::io::{IsTerminal, Write};
use std::time::Duration;

use thalweg_client::NodeId;

use crate::faults::Kind;
use crate::nemesis::{Fault, Minutes};
use crate::node::State;
use crate::record::Recorder;
use crate::timeline::{Sample, Timeline};

/// Between two lines in a pipe.
const LINE_INTERVAL: Duration = Duration::from_secs(5);
/// Samples in the little chart.
const SPARKS: usize = 60;
/// Faults that are over and still shown.
const PAST_SHOWN: usize = 4;
const LEVELS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const RESET: &str = "\x1b[0m";
const BOLD: &str = "\x1b[1m";
const DIM: &str = "\x1b[2m";
const RED: &str = "\x1b[31m";
const GREEN: &str = "\x1b[32m";
const YELLOW: &str = "\x1b[33m";

/// Draws on standard error.
#[derive(Debug)]
pub(crate) struct Live {
    title: String,
    ends: Duration,
    terminal: bool,
    drawn_lines: usize,
    told: Duration,
}

impl Live {
    /// The view of one run whose faults end at `ends`.
    pub(crate) fn new(name: &str, seed: u64, ends: Duration) -> Live {
        let terminal = std::io::stderr().is_terminal();
        let title = format!("chaos: {name}, seed {seed}");
        Live { title, ends, terminal, drawn_lines: 0, told: Duration::ZERO }
    }

    /// A sentence that stays.
    pub(crate) fn say(&mut self, what: &str) {
        let _ = writeln!(std::io::stderr(), "{what}");
        self.drawn_lines = 0;
    }

    /// Shows the newest.
    pub(crate) fn draw(&mut self, timeline: &Timeline, minutes: &Minutes, recorder: &Recorder) {
        let (sample, faults) = (timeline.newest(), minutes.faults());
        if self.terminal {
            let recent = timeline.recent(SPARKS);
            self.draw_panel(&panel(&self.title, self.ends, &sample, &recent, &faults, recorder));
        } else {
            self.tell(&sample, &faults, recorder);
        }
    }

    fn draw_panel(&mut self, lines: &[String]) {
        let mut text = String::new();
        if self.drawn_lines > 0 {
            text.push_str(&format!("\x1b[{}A", self.drawn_lines));
        }
        lines.iter().for_each(|line| text.push_str(&format!("\x1b[2K{line}\n")));
        text.push_str("\x1b[J");
        self.drawn_lines = lines.len();
        let _ = std::io::stderr().write_all(text.as_bytes());
    }

    fn tell(&mut self, sample: &Sample, faults: &[Fault], recorder: &Recorder) {
        if sample.at < self.told + LINE_INTERVAL {
            return;
        }
        self.told = sample.at;
        let under_way: Vec<&str> = running(faults).map(|fault| fault.kind.name()).collect();
        let over = faults.iter().filter(|fault| fault.ended.is_some()).count();
        let _ = writeln!(
            std::io::stderr(),
            "{:>5.0} s  {:>6.0} acks/s  p50 {:>4} ms  p99 {:>5} ms  {:>7.0} reads/s  {} refused  {} unknown  \
             {} shards  faults: {over} over, now {}  violations: {}",
            sample.at.as_secs_f64(),
            sample.acked_rate,
            sample.p50.as_millis(),
            sample.p99.as_millis(),
            sample.read_rate,
            sample.totals.refused,
            sample.totals.unknown,
            sample.open_shards,
            if under_way.is_empty() { "none".to_owned() } else { under_way.join(", ") },
            recorder.violations().len(),
        );
    }
}

fn running(faults: &[Fault]) -> impl Iterator<Item = &Fault> {
    faults.iter().filter(|fault| fault.ended.is_none())
}

fn panel(
    title: &str,
    ends: Duration,
    sample: &Sample,
    recent: &[Sample],
    faults: &[Fault],
    recorder: &Recorder,
) -> Vec<String> {
    let (at, left) = (sample.at.as_secs(), ends.saturating_sub(sample.at).as_secs());
    let mut lines = vec![format!("{BOLD}{title}{RESET}   {at} s, {left} s to go at most")];
    for part in [node_lines(sample), load_lines(sample, recent), fault_lines(sample, faults, recorder)] {
        lines.push(String::new());
        lines.extend(part);
    }
    lines
}

fn node_lines(sample: &Sample) -> Vec<String> {
    let line = |(id, state): (&NodeId, &State)| {
        let leads = sample.leaders.get(id).copied().unwrap_or(0);
        let color = match state {
            State::Running => GREEN,
            State::Halted => YELLOW,
            State::Down | State::Gone => RED,
        };
        let bar = "■".repeat(leads);
        let controller = if sample.controller == Some(*id) { " controller" } else { "" };
        format!("  node {id:<3} {color}{state:<8}{RESET} leads {leads:>2} {bar}{DIM}{controller}{RESET}")
    };
    sample.nodes.iter().map(line).collect()
}

fn load_lines(sample: &Sample, recent: &[Sample]) -> Vec<String> {
    let peak = recent.iter().map(|sample| sample.acked_rate).fold(1.0, f64::max);
    let spark: String = recent.iter().map(|sample| level(sample.acked_rate / peak)).collect();
    let (p50, p99) = (sample.p50.as_millis(), sample.p99.as_millis());
    let totals = &sample.totals;
    let (acked, refused, unknown) = (totals.acked, totals.refused, totals.unknown);
    vec![
        format!("  acks   {:>6.0}/s {spark}", sample.acked_rate),
        format!("  within {p50} ms (p50), {p99} ms (p99); reads {:.0}/s", sample.read_rate),
        format!("  {acked} acknowledged, {refused} refused, {unknown} unknown; {} shards", sample.open_shards),
    ]
}

fn fault_lines(sample: &Sample, faults: &[Fault], recorder: &Recorder) -> Vec<String> {
    let now = |fault: &Fault| {
        let (name, about) = (fault.kind.name(), fault.kind.about());
        let secs = sample.at.as_secs_f64() - fault.began as f64 / 1e9;
        format!("  {YELLOW}▶ {name:<18}{RESET} {secs:>5.1} s  {DIM}{about}{RESET}")
    };
    let past = |fault: &&Fault| {
        let (color, mark) = if fault.failed { (RED, '✗') } else { (DIM, '✓') };
        let whom: String = fault.whom.lines().next().unwrap_or_default().chars().take(80).collect();
        format!("  {color}{mark} {:<18} {whom}{RESET}", fault.kind.name())
    };
    let over: Vec<&Fault> = faults.iter().filter(|fault| fault.ended.is_some()).collect();
    let kinds: BTreeSet<Kind> = over.iter().map(|fault| fault.kind).collect();
    let violations = recorder.violations().len();
    let color = if violations > 0 { RED } else { GREEN };
    let sum = format!("  {} faults of {} kinds; {color}{violations} violations{RESET}", over.len(), kinds.len());
    running(faults).map(now).chain(over.iter().rev().take(PAST_SHOWN).map(past)).chain([sum]).collect()
}

fn level(share: f64) -> char {
    LEVELS[((share.clamp(0.0, 1.0) * (LEVELS.len() - 1) as f64).round()) as usize]
}
