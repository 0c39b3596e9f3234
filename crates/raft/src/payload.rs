//! A command as it travels through the log: a small head and a big, opaque body.

use std::fmt;

use bytes::Bytes;

/// One command. The head (at most 64 KiB) is the state machine's own words; the body is opaque
/// bytes that are never copied on their way from socket to disk.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Payload {
    /// The state machine's own words.
    pub head: Bytes,
    /// Opaque bytes.
    pub body: Bytes,
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "head {} B, body {} B", self.head.len(), self.body.len())
    }
}

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
