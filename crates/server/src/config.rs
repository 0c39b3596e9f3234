//! What an operator tells a node: file, environment and flags, in rising order of precedence.
//!
//! Data only. Unknown keys are errors that name the nearest known one.

use std::path::{Path, PathBuf};
use std::time::Duration;

use figment::Figment;
use figment::error::Kind;
use figment::providers::{Env, Format, Serialized, Toml};
use serde::{Deserialize, Serialize};
use thalweg_gateway::{AccountLimits, Auth};

use crate::TlsFiles;

/// Settings of one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// This node's id: 1 or above, never given to another disk.
    pub node_id: u64,
    /// Where this node keeps its data. Made when missing.
    pub data_dir: PathBuf,
    /// `host:port` to listen on for clients. Default 127.0.0.1:4567; port 0 picks a free one.
    pub public_address: String,
    /// `host:port` to listen on for other nodes. Default 127.0.0.1:4568.
    pub peer_address: String,
    /// `host:port` to listen on for health and metrics. Default 127.0.0.1:4569.
    pub admin_address: String,
    /// `host:port` that clients are told, when it differs from the one listened on.
    pub advertise_public: Option<String>,
    /// `host:port` that other nodes are told, when it differs from the one listened on.
    pub advertise_peer: Option<String>,
    /// Peer addresses of the nodes to form or join a cluster with; this node's own may be among
    /// them. Empty: a fresh node forms a cluster alone.
    pub seeds: Vec<String>,
    /// Failure domain; replicas are spread over zones.
    pub zone: String,
    /// Whether Kinesis requests have to be signed with a key of this cluster: `required`,
    /// `optional` or `off`. Default `off`.
    pub auth: Auth,
    /// The region of Kinesis requests that name none. Default `us-east-1`.
    pub region: String,
    /// The account in all Kinesis names: 12 digits. Default `000000000000`.
    pub account: String,
    /// How often Kinesis control operations may be called: `unlimited`, or `kinesis` for the service's
    /// own rates. Limits of shards are settings of their streams. Default `unlimited`.
    pub account_limits: AccountLimits,
    /// Certificate and key with which the public port also answers TLS. Default: no TLS.
    pub tls: Option<TlsFiles>,
    /// How long a node may be out of contact before its replicas are rebuilt elsewhere. Default
    /// 5 min, at least 1 s.
    #[serde(with = "humantime_serde")]
    pub node_dead_after: Duration,
    /// How long a shard of an on-demand stream is hot before it is split. Default 3 min, at least 1 s.
    #[serde(with = "humantime_serde")]
    pub on_demand_split_after: Duration,
    /// How long two neighbours are cold before they are merged. Default 30 min, at least
    /// `on_demand_split_after`.
    #[serde(with = "humantime_serde")]
    pub on_demand_merge_after: Duration,
    /// Splits and merges that on-demand streams begin within a minute, all together. Default 30; 0
    /// leaves every stream as it is.
    pub on_demand_reshards_per_minute: usize,
    /// How often leaders look for records past retention. Default 60 s, at least 1 s.
    #[serde(with = "humantime_serde")]
    pub retention_interval: Duration,
    /// Bytes of recent records kept in memory for followers and tail readers. Default 128 MiB.
    pub cache_bytes: u64,
    /// Bytes of disk that appends leave free. Default 256 MiB.
    pub reserve_bytes: u64,
    /// Bytes of a write-ahead log segment. Default 64 MiB; at least 48 MiB.
    pub segment_bytes: u64,
    /// Bytes of write-ahead log above which committed records are moved on at once. Default 256 MiB.
    pub hot_tail_bytes: u64,
}

impl Default for Config {
    fn default() -> Self {
        const MIB: u64 = 1024 * 1024;
        Config {
            node_id: 0,
            data_dir: PathBuf::new(),
            public_address: "127.0.0.1:4567".to_owned(),
            peer_address: "127.0.0.1:4568".to_owned(),
            admin_address: "127.0.0.1:4569".to_owned(),
            advertise_public: None,
            advertise_peer: None,
            seeds: Vec::new(),
            zone: String::new(),
            auth: Auth::Off,
            region: "us-east-1".to_owned(),
            account: "000000000000".to_owned(),
            account_limits: AccountLimits::Unlimited,
            tls: None,
            node_dead_after: Duration::from_secs(300),
            on_demand_split_after: Duration::from_secs(180),
            on_demand_merge_after: Duration::from_secs(1_800),
            on_demand_reshards_per_minute: 30,
            retention_interval: Duration::from_secs(60),
            cache_bytes: 128 * MIB,
            reserve_bytes: 256 * MIB,
            segment_bytes: 64 * MIB,
            hot_tail_bytes: 256 * MIB,
        }
    }
}

/// What the command line overrides; absent values leave file and environment in force.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Overrides {
    /// See [`Config::node_id`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_id: Option<u64>,
    /// See [`Config::data_dir`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_dir: Option<PathBuf>,
    /// See [`Config::public_address`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_address: Option<String>,
    /// See [`Config::peer_address`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer_address: Option<String>,
    /// See [`Config::admin_address`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin_address: Option<String>,
    /// See [`Config::seeds`]; empty means not given.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub seeds: Vec<String>,
    /// See [`Config::zone`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// See [`Config::node_dead_after`], as people write it: `30s`, `5min`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_dead_after: Option<String>,
}

