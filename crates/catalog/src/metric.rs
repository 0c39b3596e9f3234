//! The shard-level metrics that can be asked for, under the names that people alert on.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A metric of each shard of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ShardMetric {
    /// Bytes written.
    IncomingBytes,
    /// Records written.
    IncomingRecords,
    /// Bytes read.
    OutgoingBytes,
    /// Records read.
    OutgoingRecords,
    /// Writes refused because of the shard's limits.
    WriteProvisionedThroughputExceeded,
    /// Reads refused because of the shard's limits.
    ReadProvisionedThroughputExceeded,
    /// How far the last read was behind the tip.
    IteratorAgeMilliseconds,
}

impl ShardMetric {
    /// All of them.
    pub const ALL: [ShardMetric; 7] = [
        ShardMetric::IncomingBytes,
        ShardMetric::IncomingRecords,
        ShardMetric::OutgoingBytes,
        ShardMetric::OutgoingRecords,
        ShardMetric::WriteProvisionedThroughputExceeded,
        ShardMetric::ReadProvisionedThroughputExceeded,
        ShardMetric::IteratorAgeMilliseconds,
    ];

    /// The name that clients of the Kinesis API use.
    pub fn as_str(self) -> &'static str {
        match self {
            ShardMetric::IncomingBytes => "IncomingBytes",
            ShardMetric::IncomingRecords => "IncomingRecords",
            ShardMetric::OutgoingBytes => "OutgoingBytes",
            ShardMetric::OutgoingRecords => "OutgoingRecords",
            ShardMetric::WriteProvisionedThroughputExceeded => "WriteProvisionedThroughputExceeded",
            ShardMetric::ReadProvisionedThroughputExceeded => "ReadProvisionedThroughputExceeded",
            ShardMetric::IteratorAgeMilliseconds => "IteratorAgeMilliseconds",
        }
    }
}

impl fmt::Display for ShardMetric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A name that no shard-level metric has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no shard-level metric is called `{given}`")]
pub struct ShardMetricError {
    /// What was given, cut to 140 characters.
    pub given: String,
}

impl FromStr for ShardMetric {
    type Err = ShardMetricError;

    fn from_str(given: &str) -> Result<ShardMetric, ShardMetricError> {
        let found = ShardMetric::ALL.into_iter().find(|metric| metric.as_str() == given);
        found.ok_or_else(|| ShardMetricError { given: given.chars().take(140).collect() })
    }
}
