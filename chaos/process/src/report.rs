//! The report: one page without anything from elsewhere, to look at and to keep.
//!
//! Drawings: [`charts`]. Colours follow the reader's light or dark setting.

mod charts;

use std::fmt::Write as _;
use std::time::Duration;

use crate::faults::{Group, Kind};
use crate::gaps::Summary;
use crate::nemesis::Fault;
use crate::verdict::{Row, Verdict};

/// Anomalies that are described.
const SHOWN_MAX: usize = 50;
const STYLE: &str = include_str!("report/style.css");

/// The page.
pub(crate) fn html(verdict: &Verdict) -> String {
    let mut page = String::new();
    write_page(&mut page, verdict).expect("a string takes everything");
    page
}

fn write_page(to: &mut String, verdict: &Verdict) -> std::fmt::Result {
    let settings = &verdict.settings;
    let (pill, word) = if verdict.passed() { ("good", "passed") } else { ("bad", "failed") };
    writeln!(
        to,
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>\
         <title>{name}, seed {seed}: {word}</title><style>{STYLE}</style><main>\
         <header><h1>{name} <small>seed {seed}</small></h1><span class='pill {pill}'>{word}</span><p>{about}</p></header>",
        name = escape(&settings.name),
        seed = settings.seed,
        about = escape(&verdict.about),
    )?;
    write_tiles(to, verdict)?;
    write_findings(to, verdict)?;
    writeln!(to, "<h2>Time line</h2>{}", charts::timeline(&verdict.samples, &verdict.faults, verdict.lasted))?;
    write_legend(to)?;
    write_kinds(to, verdict)?;
    write_faults(to, verdict)?;
    write_judged(to, verdict)?;
    writeln!(to, "</main></html>")
}

fn write_tiles(to: &mut String, verdict: &Verdict) -> std::fmt::Result {
    let figures = &verdict.checked.figures;
    let happened = verdict.faults.iter().filter(|fault| !fault.failed).count();
    let longest = verdict.gaps.iter().map(|(write, _)| *write).max().unwrap_or_default();
    let anomalies: u64 = verdict.checked.counts.values().sum();
    let wrong = anomalies + verdict.violations.len() as u64 + verdict.missing.len() as u64;
    let tiles = [
        (thousands(figures.acked), "records acknowledged"),
        (thousands(figures.records_read), "records received by readers"),
        (wrong.to_string(), "findings"),
        (happened.to_string(), "faults"),
        (format!("{} <i>of 56</i>", verdict.codes().len()), "kinds of the catalogue"),
        (verdict.reshards.to_string(), "splits and merges"),
        (span(longest), "longest write gap of a shard"),
        (span(verdict.lasted), "from first to last"),
    ];
    writeln!(to, "<section class=tiles>")?;
    for (value, label) in tiles {
        writeln!(to, "<div><b>{value}</b><span>{label}</span></div>")?;
    }
    writeln!(to, "</section>")
}

fn write_findings(to: &mut String, verdict: &Verdict) -> std::fmt::Result {
    if verdict.passed() {
        return writeln!(
            to,
            "<p class='note good'>Nothing acknowledged was lost, doubled, moved or misordered; every shard was alive and \
             every replica whole at the end; every kind of fault happened.</p>"
        );
    }
    writeln!(to, "<h2>Findings</h2><ul class=findings>")?;
    for anomaly in verdict.checked.anomalies.iter().take(SHOWN_MAX) {
        let shard = anomaly.shard.map_or_else(String::new, |shard| format!(" in {shard}"));
        writeln!(to, "<li><b>{}</b>{shard}: {}</li>", anomaly.kind, escape(&anomaly.detail))?;
    }
    for violation in &verdict.violations {
        let at = violation.at as f64 / 1e9;
        writeln!(to, "<li><b>at {at:.1} s</b>: <pre>{}</pre></li>", escape(&violation.what))?;
    }
    for kind in &verdict.missing {
        writeln!(to, "<li><b>missing</b>: {} never happened</li>", kind.name())?;
    }
    if verdict.checked.figures.acked_unjudged > 0 {
        writeln!(to, "<li><b>not judged</b>: {} records</li>", verdict.checked.figures.acked_unjudged)?;
    }
    writeln!(to, "</ul>")
}

fn write_legend(to: &mut String) -> std::fmt::Result {
    write!(to, "<p class=legend>")?;
    for group in Group::ALL {
        write!(to, "<span><i class='{0}'></i>{0}</span>", group.name())?;
    }
    writeln!(to, "</p>")
}