/// Why a configuration cannot be used, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

/// Environment variables of the prefix that are not a node's settings.
const NOT_SETTINGS: [&str; 4] = ["endpoint", "cache", "log", "bench"];

impl Config {
    /// Reads the file if one is given, then `THALWEG_*`, then the command line's overrides.
    pub fn load(file: Option<&Path>, overrides: &Overrides) -> Result<Config, ConfigError> {
        let mut figment = Figment::from(Serialized::defaults(Config::default()));
        if let Some(file) = file {
            if !file.is_file() {
                return Err(ConfigError(format!("there is no configuration file at {}", file.display())));
            }
            figment = figment.merge(Toml::file_exact(file));
        }
        let environment = Env::prefixed("THALWEG_").ignore(&NOT_SETTINGS);
        let figment = figment.merge(environment).merge(Serialized::defaults(overrides));
        let config: Config = figment.extract().map_err(|error| ConfigError(explain(error)))?;
        config.check()?;
        Ok(config)
    }

    /// Over how long rates of writes are averaged: long enough to be smooth, well within the time
    /// for which a shard has to be hot.
    pub(crate) fn rate_window(&self) -> Duration {
        (self.on_demand_split_after / 3).min(Duration::from_secs(60))
    }

    /// How often they are measured.
    pub(crate) fn rate_interval(&self) -> Duration {
        self.rate_window() / 12
    }

    fn check(&self) -> Result<(), ConfigError> {
        let refuse = |message: &str| Err(ConfigError(message.to_owned()));
        if self.node_id == 0 {
            return refuse(
                "`node_id` is missing: give each node a number from 1 that no other disk ever had (--node-id)",
            );
        }
        if self.data_dir.as_os_str().is_empty() {
            return refuse("`data_dir` is missing: say where this node keeps its data (--data-dir)");
        }
        if self.node_dead_after < Duration::from_secs(1) {
            return refuse("`node_dead_after` must be at least 1s");
        }
        if self.on_demand_split_after < Duration::from_secs(1) {
            return refuse("`on_demand_split_after` must be at least 1s");
        }
        if self.on_demand_merge_after < self.on_demand_split_after {
            return refuse("`on_demand_merge_after` must be at least as long as `on_demand_split_after`");
        }
        if self.retention_interval < Duration::from_secs(1) {
            return refuse("`retention_interval` must be at least 1s");
        }
        if self.segment_bytes < 48 * 1024 * 1024 {
            return refuse(
                "`segment_bytes` must be at least 50331648 (48 MiB): a segment holds several of the largest batches",
            );
        }
        if self.account.len() != 12 || !self.account.bytes().all(|byte| byte.is_ascii_digit()) {
            return refuse("`account` must have 12 digits, such as 000000000000");
        }
        Ok(())
    }
}

/// What is wrong, where it was said, and the nearest key that exists.
fn explain(error: figment::Error) -> String {
    let first = error.into_iter().next().expect("an error has at least one cause");
    let place = first.metadata.as_ref().map_or_else(String::new, |from| {
        let source = from.source.as_ref().map_or_else(|| from.name.to_string(), ToString::to_string);
        format!(" (in {source})")
    });
    match &first.kind {
        Kind::UnknownField(given, known) => {
            let nearest = known.iter().max_by(|a, b| similarity(given, a).total_cmp(&similarity(given, b)));
            let hint = nearest.map_or_else(String::new, |nearest| format!("; did you mean `{nearest}`?"));
            format!("unknown key `{given}`{place}{hint}")
        }
        other => format!("`{}`: {other}{place}", first.path.join(".")),
    }
}

fn similarity(a: &str, b: &str) -> f64 {
    strsim::jaro_winkler(&a.to_lowercase(), b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn flags_win_over_the_file() {
        let file = file("node_id = 1\ndata_dir = \"/tmp/x\"\nzone = \"a\"\nnode_dead_after = \"30s\"");
        let overrides = Overrides { zone: Some("b".to_owned()), ..Overrides::default() };
        let config = Config::load(Some(file.path()), &overrides).unwrap();
        assert_eq!((config.node_id, config.zone.as_str()), (1, "b"));
        assert_eq!(config.node_dead_after, Duration::from_secs(30));
    }

    #[test]
    fn an_unknown_key_names_the_nearest_known_one() {
        let file = file("node_id = 1\ndata_dri = \"/tmp/x\"");
        let error = Config::load(Some(file.path()), &Overrides::default()).unwrap_err().to_string();
        assert!(error.contains("unknown key `data_dri`") && error.contains("did you mean `data_dir`?"), "{error}");
    }

    #[test]
    fn what_is_missing_or_out_of_range_is_said_with_the_remedy() {
        let error = Config::load(None, &Overrides::default()).unwrap_err().to_string();
        assert!(error.contains("--node-id"), "{error}");
        let file = file("node_id = 1\ndata_dir = \"/tmp/x\"\nnode_dead_after = \"10ms\"");
        let error = Config::load(Some(file.path()), &Overrides::default()).unwrap_err().to_string();
        assert!(error.contains("at least 1s"), "{error}");
    }
}
