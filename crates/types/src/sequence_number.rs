//! Sequence numbers: 186-bit positions in the layout that Kinesis clients decode (version 2).
//!
//! ```text
//! bit 185     148 147   144 143        80 79  72 71        36 35         4 3       0
//!  2 │ created s │ shard&15 │   counter   │  00  │ record s  │ shard index │ version 2
//! ```
//! `counter` is `raft_index << 20 | record_in_batch` (63 bits): seeking is arithmetic. All other
//! fields but the record's second are constant in a shard, so numeric order is log order, and
//! a child's numbers exceed its parents' because its creation second does.

use std::fmt;
use std::str::FromStr;

use ethnum::U256;

use crate::{ShardId, UnixMillis};

/// A record's position in its shard; rises strictly, gaps are normal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SequenceNumber(U256);

/// Why a string is no sequence number of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is not a sequence number: expected 56 digits as an append or read returned them")]
pub struct SequenceNumberError {
    /// What was given, cut to 140 characters.
    pub given: String,
}

const RECORD_BITS: u32 = 20;
const INDEX_MAX: u64 = (1 << (63 - RECORD_BITS)) - 1;
const SECS_MASK: u64 = (1 << 36) - 1;

impl SequenceNumber {
    /// The number of record `record` (below 2^20) in the batch at `raft_index` (below 2^43).
    ///
    /// `created` is the shard's creation time, `arrived` the batch's arrival.
    pub fn new(created: UnixMillis, shard: ShardId, raft_index: u64, record: u32, arrived: UnixMillis) -> Self {
        let record = u64::from(record).min((1 << RECORD_BITS) - 1);
        let counter = raft_index.min(INDEX_MAX) << RECORD_BITS | record;
        Self::from_fields(created.secs(), shard, counter, arrived.secs())
    }

    /// The first number a shard could hold: below every record of it, above its parents'.
    pub fn shard_start(created: UnixMillis, shard: ShardId) -> Self {
        Self::from_fields(created.secs(), shard, 0, created.secs())
    }

    fn from_fields(created_secs: u64, shard: ShardId, counter: u64, record_secs: u64) -> Self {
        let wide = |field: u64| U256::from(field);
        SequenceNumber(
            wide(2) << 184
                | wide(created_secs & SECS_MASK) << 148
                | wide(u64::from(shard.0 & 15)) << 144
                | wide(counter) << 80
                | wide(record_secs & SECS_MASK) << 36
                | wide(u64::from(shard.0)) << 4
                | wide(2),
        )
    }

    fn field(self, low_bit: u32, mask: u64) -> u64 {
        (self.0 >> low_bit).as_u64() & mask
    }

    /// Raft log index of the batch that holds the record.
    pub fn raft_index(self) -> u64 {
        self.field(80, i64::MAX as u64) >> RECORD_BITS
    }

    /// Place of the record in its batch, from 0.
    pub fn record(self) -> u32 {
        (self.field(80, i64::MAX as u64) & ((1 << RECORD_BITS) - 1)) as u32
    }

    /// The shard the record was written to.
    pub fn shard(self) -> ShardId {
        ShardId(self.field(4, u64::from(u32::MAX)) as u32)
    }

    /// The second in which the shard was created.
    pub fn created_secs(self) -> u64 {
        self.field(148, SECS_MASK)
    }

    /// The second in which the record arrived.
    pub fn record_secs(self) -> u64 {
        self.field(36, SECS_MASK)
    }

    /// The 32 big-endian bytes of the number, for storing and comparing.
    pub fn to_be_bytes(self) -> [u8; 32] {
        self.0.to_be_bytes()
    }
}

impl FromStr for SequenceNumber {
    type Err = SequenceNumberError;

