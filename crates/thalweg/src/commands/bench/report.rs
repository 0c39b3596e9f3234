//! The figures of a measurement: one JSON object, or a table for people.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Map, Value, json};
use thalweg_client::Durability;

use super::Common;
use super::meter::Counts;
use super::session::Session;
use super::usage::Usage;
use crate::cli::Format;
use crate::host::megabytes_per_second;
use crate::human;
use crate::output::{print_text, render_facts};

/// Figures by name, in the order in which they are shown.
pub(super) struct Report {
    object: Map<String, Value>,
    facts: Vec<(&'static str, String)>,
}

impl Report {
    /// Begins with what was measured, and the host's limits.
    pub(super) fn new(what: &'static str, session: &Session, common: &Common) -> Report {
        let mut report = Report { object: Map::new(), facts: Vec::new() };
        let (stream, shards) = (&session.stream, session.shards().len());
        let durability = if stream.durability == Durability::Os { "os" } else { "fsync" };
        report.set("bench", what);
        report.set("version", env!("CARGO_PKG_VERSION"));
        report.set("shards", shards);
        report.set("replication", stream.replication);
        report.set("durability", durability);
        report.set("record_bytes", common.record_size);
        report.set("warm_up_s", common.warm_up.as_secs_f64());
        report.fact(
            "measured",
            format!(
                "{what}, {shards} shards × {} replicas, {durability}, records of {}",
                stream.replication,
                human::bytes(u64::from(common.record_size))
            ),
        );
        report.host(session);
        report
    }

    /// A figure for programs only.
    pub(super) fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.object.insert(name.to_owned(), value.into());
    }

    /// A line for people only.
    pub(super) fn fact(&mut self, name: &'static str, value: impl Into<String>) {
        self.facts.push((name, value.into()));
    }

    fn host(&mut self, session: &Session) {
        let Some(host) = &session.host else { return };
        let object = json!({
            "sync_block_bytes": host.sync.block_bytes,
            "sync_mb_per_s": rounded(host.sync.mb_per_s),
            "sync_p50_us": host.sync.p50_us,
            "sync_p99_us": host.sync.p99_us,
            "loopback_mb_per_s": rounded(host.loopback_mb_per_s),
        });
        self.set("host", object);
        self.fact(
            "host sync",
            format!(
                "{:.0} MB/s in {} with fdatasync each, p50 {}, p99 {}",
                host.sync.mb_per_s,
                human::bytes(host.sync.block_bytes as u64),
                human::latency(host.sync.p50_us),
                human::latency(host.sync.p99_us),
            ),
        );
        self.fact("host loopback", format!("{:.0} MB/s", host.loopback_mb_per_s));
    }

    /// Bytes and records a second, and their share of what the host can sync.
    pub(super) fn throughput(&mut self, counts: &Counts, duration: Duration) {
        let rate = megabytes_per_second(counts.bytes, duration);
        let records_per_s = counts.records as f64 / duration.as_secs_f64();
        self.set("duration_s", duration.as_secs_f64());
        self.set("records", counts.records);
        self.set("bytes", counts.bytes);
        self.set("total_bytes", counts.total_bytes);
        self.set("mb_per_s", rounded(rate));
        self.set("records_per_s", rounded(records_per_s));
        let sync = self.object.get("host").and_then(|host| host["sync_mb_per_s"].as_f64()).filter(|sync| *sync > 0.0);
        let share = sync.map(|sync| {
            self.set("share_of_host_sync", rounded(rate / sync));
            format!(", {:.0} % of the host's sync", 100.0 * rate / sync)
        });
        self.fact("throughput", format!("{rate:.1} MB/s, {records_per_s:.0} records/s{}", share.unwrap_or_default()));
    }

    /// Quantiles of latencies in microseconds.
    pub(super) fn latencies(&mut self, name: &'static str, latencies: &Histogram<u64>) {
        let at = |quantile: f64| latencies.value_at_quantile(quantile);
        let object = json!({
            "count": latencies.len(),
            "p50": at(0.5), "p90": at(0.9), "p99": at(0.99), "p999": at(0.999), "max": latencies.max(),
        });
        self.set(&format!("{name}_latency_us"), object);
        let shown =
            [("p50", at(0.5)), ("p90", at(0.9)), ("p99", at(0.99)), ("p99.9", at(0.999)), ("max", latencies.max())];
        let shown: Vec<_> = shown.iter().map(|(name, micros)| format!("{name} {}", human::latency(*micros))).collect();
        let label = if name == "ack" { "ack latency" } else { "end to end" };
        self.fact(label, shown.join(", "));
    }

