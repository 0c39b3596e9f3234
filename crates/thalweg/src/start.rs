//! Where `tail` begins: `latest`, `trim-horizon`, a time, or a record's sequence number.

use std::time::{Duration, UNIX_EPOCH};

use thalweg_client::{ConsumedRecord, Position, SequenceNumber, ShardId, StartPosition, UnixMillis};

/// A place in a stream, as written on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// The oldest record that is still there.
    TrimHorizon,
    /// Records written from now on.
    Latest,
    /// So long ago.
    Ago(Duration),
    /// At a time.
    At(UnixMillis),
    /// In its own shard at this record; in the others at the second in which it arrived.
    Sequence(SequenceNumber),
}

/// Digits that no time has and every sequence number has.
const SEQUENCE_DIGITS_MIN: usize = 20;

impl std::str::FromStr for Start {
    type Err = String;

    fn from_str(given: &str) -> Result<Start, String> {
        match given {
            "trim-horizon" | "trim" | "earliest" => return Ok(Start::TrimHorizon),
            "latest" | "now" => return Ok(Start::Latest),
            _ => {}
        }
        if let Some(ago) = given.strip_prefix('-') {
            return humantime::parse_duration(ago).map(Start::Ago).map_err(|error| format!("`{given}`: {error}"));
        }
        if given.len() >= SEQUENCE_DIGITS_MIN && given.bytes().all(|byte| byte.is_ascii_digit()) {
            return given
                .parse()
                .map(Start::Sequence)
                .map_err(|error: thalweg_types::SequenceNumberError| error.to_string());
        }
        parse_time(given).map(Start::At)
    }
}

fn parse_time(given: &str) -> Result<UnixMillis, String> {
    let wrong = "write trim-horizon, latest, -1h, a sequence number, or a time such as 2026-11-22T10:00:00Z";
    let time = humantime::parse_rfc3339_weak(given).map_err(|_| format!("`{given}` is no place to begin: {wrong}"))?;
    let since = time.duration_since(UNIX_EPOCH).map_err(|_| format!("`{given}` is before 1970"))?;
    Ok(UnixMillis(since.as_millis() as u64))
}

impl Start {
    /// Where a consumer of the whole stream begins. It may yield records that [`Start::includes`] leaves out.
    pub(crate) fn of_stream(self, now: UnixMillis) -> StartPosition {
        match self {
            Start::TrimHorizon => StartPosition::TrimHorizon,
            Start::Latest => StartPosition::Latest,
            Start::Ago(ago) => StartPosition::At(now.minus_ms(ago.as_millis() as u64)),
            Start::At(time) => StartPosition::At(time),
            Start::Sequence(number) => StartPosition::At(arrival_second(number)),
        }
    }

    /// Where a reader of one shard begins.
    pub(crate) fn of_shard(self, shard: ShardId, now: UnixMillis) -> Position {
        match self {
            Start::TrimHorizon => Position::TrimHorizon,
            Start::Latest => Position::Latest,
            Start::Ago(ago) => Position::AtTime(now.minus_ms(ago.as_millis() as u64)),
            Start::At(time) => Position::AtTime(time),
            Start::Sequence(number) if number.shard() == shard => Position::At(number),
            Start::Sequence(number) => Position::AtTime(arrival_second(number)),
        }
    }

    /// Whether a record lies at or behind the start.
    pub(crate) fn includes(self, record: &ConsumedRecord) -> bool {
        match self {
            Start::Sequence(number) if number.shard() == record.shard => record.sequence_number >= number,
            _ => true,
        }
    }
}

fn arrival_second(number: SequenceNumber) -> UnixMillis {
    UnixMillis(number.record_secs() * 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_documented_form_is_understood() {
        let number = SequenceNumber::new(UnixMillis(5_000), ShardId(3), 7, 0, UnixMillis(9_000));
        assert_eq!("trim-horizon".parse(), Ok(Start::TrimHorizon));
        assert_eq!("latest".parse(), Ok(Start::Latest));
        assert_eq!("-1h".parse(), Ok(Start::Ago(Duration::from_secs(3_600))));
        assert_eq!(number.to_string().parse(), Ok(Start::Sequence(number)));
        assert_eq!("1970-01-01T00:00:05Z".parse(), Ok(Start::At(UnixMillis(5_000))));
        assert!("yesterday".parse::<Start>().unwrap_err().contains("trim-horizon"));
    }

    #[test]
    fn a_sequence_number_is_exact_in_its_own_shard_and_a_time_in_the_others() {
        let number = SequenceNumber::new(UnixMillis(5_000), ShardId(3), 7, 0, UnixMillis(9_999));
        let start = Start::Sequence(number);
        assert_eq!(start.of_shard(ShardId(3), UnixMillis(0)), Position::At(number));
        let others = start.of_shard(ShardId(4), UnixMillis(0));
        assert!(matches!(others, Position::AtTime(time) if time.0 <= 9_999), "{others:?}");
    }
}
