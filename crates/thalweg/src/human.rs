//! Sizes, rates, counts and times as people write and read them.

use std::str::FromStr;
use std::time::{Duration, UNIX_EPOCH};

use thalweg_client::UnixMillis;

/// A number of bytes: `512`, `64KiB`, `1.5MiB`, `2GB`. `K`, `M` and `G` alone are binary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u64);

const UNITS: &[(&str, u64)] = &[
    ("", 1),
    ("b", 1),
    ("k", 1 << 10),
    ("kib", 1 << 10),
    ("kb", 1_000),
    ("m", 1 << 20),
    ("mib", 1 << 20),
    ("mb", 1_000_000),
    ("g", 1 << 30),
    ("gib", 1 << 30),
    ("gb", 1_000_000_000),
    ("t", 1 << 40),
    ("tib", 1 << 40),
    ("tb", 1_000_000_000_000),
];

impl FromStr for Size {
    type Err = String;

    fn from_str(given: &str) -> Result<Size, String> {
        let wrong = || format!("`{given}` is not a size; write for example 512, 64KiB or 1MB");
        let at = given.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(given.len());
        let (number, unit) = given.split_at(at);
        let number: f64 = number.parse().map_err(|_| wrong())?;
        let unit = unit.trim().to_ascii_lowercase();
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        Ok(Size((number * *factor as f64) as u64))
    }
}

/// A size that fits 32 bits and is not 0, as a number of bytes.
pub(crate) fn parse_size_u32(given: &str) -> Result<u32, String> {
    let Size(bytes) = given.parse()?;
    match u32::try_from(bytes) {
        Ok(bytes) if bytes > 0 => Ok(bytes),
        _ => Err(format!("`{given}` is out of range: 1 byte to 4 GiB")),
    }
}

/// How fast to send.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Rate {
    /// As fast as the cluster takes it.
    Max,
    /// Records a second.
    Records(f64),
    /// Bytes a second.
    Bytes(f64),
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(given: &str) -> Result<Rate, String> {
        if given.eq_ignore_ascii_case("max") {
            return Ok(Rate::Max);
        }
        let wrong = || format!("`{given}` is not a rate; write max, 5000 (records a second) or 50MB/s");
        let number = given.strip_suffix("/s").unwrap_or(given);
        let rate = match number.parse::<f64>() {
            Ok(records) => Rate::Records(records),
            Err(_) => Rate::Bytes(number.parse::<Size>().map_err(|_| wrong())?.0 as f64),
        };
        match rate {
            Rate::Records(rate) | Rate::Bytes(rate) if rate.is_finite() && rate > 0.0 => Ok(()),
            _ => Err(wrong()),
        }?;
        Ok(rate)
    }
}

impl Rate {
    /// Records a second when records have this size; nothing for the maximum.
    pub(crate) fn records_per_second(self, record_bytes: u64) -> Option<f64> {
        match self {
            Rate::Max => None,
            Rate::Records(records) => Some(records),
            Rate::Bytes(bytes) => Some(bytes / record_bytes.max(1) as f64),
        }
    }
}

/// Hours of retention: `48`, `48h`, `7d`, `1year`.
pub(crate) fn parse_hours(given: &str) -> Result<u32, String> {
    if let Ok(hours) = given.parse() {
        return Ok(hours);
    }
    let wrong = || format!("`{given}` is not a number of hours; write for example 48, 48h or 7d");
    let duration = humantime::parse_duration(given).map_err(|_| wrong())?;
    // humantime's year has 365.25 days, ours 365.
    let hours = (duration.as_secs() / 3600).min(if given.contains('y') { 8_760 } else { u64::MAX });
    if !duration.as_secs().is_multiple_of(3600) && !given.contains('y') {
        return Err(format!("`{given}` is not a whole number of hours"));
    }
    u32::try_from(hours).map_err(|_| wrong())
}

/// Hours as people say them: `24 h`, `7 d`.
pub(crate) fn hours(hours: u32) -> String {
    if hours > 24 && hours.is_multiple_of(24) { format!("{} d", hours / 24) } else { format!("{hours} h") }
}

/// Bytes with a binary unit.
pub(crate) fn bytes(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}

/// An instant as text, to the millisecond.
pub(crate) fn instant(time: UnixMillis) -> String {
    humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(time.0)).to_string()
}

/// A latency in the unit that suits it.
pub(crate) fn latency(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..1_000_000 => format!("{:.2} ms", micros as f64 / 1e3),
        _ => format!("{:.2} s", micros as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_binary_and_decimal_units() {
        let of = |text: &str| text.parse::<Size>().map(|size| size.0);
        assert_eq!(of("512"), Ok(512));
        assert_eq!(of("64KiB"), Ok(65_536));
        assert_eq!(of("1.5 MiB"), Ok(1_572_864));
        assert_eq!(of("2GB"), Ok(2_000_000_000));
        assert_eq!(of("4k"), Ok(4_096));
        assert!(of("many").is_err() && of("").is_err() && of("3 parsecs").is_err());
    }

    #[test]
    fn rates_count_records_or_bytes() {
        assert_eq!("max".parse(), Ok(Rate::Max));
        assert_eq!("5000".parse(), Ok(Rate::Records(5000.0)));
        assert_eq!("5000/s".parse(), Ok(Rate::Records(5000.0)));
        assert_eq!("50MB/s".parse(), Ok(Rate::Bytes(5e7)));
        assert!("0".parse::<Rate>().is_err() && "-3".parse::<Rate>().is_err() && "fast".parse::<Rate>().is_err());
        assert_eq!(Rate::Bytes(1024.0 * 1024.0).records_per_second(1024), Some(1024.0));
    }

    #[test]
    fn retention_is_read_in_hours_days_and_the_longest_year() {
        assert_eq!(parse_hours("48"), Ok(48));
        assert_eq!(parse_hours("48h"), Ok(48));
        assert_eq!(parse_hours("7d"), Ok(168));
        assert_eq!(parse_hours("365d"), Ok(8_760));
        assert_eq!(parse_hours("1y"), Ok(8_760));
        assert!(parse_hours("90m").is_err() && parse_hours("long").is_err());
        assert_eq!((hours(24), hours(168), hours(36)), ("24 h".to_owned(), "7 d".to_owned(), "36 h".to_owned()));
    }
}
