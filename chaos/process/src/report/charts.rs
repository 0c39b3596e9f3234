//! The drawing: rows above one another on one axis of time. Pure.
//!
//! ```text
//!   records a second │ latency, logarithmic │ leaders of shards by node │ nodes: up, halted, down
//!   faults as bars, packed into rows, shaded through all of it
//! ```

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use thalweg_client::NodeId;

use super::{escape, lasted, span};
use crate::nemesis::Fault;
use crate::node::State;
use crate::timeline::Sample;

const WIDTH: f64 = 1_240.0;
/// Where the drawing begins and ends; labels stand left of it.
const LEFT: f64 = 118.0;
const RIGHT: f64 = WIDTH - 18.0;
const ROW_GAP: f64 = 30.0;
const BAR: f64 = 13.0;
/// Latencies from this to [`SLOWEST_MS`] are told apart.
const FASTEST_MS: f64 = 1.0;
const SLOWEST_MS: f64 = 30_000.0;
/// Colours of nodes, in turn.
const NODES: [&str; 9] =
    ["#2c6fbb", "#d08a2e", "#2a8a84", "#b0506f", "#7b6bb8", "#6d8f3c", "#9a6b4f", "#4f8fa8", "#8a8f98"];

/// A drawing that grows downwards.
struct Canvas {
    svg: String,
    seconds: f64,
    top: f64,
}

/// The whole drawing.
pub(super) fn timeline(samples: &[Sample], faults: &[Fault], lasted: Duration) -> String {
    let mut canvas = Canvas { svg: String::new(), seconds: lasted.as_secs_f64().max(1.0), top: 26.0 };
    canvas.rates(samples);
    canvas.latencies(samples);
    canvas.leaders(samples);
    canvas.states(samples);
    let shaded = canvas.top;
    canvas.faults(faults);
    canvas.axis();
    let shades = shades(&canvas, faults, shaded);
    let height = canvas.top + 8.0;
    format!("<svg viewBox='0 0 {WIDTH} {height:.0}' role=img>{shades}{}</svg>", canvas.svg)
}

/// Time of faults behind the rows above.
fn shades(canvas: &Canvas, faults: &[Fault], to: f64) -> String {
    let mut svg = String::new();
    for fault in faults {
        let (x, width) = canvas.stretch(fault);
        let class = fault.kind.group().name();
        let _ = write!(svg, "<rect class='shade {class}' x={x:.1} y=20 width={width:.1} height={:.1} />", to - 20.0);
    }
    svg
}

impl Canvas {
    fn x(&self, at: f64) -> f64 {
        LEFT + (RIGHT - LEFT) * (at / self.seconds).clamp(0.0, 1.0)
    }

    fn stretch(&self, fault: &Fault) -> (f64, f64) {
        let x = self.x(fault.began as f64 / 1e9);
        let end = self.x(fault.ended.unwrap_or(fault.began) as f64 / 1e9);
        (x, (end - x).max(2.0))
    }

    fn put(&mut self, element: std::fmt::Arguments<'_>) {
        self.svg.write_fmt(element).expect("a string takes everything");
    }

    fn title(&mut self, text: &str) {
        let y = self.top - 8.0;
        self.put(format_args!("<text class=title x={LEFT} y={y:.1}>{text}</text>"));
    }

    fn grid(&mut self, y: f64, label: &str) {
        let (text_x, text_y) = (LEFT - 8.0, y + 4.0);
        self.put(format_args!("<line class=grid x1={LEFT} x2={RIGHT} y1={y:.1} y2={y:.1} />"));
        self.put(format_args!("<text x={text_x} y={text_y:.1} text-anchor=end>{label}</text>"));
    }

    /// A line through the values of all samples, as the points of an SVG path.
    fn path(&self, samples: &[Sample], y: impl Fn(&Sample) -> f64) -> String {
        let points = samples.iter().map(|sample| format!("{:.1} {:.1}", self.x(sample.at.as_secs_f64()), y(sample)));
        points.collect::<Vec<_>>().join("L")
    }

