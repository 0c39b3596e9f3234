//! The commands of a shard's log, as they stand in the head of a raft entry. Version 1.
//!
//! Fixed width, little endian. The body of an append is its record batch, byte for byte as it
//! came; the other commands have none.
//!
//! ```text
//!  0  version u8 = 1      4  record count u32     16  append: [producer u128 │ sequence u64]
//!  1  kind u8             8  time, ms u64             seal:   reshard u64
//!  2  reserved u16 = 0                                trim:   index u64 │ at, ms u64
//!                                                     place:  placement u64
//! ```
//! `time` is the arrival of an append and the moment of a seal; a trim carries time and record
//! count of the entry it names, so that a replica which starts there knows them.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use thalweg_types::{ProducerId, UnixMillis};

const VERSION: u8 = 1;
const KIND_APPEND: u8 = 1;
const KIND_SEAL: u8 = 2;
const KIND_TRIM: u8 = 3;
const KIND_PLACE: u8 = 4;
const COMMON_BYTES: usize = 16;

/// A producer's name for one of its batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerTag {
    /// Who.
    pub producer: ProducerId,
    /// Rises by one a batch.
    pub sequence: u64,
}

/// What a log entry asks of the shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// The entry's body is a record batch.
    Append {
        /// When the leader took it; never falls within a shard.
        arrived: UnixMillis,
        /// Records in the batch.
        record_count: u32,
        /// Present when the producer wants retries recognised.
        tag: Option<ProducerTag>,
    },
    /// Nothing after this entry is data.
    Seal {
        /// The reshard that asked for it.
        reshard: u64,
        /// The leader's time.
        at: UnixMillis,
    },
    /// Everything up to the named append is past retention.
    Trim {
        /// The last append to go.
        last: EntryFacts,
        /// The leader's time.
        at: UnixMillis,
    },
    /// Who votes from here on is what the catalog wanted in this placement or a later one.
    Place {
        /// Its number.
        placement: u64,
        /// The leader's time.
        at: UnixMillis,
    },
}

/// What is worth knowing of an append once its body is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryFacts {
    /// Its place in the log.
    pub index: u64,
    /// When it arrived.
    pub arrived: UnixMillis,
    /// Records it had.
    pub record_count: u32,
}

/// The head of an entry that this version does not understand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a shard command: {0}")]
pub struct CommandError(&'static str);

impl Command {
    /// The bytes for the head of the entry.
    pub fn encode(&self) -> Bytes {
        let (kind, record_count, time) = match self {
            Command::Append { arrived, record_count, .. } => (KIND_APPEND, *record_count, *arrived),
            Command::Seal { at, .. } => (KIND_SEAL, 0, *at),
            Command::Trim { last, .. } => (KIND_TRIM, last.record_count, last.arrived),
            Command::Place { at, .. } => (KIND_PLACE, 0, *at),
        };
        let mut to = BytesMut::with_capacity(COMMON_BYTES + 24);
        to.put_u8(VERSION);
        to.put_u8(kind);
        to.put_u16_le(0);
        to.put_u32_le(record_count);
        to.put_u64_le(time.0);
        match self {
            Command::Append { tag: None, .. } => {}
            Command::Append { tag: Some(tag), .. } => {
                to.put_u128_le(tag.producer.0);
                to.put_u64_le(tag.sequence);
            }
            Command::Seal { reshard, .. } => to.put_u64_le(*reshard),
            Command::Place { placement, .. } => to.put_u64_le(*placement),
            Command::Trim { last, at } => {
                to.put_u64_le(last.index);
                to.put_u64_le(at.0);
            }
        }
        to.freeze()
    }

    /// The command in the head of an entry.
    pub fn decode(mut head: &[u8]) -> Result<Command, CommandError> {
        if head.len() < COMMON_BYTES {
            return Err(CommandError("too short"));
        }
        let (version, kind, reserved) = (head.get_u8(), head.get_u8(), head.get_u16_le());
        if version != VERSION || reserved != 0 {
            return Err(CommandError("unknown version"));
        }
        let (record_count, time) = (head.get_u32_le(), UnixMillis(head.get_u64_le()));
        match (kind, head.len()) {
            (KIND_APPEND, 0) => Ok(Command::Append { arrived: time, record_count, tag: None }),
            (KIND_APPEND, 24) => {
                let tag = ProducerTag { producer: ProducerId(head.get_u128_le()), sequence: head.get_u64_le() };
                Ok(Command::Append { arrived: time, record_count, tag: Some(tag) })
            }
            (KIND_SEAL, 8) => Ok(Command::Seal { reshard: head.get_u64_le(), at: time }),
            (KIND_PLACE, 8) => Ok(Command::Place { placement: head.get_u64_le(), at: time }),
            (KIND_TRIM, 16) => {
                let last = EntryFacts { index: head.get_u64_le(), arrived: time, record_count };
                Ok(Command::Trim { last, at: UnixMillis(head.get_u64_le()) })
            }
            _ => Err(CommandError("unknown kind or wrong length")),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_command() -> impl Strategy<Value = Command> {
        let tag = proptest::option::of((any::<u128>(), any::<u64>()))
            .prop_map(|tag| tag.map(|(id, sequence)| ProducerTag { producer: ProducerId(id), sequence }));
        let time = || any::<u64>().prop_map(UnixMillis);
        prop_oneof![
            (time(), any::<u32>(), tag).prop_map(|(arrived, record_count, tag)| Command::Append {
                arrived,
                record_count,
                tag
            }),
            (any::<u64>(), time()).prop_map(|(reshard, at)| Command::Seal { reshard, at }),
            (any::<u64>(), time()).prop_map(|(placement, at)| Command::Place { placement, at }),
            (any::<u64>(), time(), any::<u32>(), time()).prop_map(|(index, arrived, record_count, at)| {
                Command::Trim { last: EntryFacts { index, arrived, record_count }, at }
            }),
        ]
    }

    proptest! {
        #[test]
        fn commands_read_back(command in any_command()) {
            prop_assert_eq!(Command::decode(&command.encode()), Ok(command));
        }

        #[test]
        fn arbitrary_heads_never_panic(head: Vec<u8>) {
            let _ = Command::decode(&head);
        }
    }

    #[test]
    fn the_layout_of_version_1_is_fixed() {
        let tag = Some(ProducerTag { producer: ProducerId(0x0102), sequence: 7 });
        let head = Command::Append { arrived: UnixMillis(0x0a0b), record_count: 3, tag }.encode();
        let expected = [
            &[1, 1, 0, 0, 3, 0, 0, 0, 0x0b, 0x0a, 0, 0, 0, 0, 0, 0][..],
            &[2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0][..],
            &[7, 0, 0, 0, 0, 0, 0, 0][..],
        ];
        assert_eq!(head, expected.concat());
    }
}