    fn from_str(given: &str) -> Result<Self, Self::Err> {
        let error = || SequenceNumberError { given: given.chars().take(140).collect() };
        if given.is_empty() || given.starts_with('0') || !given.bytes().all(|b| b.is_ascii_digit()) {
            return Err(error());
        }
        let number = U256::from_str_radix(given, 10).map_err(|_| error())?;
        let fits = number >> 184u32 == U256::from(2u8) && number & 15 == 2;
        let counter_fits = (number >> 80u32).as_u64() <= i64::MAX as u64;
        if fits && counter_fits { Ok(SequenceNumber(number)) } else { Err(error()) }
    }
}

/// Digits of every number: 2 << 184 has as many as 3 << 184.
const DIGITS: usize = 56;
/// Digits that one machine word holds.
const WORD_DIGITS: usize = 19;

/// Every answer of the Kinesis front spells a number a record, so this divides machine words and
/// not, as the general way does, 256-bit numbers.
impl fmt::Display for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (high, low) = self.0.into_words();
        let mut words = [high as u64, (low >> 64) as u64, low as u64];
        let mut digits = [b'0'; DIGITS];
        for chunk in digits.rchunks_mut(WORD_DIGITS) {
            let mut rest = divide(&mut words, 10u64.pow(WORD_DIGITS as u32));
            for digit in chunk.iter_mut().rev() {
                *digit += (rest % 10) as u8;
                rest /= 10;
            }
        }
        f.pad(std::str::from_utf8(&digits).expect("digits are ASCII"))
    }
}

/// Divides a number, its highest word first, and returns the remainder.
fn divide(words: &mut [u64; 3], divisor: u64) -> u64 {
    words.iter_mut().fold(0, |rest, word| {
        let part = u128::from(rest) << 64 | u128::from(*word);
        *word = (part / u128::from(divisor)) as u64;
        (part % u128::from(divisor)) as u64
    })
}

impl fmt::Debug for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}.{}", self.shard(), self.raft_index(), self.record())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An example number from the service's own documentation.
    const AWS_EXAMPLE: &str = "49590338271490256608559692538361571095921575989136588898";

    #[test]
    fn the_services_own_numbers_decode() {
        let number: SequenceNumber = AWS_EXAMPLE.parse().unwrap();
        assert_eq!(number.created_secs(), 1_542_776_258);
        assert_eq!(number.record_secs(), 1_545_084_650);
        assert_eq!(number.to_string(), AWS_EXAMPLE);
    }

    #[test]
    fn numbers_of_other_layouts_are_refused() {
        for bad in ["", "0", "12", "049", "4x", "99999999999999999999999999999999999999999999999999999999"] {
            assert!(bad.parse::<SequenceNumber>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn fields_and_text_read_back(
            created in 0u64..(1 << 35), shard: u32, index in 0u64..(1 << 43), record in 0u32..(1 << 20), at in 0u64..(1 << 35),
        ) {
            let number = SequenceNumber::new(UnixMillis(created * 1000), ShardId(shard), index, record, UnixMillis(at * 1000));
            prop_assert_eq!((number.created_secs(), number.record_secs()), (created, at));
            prop_assert_eq!((number.raft_index(), number.record(), number.shard()), (index, record, ShardId(shard)));
            prop_assert_eq!(number.to_string().parse(), Ok(number));
            prop_assert_eq!(number.to_string(), number.0.to_string());
        }

        #[test]
        fn order_is_log_order(a in 0u64..(1 << 43), i in 0u32..(1 << 20), b in 0u64..(1 << 43), j in 0u32..(1 << 20), t in 0u64..(1 << 40), u in 0u64..(1 << 40)) {
            let at = |index, record, time| SequenceNumber::new(UnixMillis(7_000), ShardId(3), index, record, UnixMillis(time));
            prop_assume!((a, i) != (b, j));
            prop_assert_eq!(at(a, i, t) < at(b, j, u), (a, i) < (b, j));
        }

        #[test]
        fn a_child_created_a_second_later_lies_above(index in 0u64..(1 << 43), parent: u32, child: u32) {
            let last = SequenceNumber::new(UnixMillis(7_000), ShardId(parent), index, 0, UnixMillis(9_000_000));
            prop_assert!(last < SequenceNumber::shard_start(UnixMillis(8_000), ShardId(child)));
        }
    }
}
