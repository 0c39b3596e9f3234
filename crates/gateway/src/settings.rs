//! Settings as requests name them.

use std::collections::BTreeMap;

use thalweg_client::{Distribution, StreamMode};
use thalweg_kinesis::{ApiError, ErrorKind, Struct};

/// The mode in a `StreamModeDetails`.
pub(crate) fn mode(details: &Struct) -> Result<StreamMode, ApiError> {
    match details.text("StreamMode") {
        Some("PROVISIONED") => Ok(StreamMode::Provisioned),
        Some("ON_DEMAND") => Ok(StreamMode::OnDemand),
        _ => Err(ApiError::new(ErrorKind::Validation, "StreamMode must be PROVISIONED or ON_DEMAND")),
    }
}

/// How answers name a mode.
pub(crate) fn mode_name(mode: StreamMode) -> &'static str {
    match mode {
        StreamMode::Provisioned => "PROVISIONED",
        StreamMode::OnDemand => "ON_DEMAND",
    }
}

/// A `RecordDistributionStrategy`; its shape allows these two.
pub(crate) fn distribution(name: &str) -> Distribution {
    if name == "AUTO" { Distribution::Auto } else { Distribution::UserPartitionKey }
}

/// How answers name a way to place records.
pub(crate) fn distribution_name(distribution: Distribution) -> &'static str {
    match distribution {
        Distribution::Auto => "AUTO",
        Distribution::UserPartitionKey => "USER_PARTITION_KEY",
    }
}

/// The `Tags` of a request; of a key that is there twice the last counts.
pub(crate) fn tags(input: &Struct) -> BTreeMap<String, String> {
    input.map("Tags").iter().cloned().collect()
}
