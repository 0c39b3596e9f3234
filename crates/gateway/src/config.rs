//! What an operator decides about the Kinesis front.

use serde::{Deserialize, Serialize};

/// Settings of the front.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayConfig {
    /// The region of requests that name none. Default `us-east-1`.
    pub region: String,
    /// The account that owns everything: 12 digits. Default `000000000000`.
    pub account: String,
    /// Whether requests have to be signed. Default [`Auth::Off`].
    pub auth: Auth,
    /// How often control operations may be called. Default [`AccountLimits::Unlimited`].
    pub account_limits: AccountLimits,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        GatewayConfig {
            region: "us-east-1".to_owned(),
            account: "000000000000".to_owned(),
            auth: Auth::Off,
            account_limits: AccountLimits::Unlimited,
        }
    }
}

/// Whether requests have to be signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Auth {
    /// Every request must carry a valid signature of a known key.
    Required,
    /// Unsigned requests are served; signatures that are there must be valid.
    Optional,
    /// Signatures are read for their region only. For development.
    #[default]
    Off,
}

/// How often control operations may be called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccountLimits {
    /// As often as the cluster can.
    #[default]
    Unlimited,
    /// As often as the service allows, counted by each node.
    Kinesis,
}
