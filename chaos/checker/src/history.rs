//! What a run writes down: operations with the interval in which they happened, and what they said.
//!
//! Times are nanoseconds of one monotonic clock that all observers share, from any beginning. An
//! operation took effect, if at all, between `call` and `done`; one that is indefinite may take
//! effect at any time after its call. A read that failed says nothing and is left out.
//!
//! Reshards are recorded all or not at all: without them the order of keys is judged only within
//! shards. Shards belong to one stream; a run with several streams has a history for each.

use serde::{Deserialize, Serialize};
use thalweg_types::{HashKey, HashRange, SequenceNumber, ShardId};

/// Where a record is in its shard: rises with each record, and from parents to children.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position(pub u128);

/// A sequence number without the fields that do not order it.
impl From<SequenceNumber> for Position {
    fn from(number: SequenceNumber) -> Position {
        let counter = number.raft_index() << 20 | u64::from(number.record());
        Position(u128::from(number.created_secs()) << 64 | u128::from(counter))
    }
}

/// A hash of a record's key and payload. Every write of a history has its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Hash(pub u64);

impl Hash {
    /// FNV-1a over the partition key and the data, spread over all bits: easy in any language.
    pub fn of(partition_key: &str, data: &[u8]) -> Hash {
        let bytes = partition_key.bytes().chain([0xff]).chain(data.iter().copied());
        let fnv = bytes
            .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
        let mixed = (fnv ^ fnv >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Hash(mixed ^ mixed >> 29)
    }
}

/// What a producer promises about its retries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Producer {
    /// A record may be there once for each attempt.
    #[default]
    Plain,
    /// At most once, and the records of one client and key in the order of their serials.
    Idempotent,
}

/// Where and when an acknowledged record was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The shard.
    pub shard: ShardId,
    /// The position in it.
    pub position: Position,
    /// Its arrival in milliseconds of log time, if known; 0 if not.
    #[serde(default)]
    pub arrived_ms: u64,
}

/// What an operation said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome<T> {
    /// It happened.
    Ok(T),
    /// It did not happen and never will.
    Definite,
    /// It may have happened, or may happen yet.
    Indefinite,
}

/// One record that was sent. The records of one call are several of these with the same interval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Write {
    /// The producer instance.
    pub client: u32,
    /// Stands for the partition key.
    pub key: u64,
    /// Rises with each record that this client sends with this key.
    pub serial: u64,
    /// What was sent.
    pub hash: Hash,
    /// Where the key falls in the hash space, if recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash_key: Option<HashKey>,
    /// Which promise applies.
    #[serde(default)]
    pub producer: Producer,
    /// How often it was sent, at most: a plain producer's retries may each have been stored.
    #[serde(default = "one")]
    pub attempts: u32,
    /// When it was sent first.
    pub call: u64,
    /// When the outcome was known.
    pub done: u64,
    /// What it said.
    pub outcome: Outcome<Place>,
}

fn one() -> u32 {
    1
}

/// One record as a reader got it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Where.
    pub position: Position,
    /// What.
    pub hash: Hash,
    /// Its arrival in milliseconds of log time, if known; 0 if not.
    pub arrived_ms: u64,
}

/// Where a reader begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Start {
    /// After what this reader got last.
    #[default]
    Continue,
    /// At the oldest record that is kept.
    Horizon,
    /// Behind the newest record at some moment of this read.
    Latest,
    /// At a position.
    At(Position),
    /// Behind a position.
    After(Position),
}

/// One page, push or poll of one reader in one shard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Read {
    /// The reader. One that restarts from a checkpoint goes on with another [`Start`].
    pub reader: u32,
    /// The shard.
    pub shard: ShardId,
    /// When it was asked for; for a push, when the one before it came.
    pub call: u64,
    /// When it came.
    pub done: u64,
    /// Where it begins.
    #[serde(default)]
    pub start: Start,
    /// What it brought, in order.
    #[serde(default)]
    pub records: Vec<Seen>,
    /// Says that the shard is closed and this was all of it.
    #[serde(default)]
    pub end: bool,
    /// Says that it reached the newest record of some moment between `call` and `done`.
    #[serde(default)]
    pub fresh: bool,
    /// After the run, and at the end of the shard as this replica has it: nothing comes any more.
    /// What the last readers of a shard agree on is its log.
    #[serde(default)]
    pub last: bool,
}

/// A shard that a reshard closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// The shard.
    pub id: ShardId,
    /// Its last position, if told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Position>,
}

/// A split, a merge, or any other reshard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reshard {
    /// When it was asked for.
    pub call: u64,
    /// When its result was seen: from then on no write reaches the parents.
    pub done: u64,
    /// The shards that it closed.
    pub parents: Vec<Parent>,
    /// The shards that it opened.
    pub children: Vec<(ShardId, HashRange)>,
}

/// One shard in an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageShard {
    /// The shard.
    pub id: ShardId,
    /// What it owns.
    pub range: HashRange,
    /// Whether it takes records.
    pub open: bool,
}

/// One revision of the stream as an observer saw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// Who saw it; an observer's images come in the order in which they are recorded.
    #[serde(default)]
    pub observer: u32,
    /// The revision.
    pub revision: u64,
    /// All shards, closed ones too while they are listed.
    pub shards: Vec<ImageShard>,
}

/// A change of the retention. The one in force from the beginning is recorded like any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetentionChange {
    /// When it was asked for.
    pub call: u64,
    /// When the answer came.
    pub done: u64,
    /// The new retention.
    pub retention_ms: u64,
    /// What it said.
    pub outcome: Outcome<()>,
}

/// The horizon of a shard has moved: nothing below `before` is readable any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trim {
    /// The shard.
    pub shard: ShardId,
    /// No later than the move.
    pub call: u64,
    /// No earlier than the move, on every replica that answers reads.
    pub done: u64,
    /// The oldest position that may still be there.
    pub before: Position,
    /// The shard's log time at the move, in milliseconds, or a time above it.
    pub log_ms: u64,
}

/// Everything that one run wrote down about one stream. The order within the lists does not
/// matter, except for [`Image`]s and for reads of one reader at the same time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Records sent.
    pub writes: Vec<Write>,
    /// Records received.
    pub reads: Vec<Read>,
    /// Reshards that happened.
    pub reshards: Vec<Reshard>,
    /// Images.
    pub images: Vec<Image>,
    /// Changes of the retention.
    pub retention: Vec<RetentionChange>,
    /// Moves of horizons.
    pub trims: Vec<Trim>,
}