fn write_kinds(to: &mut String, verdict: &Verdict) -> std::fmt::Result {
    writeln!(
        to,
        "<h2>What each kind cost</h2><p class=quiet>The longest silence of any shard that overlaps the fault or the two \
         seconds after it, as clients saw it. Faults that overlap share their silences.</p><table><thead><tr><th>fault\
         <th>code<th>what it is<th class=n>times<th class=n>write gap p50<th class=n>p99<th class=n>longest\
         <th class=n>tail gap p50<th class=n>longest</thead><tbody>"
    )?;
    for Row { name: kind, codes, about, writes, reads } in verdict.rows() {
        let Summary { count, p50, p99, longest } = writes;
        writeln!(
            to,
            "<tr><td>{}<td>{}<td class=quiet>{}<td class=n>{count}<td class=n>{}<td class=n>{}<td class=n>{}\
             <td class=n>{}<td class=n>{}",
            escape(kind),
            codes,
            escape(about),
            span(p50),
            span(p99),
            span(longest),
            span(reads.p50),
            span(reads.longest),
        )?;
    }
    writeln!(to, "</tbody></table>")
}

fn write_faults(to: &mut String, verdict: &Verdict) -> std::fmt::Result {
    writeln!(
        to,
        "<h2>Every fault</h2><details><summary>{} in the order in which they began</summary><table><thead><tr>\
         <th class=n>at<th>fault<th>to whom<th class=n>lasted<th class=n>write gap<th class=n>tail gap</thead><tbody>",
        verdict.faults.len()
    )?;
    for (fault, (write, read)) in verdict.faults.iter().zip(&verdict.gaps) {
        let class = if fault.failed { " class=failed" } else { "" };
        writeln!(
            to,
            "<tr{class}><td class=n>{:.1} s<td>{}<td>{}<td class=n>{}<td class=n>{}<td class=n>{}",
            fault.began as f64 / 1e9,
            name(fault.kind),
            escape(&fault.whom),
            span(lasted(fault)),
            span(*write),
            span(*read),
        )?;
    }
    writeln!(to, "</tbody></table></details>")
}

fn write_judged(to: &mut String, verdict: &Verdict) -> std::fmt::Result {
    let figures = &verdict.checked.figures;
    let rows = [
        ("sent", figures.writes),
        ("acknowledged", figures.acked),
        ("of these read back at their positions", figures.acked_read),
        ("of these not judged", figures.acked_unjudged),
        ("definitely refused", figures.definite),
        ("of unknown outcome", figures.indefinite),
        ("received, by all readers", figures.records_read),
        ("readers, each pass of a poller one of them", figures.readers),
        ("shards", figures.shards),
    ];
    writeln!(to, "<h2>What the checker judged</h2><table class=small><tbody>")?;
    for (what, count) in rows {
        writeln!(to, "<tr><td>{what}<td class=n>{}", thousands(count))?;
    }
    let settings = &verdict.settings;
    writeln!(
        to,
        "</tbody></table><p class=quiet>Again: <code>make chaos SCENARIO={} SEED={}</code>. The seed fixes the load and \
         the order of the faults; what the machine makes of them is its own.</p>",
        escape(&settings.name),
        settings.seed
    )
}

fn name(kind: Kind) -> String {
    format!("<i class='{}'></i>{}", kind.group().name(), kind.name())
}

fn lasted(fault: &Fault) -> Duration {
    Duration::from_nanos(fault.ended.unwrap_or(fault.began) - fault.began)
}

/// A time for people.
fn span(time: Duration) -> String {
    match time.as_millis() {
        0 => "–".to_owned(),
        ms @ 1..1_000 => format!("{ms} ms"),
        ms @ 1_000..120_000 => format!("{:.1} s", ms as f64 / 1e3),
        ms => format!("{:.1} min", ms as f64 / 6e4),
    }
}

/// A number in groups of three digits.
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push('\u{202f}');
        }
        grouped.push(digit);
    }
    grouped
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_read_well() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(thousands), ["0", "999", "1\u{202f}000", "1\u{202f}234\u{202f}567"]);
        assert_eq!(
            [0, 12, 1_500, 90_000, 150_000].map(|ms| span(Duration::from_millis(ms))),
            ["–", "12 ms", "1.5 s", "90.0 s", "2.5 min"]
        );
        assert_eq!(escape("<a & b>"), "&lt;a &amp; b&gt;");
    }
}
