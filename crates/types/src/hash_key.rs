//! Hash keys and the ranges of them that shards own.
//!
//! A partition key's hash is the MD5 of its UTF-8 bytes, read as a big-endian 128-bit number.
//! A range names its first and last key, both inclusive, so that the whole space
//! `0 ..= 2^128-1` is one range without overflow.

use std::fmt;
use std::str::FromStr;

use md5::{Digest, Md5};
use serde::{Deserialize, Deserializer, Serialize};

/// A point of the 128-bit hash space.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct HashKey(pub u128);

/// Why a string is no hash key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is not a hash key: expected a decimal number from 0 to 2^128-1 without leading zeros")]
pub struct HashKeyError {
    /// What was given, cut to 64 characters.
    pub given: String,
}

impl HashKey {
    /// The first key of the space.
    pub const MIN: HashKey = HashKey(0);
    /// The last key of the space.
    pub const MAX: HashKey = HashKey(u128::MAX);

    /// The hash of a partition key.
    pub fn of_partition_key(key: &str) -> HashKey {
        HashKey(u128::from_be_bytes(Md5::digest(key.as_bytes()).into()))
    }
}

impl FromStr for HashKey {
    type Err = HashKeyError;

    fn from_str(given: &str) -> Result<Self, Self::Err> {
        let canonical = given == "0" || !given.starts_with('0');
        let digits = !given.is_empty() && given.bytes().all(|b| b.is_ascii_digit());
        let error = || HashKeyError { given: given.chars().take(64).collect() };
        if !canonical || !digits {
            return Err(error());
        }
        given.parse().map(HashKey).map_err(|_| error())
    }
}

impl fmt::Display for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#034x}", self.0)
    }
}

/// A run of hash keys, both ends included; never empty.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct HashRange {
    start: HashKey,
    end: HashKey,
}

impl<'de> Deserialize<'de> for HashRange {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Ends {
            start: HashKey,
            end: HashKey,
        }
        let Ends { start, end } = Ends::deserialize(from)?;
        let empty = || serde::de::Error::custom(format!("hash range {start}..={end} is empty"));
        HashRange::new(start, end).ok_or_else(empty)
    }
}

impl HashRange {
    /// The whole hash space.
    pub const FULL: HashRange = HashRange { start: HashKey::MIN, end: HashKey::MAX };

    /// The range `start ..= end`, or nothing when it would be empty.
    pub fn new(start: HashKey, end: HashKey) -> Option<HashRange> {
        (start <= end).then_some(HashRange { start, end })
    }

    /// First key, included.
    pub fn start(&self) -> HashKey {
        self.start
    }

    /// Last key, included.
    pub fn end(&self) -> HashKey {
        self.end
    }

    /// Whether `key` lies in this range.
    pub fn contains(&self, key: HashKey) -> bool {
        self.start <= key && key <= self.end
    }

    /// Whether every key of `other` lies in this range.
    pub fn covers(&self, other: &HashRange) -> bool {
        self.start <= other.start && other.end <= self.end
    }

    /// Whether some key lies in both.
    pub fn overlaps(&self, other: &HashRange) -> bool {
        self.start <= other.end && other.start <= self.end
    }

    /// Whether `next` begins right where this range ends.
    pub fn touches(&self, next: &HashRange) -> bool {
        self.end.0.checked_add(1) == Some(next.start.0)
    }

    /// Keys in the range, less one (the full space would not fit otherwise).
    pub fn width_minus_one(&self) -> u128 {
        self.end.0 - self.start.0
    }

    /// The range's middle, where a split divides it evenly: the first key of the upper half.
    pub fn middle(&self) -> HashKey {
        HashKey(self.start.0 + self.width_minus_one() / 2 + 1)
    }

    /// The two parts `start ..= at-1` and `at ..= end`, or nothing when one would be empty.
    pub fn split_at(&self, at: HashKey) -> Option<(HashRange, HashRange)> {
        (self.start < at && at <= self.end).then(|| {
            let low = HashRange { start: self.start, end: HashKey(at.0 - 1) };
            (low, HashRange { start: at, end: self.end })
        })
    }

    /// This range and the one right above it as one, or nothing when they do not touch.
    pub fn merged_with(&self, next: &HashRange) -> Option<HashRange> {
        self.touches(next).then_some(HashRange { start: self.start, end: next.end })
    }

    /// The whole space in `count` equal parts; the last takes what division leaves over.
    pub fn tile(count: u32) -> Vec<HashRange> {
        let count = u128::from(count.max(1));
        if count == 1 {
            return vec![HashRange::FULL];
        }
        // floor(2^128 / count): 2^128 itself does not fit, so divide 2^128-1 and mend.
        let width = u128::MAX / count + u128::from(u128::MAX % count == count - 1);
        let part = |i: u128| HashRange {
            start: HashKey(i * width),
            end: if i + 1 == count { HashKey::MAX } else { HashKey((i + 1) * width - 1) },
        };
        (0..count).map(part).collect()
    }
}

impl fmt::Display for HashRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..={}", self.start, self.end)
    }
}

impl fmt::Debug for HashRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}..={:?}", self.start, self.end)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn partition_key_hash_is_md5_read_big_endian() {
        // md5("a") = 0cc175b9c0f1b6a831c399e269772661
        assert_eq!(HashKey::of_partition_key("a").0, 0x0cc1_75b9_c0f1_b6a8_31c3_99e2_6977_2661);
    }

    #[test]
    fn tiles_have_the_width_that_the_service_gives() {
        let tiles = HashRange::tile(3);
        assert_eq!(tiles[0].end().to_string(), "113427455640312821154458202477256070484");
        assert_eq!(tiles[2].end(), HashKey::MAX);
        assert_eq!(HashRange::tile(2)[1].start().0, 1 << 127);
    }

    proptest! {
        #[test]
        fn tiles_cover_the_space_without_gap_or_overlap(count in 1u32..2000) {
            let tiles = HashRange::tile(count);
            prop_assert_eq!(tiles.len(), count as usize);
            prop_assert_eq!(tiles[0].start(), HashKey::MIN);
            prop_assert_eq!(tiles[tiles.len() - 1].end(), HashKey::MAX);
            prop_assert!(tiles.windows(2).all(|pair| pair[0].touches(&pair[1])));
        }

        #[test]
        fn split_children_cover_exactly_the_parent_range(a: u128, b: u128, at: u128) {
            let parent = HashRange::new(HashKey(a.min(b)), HashKey(a.max(b))).unwrap();
            match parent.split_at(HashKey(at)) {
                Some((low, high)) => prop_assert_eq!(low.merged_with(&high), Some(parent)),
                None => prop_assert!(HashKey(at) <= parent.start() || HashKey(at) > parent.end()),
            }
        }

        #[test]
        fn hash_keys_read_back(key: u128) {
            prop_assert_eq!(HashKey(key).to_string().parse(), Ok(HashKey(key)));
        }
    }
}
