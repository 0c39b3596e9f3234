//! What applying an entry came to, as the proposer is told.
//!
//! One byte and its fields, little endian; the ordinary outcome is no bytes at all.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use thalweg_types::UnixMillis;

use crate::command::EntryFacts;
use crate::state::Verdict;

/// What became of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It took effect (or, for a seal or trim, had taken effect before).
    Done,
    /// Void: the shard was sealed before.
    Closed,
    /// Void: the producer's batch already stands at another place.
    Duplicate(EntryFacts),
    /// Void: an earlier batch of the producer is missing.
    Gap {
        /// The sequence that had to come.
        expected: u64,
    },
    /// Void: so old that the original place is no longer known.
    Forgotten,
    /// Void: stamped earlier than the entry before it, by a leader that was just being replaced.
    Stale,
    /// Void: a later placement stands before it in the log.
    Superseded,
    /// This version does not know the command.
    NotUnderstood,
}

impl Outcome {
    /// What a verdict on its sequence makes of a batch.
    pub fn of(verdict: Verdict) -> Outcome {
        match verdict {
            Verdict::Next => Outcome::Done,
            Verdict::Known(facts) => Outcome::Duplicate(facts),
            Verdict::Gap { expected } => Outcome::Gap { expected },
            Verdict::Forgotten => Outcome::Forgotten,
        }
    }

    /// The bytes of a response.
    pub fn encode(&self) -> Bytes {
        let mut to = BytesMut::new();
        match self {
            Outcome::Done => {}
            Outcome::Closed => to.put_u8(1),
            Outcome::Duplicate(facts) => {
                to.put_u8(2);
                to.put_u64_le(facts.index);
                to.put_u64_le(facts.arrived.0);
                to.put_u32_le(facts.record_count);
            }
            Outcome::Gap { expected } => {
                to.put_u8(3);
                to.put_u64_le(*expected);
            }
            Outcome::Forgotten => to.put_u8(4),
            Outcome::Stale => to.put_u8(5),
            Outcome::NotUnderstood => to.put_u8(6),
            Outcome::Superseded => to.put_u8(7),
        }
        to.freeze()
    }

    /// The outcome in a response.
    pub fn decode(mut response: &[u8]) -> Outcome {
        match (response.first(), response.len()) {
            (None, 0) => return Outcome::Done,
            (Some(1), 1) => return Outcome::Closed,
            (Some(4), 1) => return Outcome::Forgotten,
            (Some(5), 1) => return Outcome::Stale,
            (Some(7), 1) => return Outcome::Superseded,
            (Some(2), 21) | (Some(3), 9) => {}
            _ => return Outcome::NotUnderstood,
        }
        let duplicate = response.get_u8() == 2;
        let number = response.get_u64_le();
        if !duplicate {
            return Outcome::Gap { expected: number };
        }
        let arrived = UnixMillis(response.get_u64_le());
        Outcome::Duplicate(EntryFacts { index: number, arrived, record_count: response.get_u32_le() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_read_back() {
        let facts = EntryFacts { index: 9, arrived: UnixMillis(8), record_count: 7 };
        let gap = Outcome::Gap { expected: 4 };
        let voids = [Outcome::Closed, Outcome::Forgotten, Outcome::Stale, Outcome::Superseded];
        let plain = voids.into_iter().chain([Outcome::Done, Outcome::NotUnderstood]);
        for outcome in plain.chain([gap, Outcome::Duplicate(facts)]) {
            assert_eq!(Outcome::decode(&outcome.encode()), outcome);
        }
        assert_eq!(Outcome::decode(b"\x02?"), Outcome::NotUnderstood);
    }
}
