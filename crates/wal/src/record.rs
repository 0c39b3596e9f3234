//! What is logged, and where it lies.

use bytes::Bytes;
use thalweg_types::GroupId;

/// What a record means to storage. The log itself treats all kinds alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A Raft entry.
    Entry = 1,
    /// A Raft vote.
    Vote = 2,
    /// Entries from an index on were withdrawn.
    Truncate = 3,
    /// Entries up to an index are no longer retained.
    Trim = 4,
    /// The group left this node.
    Destroy = 5,
}

impl Kind {
    pub(crate) fn from_byte(byte: u8) -> Option<Kind> {
        [Kind::Entry, Kind::Vote, Kind::Truncate, Kind::Trim, Kind::Destroy]
            .into_iter()
            .find(|kind| *kind as u8 == byte)
    }
}

/// One logged fact of one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Whose log it belongs to.
    pub group: GroupId,
    /// What it means.
    pub kind: Kind,
    /// Raft log index, or what `kind` makes of it.
    pub index: u64,
    /// Raft term, or what `kind` makes of it.
    pub term: u64,
    /// A small part in front, written as it is.
    pub head: Bytes,
    /// The payload, written as it is.
    pub body: Bytes,
}

/// Where a record lies: enough to read and verify it with one read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Number of the segment.
    pub segment: u64,
    /// First byte of the record's frame in the segment.
    pub offset: u32,
    /// Bytes of the frame: header, head and body.
    pub len: u32,
}
