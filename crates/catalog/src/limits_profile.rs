//! What each shard of a stream may take and give in a second.
//!
//! Limits that Kinesis sets for billing are a choice here: none unless asked for, the service's
//! own so that programs can be tested against them, or a user's. Who admits and serves obeys them.

use serde::{Deserialize, Serialize};

use crate::Refusal;

/// Which limits a stream's shards have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitsProfile {
    /// None but the machine's.
    #[default]
    Unlimited,
    /// Those of the service: see [`ShardLimits::KINESIS`].
    Kinesis,
    /// The user's own.
    Custom(ShardLimits),
}

/// What one shard may take and give in a second; `None` sets no limit. 0 is not allowed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct ShardLimits {
    /// Bytes written in a second, data and partition keys.
    pub write_bytes_per_second: Option<u64>,
    /// Records written in a second.
    pub write_records_per_second: Option<u32>,
    /// Bytes read in a second by all polling readers together.
    pub read_bytes_per_second: Option<u64>,
    /// Reading calls in a second by all polling readers together.
    pub read_calls_per_second: Option<u32>,
}

impl ShardLimits {
    /// No limit at all.
    pub const NONE: ShardLimits = ShardLimits {
        write_bytes_per_second: None,
        write_records_per_second: None,
        read_bytes_per_second: None,
        read_calls_per_second: None,
    };

    /// The service's: 1 MiB and 1,000 records in, 2 MiB and five calls out.
    pub const KINESIS: ShardLimits = ShardLimits {
        write_bytes_per_second: Some(1 << 20),
        write_records_per_second: Some(1_000),
        read_bytes_per_second: Some(2 << 20),
        read_calls_per_second: Some(5),
    };
}

impl LimitsProfile {
    /// What each shard may take and give.
    pub fn shard_limits(&self) -> ShardLimits {
        match self {
            LimitsProfile::Unlimited => ShardLimits::NONE,
            LimitsProfile::Kinesis => ShardLimits::KINESIS,
            LimitsProfile::Custom(limits) => *limits,
        }
    }

    pub(crate) fn check(&self) -> Result<(), Refusal> {
        let ShardLimits {
            write_bytes_per_second,
            write_records_per_second,
            read_bytes_per_second,
            read_calls_per_second,
        } = self.shard_limits();
        let bytes = [write_bytes_per_second, read_bytes_per_second];
        let counts = [write_records_per_second, read_calls_per_second];
        if bytes.contains(&Some(0)) || counts.contains(&Some(0)) { Err(Refusal::ZeroLimit) } else { Ok(()) }
    }
}
