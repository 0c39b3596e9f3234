//! What is good enough, and what to do where it is not. Pure: values in, verdicts out.

use crate::host::SyncProbe;
use crate::human;

/// What a check came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// As it should be.
    Good,
    /// Works, but not as it could.
    Warns,
    /// A node should not run here.
    Fails,
}

impl Verdict {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Verdict::Good => "ok",
            Verdict::Warns => "warning",
            Verdict::Fails => "FAIL",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Check {
    pub(super) name: String,
    pub(super) verdict: Verdict,
    /// What was seen.
    pub(super) found: String,
    /// What to do; nothing when all is good.
    pub(super) advice: Option<String>,
}

impl Check {
    /// A verdict with advice for the case that it is not good.
    fn new(name: impl Into<String>, verdict: Verdict, found: impl Into<String>, advice: &str) -> Check {
        let advice = (verdict != Verdict::Good).then(|| advice.to_owned());
        Check { name: name.into(), verdict, found: found.into(), advice }
    }

    /// Something could not be looked at.
    pub(super) fn unknown(name: impl Into<String>, why: &dyn std::fmt::Display) -> Check {
        Check::new(name, Verdict::Warns, format!("cannot tell: {why}"), "look at it by other means")
    }
}

const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;

/// Every acknowledged write waits for such a sync on a majority of the replicas.
pub(super) fn sync(probe: &SyncProbe) -> Check {
    const WARN_P99_US: u64 = 25_000;
    const FAIL_P99_US: u64 = 500_000;
    let name = format!("disk sync {}", human::bytes(probe.block_bytes as u64));
    let found = format!(
        "p50 {}, p99 {}, {:.0} MB/s",
        human::latency(probe.p50_us),
        human::latency(probe.p99_us),
        probe.mb_per_s
    );
    let verdict = match probe.p99_us {
        FAIL_P99_US.. => Verdict::Fails,
        WARN_P99_US.. => Verdict::Warns,
        _ => Verdict::Good,
    };
    Check::new(
        name,
        verdict,
        found,
        "use a local SSD for the data (--data-dir), and share it with nothing that writes much",
    )
}

pub(super) fn free_space(free: u64, total: u64) -> Check {
    let share = 100.0 * free as f64 / total.max(1) as f64;
    let verdict = match free {
        _ if free < GIB => Verdict::Fails,
        _ if free < 10 * GIB || share < 5.0 => Verdict::Warns,
        _ => Verdict::Good,
    };
    let found = format!("{} of {} ({share:.0} %)", human::bytes(free), human::bytes(total));
    Check::new(
        "free space",
        verdict,
        found,
        "make room or choose another --data-dir; when it runs out, writes are refused",
    )
}

pub(super) fn open_files(limit: u64) -> Check {
    let verdict = match limit {
        0..1_024 => Verdict::Fails,
        1_024..65_536 => Verdict::Warns,
        _ => Verdict::Good,
    };
    let found = if limit == u64::MAX { "unlimited".to_owned() } else { limit.to_string() };
    Check::new("open files", verdict, found, "raise it: `ulimit -n 65536`, or LimitNOFILE=65536 in the systemd unit")
}

pub(super) fn memory(available: u64) -> Check {
    let verdict = match available {
        _ if available < 256 * MIB => Verdict::Fails,
        _ if available < GIB => Verdict::Warns,
        _ => Verdict::Good,
    };
    let found = format!("{} available", human::bytes(available));
    Check::new("memory", verdict, found, "a node wants 1 GiB; `cache_bytes` in its configuration takes less")
}

pub(super) fn processor(missing: &[&str]) -> Check {
    let (verdict, found) = match missing {
        [] => (Verdict::Good, "has what checksums need".to_owned()),
        missing => (Verdict::Warns, format!("lacks {}", missing.join(" and "))),
    };
    Check::new(
        "processor",
        verdict,
        found,
        "checksums are many times slower without; a virtual machine may hide what the processor has",
    )
}

/// How far wall clock and monotonic clock drifted apart while one was watching.
pub(super) fn clock(apart_ms: u64) -> Check {
    let verdict = match apart_ms {
        0..=5 => Verdict::Good,
        6..=100 => Verdict::Warns,
        _ => Verdict::Fails,
    };
    let found = format!("wall clock and monotonic clock came {apart_ms} ms apart in 200 ms");
    Check::new("clock", verdict, found, "something sets the clock in jumps: let chrony or systemd-timesyncd slew it")
}

pub(super) fn time_service(service: Option<&str>) -> Check {
    let verdict = if service.is_some() { Verdict::Good } else { Verdict::Warns };
    let found = service.unwrap_or("no sign of one");
    Check::new(
        "time service",
        verdict,
        found,
        "run chrony or systemd-timesyncd: retention and reading by time go by this clock",
    )
}

pub(super) fn port(port: u16, taken: Option<&str>) -> Check {
    let verdict = if taken.is_some() { Verdict::Warns } else { Verdict::Good };
    let advice = "is a node running here already? else find who has it: `ss -ltnp`, or choose another";
    Check::new(format!("port {port}"), verdict, taken.unwrap_or("free"), advice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_comes_with_what_is_not_good_and_only_then() {
        assert_eq!(open_files(1_000_000).advice, None);
        assert!(open_files(4_096).advice.unwrap().contains("ulimit"));
        assert_eq!(open_files(100).verdict, Verdict::Fails);
    }

    #[test]
    fn a_disk_is_judged_by_its_slow_syncs() {
        let of = |p99_us| sync(&SyncProbe { block_bytes: 4_096, mb_per_s: 10.0, p50_us: 90, p99_us }).verdict;
        assert_eq!([of(900), of(30_000), of(600_000)], [Verdict::Good, Verdict::Warns, Verdict::Fails]);
    }

    #[test]
    fn little_space_warns_and_none_fails() {
        let of = |free| free_space(free, 1_000 * GIB).verdict;
        assert_eq!([of(500 * GIB), of(20 * GIB), of(GIB / 2)], [Verdict::Good, Verdict::Warns, Verdict::Fails]);
    }
}