    /// What failed.
    pub(super) fn outcomes(&mut self, counts: &Counts) {
        self.set("failed_calls", counts.failed);
        self.set("retried_calls", counts.retried);
        if let Some(error) = &counts.first_error {
            self.set("first_error", error.as_str());
            self.fact("failed", format!("{} calls; the first: {error}", counts.failed));
        }
        if counts.retried > 0 {
            self.fact("tried again", counts.retried.to_string());
        }
    }

    /// What readers got, all together.
    pub(super) fn reading(&mut self, records: u64, bytes: u64, duration: Duration) {
        let rate = megabytes_per_second(bytes, duration);
        let records_per_s = records as f64 / duration.as_secs_f64();
        let object = json!({
            "records": records,
            "bytes": bytes,
            "duration_s": rounded(duration.as_secs_f64()),
            "mb_per_s": rounded(rate),
            "records_per_s": rounded(records_per_s),
        });
        self.set("read", object);
        self.fact("read", format!("{rate:.1} MB/s, {records_per_s:.0} records/s, by all readers"));
    }

    /// What the servers used to hand out `bytes` of data.
    pub(super) fn servers_reading(&mut self, usage: Option<Usage>, bytes: u64) {
        let Some(usage) = usage else { return self.set("servers", Value::Null) };
        let cpu_per_gb = usage.cpu_seconds / (bytes.max(1) as f64 / 1e9);
        let object = json!({
            "cpu_s": rounded(usage.cpu_seconds),
            "cpu_s_per_gb": rounded(cpu_per_gb),
            "resident_bytes": usage.resident_bytes,
        });
        self.set("servers", object);
        self.fact("server CPU", format!("{cpu_per_gb:.2} CPU-s/GB read ({:.1} CPU-s)", usage.cpu_seconds));
        self.fact("server memory", human::bytes(usage.resident_bytes));
    }

    /// CPU-seconds a gigabyte through the front and natively; returns what the front alone costs.
    pub(super) fn beside_native(&mut self, with: f64, without: f64, native_mb_per_s: f64) -> f64 {
        let alone = with - without;
        self.set("native", json!({ "cpu_s_per_gb": rounded(without), "mb_per_s": rounded(native_mb_per_s) }));
        self.set("front_alone_cpu_s_per_gb", rounded(alone));
        self.fact("native API", format!("{without:.2} CPU-s/GB at {native_mb_per_s:.1} MB/s"));
        self.fact("front alone", format!("{alone:.2} CPU-s/GB"));
        alone
    }

    /// What the servers used for `bytes` of data, over the whole run.
    pub(super) fn servers(&mut self, session: &Session, usage: Option<Usage>, bytes: u64) {
        let Some(usage) = usage else {
            self.set("servers", Value::Null);
            self.fact("servers", "not on this machine, or not to be looked at (--server-pid names them)");
            return;
        };
        let gigabytes = (bytes as f64 / 1e9).max(f64::MIN_POSITIVE);
        let cpu_per_gb = usage.cpu_seconds / gigabytes;
        let replicated = bytes.max(1) as f64 * f64::from(session.stream.replication.max(1));
        let accounted = usage.disk_write_bytes as f64 / replicated;
        let device = usage.device_write_bytes.map(|written| written as f64 / replicated);
        let processes = session.servers.count();
        let object = json!({
            "processes": processes,
            "cpu_s": rounded(usage.cpu_seconds),
            "cpu_s_per_gb": rounded(cpu_per_gb),
            "device_write_bytes": usage.device_write_bytes,
            "device_bytes_per_byte_and_replica": device.map(rounded),
            "accounted_write_bytes": usage.disk_write_bytes,
            "accounted_bytes_per_byte_and_replica": rounded(accounted),
            "resident_bytes": usage.resident_bytes,
        });
        self.set("servers", object);
        self.fact("server CPU", format!("{cpu_per_gb:.2} CPU-s/GB, all replicas ({:.1} CPU-s)", usage.cpu_seconds));
        let device = device.map_or_else(|| "unknown".to_owned(), |written| format!("{written:.2}"));
        self.fact(
            "server disk",
            format!(
                "{device} bytes per byte and replica reached the device, from all processes \
                 ({accounted:.2} accounted to the servers, whole folios)"
            ),
        );
        self.fact("server memory", format!("{} in {processes} processes", human::bytes(usage.resident_bytes)));
    }
}

/// Three digits after the point.
pub(super) fn rounded(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

/// Prints the report.
pub(super) fn print(format: Format, report: &Report) -> anyhow::Result<()> {
    Ok(print_text(&match format {
        Format::Json => format!("{}\n", Value::Object(report.object.clone())),
        Format::Table => render_facts(&report.facts),
    })?)
}