    fn rates(&mut self, samples: &[Sample]) {
        const HEIGHT: f64 = 110.0;
        self.title("records a second: acknowledged, and received by readers (thin, own scale)");
        let peak = |rate: fn(&Sample) -> f64| nice(samples.iter().map(rate).fold(1.0, f64::max));
        let (acked, read) = (peak(|sample| sample.acked_rate), peak(|sample| sample.read_rate));
        let (top, bottom) = (self.top, self.top + HEIGHT);
        for share in [0.0, 0.5, 1.0] {
            self.grid(bottom - HEIGHT * share, &short(acked * share));
        }
        let reads = self.path(samples, |sample| bottom - HEIGHT * sample.read_rate / read);
        self.put(format_args!("<path d='M{reads}' fill=none stroke='var(--reads)' stroke-width=1 />"));
        let acks = self.path(samples, |sample| bottom - HEIGHT * sample.acked_rate / acked);
        if let (Some(first), Some(last)) = (samples.first(), samples.last()) {
            let (from, to) = (self.x(first.at.as_secs_f64()), self.x(last.at.as_secs_f64()));
            self.put(format_args!(
                "<path d='M{from:.1} {bottom}L{acks}L{to:.1} {bottom}Z' fill='var(--acks)' fill-opacity=.18 />"
            ));
        }
        self.put(format_args!("<path d='M{acks}' fill=none stroke='var(--acks)' stroke-width=1.5 />"));
        self.top = top + HEIGHT + ROW_GAP;
    }

    fn latencies(&mut self, samples: &[Sample]) {
        const HEIGHT: f64 = 100.0;
        self.title("acknowledged within: p50 and p99 of each half second, logarithmic");
        let (top, bottom) = (self.top, self.top + HEIGHT);
        let y = |time: Duration| {
            let ms = (time.as_secs_f64() * 1e3).clamp(FASTEST_MS, SLOWEST_MS);
            bottom - HEIGHT * (ms / FASTEST_MS).ln() / (SLOWEST_MS / FASTEST_MS).ln()
        };
        for (ms, label) in [(1, "1 ms"), (10, "10 ms"), (100, "100 ms"), (1_000, "1 s"), (10_000, "10 s")] {
            self.grid(y(Duration::from_millis(ms)), label);
        }
        let told: Vec<Sample> = samples.iter().filter(|sample| sample.p50 > Duration::ZERO).cloned().collect();
        let (p99, p50) = (self.path(&told, |sample| y(sample.p99)), self.path(&told, |sample| y(sample.p50)));
        self.put(format_args!("<path d='M{p99}' fill=none stroke='var(--p99)' stroke-width=1.2 />"));
        self.put(format_args!("<path d='M{p50}' fill=none stroke='var(--p50)' stroke-width=1.5 />"));
        self.top = top + HEIGHT + ROW_GAP;
    }

    fn leaders(&mut self, samples: &[Sample]) {
        const HEIGHT: f64 = 90.0;
        self.title("shards led, by node");
        let (top, bottom) = (self.top, self.top + HEIGHT);
        let most = samples.iter().map(|sample| sample.open_shards).max().unwrap_or(1).max(1) as f64;
        self.grid(bottom, "0");
        self.grid(top, &format!("{most}"));
        let nodes = nodes(samples);
        for (turn, node) in nodes.iter().enumerate() {
            let upto = |sample: &Sample, nodes: &[NodeId]| -> f64 {
                let led = nodes.iter().map(|node| sample.leaders.get(node).copied().unwrap_or(0)).sum::<usize>();
                bottom - HEIGHT * (led as f64 / most).min(1.0)
            };
            let upper = self.path(samples, |sample| upto(sample, &nodes[..=turn]));
            let backwards: Vec<Sample> = samples.iter().rev().cloned().collect();
            let lower = self.path(&backwards, |sample| upto(sample, &nodes[..turn]));
            let color = NODES[turn % NODES.len()];
            self.put(format_args!(
                "<path d='M{upper}L{lower}Z' fill='{color}' fill-opacity=.75><title>node {node}</title></path>"
            ));
        }
        self.top = top + HEIGHT + ROW_GAP;
    }

    fn states(&mut self, samples: &[Sample]) {
        self.title("nodes: up in their colours, halted pale, down empty; the controller's leader underlined");
        for (turn, node) in nodes(samples).into_iter().enumerate() {
            let (y, label_y) = (self.top, self.top + 10.0);
            let label_x = LEFT - 8.0;
            self.put(format_args!("<text x={label_x} y={label_y:.1} text-anchor=end>node {node}</text>"));
            let state = |sample: &Sample| match sample.nodes.get(&node) {
                Some(State::Running) => 1.0,
                Some(State::Halted) => 0.3,
                _ => 0.0,
            };
            let color = NODES[turn % NODES.len()];
            for (from, to, opacity) in self.runs(samples, state) {
                if opacity > 0.0 {
                    let width = to - from;
                    self.put(format_args!(
                        "<rect x={from:.1} y={y:.1} width={width:.1} height=11 fill='{color}' fill-opacity={opacity} />"
                    ));
                }
            }
            let leads = |sample: &Sample| if sample.controller == Some(node) { 1.0 } else { 0.0 };
            for (from, to, _) in self.runs(samples, leads).into_iter().filter(|run| run.2 > 0.0) {
                let (width, line_y) = (to - from, y + 11.0);
                self.put(format_args!(
                    "<rect x={from:.1} y={line_y:.1} width={width:.1} height=2 fill='var(--ink)' />"
                ));
            }
            self.top += 18.0;
        }
        self.top += ROW_GAP - 6.0;
    }

