//! How a node comes to belong to a cluster.
//!
//! ```text
//!   fresh ──(a seed has a cluster)──────────────────────────► join it
//!     │
//!     └──(all seeds answer, all fresh, mine is the lowest id)─► draw a cluster id, tell the other
//!                                                              founders, open group 0 ──► join it
//! ```
//! Holds: a set of nodes given the same seeds forms exactly one cluster, in whatever order they
//! start and wherever they crash: forming needs *every* seed to answer, only the lowest id forms,
//! and group 0 opens only after every founder has the cluster's id on disk.
//!
//! The decision is pure and lies in [`forming`]; [`bootstrap`] asks and acts; [`join`] registers
//! a node that knows its cluster.

pub(crate) mod bootstrap;
pub(crate) mod forming;
pub(crate) mod join;

/// Where a node stands on its way into the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Membership {
    /// Not yet a member; says what it waits for.
    Waiting {
        /// For the operator.
        reason: String,
    },
    /// Registered, and knows the cluster: takes part.
    Joined,
    /// Never will be; says what to do.
    Refused {
        /// For the operator.
        reason: String,
    },
}

impl Membership {
    pub(crate) fn waiting(reason: impl Into<String>) -> Membership {
        Membership::Waiting { reason: reason.into() }
    }
}

/// Why a node can never belong, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Refused(pub(crate) String);
