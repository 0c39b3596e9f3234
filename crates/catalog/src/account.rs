//! What holds for all streams of the cluster together, as an account of the service has it.
//!
//! ```text
//!   Disabled ──enable──► Enabled ──disable after 24 h──► Disabled
//!      ▲                  │   ▲
//!      │             disable  enable
//!      │                  ▼   │
//!      └─ 24 h passed ── EnabledUntilEarliestEnd
//! ```
//! The commitment to a minimum throughput costs nothing here; it is kept because clients set it,
//! read it back, and get more consumers a stream by it.

use serde::{Deserialize, Serialize};
use thalweg_types::UnixMillis;

use crate::settings::RULE_DAY_MS;

/// On-demand streams, unless set otherwise.
const ON_DEMAND_STREAMS_DEFAULT_MAX: u32 = 10_000;

/// Settings of all streams together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AccountSettings {
    /// The commitment to a minimum throughput.
    pub commitment: Commitment,
    /// On-demand streams that there may be at once.
    pub on_demand_streams_max: u32,
}

impl Default for AccountSettings {
    fn default() -> AccountSettings {
        AccountSettings { commitment: Commitment::default(), on_demand_streams_max: ON_DEMAND_STREAMS_DEFAULT_MAX }
    }
}

/// The commitment to a minimum throughput, and since when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Commitment {
    /// When it was last enabled; nothing if it never was.
    pub started_at: Option<UnixMillis>,
    /// When it ended, or will end.
    pub ended_at: Option<UnixMillis>,
}

/// Where the commitment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CommitmentStatus {
    /// Not in force.
    Disabled,
    /// In force until further notice.
    Enabled,
    /// In force, and ends as soon as it may.
    EnabledUntilEarliestEnd,
}

/// A wish to change the account's settings; what is not named stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AccountPatch {
    /// Whether the commitment is to be in force. It stays so for 24 hours at least.
    pub commitment: Option<bool>,
    /// Another bound on on-demand streams.
    pub on_demand_streams_max: Option<u32>,
    /// Another bound on the open shards of all streams together.
    pub shards_max: Option<u32>,
}

impl Commitment {
    /// Where it stands at `now`.
    pub fn status(&self, now: UnixMillis) -> CommitmentStatus {
        match (self.started_at, self.ended_at) {
            (None, _) => CommitmentStatus::Disabled,
            (Some(_), None) => CommitmentStatus::Enabled,
            (Some(_), Some(end)) if end > now => CommitmentStatus::EnabledUntilEarliestEnd,
            (Some(_), Some(_)) => CommitmentStatus::Disabled,
        }
    }

    /// Whether it is in force at `now`.
    pub fn is_enabled(&self, now: UnixMillis) -> bool {
        self.status(now) != CommitmentStatus::Disabled
    }

    /// Before this it cannot end: 24 hours after its start.
    pub fn earliest_end_at(&self) -> Option<UnixMillis> {
        self.started_at.map(|started| UnixMillis(started.0.saturating_add(RULE_DAY_MS)))
    }

    /// The commitment after it was enabled or disabled at `now`.
    pub(crate) fn after(self, enable: bool, now: UnixMillis) -> Commitment {
        match (enable, self.status(now)) {
            (true, CommitmentStatus::Disabled) => Commitment { started_at: Some(now), ended_at: None },
            (true, _) => Commitment { ended_at: None, ..self },
            (false, CommitmentStatus::Enabled) => {
                Commitment { ended_at: self.earliest_end_at().map(|earliest| earliest.max(now)), ..self }
            }
            (false, _) => self,
        }
    }
}
