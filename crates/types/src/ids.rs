//! Plain ids. Newtypes, so that a node is never passed where a group is meant.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }
    };
}

id! {
    /// One node of a cluster. Chosen by the operator, 1 or above, and never given to another
    /// disk: a node that lost its data returns under a new id.
    NodeId
}
id! {
    /// One Raft group. Group 0 is the controller's; every shard has one of its own, never reused.
    GroupId
}
id! {
    /// One incarnation of a stream: a stream deleted and created again under its name differs.
    StreamId
}
id! {
    /// Drawn at random when a data directory is made; tells two disks of one node id apart.
    Incarnation
}

impl GroupId {
    /// The controller's own group, which holds the catalog.
    pub const CONTROLLER: GroupId = GroupId(0);
}

/// An idempotent producer: 128 random bits, drawn by the client library at start.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProducerId(pub u128);

impl fmt::Display for ProducerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for ProducerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProducerId({self})")
    }
}

/// Why a string is no producer id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is not a producer id: expected 32 hexadecimal digits")]
pub struct ProducerIdError {
    /// What was given, cut to 64 characters.
    pub given: String,
}

impl FromStr for ProducerId {
    type Err = ProducerIdError;

    fn from_str(given: &str) -> Result<Self, Self::Err> {
        let error = || ProducerIdError { given: given.chars().take(64).collect() };
        if given.len() != 32 || !given.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(error());
        }
        u128::from_str_radix(given, 16).map(ProducerId).map_err(|_| error())
    }
}
