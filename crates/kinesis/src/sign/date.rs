//! The date texts of the service: ISO 8601 "basic format", and Java's default format.
//!
//! Holds: nothing here panics, whatever the time; times outside years 0 to 9999 are clamped.

use chrono::{DateTime, NaiveDateTime, Utc};
use thalweg_types::UnixMillis;

const BASIC: &str = "%Y%m%dT%H%M%SZ";
/// The last second of the year 9999.
const LAST_SECOND: i64 = 253_402_300_799;

/// `20150830T123600Z`.
pub(crate) fn basic(time: UnixMillis) -> String {
    utc(time).format(BASIC).to_string()
}

/// `Thu Jan 22 01:22:02 UTC 2015`, as Java prints a date.
pub(crate) fn java(time: UnixMillis) -> String {
    utc(time).format("%a %b %d %H:%M:%S UTC %Y").to_string()
}

/// Reads exactly `20150830T123600Z`.
pub(crate) fn parse_basic(text: &str) -> Option<UnixMillis> {
    let bytes = text.as_bytes();
    let shape = bytes.len() == 16
        && bytes.iter().enumerate().all(|(at, byte)| match at {
            8 => *byte == b'T',
            15 => *byte == b'Z',
            _ => byte.is_ascii_digit(),
        });
    let time = NaiveDateTime::parse_from_str(text, BASIC).ok().filter(|_| shape)?;
    Some(UnixMillis(u64::try_from(time.and_utc().timestamp()).unwrap_or(0) * 1000))
}

/// Reads the format of the HTTP `Date` header: `Sun, 30 Aug 2015 12:36:00 GMT`.
pub(crate) fn parse_http(text: &str) -> Option<UnixMillis> {
    let seconds = DateTime::parse_from_rfc2822(text).ok()?.timestamp();
    Some(UnixMillis(u64::try_from(seconds).unwrap_or(0) * 1000))
}

fn utc(time: UnixMillis) -> DateTime<Utc> {
    let seconds = i64::try_from(time.secs()).unwrap_or(LAST_SECOND).min(LAST_SECOND);
    DateTime::from_timestamp(seconds, 0).expect("seconds from 1970 to 9999 are a time")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dates_print_as_the_service_prints_them() {
        let time = UnixMillis(1_421_889_722_999);
        assert_eq!(java(time), "Thu Jan 22 01:22:02 UTC 2015");
        assert_eq!(basic(time), "20150122T012202Z");
        assert_eq!(basic(UnixMillis(u64::MAX)), "99991231T235959Z");
    }

    #[test]
    fn only_the_basic_format_and_http_dates_are_read() {
        let time = Some(UnixMillis(1_421_889_722_000));
        assert_eq!(parse_basic("20150122T012202Z"), time);
        assert_eq!(parse_http("Thu, 22 Jan 2015 01:22:02 GMT"), time);
        assert_eq!(parse_http("Thu, 22 Jan 2015 01:22:02 -0000"), time);
        for bad in ["", "a", "20150122T012202", "2015-01-22T01:22:02Z", "+0150122T012202Z", "20151322T012202Z"] {
            assert_eq!((parse_basic(bad), parse_http(bad)), (None, None), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn basic_dates_read_back(seconds in 0..=253_402_300_799u64) {
            let time = UnixMillis(seconds * 1000);
            prop_assert_eq!(parse_basic(&basic(time)), Some(time));
        }

        #[test]
        fn no_text_makes_dates_panic(text in ".{0,40}", time: u64) {
            let _ = (parse_basic(&text), parse_http(&text), basic(UnixMillis(time)), java(UnixMillis(time)));
        }
    }
}
