//! The id of a shard within its stream: `shardId-000000000007`.
//!
//! Holds: ids of one stream rise with creation and are never reused, so that text order is
//! creation order (clients list "after shard id" and rely on it).

use std::fmt;
use std::str::FromStr;

/// A shard's number in its stream, from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(pub u32);

/// Why a string is no shard id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is not a shard id: expected `shardId-` and 12 digits, such as shardId-000000000000")]
pub struct ShardIdError {
    /// What was given, cut to 64 characters.
    pub given: String,
}

impl FromStr for ShardId {
    type Err = ShardIdError;

    /// Takes the full form, and as a convenience for people a bare number.
    fn from_str(given: &str) -> Result<Self, Self::Err> {
        let error = || ShardIdError { given: given.chars().take(64).collect() };
        let digits = given.strip_prefix("shardId-").unwrap_or(given);
        if digits.is_empty() || digits.len() > 12 || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(error());
        }
        digits.parse().map(ShardId).map_err(|_| error())
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "shardId-{:012}", self.0)
    }
}

impl fmt::Debug for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shard_ids_read_back_and_order_as_text() {
        for (low, high) in [(0, 1), (9, 10), (99_999, 100_000)] {
            let (low, high) = (ShardId(low), ShardId(high));
            assert_eq!(low.to_string().parse(), Ok(low));
            assert!(low.to_string() < high.to_string());
        }
        assert_eq!("7".parse(), Ok(ShardId(7)));
        for bad in ["", "shardId-", "shardId--1", "shard-1", "shardId-9999999999999"] {
            assert!(bad.parse::<ShardId>().is_err(), "{bad}");
        }
    }
}