    /// Stretches of samples with one value, as places on the axis.
    fn runs(&self, samples: &[Sample], value: impl Fn(&Sample) -> f64) -> Vec<(f64, f64, f64)> {
        let mut runs: Vec<(f64, f64, f64)> = Vec::new();
        for pair in samples.windows(2) {
            let (from, to) = (self.x(pair[0].at.as_secs_f64()), self.x(pair[1].at.as_secs_f64()));
            match runs.last_mut() {
                Some(last) if last.2 == value(&pair[0]) => last.1 = to,
                _ => runs.push((from, to, value(&pair[0]))),
            }
        }
        runs
    }

    fn faults(&mut self, faults: &[Fault]) {
        self.title("faults");
        let mut rows: Vec<f64> = Vec::new();
        for fault in faults {
            let (x, width) = self.stretch(fault);
            let text_width = 6.2 * fault.kind.name().len() as f64;
            let beside = x + width + text_width + 10.0 <= RIGHT;
            let needs = if beside { width + text_width + 10.0 } else { width };
            let row = rows.iter().position(|end| *end + 4.0 <= x).unwrap_or(rows.len());
            if row == rows.len() {
                rows.push(0.0);
            }
            rows[row] = x + needs;
            let y = self.top + row as f64 * (BAR + 4.0);
            let (class, failed) = (fault.kind.group().name(), if fault.failed { "failed" } else { "" });
            let (name, whom) = (fault.kind.name(), escape(&fault.whom));
            let (at, time) = (fault.began as f64 / 1e9, span(lasted(fault)));
            self.put(format_args!(
                "<g><title>{name} at {at:.1} s for {time}: {whom}</title>\
                 <rect class='bar {class} {failed}' x={x:.1} y={y:.1} width={width:.1} height={BAR} />"
            ));
            let (text_x, text_y) = (x + width + 4.0, y + 10.0);
            if beside {
                self.put(format_args!("<text x={text_x:.1} y={text_y:.1}>{name}</text>"));
            }
            self.put(format_args!("</g>"));
        }
        self.top += rows.len() as f64 * (BAR + 4.0) + 12.0;
    }

    fn axis(&mut self) {
        let y = self.top;
        self.put(format_args!("<line class=edge x1={LEFT} x2={RIGHT} y1={y:.1} y2={y:.1} />"));
        let step = [5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0];
        let step = step.into_iter().find(|step| self.seconds / step <= 14.0).unwrap_or(7_200.0);
        let mut at = 0.0;
        while at <= self.seconds {
            let (x, text_y) = (self.x(at), y + 15.0);
            let label = if step < 60.0 { format!("{at} s") } else { format!("{} min", at / 60.0) };
            self.put(format_args!("<text x={x:.1} y={text_y:.1} text-anchor=middle>{label}</text>"));
            at += step;
        }
        self.top += 22.0;
    }
}

/// All nodes that any sample knows, by id.
fn nodes(samples: &[Sample]) -> Vec<NodeId> {
    let ids: BTreeSet<NodeId> = samples.iter().flat_map(|sample| sample.nodes.keys().copied()).collect();
    ids.into_iter().collect()
}

/// The next number with one leading 1, 2 or 5.
fn nice(number: f64) -> f64 {
    let ten = 10f64.powf(number.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|factor| factor * ten).find(|nice| *nice >= number).unwrap_or(number)
}

fn short(number: f64) -> String {
    if number >= 1_000.0 { format!("{}k", number / 1_000.0) } else { format!("{number}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::Kind;

    #[test]
    fn a_run_of_any_length_is_drawn_within_its_bounds() {
        for seconds in [0u64, 7, 90, 10_000] {
            let sample = |at: u64| Sample { at: Duration::from_secs(at), acked_rate: 400.0, ..Sample::default() };
            let samples: Vec<Sample> = (0..seconds).map(sample).collect();
            let began = seconds * 500_000_000;
            let fault = Fault { kind: Kind::Kill, whom: "<1>".to_owned(), began, ended: None, failed: false };
            let svg = timeline(&samples, &[fault], Duration::from_secs(seconds));
            assert!(!svg.contains("NaN") && !svg.contains("inf") && svg.contains("&lt;1&gt;"), "{svg}");
        }
    }

    #[test]
    fn scales_end_with_round_numbers() {
        assert_eq!([1.0, 3.0, 47.0, 501.0].map(nice), [1.0, 5.0, 50.0, 1_000.0]);
    }
}
