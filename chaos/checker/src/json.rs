//! A history as JSON lines, so that any process in any language can record one.
//!
//! Each line is an object with one member, named for what it is:
//!
//! ```text
//! {"write":{"client":1,"key":7,"serial":0,"hash":"9ae1…","call":10,"done":25,
//!           "outcome":{"ok":{"shard":"shardId-000000000000","position":"1048576"}}}}
//! {"write":{…,"outcome":"definite"}}   {"write":{…,"outcome":"indefinite"}}
//! {"read":{"reader":1,"shard":"shardId-000000000000","start":"horizon","call":30,"done":31,
//!          "records":[["1048576","9ae1…",1700000000000]],"fresh":true}}
//! {"reshard":…}  {"image":…}  {"retention":…}  {"trim":…}
//! ```
//! A position is a decimal number as text, or a Kinesis sequence number as it came; a hash has up
//! to 16 hexadecimal digits; a record is position, hash, and arrival in milliseconds (0 or nothing:
//! not known). Fields not given have the defaults of [`crate::history`]. Blank lines are skipped.

use std::fmt;
use std::io::{BufRead, Write as _};

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::ser::SerializeTuple;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thalweg_types::SequenceNumber;

use crate::history::{Hash, History, Image, Position, Read, Reshard, RetentionChange, Seen, Trim, Write};

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Event {
    /// A record sent.
    Write(Write),
    /// Records received.
    Read(Read),
    /// A reshard.
    Reshard(Reshard),
    /// An image.
    Image(Image),
    /// A change of the retention.
    Retention(RetentionChange),
    /// A move of a horizon.
    Trim(Trim),
}

/// Why a file is no history.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be read.
    #[error("line {line}: {error}")]
    Io {
        /// Counted from 1.
        line: usize,
        /// What the system said.
        error: std::io::Error,
    },
    /// A line is not as above.
    #[error("line {line}: {error}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        error: serde_json::Error,
    },
}

impl History {
    /// Adds one line's event.
    pub fn push(&mut self, event: Event) {
        match event {
            Event::Write(write) => self.writes.push(write),
            Event::Read(read) => self.reads.push(read),
            Event::Reshard(reshard) => self.reshards.push(reshard),
            Event::Image(image) => self.images.push(image),
            Event::Retention(change) => self.retention.push(change),
            Event::Trim(trim) => self.trims.push(trim),
        }
    }
}

/// Reads a history.
pub fn read(mut from: impl BufRead) -> Result<History, ReadError> {
    let mut history = History::default();
    let mut text = Vec::new();
    for line in 1.. {
        text.clear();
        if from.read_until(b'\n', &mut text).map_err(|error| ReadError::Io { line, error })? == 0 {
            break;
        }
        if !text.trim_ascii().is_empty() {
            history.push(serde_json::from_slice(&text).map_err(|error| ReadError::Line { line, error })?);
        }
    }
    Ok(history)
}

/// Writes one line.
pub fn write_event(mut to: impl std::io::Write, event: &Event) -> std::io::Result<()> {
    serde_json::to_writer(&mut to, event)?;
    to.write_all(b"\n")
}

/// Writes a history.
pub fn write(history: &History, to: impl std::io::Write) -> std::io::Result<()> {
    let mut to = std::io::BufWriter::new(to);
    let events = (history.images.iter().cloned().map(Event::Image))
        .chain(history.retention.iter().copied().map(Event::Retention))
        .chain(history.reshards.iter().cloned().map(Event::Reshard))
        .chain(history.trims.iter().copied().map(Event::Trim))
        .chain(history.writes.iter().cloned().map(Event::Write))
        .chain(history.reads.iter().cloned().map(Event::Read));
    for event in events {
        write_event(&mut to, &event)?;
    }
    to.flush()
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Serialize for Position {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

struct PositionText;

impl Visitor<'_> for PositionText {
    type Value = Position;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a decimal number below 2^128 as text, or a Kinesis sequence number")
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Position, E> {
        Ok(Position(u128::from(number)))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Position, E> {
        match text.parse() {
            Ok(number) => Ok(Position(number)),
            Err(_) => text.parse::<SequenceNumber>().map(Position::from).map_err(E::custom),
        }
    }
}

impl<'de> Deserialize<'de> for Position {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Position, D::Error> {
        from.deserialize_any(PositionText)
    }
}

struct HashText;

impl Visitor<'_> for HashText {
    type Value = Hash;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("up to 16 hexadecimal digits as text")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Hash, E> {
        u64::from_str_radix(text, 16).map(Hash).map_err(E::custom)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Hash, D::Error> {
        from.deserialize_str(HashText)
    }
}

impl Serialize for Seen {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut tuple = to.serialize_tuple(3)?;
        tuple.serialize_element(&self.position)?;
        tuple.serialize_element(&self.hash)?;
        tuple.serialize_element(&self.arrived_ms)?;
        tuple.end()
    }
}

struct SeenList;

impl<'de> Visitor<'de> for SeenList {
    type Value = Seen;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[position, hash, arrival in ms]")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Seen, A::Error> {
        let missing = |at| A::Error::invalid_length(at, &SeenList);
        let position = list.next_element()?.ok_or_else(|| missing(0))?;
        let hash = list.next_element()?.ok_or_else(|| missing(1))?;
        Ok(Seen { position, hash, arrived_ms: list.next_element()?.unwrap_or(0) })
    }
}

impl<'de> Deserialize<'de> for Seen {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Seen, D::Error> {
        from.deserialize_seq(SeenList)
    }
}
